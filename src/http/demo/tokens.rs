//! `/demo/tokens`: what a sign-in brought, and what the server says about it at this moment.

use super::api::{Trouble, text};
use super::browser::{Browser, session};
use super::sessions::Tokens;
use super::start::{self, SIGNED_OUT};
use super::views::{hidden, see_other};
use super::{CLIENT_ID, Demo, START, page as demo_page};
use crate::crypto::jose::Unverified;
use crate::http::form::Form;
use crate::http::pages::{escape, one_line};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

/// `GET /demo/tokens`
pub async fn page(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let browser = Browser::of(&demo, &request)?;
    let Some((id, tokens)) = mine(&demo, &request) else { return Ok(see_other(START)) };
    let notice = match demo.sessions.take_notice(&id) {
        Some((told, true)) => format!("<p class=\"done\" role=\"status\">{}</p>\n", escape(&told)),
        Some((told, false)) => format!("<p class=\"alert\" role=\"alert\">{}</p>\n", escape(&told)),
        None => String::new(),
    };
    let introspection = demo.introspect(&tokens.access).await?;
    let userinfo = told(demo.get("/userinfo", Some(&tokens.access)).await)?;
    let state = if introspection.get("active") == Some(&Value::Bool(true)) {
        "<span class=\"state on\">active</span>"
    } else {
        "<span class=\"state off\">not active</span>"
    };
    let claims = tokens.id.as_deref().and_then(|id| Unverified::parse(id).ok());
    let claims = claims.map(|claims| Value::Object(claims.unverified_claims().0.clone()));
    let body = format!(
        "<p class=\"lead\">{who}</p>\n{notice}{buttons}\
         <h2>Access token {state}</h2>\n{access}{refresh}{id}\
         <div class=\"pair\">\n<section><h2>Claims of the ID token</h2>\n<p class=\"note\">Its signature, issuer, audience, time and nonce were checked \
         when it came.</p>\n{claims}</section>\n\
         <section><h2>Userinfo</h2>\n<p class=\"note\"><code>GET /userinfo</code> with the access token.</p>\n{userinfo}</section>\n</div>\n\
         <h2>Introspection</h2>\n<p class=\"note\"><code>POST /admin/oauth2/introspect</code>, as an API asks that is given \
         the access token.</p>\n{introspection}",
        who = escape(&who(&userinfo, claims.as_ref())),
        buttons = buttons(&demo, &browser, &id, &tokens),
        access = code(&tokens.access),
        refresh = section("Refresh token", tokens.refresh.as_deref()),
        id = section("ID token", tokens.id.as_deref()),
        claims = pretty(claims.as_ref()),
        userinfo = pretty(Some(&userinfo)),
        introspection = pretty(Some(&introspection)),
    );
    let page = demo_page("You are signed in", body).wide().form_action("'self' http: https:");
    Ok(browser.keep(page.response()))
}

/// `POST /demo/tokens/refresh` (RFC 6749 §6)
pub async fn refresh(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let (id, held) = owned(&demo, &request, payload).await?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", held.refresh.as_deref().unwrap_or_default()),
        ("client_id", CLIENT_ID),
    ];
    let outcome = match demo.form("/oauth2/token", &form).await {
        Ok(answer) => start::tokens(&demo, &answer, None).await,
        Err(refusal) => Err(refusal),
    };
    let tokens = match outcome {
        Ok(new) => Tokens {
            // A server may keep the refresh token as it is, and need not send an ID token.
            refresh: new.refresh.or(held.refresh),
            id: new.id.or(held.id),
            notice: Some(("Here are new tokens. The old ones are no longer good.".to_owned(), true)),
            access: new.access,
        },
        Err(Trouble::Refused { error, description, .. }) => {
            Tokens { notice: Some((one_line(&format!("{error}: {description}"), 500), false)), ..held }
        }
        Err(other) => return Err(other),
    };
    demo.sessions.put(&id, tokens);
    Ok(see_other("/demo/tokens"))
}

/// `POST /demo/tokens/revoke` (RFC 7009)
pub async fn revoke(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let (id, held) = owned(&demo, &request, payload).await?;
    let form = [("token", held.refresh.as_deref().unwrap_or(&held.access)), ("client_id", CLIENT_ID)];
    demo.form("/oauth2/revoke", &form).await?;
    let notice = Some(("The tokens were revoked. See what the server says about them now.".to_owned(), true));
    demo.sessions.put(&id, Tokens { notice, ..held });
    Ok(see_other("/demo/tokens"))
}

/// `POST /demo/tokens/logout`: forgets the tokens and asks the server to end the session (OpenID Connect RP-Initiated
/// Logout 1.0).
pub async fn logout(
    demo: web::Data<Demo>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Trouble> {
    let (id, held) = owned(&demo, &request, payload).await?;
    demo.sessions.take(&id);
    let at = demo.address("/oauth2/sessions/logout");
    let Some(hint) = held.id else { return Ok(see_other(&at)) };
    let state = Browser::of(&demo, &request)?.tag(&demo, SIGNED_OUT);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("id_token_hint", &hint)
        .append_pair("post_logout_redirect_uri", &demo.address(START))
        .append_pair("state", &state)
        .finish();
    Ok(see_other(&format!("{at}?{query}")))
}

fn mine(demo: &Demo, request: &HttpRequest) -> Option<(String, Tokens)> {
    let id = session(request)?;
    let tokens = demo.sessions.get(&id)?;
    Some((id, tokens))
}

/// The session behind a button that was made for it.
async fn owned(demo: &Demo, request: &HttpRequest, payload: web::Payload) -> Result<(String, Tokens), Trouble> {
    let sent = Form::read(request, payload).await?;
    let browser = Browser::of(demo, request)?;
    mine(demo, request)
        .filter(|(id, _)| browser.owns(demo, &format!("tokens {id}"), sent.get("tag")))
        .ok_or(Trouble::Stale("These tokens are not at hand any more. Start again."))
}

/// A refusal is an answer worth showing; only an absent server is not.
fn told(outcome: Result<Value, Trouble>) -> Result<Value, Trouble> {
    match outcome {
        Err(Trouble::Refused { status, error, description }) => {
            Ok(serde_json::json!({"status": status, "error": error, "error_description": description}))
        }
        other => other,
    }
}

fn who(userinfo: &Value, claims: Option<&Value>) -> String {
    let of = |name| text(userinfo, name).or_else(|| claims.and_then(|claims| text(claims, name)));
    match (of("name"), of("email"), of("sub")) {
        (Some(name), Some(email), _) => one_line(&format!("{name}, {email}"), 200),
        (Some(one), ..) | (_, Some(one), _) | (.., Some(one)) => one_line(one, 200),
        _ => "The server has not told who you are.".to_owned(),
    }
}

fn buttons(demo: &Demo, browser: &Browser, id: &str, tokens: &Tokens) -> String {
    let hidden = hidden(&[("tag", &browser.tag(demo, &format!("tokens {id}")))]);
    let one = |(action, label): (&str, &str)| {
        format!(
            "<form method=\"post\" action=\"/demo/tokens/{action}\">\n{hidden}\
             <button class=\"second\" type=\"submit\">{label}</button></form>\n"
        )
    };
    let refresh = tokens.refresh.as_ref().map(|_| one(("refresh", "Refresh"))).unwrap_or_default();
    let rest: String = [("revoke", "Revoke"), ("logout", "Log out")].into_iter().map(one).collect();
    format!("<div class=\"actions\">{refresh}{rest}</div>\n")
}

fn section(title: &str, token: Option<&str>) -> String {
    let shown = token.map_or_else(|| "<p class=\"note\">None: it was not granted.</p>\n".to_owned(), code);
    format!("<h2>{title}</h2>\n{shown}")
}

fn code(token: &str) -> String {
    format!("<pre class=\"token\">{}</pre>\n", escape(token))
}

fn pretty(value: Option<&Value>) -> String {
    match value {
        // The escape of line ends is for attributes; a parser takes it between tags as well.
        Some(value) => format!("<pre>{}</pre>\n", escape(&serde_json::to_string_pretty(value).unwrap_or_default())),
        None => "<p class=\"note\">None: it was not granted.</p>\n".to_owned(),
    }
}
