//! HTTP as a client and an operator speak it, with nothing tidied up; and raw bytes for what no client would send.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use super::{fresh, machine};

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A text member of the JSON body, or an empty text.
    pub fn get(&self, key: &str) -> String {
        self.json()[key].as_str().unwrap_or_default().to_owned()
    }

    /// The `error` of a refusal.
    pub fn error(&self) -> String {
        self.get("error")
    }

    /// A header's value, or an empty text.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// What a failed comparison shows.
    pub fn brief(&self) -> String {
        format!("{} {}", self.status, self.text.chars().take(300).collect::<String>())
    }
}

/// The two listeners of one replica.
#[derive(Clone)]
pub struct Peer {
    pub public: String,
    pub admin: String,
    http: reqwest::Client,
}

impl Peer {
    pub fn new(public: u16, admin: u16) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(40))
            .build()
            .unwrap();
        Self { public: format!("http://127.0.0.1:{public}"), admin: format!("http://127.0.0.1:{admin}"), http }
    }

    /// A request to be shaped further, to any address.
    pub fn to(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// A request to be shaped further; `path` on the public listener.
    pub fn to_public(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.public))
    }

    /// A request to be shaped further; `path` on the admin listener.
    pub fn to_admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.admin))
    }

    pub async fn is_ready(&self) -> bool {
        let (public, admin) =
            (self.to_public(Method::GET, "/health/ready"), self.to_admin(Method::GET, "/health/ready"));
        matches!((public.send().await, admin.send().await), (Ok(a), Ok(b)) if a.status() == 200 && b.status() == 200)
    }

    /// Sends it; an exchange that broke is status 0 with the reason as text.
    pub async fn send(request: RequestBuilder) -> Answer {
        match request.send().await {
            Ok(answer) => {
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                match answer.text().await {
                    Ok(text) => Answer { status, headers, text },
                    Err(error) => broken(&error),
                }
            }
            Err(error) => broken(&error),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Self::send(self.to_public(Method::GET, path)).await
    }

    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.to_admin(method, path);
        Self::send(if let Some(body) = body { request.json(&body) } else { request }).await
    }

    /// Registers a client and expects that it was.
    pub async fn create(&self, client: Value) -> Value {
        let answer = self.admin(Method::POST, "/admin/clients", Some(client)).await;
        assert_eq!(answer.status, 201, "{}", answer.brief());
        answer.json()
    }

    /// A fresh client-credentials client: its id and secret.
    pub async fn machine(&self) -> (String, String) {
        self.machine_with(json!({})).await
    }

    /// The same with some members replaced.
    pub async fn machine_with(&self, over: Value) -> (String, String) {
        let (id, secret) = (fresh("machine"), fresh("secret-of"));
        let made = self.create(changed(machine(&id, &secret), &over)).await;
        (made["client_id"].as_str().unwrap().to_owned(), secret)
    }

    /// `GET /admin/clients` with one query parameter.
    pub async fn list_clients(&self, key: &str, value: &str) -> Answer {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(key, value).finish();
        self.admin(Method::GET, &format!("/admin/clients?{query}"), None).await
    }

    /// A form to the public listener, with Basic credentials when given.
    pub async fn form(&self, path: &str, form: &[(&str, &str)], auth: Option<(&str, &str)>) -> Answer {
        let request = self.to_public(Method::POST, path).form(form);
        Self::send(if let Some((id, secret)) = auth {
            request.header("authorization", basic(id, secret))
        } else {
            request
        })
        .await
    }

    /// `grant_type=client_credentials` by Basic.
    pub async fn client_credentials(&self, id: &str, secret: &str) -> Answer {
        self.form("/oauth2/token", &[("grant_type", "client_credentials")], Some((id, secret))).await
    }

    /// An access token, expected to be given.
    pub async fn token(&self, id: &str, secret: &str) -> String {
        let answer = self.client_credentials(id, secret).await;
        assert_eq!(answer.status, 200, "{}", answer.brief());
        answer.get("access_token")
    }

    pub async fn introspect(&self, token: &str) -> Answer {
        Self::send(self.to_admin(Method::POST, "/admin/oauth2/introspect").form(&[("token", token)])).await
    }

    /// Whether introspection says active; any other answer than 200 fails the test.
    pub async fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(token).await;
        assert_eq!(answer.status, 200, "{}", answer.brief());
        answer.json()["active"] == true
    }

    pub async fn revoke(&self, token: &str, id: &str, secret: &str) -> Answer {
        self.form("/oauth2/revoke", &[("token", token)], Some((id, secret))).await
    }
}

/// The same object with some members replaced; null takes one away.
pub(super) fn changed(mut object: Value, over: &Value) -> Value {
    for (key, value) in over.as_object().unwrap() {
        object[key] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    object
}

fn broken(error: &reqwest::Error) -> Answer {
    let kind = if error.is_connect() { "refused" } else { "broken" };
    Answer { status: 0, headers: HeaderMap::new(), text: format!("{kind}: {error:?}") }
}

/// RFC 6749 section 2.3.1: both parts form-encoded, then Basic.
pub fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id), encode(secret));
    format!("Basic {}", STANDARD.encode(pair))
}

/// The header of a JWT, as it is.
pub fn jose_header(jwt: &str) -> Value {
    part(jwt, 0)
}

/// The claims of a JWT, unverified.
pub fn claims(jwt: &str) -> Value {
    part(jwt, 1)
}

fn part(jwt: &str, n: usize) -> Value {
    let text = jwt.split('.').nth(n).unwrap_or_else(|| panic!("no JWT: {jwt}"));
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

/// Writes these bytes to a listener and reads until it closes or says nothing for `patience`.
pub fn raw(base: &str, bytes: &[u8], patience: Duration) -> String {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.set_write_timeout(Some(patience)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
