//! `/demo` and `/demo/callback`: an application that signs people in with this server (authorization code flow with PKCE,
//! OpenID Connect Core §3.1).

use super::api::{Trouble, text};
use super::browser::{Browser, Request, new_session, session};
use super::id_token::{self, Expected};
use super::sessions::Tokens;
use super::views::{parameter, see_other};
use super::{CALLBACK, CLIENT_ID, Demo, SCOPE, page as demo_page};
use crate::http::pages::{escape, one_line};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a logout brings back as `state` is the tag of this form.
pub const SIGNED_OUT: &str = "signed out";

/// `GET /demo`
pub async fn page(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let browser = Browser::of(&demo, &request)?;
    let asked = browser.request(&demo)?;
    let notice = if browser.owns(&demo, SIGNED_OUT, Some(&parameter(&request, "state"))) {
        "<p class=\"done\" role=\"status\">You are signed out.</p>\n"
    } else {
        ""
    };
    let known = session(&request).and_then(|id| demo.sessions.get(&id)).is_some();
    let tokens = if known { "<p>You have tokens already: <a href=\"/demo/tokens\">show them</a>.</p>\n" } else { "" };
    let parameters = parameters(&demo, &asked);
    let shown: String = parameters
        .iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd class=\"code\">{}</dd></div>\n", escape(value)))
        .collect();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let body = format!(
        "<p class=\"lead\">This is a small application that lets people sign in with your server, the way your own \
         applications will.</p>\n{notice}<p><a class=\"button\" href=\"{}\">Sign in with Signet</a></p>\n{tokens}\
         <details><summary>What the button asks for</summary>\n<dl class=\"facts\">\n{shown}</dl></details>\n",
        escape(&format!("{}?{query}", demo.address("/oauth2/auth")))
    );
    Ok(browser.keep(demo_page("Signet demo", body).response()))
}

/// The parameters of the authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3).
fn parameters(demo: &Demo, asked: &Request) -> [(&'static str, String); 8] {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(asked.verifier.as_bytes()));
    [
        ("response_type", "code".to_owned()),
        ("client_id", CLIENT_ID.to_owned()),
        ("redirect_uri", demo.address(CALLBACK)),
        ("scope", SCOPE.to_owned()),
        ("state", asked.state.clone()),
        ("nonce", asked.nonce.clone()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
    ]
}

/// `GET /demo/callback`: the answer, good or bad.
pub async fn callback(demo: web::Data<Demo>, request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let browser = Browser::of(&demo, &request)?;
    let Some(asked) = browser.answered(&demo, &parameter(&request, "state")) else {
        return Err(Trouble::Stale("This answer belongs to no sign-in that this browser began. Start again."));
    };
    // RFC 9207 §2.4: an answer of another server.
    let issuer = parameter(&request, "iss");
    if !issuer.is_empty() && issuer != demo.app.rules.issuer {
        return Err(Trouble::Stale("This answer comes from another server. Start again."));
    }
    let error = parameter(&request, "error");
    if !error.is_empty() {
        return Ok(refused(&error, &parameter(&request, "error_description")));
    }
    let code = parameter(&request, "code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &demo.address(CALLBACK)),
        ("client_id", CLIENT_ID),
        ("code_verifier", &asked.verifier),
    ];
    let answer = demo.form("/oauth2/token", &form).await?;
    let tokens = tokens(&demo, &answer, Some(&asked.nonce)).await?;
    let (id, cookie) = new_session(&demo)?;
    demo.sessions.put(&id, tokens);
    let mut answer = see_other("/demo/tokens");
    answer.add_cookie(&cookie).map_err(|e| Trouble::Away(e.to_string()))?;
    Ok(answer)
}

/// The tokens of an answer of the token endpoint, once the ID token among them has been checked.
pub async fn tokens(demo: &Demo, answer: &Value, nonce: Option<&str>) -> Result<Tokens, Trouble> {
    let of = |name| text(answer, name).map(str::to_owned);
    let tokens = Tokens {
        access: of("access_token").ok_or_else(|| Trouble::Away("no access token".to_owned()))?,
        refresh: of("refresh_token"),
        id: of("id_token"),
        notice: None,
    };
    if let Some(id) = &tokens.id {
        let keys = demo.get("/.well-known/jwks.json", None).await?;
        let now = demo.app.clock.now().secs();
        let expected = Expected { issuer: &demo.app.rules.issuer, client_id: CLIENT_ID, nonce, now };
        id_token::check(id, &keys, &expected).map_err(|why| Trouble::Refused {
            status: 400,
            error: "The ID token cannot be trusted:".to_owned(),
            description: why,
        })?;
    }
    Ok(tokens)
}

/// What a person sees who said no, or whom the server refused.
fn refused(error: &str, description: &str) -> HttpResponse {
    let (title, lead) = if error == "access_denied" {
        ("You did not sign in", "Nothing was shared with this application.")
    } else {
        ("The sign-in failed", "The server answered with an error.")
    };
    let body = format!(
        "<p class=\"lead\">{lead}</p>\n<dl class=\"facts\">\n<div><dt>Error</dt><dd class=\"code\">{}</dd></div>\n\
         <div><dt>What the server says</dt><dd>{}</dd></div>\n</dl>\n\
         <p><a class=\"button\" href=\"/demo\">Try again</a></p>\n",
        escape(&one_line(error, 100)),
        escape(&one_line(description, 1_000))
    );
    demo_page(title, body).response()
}
