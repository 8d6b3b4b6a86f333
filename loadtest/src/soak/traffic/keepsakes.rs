//! What the replicas issue and seal, kept to be presented to all of them: tokens, challenges, cookies and the rest.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;

use super::hand::{Hand, Heard, Wants};
use super::pool::Token;
use super::user::{Begun, Who, poll, step};
use crate::chance;
use crate::http::connection::Wire;
use crate::http::jar::Jar;
use crate::http::{Call, encoded};
use crate::soak::Stage;
use crate::soak::fleet::Replica;
use crate::soak::history::{ACTIVE, Key, Micros, Op, Outcome};

/// A device code lives ten minutes, all others longer.
const KEPT: Duration = Duration::from_secs(8 * 60);
/// So many are kept; of more the oldest and the newest.
const MOST: usize = 100;
const OLDEST: usize = 30;
/// A look that meets a fault stops after this time.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// One of them.
struct Keepsake {
    what: &'static str,
    key: Key,
    /// The newest secret of the replica that made it.
    secret: Key,
    call: Call,
    opens: Opens,
    made: Instant,
}

/// How a request that presents it is answered when it opens. None of them uses it up.
enum Opens {
    /// Introspection says that it is active.
    Active(Arc<Token>),
    Success,
    /// The browser is sent on with this parameter.
    Param(&'static str),
    /// A device is told to wait.
    Polled,
    /// A list that has something in it.
    Listed,
}

impl Opens {
    fn wants(&self) -> Wants<'_> {
        match self {
            Self::Active(token) => Wants::Introspection(Some(token)),
            Self::Param(name) => Wants::Param(name),
            Self::Success | Self::Polled | Self::Listed => Wants::Success,
        }
    }

    fn outcome(&self, heard: &Heard) -> Outcome {
        let opened = match self {
            Self::Active(_) => heard.what == ACTIVE,
            Self::Success | Self::Param(_) => heard.is(Outcome::Ok),
            Self::Polled => ["authorization_pending", "slow_down"].contains(&heard.what),
            Self::Listed => heard.json.as_array().is_some_and(|all| !all.is_empty()),
        };
        match heard.outcome {
            _ if opened => Outcome::Ok,
            Some(Outcome::Unknown) | None => Outcome::Unknown,
            Some(_) => Outcome::Fail,
        }
    }
}

/// A flow that waits for its browser to come back, with the newest secret of the replica where it began.
struct Held(Begun, Key);

/// All that was made.
#[derive(Default)]
pub struct Keepsakes {
    kept: Vec<Keepsake>,
    held: Vec<Held>,
}

impl Keepsakes {
    /// The flows that are held end elsewhere; every replica makes one of each, and is shown everything.
    pub async fn look(&mut self, stage: &Arc<Stage>) {
        let (mut wire, until) = (Wire::default(), Instant::now() + LOOK_WITHIN);
        let replicas = stage.fleet();
        for (n, Held(begun, secret)) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let mut others = replicas.iter().cycle().skip(n + 1);
            if let (Some(one), Some(other)) = (others.next(), others.next()) {
                finish(stage, &mut wire, Held(begun, secret), (one, other)).await;
            }
        }
        for replica in &replicas {
            let (secret, mut hand) = (replica.newest_secret(), Hand::directly(stage, &mut wire, replica));
            let from = stage.history.now();
            let (made, begun) = (hand.make(secret).await, hand.begin().await);
            if made.is_none() || begun.is_none() {
                hand.made_nothing(secret, from);
            }
            self.kept.extend(made.unwrap_or_default());
            self.held.extend(begun.map(|begun| Held(begun, secret)));
        }
        self.forget();
        for it in &self.kept {
            for replica in &replicas {
                if Instant::now() < until {
                    Hand::directly(stage, &mut wire, replica).open(it).await;
                }
            }
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&mut self) -> bool {
        self.forget();
        self.kept.is_empty()
    }

    fn forget(&mut self) {
        self.kept.retain(|it| it.made.elapsed() < KEPT);
        if let Some(extra) = self.kept.len().checked_sub(MOST) {
            self.kept.drain(OLDEST..OLDEST + extra);
        }
    }
}

/// The browser of a flow comes back to one replica, and the code goes to another.
async fn finish<'a>(
    stage: &'a Arc<Stage>,
    wire: &'a mut Wire,
    Held(mut begun, secret): Held,
    (one, other): (&'a Arc<Replica>, &'a Arc<Replica>),
) {
    let mut hand = Hand::directly(stage, wire, one);
    let from = stage.history.now();
    let back = hand.verified(&mut begun, "code").await;
    hand.opened((Key::of(&begun.back), secret, "verifier and cookie"), from, &back);
    let (Some(code), made) = (back.ok().map(|heard| heard.found), one.newest_secret()) else { return };
    hand.at = Some(other);
    let from = stage.history.now();
    let heard = hand.exchange(&begun, &code, Op::Code).await;
    hand.opened((Key::of(&code), made, "code"), from, &heard);
    hand.keep_begun(&heard, &begun).into_iter().for_each(|chain| stage.pool.put(chain));
}

impl Hand<'_> {
    async fn open(&mut self, it: &Keepsake) {
        let (heard, span) = self.send(&it.call, &it.opens.wants()).await;
        self.note((Op::Open, it.key, it.secret), span, &heard, (it.opens.outcome(&heard), it.what, None));
    }

    /// Something that can be used once was presented just now.
    fn opened(&self, (key, secret, what): (Key, Key, &'static str), from: Micros, heard: &Heard) {
        let span = (from, self.stage.history.now());
        self.note((Op::Open, key, secret), span, heard, (Opens::Success.outcome(heard), what, None));
    }

    /// Not all was made. What is not there cannot be seen to open, so outside of faults this is an error.
    fn made_nothing(&self, secret: Key, from: Micros) {
        let (of, span) = ((Op::Open, Key::default(), secret), (from, self.stage.history.now()));
        self.note(of, span, &Heard::default(), (Outcome::Unknown, "not all was made", None));
    }

    /// One of everything. Of the flows one is done, one waits for consent, one for login.
    async fn make(&mut self, secret: Key) -> Option<Vec<Keepsake>> {
        let kept = |(what, text): (&'static str, &str), call: Call, opens: Opens| Keepsake {
            what,
            key: Key::of(text),
            secret,
            call,
            opens,
            made: Instant::now(),
        };
        let (clients, target) = (self.stage.clients()?, self.stage.target.clone());
        let active = |what: &'static str, token: Arc<Token>| {
            let call = target.introspection(&token.text, "");
            kept((what, &token.text), call, Opens::Active(Arc::clone(&token)))
        };
        let [_, flow] = &clients.web;
        let machine = self.token_of(&clients.opaque, None).await?;
        let (begun, chain, id_token) = self.signed_in_at(flow, Who::new().remembered(), Jar::default()).await?;
        let (mut jar, subject) = (begun.jar, begun.subject);

        let consents = format!("/admin/oauth2/auth/sessions/consent?{}", encoded(&[("subject", &subject)]));
        let again = Who::called(subject).remembered();
        let challenge = self.ask_for_login(flow, &again, &mut jar).await?;
        let consent = self.log_in(flow, &again, &mut jar, &challenge).await?;
        let login = self.ask_for_login(flow, &again, &mut jar).await?;
        let silent = format!("{}&prompt=none", flow.request(&chance::text(), &again.verifier));
        let silent = Call { cookie: jar.header(), ..Call::get(&target.public, &silent) };
        let logout = self.ask_for_logout(again.family, &mut jar, &id_token).await?;
        let device = self.ask_for_device(again.family).await?;
        let page = self.next_page().await?;
        let app = |what: &str, challenge: &str| flow.app(Method::GET, what, challenge, None);
        Some(vec![
            active("access token", machine),
            active("refresh token", chain.refresh),
            kept(("session data", &consents), Call::get(&target.admin, &consents), Opens::Listed),
            kept(("login challenge", &login), app("login", &login), Opens::Success),
            kept(("consent challenge", &consent), app("consent", &consent), Opens::Success),
            kept(("logout challenge", &logout), app("logout", &logout), Opens::Success),
            kept(("session cookie", &again.verifier), silent, Opens::Param("login_challenge")),
            kept(
                ("device code", device.text("device_code")),
                poll(&clients.tv, device.text("device_code")),
                Opens::Polled,
            ),
            kept(("page token", &page), Call::get(&target.admin, &page), Opens::Success),
        ])
    }

    /// Where a list of clients goes on.
    async fn next_page(&mut self) -> Option<String> {
        let call = Call::get(&self.stage.target.admin, "/admin/clients?page_size=1");
        let heard = self.ask(step(Key::default()), &call, Wants::Success).await.ok()?;
        next(heard.answer?.header("link")).map(str::to_owned)
    }
}

/// The address of the next page in a `Link` header.
fn next(link: &str) -> Option<&str> {
    let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    part.split_once('<')?.1.split_once('>').map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let link =
            "</admin/clients?page_size=1&page_token=a>; rel=\"first\",</admin/clients?page_token=b>; rel=\"next\"";
        assert_eq!(next(link), Some("/admin/clients?page_token=b"));
        assert_eq!(next("</admin/clients?page_size=1>; rel=\"first\""), None);
    }

    #[test]
    fn what_waits_has_opened_and_what_is_unknown_is_neither() {
        let heard = |outcome, what| Heard { outcome: Some(outcome), what, ..Heard::default() };
        let waits = heard(Outcome::Fail, "authorization_pending");
        assert_eq!(Opens::Polled.outcome(&waits), Outcome::Ok);
        assert_eq!(Opens::Polled.outcome(&heard(Outcome::Fail, "invalid_grant")), Outcome::Fail);
        assert_eq!(Opens::Success.outcome(&heard(Outcome::Unknown, "503")), Outcome::Unknown);
        assert_eq!(Opens::Listed.outcome(&Heard { json: json!([]), ..heard(Outcome::Ok, "ok") }), Outcome::Fail);
        let token = Opens::Active(Arc::default());
        assert_eq!(token.outcome(&heard(Outcome::Ok, "inactive")), Outcome::Fail);
        assert_eq!(token.outcome(&heard(Outcome::Ok, ACTIVE)), Outcome::Ok);
    }
}
