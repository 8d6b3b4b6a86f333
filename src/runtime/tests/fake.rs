//! A server with the two APIs that the demo speaks to. It answers by the challenge it is asked about, and keeps what it
//! was told.

use crate::actors::key_manager::ID_TOKEN_SET;
use crate::http::App as Shared;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A decision on a request: its path and query, and its body.
pub type Told = (String, Value);

/// The fake.
pub struct Fake {
    /// Where both of its APIs are.
    pub url: String,
    /// Every decision so far.
    pub told: Arc<Mutex<Vec<Told>>>,
    /// What the ID token says as `nonce`.
    pub nonce: Arc<Mutex<String>>,
    server: ServerHandle,
}

struct State {
    app: Arc<Shared>,
    told: Arc<Mutex<Vec<Told>>>,
    nonce: Arc<Mutex<String>>,
    revoked: Mutex<bool>,
}

impl Fake {
    /// Starts it; ID tokens are signed with the keys of `app`.
    pub fn start(app: &Arc<Shared>) -> Self {
        let (told, nonce) = (Arc::default(), Arc::default());
        let state = State {
            app: Arc::clone(app),
            told: Arc::clone(&told),
            nonce: Arc::clone(&nonce),
            revoked: Mutex::new(false),
        };
        let state = web::Data::new(state);
        let server = HttpServer::new(move || App::new().app_data(state.clone()).default_service(web::to(answer)))
            .workers(1)
            .disable_signals()
            .bind("127.0.0.1:0")
            .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, told, nonce, server: handle }
    }

    /// The last decision.
    pub fn last(&self) -> Told {
        self.told.lock().unwrap().last().cloned().unwrap()
    }

    /// How many decisions there were.
    pub fn count(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Ends it.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

async fn answer(state: web::Data<State>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let path = request.path().to_owned();
    if let Some(what) = path.strip_prefix("/admin/oauth2/auth/requests/") {
        let told = request.uri().to_string();
        if request.method() == "PUT" {
            state.told.lock().unwrap().push((told, serde_json::from_slice(&body).unwrap()));
            return decided(what, &body);
        }
        return asked(what, request.query_string());
    }
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let revoked = *state.revoked.lock().unwrap();
    match path.as_str() {
        "/oauth2/token" => token(&state, &form),
        "/.well-known/jwks.json" => {
            HttpResponse::Ok().content_type("application/json").body(state.app.keys.borrow().jwks.clone())
        }
        "/userinfo" if revoked => HttpResponse::Unauthorized().json(json!({"error": "request_unauthorized"})),
        "/userinfo" => HttpResponse::Ok().json(json!({"sub": "s", "name": "<i>Dana</i>"})),
        "/admin/oauth2/introspect" => HttpResponse::Ok().json(json!({"active": !revoked, "sub": "s"})),
        "/oauth2/revoke" => {
            *state.revoked.lock().unwrap() = form.get("token").is_some_and(|token| token == "rt-2");
            HttpResponse::Ok().finish()
        }
        _ => HttpResponse::NotFound().finish(),
    }
}

fn asked(what: &str, query: &str) -> HttpResponse {
    let kind = query.split_once("_challenge=").unwrap().1;
    let client = json!({
        "client_id": "shop", "client_name": "<b>Shop</b>", "redirect_uris": ["com.shop.app:/cb"],
        "skip_consent": kind == "trusted", "skip_logout_consent": kind == "trusted",
    });
    match kind {
        "old" => HttpResponse::Unauthorized().json(json!({"error": "request_unauthorized"})),
        "used" => HttpResponse::Gone().json(json!({"redirect_to": "http://next.example/used"})),
        _ => HttpResponse::Ok().json(json!({
            "challenge": kind, "skip": kind == "skip", "subject": if what == "login" && kind != "skip" { "" } else { "them" },
            "requested_scope": ["openid", "profile", "email", "<x>"],
            "requested_access_token_audience": ["https://api.example"], "client": client,
            "oidc_context": {"login_hint": if kind == "hinted" { "\"><i>" } else { "" }},
        })),
    }
}

fn decided(what: &str, body: &[u8]) -> HttpResponse {
    let body: Value = serde_json::from_slice(body).unwrap();
    match what {
        "logout/reject" => HttpResponse::NoContent().finish(),
        "device/accept" if body["user_code"] != "GOOD" => {
            HttpResponse::BadRequest().json(json!({"error": "invalid_request"}))
        }
        _ => HttpResponse::Ok().json(json!({"redirect_to": format!("http://next.example/{what}")})),
    }
}

/// `good` as a code, then `rt-1` as a refresh token; nothing else.
fn token(state: &State, form: &HashMap<String, String>) -> HttpResponse {
    let of = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let round = match (of("grant_type"), of("code"), of("refresh_token"), of("client_id")) {
        ("authorization_code", "good", "", "signet-demo") if of("code_verifier").len() == 43 => 1,
        ("refresh_token", "", "rt-1", "signet-demo") => 2,
        _ => return HttpResponse::BadRequest().json(json!({"error": "invalid_grant", "error_description": "<no>"})),
    };
    let now = state.app.clock.now();
    let claims = json!({
        "iss": state.app.rules.issuer, "aud": ["signet-demo"], "sub": "s", "exp": now.secs() + 60,
        "nonce": *state.nonce.lock().unwrap(),
    });
    let ring = state.app.keys.borrow().clone();
    let id = ring.signer(ID_TOKEN_SET, now).unwrap().sign_jwt("JWT", &claims).unwrap();
    HttpResponse::Ok().json(json!({
        "access_token": format!("at-{round}"), "refresh_token": format!("rt-{round}"), "id_token": id,
        "token_type": "bearer", "expires_in": 3600,
    }))
}
