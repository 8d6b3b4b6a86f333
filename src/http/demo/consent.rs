//! `/demo/consent`: may this application do that?

use super::api::{Trouble, text};
use super::browser::Browser;
use super::login::{EMAIL, decided};
use super::views::{client_name, go_on, hidden, parameter, see_other, sources};
use super::{Demo, page as demo_page};
use crate::http::form::Form;
use crate::http::pages::{escape, one_line};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};

/// For how long an answer is remembered, in seconds.
const REMEMBERED: u32 = 3600;

/// Scopes in words: what the application may do, and what that means.
const WORDS: [(&str, &str, &str); 5] = [
    ("openid", "Know who you are", "An identifier of yours, the same at each visit."),
    ("offline_access", "Stay connected", "It keeps its access while you are away, until you revoke it."),
    ("offline", "Stay connected", "It keeps its access while you are away, until you revoke it."),
    ("profile", "See your profile", "Your name."),
    ("email", "See your e-mail address", EMAIL),
];

/// `GET /demo/consent?consent_challenge=…`
pub async fn page(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let challenge = parameter(&request, "consent_challenge");
    if challenge.is_empty() {
        return Err(Trouble::Stale("This page is opened by the server when an application wants consent."));
    }
    let asked = demo.request("consent", &challenge).await?;
    let yes = |value: Option<&Value>| value == Some(&Value::Bool(true));
    if yes(asked.get("skip")) || yes(asked.pointer("/client/skip_consent")) {
        let body = granted(&asked, &scopes(&asked), false);
        return decided(demo.decide("consent", "accept", &challenge, &body).await?, go_on);
    }
    let browser = Browser::of(&demo, &request)?;
    Ok(browser.keep(form(&demo, &browser, &challenge, &asked)))
}

/// `POST /demo/consent`
pub async fn submit(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let sent = Form::read(&request, payload).await?;
    let challenge = sent.get("consent_challenge").unwrap_or_default();
    let browser = Browser::of(&demo, &request)?;
    if !browser.owns(&demo, &format!("consent {challenge}"), sent.get("tag")) {
        return Err(Trouble::Stale("This form was not made for this browser. Go back, reload the page and try again."));
    }
    if sent.get("answer") != Some("allow") {
        let body = json!({"error": "access_denied", "error_description": "The resource owner denied the request"});
        return decided(demo.decide("consent", "reject", challenge, &body).await?, see_other);
    }
    // What was asked comes from the server once more: the form only says which of it was ticked.
    let asked = demo.request("consent", challenge).await?;
    let ticked: Vec<&str> = scopes(&asked).into_iter().filter(|s| sent.get(&field(s)).is_some()).collect();
    let body = granted(&asked, &ticked, sent.get("remember").is_some());
    decided(demo.decide("consent", "accept", challenge, &body).await?, see_other)
}

fn scopes(asked: &Value) -> Vec<&str> {
    let all = asked.get("requested_scope").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).collect()
}

/// The name of a scope's box.
fn field(scope: &str) -> String {
    format!("scope {scope}")
}

/// The body that grants these scopes, with the claims that go with them (OpenID Connect Core §5.4).
fn granted(asked: &Value, scopes: &[&str], remember: bool) -> Value {
    let mut claims = Map::new();
    if scopes.contains(&"profile") {
        claims.insert("name".to_owned(), json!("Dana Demo"));
        claims.insert("given_name".to_owned(), json!("Dana"));
        claims.insert("family_name".to_owned(), json!("Demo"));
    }
    if scopes.contains(&"email") {
        claims.insert("email".to_owned(), json!(EMAIL));
        claims.insert("email_verified".to_owned(), json!(true));
    }
    json!({
        "grant_scope": scopes,
        "grant_access_token_audience": asked.get("requested_access_token_audience").unwrap_or(&json!([])),
        "remember": remember,
        "remember_for": REMEMBERED,
        "session": {"id_token": claims, "access_token": {}},
    })
}

fn boxes(asked: &Value) -> String {
    let one = |scope: &str| {
        let (title, means) = match WORDS.iter().find(|(name, ..)| *name == scope) {
            Some((_, title, means)) => ((*title).to_owned(), *means),
            None => (format!("Use “{}”", one_line(scope, 100)), "A permission of this application's own."),
        };
        format!(
            "<label class=\"choice\"><input type=\"checkbox\" name=\"{}\" value=\"yes\" checked><span>{} \
             <small>{}</small></span></label>\n",
            escape(&field(scope)),
            escape(&title),
            escape(means)
        )
    };
    scopes(asked).into_iter().map(one).collect()
}

fn form(demo: &Demo, browser: &Browser, challenge: &str, asked: &Value) -> HttpResponse {
    let client = asked.get("client").unwrap_or(&Value::Null);
    let name = client_name(client);
    let tag = browser.tag(demo, &format!("consent {challenge}"));
    let boxes = match boxes(asked) {
        none if none.is_empty() => String::new(),
        boxes => format!("<fieldset><legend>It would like to</legend>\n{boxes}</fieldset>\n"),
    };
    let audience = asked.get("requested_access_token_audience").and_then(Value::as_array);
    let audience: Vec<String> = audience
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(|a| escape(&one_line(a, 200)).to_string())
        .collect();
    let audience = match audience.join(", ") {
        none if none.is_empty() => none,
        all => format!("<p class=\"note\">For use at {all}.</p>\n"),
    };
    let body = format!(
        "<p class=\"lead\">You are signed in as {who}.</p>\n\
         <form method=\"post\" action=\"/demo/consent\">\n{hidden}{boxes}{audience}\
         <label class=\"choice\"><input type=\"checkbox\" name=\"remember\" value=\"yes\"><span>Do not ask again \
         <small>For an hour, for the same permissions.</small></span></label>\n\
         <div class=\"actions\"><button type=\"submit\" name=\"answer\" value=\"allow\">Allow</button>\n\
         <button class=\"second\" type=\"submit\" name=\"answer\" value=\"deny\">Deny</button></div>\n</form>\n",
        who = escape(&one_line(text(asked, "subject").unwrap_or("somebody"), 80)),
        hidden = hidden(&[("consent_challenge", challenge), ("tag", &tag)]),
    );
    demo_page(&format!("Allow {name}?"), body).form_action(&sources(client)).response()
}
