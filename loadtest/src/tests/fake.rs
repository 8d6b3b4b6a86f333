//! A server that knows just enough of Hydra's API to take every scenario to its end, strictly: cookies, PKCE, secrets
//! and the use of tokens are checked. It writes down every request without its values.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded::parse;

use crate::http::{Origin, encoded};
use crate::target::Target;

type Pairs = BTreeMap<String, String>;

/// What the server knows.
#[derive(Default)]
struct World {
    /// Each kind of request, in the order of its first.
    asked: Vec<String>,
    count: u64,
    /// Secrets of clients, and whether their tokens expire at once.
    clients: BTreeMap<String, (String, bool)>,
    /// Live tokens and whose they are.
    tokens: BTreeMap<String, String>,
    codes: BTreeMap<String, String>,
    assertions: BTreeSet<String>,
}

/// A running server.
pub struct Fake {
    world: Arc<Mutex<World>>,
    pub public: String,
    pub admin: String,
}

impl Fake {
    pub fn start() -> Self {
        let world: Arc<Mutex<World>> = Arc::default();
        let serve = |side: &'static str| {
            let (world, listener) = (Arc::clone(&world), TcpListener::bind(("127.0.0.1", 0)).unwrap());
            let url = format!("http://{}", listener.local_addr().unwrap());
            std::thread::spawn(move || {
                let app = move || {
                    let world = Arc::clone(&world);
                    App::new().default_service(web::to(move |request: HttpRequest, body: Bytes| {
                        let answer = world.lock().unwrap().answer(side, &request, &body);
                        std::future::ready(answer)
                    }))
                };
                let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap();
                actix_web::rt::System::new().block_on(server.run()).unwrap();
            });
            url
        };
        let (public, admin) = (serve("public"), serve("admin"));
        Self { world, public, admin }
    }

    pub fn target(&self) -> Target {
        Target { public: Origin::parse(&self.public).unwrap(), admin: Origin::parse(&self.admin).unwrap() }
    }

    pub fn asked(&self) -> Vec<String> {
        self.world.lock().unwrap().asked.clone()
    }
}

impl World {
    fn answer(&mut self, side: &str, request: &HttpRequest, body: &[u8]) -> HttpResponse {
        let (query, form) = (pairs(request.query_string().as_bytes()), pairs(body));
        self.note(side, request, body, (&query, &form));
        let host = request.headers().get(header::HOST).map_or("", |host| host.to_str().unwrap());
        let path = request.path();
        match (side, request.method().as_str(), path) {
            ("admin", "POST", "/admin/clients") => self.create(body),
            ("admin", "DELETE", _) => self.delete(path.rsplit('/').next().unwrap()),
            ("admin", "GET", "/admin/oauth2/auth/requests/login") => HttpResponse::Ok().json(json!({"skip": false})),
            ("admin", "GET", _) => HttpResponse::Ok().json(consent_request(&query["consent_challenge"])),
            ("admin", "PUT", _) => accepted(path, &query, body),
            ("admin", "POST", "/admin/oauth2/introspect") => {
                HttpResponse::Ok().json(json!({"active": self.tokens.contains_key(&form["token"])}))
            }
            ("public", "GET", "/oauth2/auth") => self.authorize(request, query),
            ("public", "POST", "/oauth2/token") => self.token(request, &form),
            ("public", "POST", "/oauth2/revoke") if self.client(request).is_some() => {
                self.tokens.remove(&form["token"]);
                HttpResponse::Ok().finish()
            }
            ("public", "GET", "/userinfo") if self.tokens.contains_key(credential(request, "Bearer ")) => {
                HttpResponse::Ok().json(json!({"sub": "somebody"}))
            }
            ("public", "GET", "/.well-known/jwks.json") => HttpResponse::Ok().json(json!({"keys": [{"kid": "a"}]})),
            ("public", "GET", "/.well-known/openid-configuration") => {
                let token = format!("http://{host}/oauth2/token");
                HttpResponse::Ok().json(json!({"issuer": format!("http://{host}"), "token_endpoint": token}))
            }
            _ => HttpResponse::Unauthorized().finish(),
        }
    }

    /// Method, side, path, and the names of what was sent.
    fn note(&mut self, side: &str, request: &HttpRequest, body: &[u8], (query, form): (&Pairs, &Pairs)) {
        let path = if request.method() == "DELETE" { "/admin/clients/{id}" } else { request.path() };
        let names = |pairs: &Pairs| pairs.keys().cloned().collect::<Vec<_>>().join(" ");
        let kind = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
        let mut line = format!("{} {side} {path}", request.method());
        if !query.is_empty() {
            line.push_str(&format!(" ? {}", names(query)));
        }
        if kind(header::CONTENT_TYPE).starts_with("application/json") && !body.is_empty() {
            let members: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap();
            line.push_str(&format!(" json: {}", members.into_keys().collect::<Vec<_>>().join(" ")));
        } else if !body.is_empty() {
            line.push_str(&format!(" form: {}", names(form)));
        }
        if let Some((scheme, _)) = kind(header::AUTHORIZATION).split_once(' ') {
            line.push_str(&format!(" with {scheme}"));
        }
        if !self.asked.contains(&line) {
            self.asked.push(line);
        }
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}.{:08}", self.count)
    }

    fn create(&mut self, body: &[u8]) -> HttpResponse {
        let registration: Value = serde_json::from_slice(body).unwrap();
        let (id, secret) = (self.fresh("client"), self.fresh("secret"));
        let expires = registration.get("client_credentials_grant_access_token_lifespan").is_some();
        self.clients.insert(id.clone(), (secret.clone(), expires));
        HttpResponse::Created().json(json!({"client_id": id, "client_secret": secret}))
    }

    fn delete(&mut self, id: &str) -> HttpResponse {
        self.tokens.retain(|_, owner| owner != id);
        if self.clients.remove(id).is_some() {
            HttpResponse::NoContent().finish()
        } else {
            HttpResponse::NotFound().finish()
        }
    }

    /// The three stops of a browser, each of which must bring the cookie of the one before.
    fn authorize(&mut self, request: &HttpRequest, mut query: Pairs) -> HttpResponse {
        let cookies = request.headers().get(header::COOKIE).map_or("", |line| line.to_str().unwrap()).to_owned();
        let brings = |name: &str, value: &str| cookies.split("; ").any(|pair| pair == format!("{name}={value}"));
        let (login, consent) = (query.remove("login_verifier"), query.remove("consent_verifier"));
        let rest = encode(&query);
        let (to, cookie) = match (login, consent) {
            (None, None) => (format!("http://login/?login_challenge={}", escape(&rest)), "login=1; Path=/"),
            (Some(subject), None) if brings("login", "1") => {
                let challenge = escape(&encoded(&[("subject", &subject), ("rest", &rest)]));
                (format!("http://consent/?consent_challenge={challenge}"), "consent=1; HttpOnly")
            }
            (None, Some(_)) if brings("consent", "1") => {
                let code = self.fresh("code");
                self.codes.insert(code.clone(), query["code_challenge"].clone());
                let to = encoded(&[("code", &code), ("state", &query["state"])]);
                (format!("{}?{to}", query["redirect_uri"]), "consent=; Max-Age=0")
            }
            _ => return HttpResponse::Forbidden().finish(),
        };
        HttpResponse::Found().insert_header((header::LOCATION, to)).insert_header((header::SET_COOKIE, cookie)).finish()
    }

    fn token(&mut self, request: &HttpRequest, form: &Pairs) -> HttpResponse {
        let client = match form.get("client_assertion") {
            // One that was seen before proves nothing.
            Some(assertion) => self.assertions.insert(assertion.clone()).then(|| "by assertion".to_owned()),
            None => self.client(request),
        };
        let Some(client) = client else { return HttpResponse::Unauthorized().finish() };
        let allowed = match form["grant_type"].as_str() {
            "authorization_code" => self.codes.remove(&form["code"]) == Some(s256(&form["code_verifier"])),
            "refresh_token" => self.tokens.remove(&form["refresh_token"]).is_some(),
            grant => grant == "client_credentials",
        };
        if !allowed {
            return HttpResponse::BadRequest().json(json!({"error": "invalid_grant"}));
        }
        if form.get("scope").is_some_and(|scope| scope == "forbidden") {
            return HttpResponse::BadRequest().json(json!({"error": "invalid_scope"}));
        }
        let mut answer = json!({"token_type": "bearer"});
        let names = if form["grant_type"] == "client_credentials" { 1 } else { 2 };
        for name in ["access_token", "refresh_token"].into_iter().take(names) {
            let token = self.fresh(name);
            answer[name] = token.as_str().into();
            if !self.clients.get(&client).is_some_and(|(_, expires)| *expires) {
                self.tokens.insert(token, client.clone());
            }
        }
        HttpResponse::Ok().json(answer)
    }

    /// Whose credentials these are.
    fn client(&self, request: &HttpRequest) -> Option<String> {
        let pair = String::from_utf8(STANDARD.decode(credential(request, "Basic ")).ok()?).ok()?;
        let (id, secret) = pair.split_once(':')?;
        (self.clients.get(id)?.0 == secret).then(|| id.to_owned())
    }
}

fn credential<'a>(request: &'a HttpRequest, scheme: &str) -> &'a str {
    let line = request.headers().get(header::AUTHORIZATION).map_or("", |line| line.to_str().unwrap());
    line.strip_prefix(scheme).unwrap_or_default()
}

fn consent_request(challenge: &str) -> Value {
    let challenge = pairs(challenge.as_bytes());
    json!({"subject": challenge["subject"], "requested_scope": ["openid"], "requested_access_token_audience": []})
}

/// The way back to a server that knows itself by another name.
fn accepted(path: &str, query: &Pairs, body: &[u8]) -> HttpResponse {
    let body: Value = serde_json::from_slice(body).unwrap();
    let back = if path.ends_with("login/accept") {
        let subject = encoded(&[("login_verifier", body["subject"].as_str().unwrap())]);
        format!("{}&{subject}", query["login_challenge"])
    } else {
        assert_eq!(body["grant_scope"], json!(["openid"]));
        format!("{}&consent_verifier=yes", pairs(query["consent_challenge"].as_bytes())["rest"])
    };
    HttpResponse::Ok().json(json!({"redirect_to": format!("https://id.example/oauth2/auth?{back}")}))
}

fn pairs(text: &[u8]) -> Pairs {
    parse(text).into_owned().collect()
}

fn encode(pairs: &Pairs) -> String {
    encoded(&pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
}

fn escape(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}
