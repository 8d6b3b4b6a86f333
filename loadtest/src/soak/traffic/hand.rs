//! One client's way to the balancer: it sends a request, reads the answer and writes both into the history.

use std::sync::Arc;

use hyper::header::LOCATION;
use serde_json::Value;

use super::pool::Token;
use crate::flow::param;
use crate::http::Call;
use crate::http::connection::{Answer, Wire};
use crate::soak::Stage;
use crate::soak::balancer::{BALANCER, REPLICA};
use crate::soak::fleet::Replica;
use crate::soak::history::{
    ACTIVE, FORBIDDEN, Given, Gives, INACTIVE, INVALID_GRANT, Key, Micros, Op, Outcome, Record, SOMEBODY_ELSES,
    Session, Signed, UNSENT,
};
use crate::soak::jwks;

/// Sends requests of a soak.
pub struct Hand<'a> {
    pub stage: &'a Arc<Stage>,
    pub wire: &'a mut Wire,
    /// This replica alone, past the balancer.
    pub at: Option<&'a Replica>,
}

/// What an answer must hold.
pub enum Wants<'a> {
    Success,
    Tokens,
    /// Of this token, or of one that nobody issued.
    Introspection(Option<&'a Token>),
    /// A parameter of the address where the browser is sent.
    Param(&'static str),
    /// A code, granted in this login session.
    Grant(Session),
}

/// How a request ended, read.
#[derive(Default)]
pub struct Heard {
    pub outcome: Option<Outcome>,
    pub what: &'static str,
    pub json: Value,
    /// The parameter that was wanted.
    pub found: String,
    pub answer: Option<Answer>,
}

impl Heard {
    pub fn is(&self, outcome: Outcome) -> bool {
        self.outcome == Some(outcome)
    }

    /// It had no effect, or nobody knows.
    pub fn is_lost(&self) -> bool {
        self.is(Outcome::Unknown) || self.what == UNSENT
    }

    /// Itself when it is a success.
    pub fn ok(self) -> Option<Self> {
        self.is(Outcome::Ok).then_some(self)
    }

    pub fn text(&self, name: &str) -> &str {
        self.json.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl<'a> Hand<'a> {
    /// One that goes through the balancer.
    pub fn new(stage: &'a Arc<Stage>, wire: &'a mut Wire) -> Self {
        Self { stage, wire, at: None }
    }

    /// One that goes to this replica.
    pub fn directly(stage: &'a Arc<Stage>, wire: &'a mut Wire, to: &'a Replica) -> Self {
        Self { stage, wire, at: Some(to) }
    }

    /// Sends `call`; `of` is the operation, what it presents and the grant to which that belongs.
    pub async fn ask(&mut self, of: (Op, Key, Key), call: &Call, wants: Wants<'_>) -> Heard {
        let (heard, span) = self.send(call, &wants).await;
        let gives = match wants {
            Wants::Tokens if heard.is(Outcome::Ok) => Some(Box::new(self.gives(&heard).await)),
            Wants::Grant(session) => Some(Box::new(Gives { session: Some(session), ..Gives::default() })),
            _ => None,
        };
        if heard.what == STRANGE
            && let Some(answer) = &heard.answer
        {
            self.wire.complain(call, answer);
        }
        self.note(of, span, &heard, (heard.outcome.unwrap_or(Outcome::Unknown), heard.what, gives));
        heard
    }

    /// Sends it and reads the answer; when it was begun and answered.
    pub async fn send(&mut self, call: &Call, wants: &Wants<'_>) -> (Heard, (Micros, Micros)) {
        let call = self.led(call);
        let from = self.stage.history.now();
        let sent = self.wire.send(&call).await;
        let to = self.stage.history.now();
        (read(sent, wants), (from, to))
    }

    /// The same request to the replica that is meant.
    fn led(&self, call: &Call) -> Call {
        let Some(replica) = self.at else { return call.clone() };
        let is_admin = call.origin.authority == self.stage.target.admin.authority;
        let origin = if is_admin { replica.admin_origin() } else { replica.origin() };
        Call { origin: origin.unwrap_or_else(|_| call.origin.clone()), ..call.clone() }
    }

    /// Writes a request into the history.
    pub fn note(
        &self,
        of: (Op, Key, Key),
        (from, to): (Micros, Micros),
        heard: &Heard,
        (outcome, what, gives): (Outcome, &'static str, Option<Box<Gives>>),
    ) {
        let (op, key, family) = of;
        let answer = heard.answer.as_ref();
        let named = answer.and_then(|answer| answer.header(REPLICA.as_str()).parse().ok());
        let replica = self.at.map_or(named, |replica| Some(replica.number));
        let status = answer.map_or(0, |answer| answer.status);
        self.stage.history.add(Record { op, key, family, replica, from, to, outcome, status, what, gives });
    }

    async fn gives(&mut self, heard: &Heard) -> Gives {
        let lives =
            heard.json.get("expires_in").and_then(Value::as_u64).and_then(|seconds| u32::try_from(seconds).ok());
        let given = |name: &str, lives| {
            let text = heard.text(name);
            (!text.is_empty()).then(|| Given { key: Key::of(text), lives })
        };
        let (access, refresh) = (given("access_token", lives), given("refresh_token", None));
        let mut signed = Vec::new();
        for name in ["access_token", "id_token"] {
            signed.extend(self.signature(heard.text(name)).await);
        }
        let session = jwks::parts(heard.text("id_token")).and_then(|(_, claims)| jwks::session(&claims));
        Gives { access, refresh, signed, session }
    }

    async fn signature(&mut self, jwt: &str) -> Option<Signed> {
        let document = Call::get(&self.stage.target.public, "/.well-known/jwks.json");
        self.stage.jwks.verify(jwt, self.wire, &document).await
    }
}

/// An answer that no rule of the protocol knows.
const STRANGE: &str = "strange";

fn read(sent: anyhow::Result<Answer>, wants: &Wants<'_>) -> Heard {
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => {
            let what = if error.to_string() == "timeout" { "timeout" } else { "no answer" };
            return Heard { outcome: Some(Outcome::Unknown), what, ..Heard::default() };
        }
    };
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut found = String::new();
    let (outcome, what) = match answer.status {
        503 if answer.header(BALANCER.as_str()) == UNSENT => (Outcome::Fail, UNSENT),
        502 => (Outcome::Unknown, "lost"),
        503 => (Outcome::Unknown, "503"),
        500.. => (Outcome::Unknown, "5xx"),
        400.. => (Outcome::Fail, known(json.get("error").and_then(Value::as_str).unwrap_or_default())),
        _ => match wants {
            Wants::Success | Wants::Tokens => (Outcome::Ok, "ok"),
            Wants::Introspection(token) => (Outcome::Ok, introspected(&json, *token)),
            Wants::Param(_) | Wants::Grant(_) => {
                let name = if let Wants::Param(name) = wants { name } else { "code" };
                let to = answer.header(LOCATION.as_str());
                found = param(to, name).unwrap_or_default();
                match param(to, "error") {
                    _ if !found.is_empty() => (Outcome::Ok, "ok"),
                    Some(error) => redirected(&error),
                    None => (Outcome::Fail, STRANGE),
                }
            }
        },
    };
    Heard { outcome: Some(outcome), what, json, found, answer: Some(answer) }
}

/// An error that came with a redirect: some say that the server broke.
fn redirected(error: &str) -> (Outcome, &'static str) {
    match error {
        "temporarily_unavailable" => (Outcome::Unknown, "503"),
        "server_error" => (Outcome::Unknown, "5xx"),
        other => (Outcome::Fail, known(other)),
    }
}

fn introspected(json: &Value, token: Option<&Token>) -> &'static str {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    match (json.get("active").and_then(Value::as_bool), token) {
        (Some(false), _) => INACTIVE,
        (Some(true), Some(token)) if text("client_id") == &*token.client && text("sub") == &*token.subject => ACTIVE,
        (Some(true), Some(_)) => SOMEBODY_ELSES,
        (Some(true), None) => ACTIVE,
        (None, _) => STRANGE,
    }
}

fn known(error: &str) -> &'static str {
    const KNOWN: [&str; 13] = [
        INVALID_GRANT,
        FORBIDDEN,
        "access_denied",
        "invalid_client",
        "invalid_request",
        "jti_known",
        "slow_down",
        "authorization_pending",
        "expired_token",
        "request_unauthorized",
        "login_required",
        "invalid_scope",
        "Not Found",
    ];
    KNOWN.into_iter().find(|known| *known == error).unwrap_or(STRANGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered(status: u16, headers: &[(&'static str, &'static str)], body: &Value) -> anyhow::Result<Answer> {
        let headers = headers.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), hyper::header::HeaderValue::from_static(value))
        });
        Ok(Answer { status, headers: headers.collect(), body: body.to_string().into() })
    }

    fn told(sent: anyhow::Result<Answer>, wants: &Wants<'_>) -> (Option<Outcome>, &'static str) {
        let heard = read(sent, wants);
        (heard.outcome, heard.what)
    }

    #[test]
    fn what_nobody_knows_is_unknown() {
        let (ok, fail, unknown) = (Some(Outcome::Ok), Some(Outcome::Fail), Some(Outcome::Unknown));
        let refused = json!({"error": "invalid_grant"});
        assert_eq!(told(Err(anyhow::anyhow!("timeout")), &Wants::Tokens), (unknown, "timeout"));
        assert_eq!(told(answered(503, &[], &json!({})), &Wants::Tokens), (unknown, "503"));
        assert_eq!(told(answered(502, &[("x-balancer", "lost")], &json!({})), &Wants::Tokens), (unknown, "lost"));
        assert_eq!(told(answered(503, &[("x-balancer", "unsent")], &json!({})), &Wants::Tokens), (fail, UNSENT));
        assert_eq!(told(answered(400, &[], &refused), &Wants::Tokens), (fail, INVALID_GRANT));
        assert_eq!(told(answered(200, &[], &json!({})), &Wants::Tokens), (ok, "ok"));
        let broken = [("location", "https://a.example/?error=temporarily_unavailable")];
        assert_eq!(told(answered(303, &broken, &json!({})), &Wants::Param("code")), (unknown, "503"));
        let done = [("location", "https://a.example/?code=x")];
        assert_eq!(told(answered(303, &done, &json!({})), &Wants::Param("code")), (ok, "ok"));
    }

    #[test]
    fn another_tokens_claims_are_seen() {
        let token = Token { client: "c".into(), subject: "s".into(), ..Token::default() };
        let seen = |sub: &str| introspected(&json!({"active": true, "client_id": "c", "sub": sub}), Some(&token));
        assert_eq!((seen("s"), seen("t")), (ACTIVE, SOMEBODY_ELSES));
        assert_eq!(introspected(&json!({"active": false}), Some(&token)), INACTIVE);
        assert_eq!(introspected(&json!({}), Some(&token)), STRANGE);
    }
}
