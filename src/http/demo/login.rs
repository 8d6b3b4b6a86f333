//! `/demo/login`: who is it? One user, whose password stands on the page.

use super::api::{Trouble, text};
use super::browser::Browser;
use super::views::{client_name, go_on, hidden, parameter, see_other, sources};
use super::{Demo, page as demo_page};
use crate::http::form::Form;
use crate::http::pages::escape;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

/// The one user: the identifier that applications see, which is no address and does not change.
const SUBJECT: &str = "demo-user";
/// The user's e-mail address.
pub const EMAIL: &str = "demo@example.com";
/// The user's password.
const PASSWORD: &str = "demo";
/// For how long a browser is remembered, in seconds.
const REMEMBERED: u32 = 3600;

/// What was typed, and whether it was wrong.
struct Typed<'a> {
    email: &'a str,
    remember: bool,
    wrong: bool,
}

/// `GET /demo/login?login_challenge=…`
pub async fn page(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let challenge = parameter(&request, "login_challenge");
    if challenge.is_empty() {
        return Err(Trouble::Stale("This page is opened by the server when an application wants someone to sign in."));
    }
    let asked = demo.request("login", &challenge).await?;
    if asked.get("skip") == Some(&Value::Bool(true)) {
        let body = json!({"subject": text(&asked, "subject").unwrap_or(SUBJECT)});
        return decided(demo.decide("login", "accept", &challenge, &body).await?, go_on);
    }
    let hint = asked.pointer("/oidc_context/login_hint").and_then(Value::as_str).filter(|hint| !hint.is_empty());
    let typed = Typed { email: hint.unwrap_or(EMAIL), remember: false, wrong: false };
    let browser = Browser::of(&demo, &request)?;
    Ok(browser.keep(form(&demo, &browser, &challenge, &asked, &typed)))
}

/// `POST /demo/login`
pub async fn submit(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let sent = Form::read(&request, payload).await?;
    let challenge = sent.get("login_challenge").unwrap_or_default();
    let browser = Browser::of(&demo, &request)?;
    if !browser.owns(&demo, &format!("login {challenge}"), sent.get("tag")) {
        return Err(Trouble::Stale("This form was not made for this browser. Go back, reload the page and try again."));
    }
    if sent.get("answer") == Some("cancel") {
        let body = json!({"error": "access_denied", "error_description": "The resource owner denied the request"});
        return decided(demo.decide("login", "reject", challenge, &body).await?, see_other);
    }
    let (email, remember) = (sent.get("email").unwrap_or_default().trim(), sent.get("remember").is_some());
    if !email.eq_ignore_ascii_case(EMAIL) || sent.get("password") != Some(PASSWORD) {
        let asked = demo.request("login", challenge).await?;
        return Ok(form(&demo, &browser, challenge, &asked, &Typed { email, remember, wrong: true }));
    }
    let body = json!({"subject": SUBJECT, "remember": remember, "remember_for": REMEMBERED, "amr": ["pwd"]});
    decided(demo.decide("login", "accept", challenge, &body).await?, see_other)
}

/// On to where the server said.
pub fn decided(to: Option<String>, go: fn(&str) -> HttpResponse) -> Result<HttpResponse, Trouble> {
    to.map(|to| go(&to)).ok_or_else(|| Trouble::Away("an answer without redirect_to".to_owned()))
}

fn form(demo: &Demo, browser: &Browser, challenge: &str, asked: &Value, typed: &Typed<'_>) -> HttpResponse {
    let client = asked.get("client").unwrap_or(&Value::Null);
    let tag = browser.tag(demo, &format!("login {challenge}"));
    let (alert, invalid, password) = if typed.wrong {
        let alert = "<p class=\"alert\" role=\"alert\" id=\"wrong\">That e-mail and password do not belong together. The \
                     demo knows one user; see below.</p>\n";
        (alert, " aria-invalid=\"true\" aria-describedby=\"wrong\"", "")
    } else {
        ("", "", PASSWORD)
    };
    let body = format!(
        "<p class=\"lead\">to continue to <strong>{client}</strong></p>\n{alert}\
         <form method=\"post\" action=\"/demo/login\">\n{hidden}\
         <label for=\"email\">E-mail</label>\n<input type=\"email\" id=\"email\" name=\"email\" value=\"{email}\" \
         autocomplete=\"username\" autocapitalize=\"none\" required{invalid}>\n\
         <label for=\"password\">Password</label>\n<input type=\"password\" id=\"password\" name=\"password\" \
         value=\"{password}\" autocomplete=\"current-password\" required{invalid}>\n\
         <label class=\"choice\"><input type=\"checkbox\" name=\"remember\" value=\"yes\"{checked}><span>Remember me \
         <small>For an hour, on this browser.</small></span></label>\n\
         <div class=\"actions\"><button type=\"submit\" name=\"answer\" value=\"accept\">Sign in</button>\n\
         <button class=\"second\" type=\"submit\" name=\"answer\" value=\"cancel\" formnovalidate>Cancel</button></div>\n\
         </form>\n<p class=\"note\">The demo has one user: <code>{EMAIL}</code>, password <code>{PASSWORD}</code>.</p>\n",
        client = escape(&client_name(client)),
        hidden = hidden(&[("login_challenge", challenge), ("tag", &tag)]),
        email = escape(typed.email),
        checked = if typed.remember { " checked" } else { "" },
    );
    let page = demo_page("Sign in", body).form_action(&sources(client));
    if typed.wrong { page.status(400).response() } else { page.response() }
}
