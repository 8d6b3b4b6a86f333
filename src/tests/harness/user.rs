//! A user with a browser, and the app that they sign in at: from an authorization request to the answer at the client.

use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::wire::changed;
use super::{Answer, Peer, World, fresh};

/// Where every web client of these tests is answered.
pub const CALLBACK: &str = "http://127.0.0.1:9010/callback";

/// A client that users sign in at.
#[derive(Clone)]
pub struct Web {
    pub id: String,
    pub secret: String,
}

/// A browser with its cookies.
#[derive(Clone, Default)]
pub struct Browser(pub(super) Vec<(String, String)>);

impl Browser {
    /// Goes to an address and no further.
    pub async fn get(&mut self, peer: &Peer, url: &str) -> Answer {
        let cookies = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let answer = Peer::send(peer.to(Method::GET, url).header("cookie", cookies)).await;
        for set in answer.headers.get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }
}

/// A query parameter of an address; an empty text when it is not there.
pub fn param(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap_or_else(|e| panic!("{url}: {e}"));
    url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned()).unwrap_or_default()
}

/// Accepts the login or consent that an address asks for; where to go next.
pub async fn accept(peer: &Peer, kind: &str, url: &str, body: Value) -> String {
    let challenge = param(url, &format!("{kind}_challenge"));
    assert!(!challenge.is_empty(), "no {kind} challenge: {url}");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(&format!("{kind}_challenge"), &challenge)
        .finish();
    let path = format!("/admin/oauth2/auth/requests/{kind}/accept?{query}");
    let answer = peer.admin(Method::PUT, &path, Some(body)).await;
    assert_eq!(answer.status, 200, "{kind}: {}", answer.brief());
    answer.get("redirect_to")
}

impl World {
    /// A fresh web client.
    pub async fn web(&self) -> Web {
        self.web_with(json!({})).await
    }

    /// The same with some members replaced.
    pub async fn web_with(&self, over: Value) -> Web {
        self.a.web_with(over).await
    }

    /// What comes back to the client when a user signs in and grants; `more` adds to the request or replaces parts of
    /// it, `consent` adds to the consent.
    pub async fn sign_in(&self, web: &Web, more: &[(&str, &str)], consent: Value) -> String {
        sign_in(&self.a, web, more, consent).await
    }

    /// A code for `openid offline`.
    pub async fn code(&self, web: &Web) -> String {
        self.code_with(web, &[], json!({})).await
    }

    /// A code.
    pub async fn code_with(&self, web: &Web, more: &[(&str, &str)], consent: Value) -> String {
        let back = self.sign_in(web, more, consent).await;
        let code = param(&back, "code");
        assert!(!code.is_empty(), "no code: {back}");
        code
    }

    /// All tokens of a fresh sign-in.
    pub async fn tokens(&self, web: &Web) -> Answer {
        let code = self.code(web).await;
        let answer = self.b.exchange(web, &code, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.brief());
        answer
    }
}

impl Peer {
    /// A fresh web client with some members replaced.
    pub async fn web_with(&self, over: Value) -> Web {
        let web = Web { id: fresh("web"), secret: fresh("secret-of") };
        let client = json!({
            "client_id": web.id, "client_secret": web.secret, "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "scope": "openid offline read write",
        });
        self.create(changed(client, &over)).await;
        web
    }
}

/// The parameters of a request for `openid offline`; `more` adds to it or replaces parts of it, an empty text takes one
/// away.
pub fn request<'a>(web: &'a Web, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut query = vec![
        ("client_id", web.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid offline"),
        ("state", "a-state-of-some-length"),
        ("nonce", "a-nonce-of-some-length"),
    ];
    query.retain(|(name, _)| !more.iter().any(|(n, _)| n == name));
    query.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    query
}

/// Signs a user in at one replica and grants what is asked.
pub async fn sign_in(peer: &Peer, web: &Web, more: &[(&str, &str)], consent: Value) -> String {
    let query = request(web, more);
    let scope = query.iter().find(|(n, _)| *n == "scope").map(|(_, v)| v.split(' ').collect::<Vec<_>>());
    let mut granted = json!({"grant_scope": scope.unwrap_or_default()});
    for (key, value) in consent.as_object().unwrap() {
        granted[key] = value.clone();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&query).finish();
    let mut browser = Browser::default();
    let next = browser.get(peer, &format!("{}/oauth2/auth?{query}", peer.public)).await.header("location");
    let next = accept(peer, "login", &next, json!({"subject": "a-user"})).await;
    let next = browser.get(peer, &next).await.header("location");
    let next = accept(peer, "consent", &next, granted).await;
    browser.get(peer, &next).await.header("location")
}

/// Enters a device's user code as somebody typed it; where the browser goes next, or the refusal.
pub async fn enter_user_code(peer: &Peer, browser: &mut Browser, typed: &str) -> Result<String, Answer> {
    let asked = browser.get(peer, &format!("{}/oauth2/device/verify", peer.public)).await.header("location");
    let challenge = param(&asked, "device_challenge");
    let path = format!("/admin/oauth2/auth/requests/device/accept?device_challenge={challenge}");
    let answer = peer.admin(Method::PUT, &path, Some(json!({"user_code": typed}))).await;
    if answer.status == 200 { Ok(answer.get("redirect_to")) } else { Err(answer) }
}

/// Enters a device's user code, signs in and grants `scope`; where the browser ends.
pub async fn grant_device(peer: &Peer, typed: &str, scope: &[&str]) -> String {
    let mut browser = Browser::default();
    let next = enter_user_code(peer, &mut browser, typed).await.unwrap_or_else(|answer| panic!("{}", answer.brief()));
    let next = browser.get(peer, &next).await.header("location");
    let next = accept(peer, "login", &next, json!({"subject": "a-user"})).await;
    let next = browser.get(peer, &next).await.header("location");
    let next = accept(peer, "consent", &next, json!({"grant_scope": scope})).await;
    browser.get(peer, &next).await.header("location")
}

/// Enters a device's user code, signs in and refuses.
pub async fn refuse_device(peer: &Peer, typed: &str) {
    let mut browser = Browser::default();
    let next = enter_user_code(peer, &mut browser, typed).await.unwrap_or_else(|answer| panic!("{}", answer.brief()));
    let next = browser.get(peer, &next).await.header("location");
    let next = accept(peer, "login", &next, json!({"subject": "a-user"})).await;
    let next = browser.get(peer, &next).await.header("location");
    let challenge = param(&next, "consent_challenge");
    let path = format!("/admin/oauth2/auth/requests/consent/reject?consent_challenge={challenge}");
    let answer = peer.admin(Method::PUT, &path, Some(json!({"error": "access_denied"}))).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    browser.get(peer, &answer.get("redirect_to")).await;
}

impl Peer {
    /// Asks for a device code.
    pub async fn device(&self, web: &Web, more: &[(&str, &str)]) -> Answer {
        self.form("/oauth2/device/auth", more, Some((&web.id, &web.secret))).await
    }

    /// Polls for a device's tokens.
    pub async fn poll(&self, web: &Web, device_code: &str) -> Answer {
        let form = [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device_code)];
        self.grant(web, &form, &[]).await
    }

    /// Exchanges a code; `more` adds to the form or replaces parts of it, an empty text takes one away.
    pub async fn exchange(&self, web: &Web, code: &str, more: &[(&str, &str)]) -> Answer {
        let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK)];
        self.grant(web, &form, more).await
    }

    /// Presents a refresh token.
    pub async fn refresh(&self, web: &Web, token: &str, more: &[(&str, &str)]) -> Answer {
        self.grant(web, &[("grant_type", "refresh_token"), ("refresh_token", token)], more).await
    }

    async fn grant(&self, web: &Web, form: &[(&str, &str)], more: &[(&str, &str)]) -> Answer {
        let mut all = form.to_vec();
        all.retain(|(name, _)| !more.iter().any(|(n, _)| n == name));
        all.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        if web.secret.is_empty() {
            all.push(("client_id", &web.id));
            return self.form("/oauth2/token", &all, None).await;
        }
        self.form("/oauth2/token", &all, Some((&web.id, &web.secret))).await
    }

    /// `GET /userinfo` with a bearer token.
    pub async fn userinfo(&self, token: &str) -> Answer {
        Self::send(self.to_public(Method::GET, "/userinfo").bearer_auth(token)).await
    }
}
