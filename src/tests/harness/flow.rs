//! An authorization flow step by step, each step at a replica of one's choice, and what its ends look like.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Browser, CALLBACK, Peer, Web, accept, param, request};

/// Where servers of these tests show errors.
const ERROR_PAGE: &str = "http://127.0.0.1:9/error?";

impl Answer {
    /// Where it leads.
    pub fn location(&self) -> String {
        self.header("location")
    }
}

impl Browser {
    /// Goes to an address, whichever replica it names, at this one.
    pub async fn go(&mut self, peer: &Peer, url: &str) -> Answer {
        let rest = url.split("://").nth(1).and_then(|rest| rest.split_once('/')).map_or("", |(_, rest)| rest);
        self.get(peer, &format!("{}/{rest}", peer.public)).await
    }

    /// Sends a request to the authorization endpoint; for `more` see [`request`].
    pub async fn ask(&mut self, peer: &Peer, web: &Web, more: &[(&str, &str)]) -> Answer {
        self.ask_raw(peer, &request(web, more)).await
    }

    /// The same with these parameters and no others.
    pub async fn ask_raw(&mut self, peer: &Peer, query: &[(&str, &str)]) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.get(peer, &format!("{}/oauth2/auth?{query}", peer.public)).await
    }

    /// Signs a user in, up to the consent page's address.
    pub async fn signed_in(&mut self, peer: &Peer, web: &Web, more: &[(&str, &str)], login: Value) -> String {
        let page = self.ask(peer, web, more).await.location();
        let back = accept(peer, "login", &page, login).await;
        self.go(peer, &back).await.location()
    }

    /// The cookies that this browser holds: names and values.
    pub fn cookies(&self) -> &[(String, String)] {
        &self.0
    }

    /// Puts a cookie before all others, as another site of the same domain could.
    pub fn toss(&mut self, name: &str, value: &str) {
        self.0.insert(0, (name.to_owned(), value.to_owned()));
    }
}

/// What the app says to a request, as `login/accept` or `consent/reject`, of the page that the browser was sent to.
pub async fn decide(peer: &Peer, what: &str, page: &str, body: Value) -> Answer {
    let kind = what.split('/').next().unwrap();
    let challenge = param(page, &format!("{kind}_challenge"));
    let path = format!("/admin/oauth2/auth/requests/{what}?{kind}_challenge={challenge}");
    let method = if what.contains('/') { Method::PUT } else { Method::GET };
    let body = (method == Method::PUT).then_some(body);
    peer.admin(method, &path, body).await
}

/// Grants `openid offline` from the consent page's address on; what the client hears.
pub async fn consented(peer: &Peer, browser: &mut Browser, page: &str) -> Answer {
    let back = accept(peer, "consent", page, json!({"grant_scope": ["openid", "offline"]})).await;
    browser.go(peer, &back).await
}

/// The operator's error page says it, and the client's address hears nothing.
pub fn to_page(answer: &Answer, error: &str, what: &str) {
    let to = answer.location();
    assert_eq!(answer.status, 302, "{what}: {to} {}", answer.brief());
    assert!(to.starts_with(ERROR_PAGE), "{what}: {to}");
    assert_eq!(param(&to, "error"), error, "{what}: {to}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
}

/// The client hears it, with its state and the issuer (RFC 9207), and gets nothing else.
pub fn to_client(answer: &Answer, error: &str, what: &str) {
    let to = answer.location();
    assert_eq!(answer.status, 303, "{what}: {to} {}", answer.brief());
    assert!(to.starts_with(CALLBACK), "{what}: {to}");
    let read = to.replacen('#', "?", 1);
    assert_eq!(param(&read, "error"), error, "{what}: {to}");
    assert!(!param(&read, "iss").is_empty() && param(&read, "code").is_empty(), "{what}: {to}");
}
