//! Users that sign in, their tokens, and the steps on the way.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use url::Url;

use super::clients::DEVICE;
use super::hand::{Hand, Heard, Wants};
use super::pool::{Chain, Token};
use crate::chance;
use crate::flow::Flow;
use crate::http::Call;
use crate::http::jar::Jar;
use crate::soak::history::{Key, Op, Outcome};
use crate::target::CALLBACK;

/// Before the same is sent again, after nobody knows what became of it.
pub const PAUSE: Duration = Duration::from_millis(300);

/// A sign-in whose user has consented: what is left is the way back with the consent verifier.
pub struct Begun {
    pub flow: Arc<Flow>,
    pub jar: Jar,
    pub family: Key,
    pub subject: Arc<str>,
    /// PKCE's.
    pub verifier: String,
    pub back: String,
}

/// A step of a flow, which belongs to a grant.
pub fn step(family: Key) -> (Op, Key, Key) {
    (Op::Step, Key::default(), family)
}

impl Hand<'_> {
    /// The browser goes to a path and is sent on; the parameter of that name in the address.
    pub async fn browse(&mut self, of: (Op, Key, Key), jar: &mut Jar, path: &str, wanted: &'static str) -> Heard {
        let call = Call { cookie: jar.header(), ..Call::get(&self.stage.target.public, path) };
        let heard = self.ask(of, &call, Wants::Param(wanted)).await;
        if let Some(answer) = &heard.answer {
            jar.take(&answer.headers);
        }
        heard
    }

    /// The app accepts; where the browser goes next.
    pub async fn accept(&mut self, flow: &Flow, family: Key, what: (&str, &str), body: &Value) -> Option<String> {
        let (kind, challenge) = what;
        if kind != "device" {
            self.ask(step(family), &flow.app(Method::GET, kind, challenge, None), Wants::Success).await.ok()?;
        }
        let call = flow.app(Method::PUT, &format!("{kind}/accept"), challenge, Some(body));
        let heard = self.ask(step(family), &call, Wants::Success).await.ok()?;
        path_of(heard.text("redirect_to"))
    }

    /// From the login page on: the user signs in and consents.
    async fn consent(&mut self, flow: &Arc<Flow>, who: Who, mut jar: Jar, challenge: &str) -> Option<Begun> {
        let challenge = self.log_in(flow, &who, &mut jar, challenge).await?;
        let scope: Vec<&str> = flow.scope.split(' ').collect();
        let body = json!({"grant_scope": scope, "session": {"access_token": {"tenant": "soak"}}});
        let back = self.accept(flow, who.family, ("consent", &challenge), &body).await?;
        let Who { family, subject, verifier, .. } = who;
        Some(Begun { flow: Arc::clone(flow), jar, family, subject, verifier, back })
    }

    /// From the login page to the consent page, whose challenge it is.
    pub async fn log_in(&mut self, flow: &Flow, who: &Who, jar: &mut Jar, challenge: &str) -> Option<String> {
        let body = json!({"subject": &*who.subject, "remember": who.remember});
        let back = self.accept(flow, who.family, ("login", challenge), &body).await?;
        Some(self.browse(step(who.family), jar, &back, "consent_challenge").await.ok()?.found)
    }

    /// A new user at a new browser, up to the consent.
    pub async fn begin(&mut self) -> Option<Begun> {
        let clients = self.stage.clients()?;
        let flow = clients.web.get(usize::from(chance::fresh().is_multiple_of(2)))?;
        self.begin_as(flow, Who::new(), Jar::default()).await
    }

    /// The same with this user and browser.
    pub async fn begin_as(&mut self, flow: &Arc<Flow>, who: Who, mut jar: Jar) -> Option<Begun> {
        let challenge = self.ask_for_login(flow, &who, &mut jar).await?;
        self.consent(flow, who, jar, &challenge).await
    }

    /// To the login page, whose challenge it is.
    pub async fn ask_for_login(&mut self, flow: &Flow, who: &Who, jar: &mut Jar) -> Option<String> {
        let path = flow.request(&chance::text(), &who.verifier);
        Some(self.browse(step(who.family), jar, &path, "login_challenge").await.ok()?.found)
    }

    /// The way back of the right browser; once more when nobody knows what became of it.
    pub async fn code(&mut self, begun: &mut Begun) -> Option<String> {
        let heard = self.verified(begun, "code").await;
        if !heard.is_lost() {
            return Some(heard.ok()?.found);
        }
        tokio::time::sleep(PAUSE).await;
        Some(self.verified(begun, "code").await.ok()?.found)
    }

    pub async fn verified(&mut self, begun: &mut Begun, wanted: &'static str) -> Heard {
        let of = (Op::Verifier, Key::of(&begun.back), begun.family);
        let back = begun.back.clone();
        self.browse(of, &mut begun.jar, &back, wanted).await
    }

    /// Exchanges a code; `Op` says whether with the right verifier.
    pub async fn exchange(&mut self, begun: &Begun, code: &str, op: Op) -> Heard {
        let wrong = "w".repeat(43);
        let verifier = if op == Op::Code { &begun.verifier } else { &wrong };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        self.ask((op, Key::of(code), begun.family), &begun.flow.token_call(&form), Wants::Tokens).await
    }

    /// The tokens of an answer.
    pub fn keep(&self, heard: &Heard, flow: &Arc<Flow>, family: Key, subject: &Arc<str>) -> Option<Chain> {
        if !heard.is(Outcome::Ok) {
            return None;
        }
        let client: Arc<str> = flow.client.id.as_str().into();
        let [access, refresh] = ["access_token", "refresh_token"].map(|name| {
            let text = heard.text(name);
            let (client, subject) = (Arc::clone(&client), Arc::clone(subject));
            self.stage.pool.keep(Token { text: text.into(), key: Key::of(text), family, client, subject })
        });
        Some(Chain { flow: Arc::clone(flow), access, refresh })
    }

    pub fn keep_begun(&self, heard: &Heard, begun: &Begun) -> Option<Chain> {
        self.keep(heard, &begun.flow, begun.family, &begun.subject)
    }

    /// A whole code flow. When nobody knows what became of the exchange, the code is sent once more.
    pub async fn sign_in(&mut self) -> Option<Chain> {
        let mut begun = self.begin().await?;
        let code = self.code(&mut begun).await?;
        let mut heard = self.exchange(&begun, &code, Op::Code).await;
        if heard.is_lost() {
            tokio::time::sleep(PAUSE).await;
            heard = self.exchange(&begun, &code, Op::Code).await;
        }
        self.keep_begun(&heard, &begun)
    }

    /// Presents a chain's newest refresh token.
    pub async fn refresh(&mut self, chain: &Chain) -> Heard {
        let token = &chain.refresh;
        self.ask((Op::Refresh, token.key, token.family), &chain.flow.refresh(&token.text), Wants::Tokens).await
    }

    /// A chain goes on. When nobody knows what became of it, it is tried again: soon, or after the fault.
    pub async fn refresh_any(&mut self, random: u64) -> Option<()> {
        let Some(chain) = self.stage.pool.doubtful().or_else(|| self.stage.pool.take()) else {
            return self.sign_in().await.map(|chain| self.stage.pool.put(chain));
        };
        let heard = self.refresh(&chain).await;
        if heard.is_lost() {
            let wait = [200, 2_000, 12_000].get(usize::try_from(random % 3).unwrap_or_default()).copied();
            self.stage.pool.doubt(chain, Duration::from_millis(wait.unwrap_or_default()));
            return None;
        }
        self.stage.pool.chain_ended(&chain);
        if let Some(newer) = self.keep(&heard, &chain.flow, chain.access.family, &chain.access.subject) {
            self.stage.pool.put(newer);
        }
        Some(())
    }

    /// A device asks for its codes.
    pub async fn ask_for_device(&mut self, family: Key) -> Option<Heard> {
        let clients = self.stage.clients()?;
        let tv = &clients.tv.client;
        let call =
            Call::form(&self.stage.target.public, "/oauth2/device/auth", "scope=offline").basic(&tv.id, &tv.secret);
        self.ask(step(family), &call, Wants::Success).await.ok()
    }

    /// A device asks, its user grants; the device code and what it belongs to.
    pub async fn device(&mut self) -> Option<(Begun, String)> {
        let flow = Arc::clone(&self.stage.clients()?.tv);
        let who = Who::new();
        let asked = self.ask_for_device(who.family).await?;
        let (device_code, user_code) = (asked.text("device_code").to_owned(), asked.text("user_code").to_owned());
        let mut jar = Jar::default();
        let page = self.browse(step(who.family), &mut jar, "/oauth2/device/verify", "device_challenge").await.ok()?;
        let body = json!({"user_code": user_code});
        let back = self.accept(&flow, who.family, ("device", &page.found), &body).await?;
        let page = self.browse(step(who.family), &mut jar, &back, "login_challenge").await.ok()?;
        let mut begun = self.consent(&flow, who, jar, &page.found).await?;
        self.verified(&mut begun, "client_id").await.ok()?;
        Some((begun, device_code))
    }

    pub async fn poll(&mut self, begun: &Begun, device_code: &str) -> Heard {
        let call = poll(&begun.flow, device_code);
        self.ask((Op::Device, Key::of(device_code), begun.family), &call, Wants::Tokens).await
    }
}

/// A device's question whether its user has granted.
pub fn poll(flow: &Flow, device_code: &str) -> Call {
    flow.token_call(&[("grant_type", DEVICE), ("device_code", device_code)])
}

/// Somebody who signs in.
pub struct Who {
    /// The grant that comes of it.
    pub family: Key,
    pub subject: Arc<str>,
    pub verifier: String,
    /// Whether the login is remembered.
    pub remember: bool,
}

impl Who {
    pub fn new() -> Self {
        Self::called(format!("soak-{}", chance::text()).into())
    }

    /// Somebody with this name, for one more grant.
    pub fn called(subject: Arc<str>) -> Self {
        let verifier = chance::text();
        Self { family: Key::of(&verifier), subject, verifier, remember: false }
    }

    pub fn remembered(self) -> Self {
        Self { remember: true, ..self }
    }
}

/// An address without its host.
fn path_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path())))
}
