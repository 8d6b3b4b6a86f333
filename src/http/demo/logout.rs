//! `/demo/logout`: really sign out?

use super::api::{Trouble, text};
use super::browser::Browser;
use super::login::decided;
use super::views::{client_name, go_on, hidden, parameter, see_other, sources};
use super::{Demo, START, page as demo_page};
use crate::http::form::Form;
use crate::http::pages::escape;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

/// `GET /demo/logout?logout_challenge=…`
pub async fn page(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let challenge = parameter(&request, "logout_challenge");
    if challenge.is_empty() {
        return Err(Trouble::Stale("This page is opened by the server when somebody wants to sign out."));
    }
    let asked = demo.request("logout", &challenge).await?;
    if asked.pointer("/client/skip_logout_consent") == Some(&Value::Bool(true)) {
        return decided(demo.decide("logout", "accept", &challenge, &json!({})).await?, go_on);
    }
    let browser = Browser::of(&demo, &request)?;
    Ok(browser.keep(form(&demo, &browser, &challenge, &asked)))
}

/// `POST /demo/logout`
pub async fn submit(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let sent = Form::read(&request, payload).await?;
    let challenge = sent.get("logout_challenge").unwrap_or_default();
    let browser = Browser::of(&demo, &request)?;
    if !browser.owns(&demo, &format!("logout {challenge}"), sent.get("tag")) {
        return Err(Trouble::Stale("This form was not made for this browser. Go back, reload the page and try again."));
    }
    if sent.get("answer") == Some("yes") {
        return decided(demo.decide("logout", "accept", challenge, &json!({})).await?, see_other);
    }
    demo.decide("logout", "reject", challenge, &json!({})).await?;
    Ok(see_other(&demo.address(START)))
}

fn form(demo: &Demo, browser: &Browser, challenge: &str, asked: &Value) -> HttpResponse {
    let client = asked.get("client").unwrap_or(&Value::Null);
    let lead = match text(client, "client_id") {
        Some(_) => format!("<strong>{}</strong> asks to sign you out of this server.", escape(&client_name(client))),
        None => "This ends your session on this server.".to_owned(),
    };
    let tag = browser.tag(demo, &format!("logout {challenge}"));
    let body = format!(
        "<p class=\"lead\">{lead}</p>\n<form method=\"post\" action=\"/demo/logout\">\n{}\
         <div class=\"actions\"><button type=\"submit\" name=\"answer\" value=\"yes\">Yes, sign out</button>\n\
         <button class=\"second\" type=\"submit\" name=\"answer\" value=\"no\">No</button></div>\n</form>\n",
        hidden(&[("logout_challenge", challenge), ("tag", &tag)])
    );
    demo_page("Sign out?", body).form_action(&sources(client)).response()
}
