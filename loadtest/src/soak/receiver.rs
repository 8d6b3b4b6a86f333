//! The clients' side of back-channel logout: hears logout tokens and reads them as a client must. At times it is slow, says
//! no, or hangs up; the seed decides when.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};

use super::Stage;
use super::history::{Gives, Key, Micros, Op, Outcome, RIGHT, Record};
use super::jwks;
use crate::assertion::seconds;
use crate::chance;
use crate::http::Call;
use crate::http::connection::Wire;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A slow answer is still one that the server waits for.
const SLOW: Duration = Duration::from_secs(4);
/// Seconds for which a logout token may live at most ("preferably" in OpenID Connect Back-Channel Logout 1.0 §2.4), and by
/// which clocks may differ.
const LIFE: u64 = 120;
const SKEW: u64 = 2;
/// After too many open files.
const BREATH: Duration = Duration::from_millis(100);

/// Bound before the clients exist, since they name it.
pub struct Receiver(TcpListener);

impl Receiver {
    pub async fn open() -> Result<Self> {
        Ok(Self(TcpListener::bind("127.0.0.1:0").await?))
    }

    pub fn port(&self) -> Result<u16> {
        Ok(self.0.local_addr()?.port())
    }

    /// Listens as long as the process lives.
    pub fn serve(self, stage: &Arc<Stage>, seed: u64) {
        let ears = Arc::new(Ears { stage: Arc::clone(stage), seed, heard: Mutex::default() });
        tokio::spawn(async move {
            loop {
                match self.0.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(connection(stream, Arc::clone(&ears)))),
                    Err(_) => tokio::time::sleep(BREATH).await,
                }
            }
        });
    }
}

async fn connection(stream: TcpStream, ears: Arc<Ears>) {
    let service = service_fn(|request| {
        let ears = Arc::clone(&ears);
        async move { ears.hear(request).await }
    });
    // A server that goes away is no error of the client's, and a client that hangs up means it.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

struct Ears {
    stage: Arc<Stage>,
    seed: u64,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// How often each client was told of each session.
    tries: HashMap<(Key, Key), u32>,
    /// How many of them were new.
    first: u64,
    ids: HashSet<String>,
}

/// How somebody who calls is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Slow,
    SaysNo,
    HangsUp,
}

/// One in five first tries meets something, and one in sixteen second ones; the third is taken.
fn mood(tries: u32, random: u64) -> Mood {
    match (tries, random % 16) {
        (1, 0) | (2, 0) => Mood::SaysNo,
        (1, 1) => Mood::HangsUp,
        (1, 2) => Mood::Slow,
        _ => Mood::Takes,
    }
}

impl Ears {
    async fn hear(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let from = self.stage.history.now();
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let posted = request.method() == Method::POST;
        let is_form =
            posted && request.headers().get(CONTENT_TYPE).is_some_and(|t| t == "application/x-www-form-urlencoded");
        let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let form: HashMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
        let token = form.get("logout_token").filter(|_| is_form).map(String::as_str).unwrap_or_default();

        let clients = self.stage.clients();
        let client = clients.as_ref().and_then(|clients| clients.at(&path)).unwrap_or_default();
        let gives = self.gives(token).await;
        let what = self.judged(token, client, &gives);
        let session = gives.session.unwrap_or_default();
        let mood = self.mood(session.sid, session.client);
        let takes = what == RIGHT && matches!(mood, Mood::Takes | Mood::Slow);
        // Before the wait: whoever does not wait for the answer is heard all the same.
        self.note(from, takes, what, gives);
        if mood == Mood::Slow {
            tokio::time::sleep(SLOW).await;
        }
        match mood {
            Mood::HangsUp => Err(io::Error::other("the client hangs up")),
            _ => Ok(answer(if takes { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE })),
        }
    }

    async fn gives(&self, token: &str) -> Gives {
        let document = Call::get(&self.stage.target.public, "/.well-known/jwks.json");
        let signed = self.stage.jwks.verify(token, &mut Wire::default(), &document).await;
        let session = jwks::parts(token).and_then(|(_, claims)| jwks::session(&claims));
        Gives { signed: signed.into_iter().collect(), session, ..Gives::default() }
    }

    fn judged(&self, token: &str, client: &str, gives: &Gives) -> &'static str {
        let Some((head, claims)) = jwks::parts(token) else { return "no JWT" };
        if !gives.signed.iter().any(|signed| signed.verified) {
            return "signature";
        }
        let issuer = format!("http://{}/", self.stage.target.public.authority);
        let expected = Expected { issuer: &issuer, client, now: seconds().unwrap_or_default() };
        let fault = expected.fault(&head, &claims).or_else(|| {
            let id = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            (id.is_empty() || !heard.ids.insert(id.to_owned())).then_some("jti")
        });
        fault.unwrap_or(RIGHT)
    }

    fn mood(&self, sid: Key, client: Key) -> Mood {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = heard.tries.entry((sid, client)).or_default();
        *tries += 1;
        let tries = *tries;
        heard.first += u64::from(tries == 1);
        mood(tries, chance::mixed(self.seed ^ chance::mixed(heard.first)))
    }

    fn note(&self, from: Micros, takes: bool, what: &'static str, gives: Gives) {
        let sid = gives.session.unwrap_or_default().sid;
        let outcome = if takes { Outcome::Ok } else { Outcome::Fail };
        let to = self.stage.history.now();
        let (op, key, family, gives) = (Op::Told, sid, Key::default(), Some(Box::new(gives)));
        self.stage.history.add(Record { op, key, family, replica: None, from, to, outcome, status: 0, what, gives });
    }
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// What a client must find in a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).
struct Expected<'a> {
    issuer: &'a str,
    client: &'a str,
    now: u64,
}

impl Expected<'_> {
    /// What is wrong with it.
    fn fault(&self, head: &Value, claims: &Value) -> Option<&'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let time = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (iat, exp) = (time("iat"), time("exp"));
        let event = claims.get("events").and_then(|events| events.get(EVENT)).and_then(Value::as_object);
        let rules = [
            ("typ", head.get("typ").is_some_and(|typ| typ == "logout+jwt")),
            ("alg", head.get("alg").is_some_and(|alg| alg == "ES256")),
            ("iss", text("iss") == self.issuer),
            ("aud", !self.client.is_empty() && claims.get("aud") == Some(&Value::from(vec![self.client]))),
            ("iat", iat <= self.now + SKEW && iat + LIFE + SKEW >= self.now),
            ("exp", exp > iat && exp <= iat + LIFE && exp + SKEW >= self.now),
            ("events", event.is_some_and(Map::is_empty)),
            ("sub", !text("sub").is_empty()),
            ("sid", !text("sid").is_empty()),
            ("nonce", claims.get("nonce").is_none()),
        ];
        rules.into_iter().find(|(_, holds)| !holds).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_logout_token_says_what_it_must_and_no_more() {
        let expected = Expected { issuer: "http://a/", client: "c", now: 1000 };
        let head = json!({"typ": "logout+jwt", "alg": "ES256", "kid": "k"});
        let claims = json!({"iss": "http://a/", "aud": ["c"], "iat": 999, "exp": 1119, "jti": "j", "sub": "s",
            "sid": "d", "events": {EVENT: {}}});
        assert_eq!(expected.fault(&head, &claims), None);
        assert_eq!(expected.fault(&json!({"typ": "JWT", "alg": "ES256"}), &claims), Some("typ"));
        for (name, wrong) in [
            ("iss", json!("http://b/")),
            ("aud", json!(["d"])),
            ("aud", json!(["c", "d"])),
            ("iat", json!(1100)),
            ("iat", json!(1)),
            ("exp", json!(2000)),
            ("exp", json!(999)),
            ("events", json!({"other": {}})),
            ("events", json!([EVENT])),
            ("sub", json!("")),
            ("sid", Value::Null),
            ("nonce", json!("n")),
        ] {
            let mut claims = claims.clone();
            claims.as_object_mut().and_then(|claims| claims.insert(name.to_owned(), wrong.clone()));
            assert_eq!(expected.fault(&head, &claims), Some(name), "{wrong}");
        }
    }

    #[test]
    fn whoever_says_no_takes_it_in_the_end() {
        for random in 0..16 {
            assert_eq!(mood(3, random), Mood::Takes);
        }
        let moods: Vec<_> = (0..16).map(|random| mood(1, random)).collect();
        assert!([Mood::Takes, Mood::Slow, Mood::SaysNo, Mood::HangsUp].iter().all(|mood| moods.contains(mood)));
    }
}
