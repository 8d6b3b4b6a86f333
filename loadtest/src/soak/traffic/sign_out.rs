//! Users that sign in at two clients with one browser, and sign out: both clients are to hear of it.

use std::sync::Arc;

use hyper::Method;
use serde_json::json;

use super::clients::SIGNED_OUT;
use super::hand::{Hand, Heard, Wants};
use super::pool::Chain;
use super::user::{Begun, PAUSE, Who, step};
use crate::chance;
use crate::flow::Flow;
use crate::http::jar::Jar;
use crate::http::{Call, encoded};
use crate::soak::history::{Key, Op, Session};
use crate::soak::jwks;

/// A browser with a login session, and what was granted in it.
struct SignedIn {
    jar: Jar,
    chains: Vec<Chain>,
    /// The ID token of the first client.
    hint: String,
    /// As the second client is told of it.
    session: Session,
    sid: String,
}

impl Hand<'_> {
    /// A whole code flow with an ID token; it ends when anything fails.
    pub async fn signed_in_at(&mut self, flow: &Arc<Flow>, who: Who, jar: Jar) -> Option<(Begun, Chain, String)> {
        let mut begun = self.begin_as(flow, who, jar).await?;
        let code = self.code(&mut begun).await?;
        let heard = self.exchange(&begun, &code, Op::Code).await;
        let chain = self.keep_begun(&heard, &begun)?;
        let id_token = heard.text("id_token").to_owned();
        Some((begun, chain, id_token))
    }

    /// At the first of the two clients.
    async fn signed_in(&mut self) -> Option<(SignedIn, Who)> {
        let clients = self.stage.clients()?;
        let [one, two] = &clients.out;
        let (begun, chain, hint) = self.signed_in_at(one, Who::new().remembered(), Jar::default()).await?;
        let (_, claims) = jwks::parts(&hint)?;
        let session = Session { client: Key::of(&two.client.id), ..jwks::session(&claims)? };
        let sid = claims.get("sid")?.as_str()?.to_owned();
        let again = Who::called(begun.subject).remembered();
        Some((SignedIn { jar: begun.jar, chains: vec![chain], hint, session, sid }, again))
    }

    /// At both. Each token is known on the replicas before it ends.
    async fn signed_in_twice(&mut self) -> Option<SignedIn> {
        let clients = self.stage.clients()?;
        let (mut signed, who) = self.signed_in().await?;
        let (begun, chain, _) = self.signed_in_at(&clients.out[1], who, signed.jar).await?;
        signed.jar = begun.jar;
        signed.chains.push(chain);
        for chain in &signed.chains {
            self.introspect(&chain.access).await;
            self.introspect(&chain.refresh).await;
        }
        Some(signed)
    }

    /// To the logout page, whose challenge it is.
    pub async fn ask_for_logout(&mut self, family: Key, jar: &mut Jar, hint: &str) -> Option<String> {
        let path = format!("/oauth2/sessions/logout?{}", encoded(&[("id_token_hint", hint)]));
        Some(self.browse(step(family), jar, &path, "logout_challenge").await.ok()?.found)
    }

    /// The user wants to sign out; the address with which the browser comes back then.
    async fn agreed(&mut self, signed: &mut SignedIn) -> Option<String> {
        let clients = self.stage.clients()?;
        let (state, family) = (chance::text(), signed.session.sid);
        let query =
            encoded(&[("id_token_hint", &signed.hint), ("post_logout_redirect_uri", SIGNED_OUT), ("state", &state)]);
        let path = format!("/oauth2/sessions/logout?{query}");
        let challenge = self.browse(step(family), &mut signed.jar, &path, "logout_challenge").await.ok()?.found;
        self.accept(&clients.out[0], family, ("logout", &challenge), &json!({})).await
    }

    /// The browser comes back: the session ends. Once more when nobody knows what became of it.
    async fn leave(&mut self, signed: &mut SignedIn, back: &str) -> Heard {
        let of = (Op::Logout, signed.session.sid, Key::default());
        let heard = self.browse(of, &mut signed.jar, back, "state").await;
        if !heard.is_lost() {
            return heard;
        }
        tokio::time::sleep(PAUSE).await;
        self.browse(of, &mut signed.jar, back, "state").await
    }

    fn over(&self, signed: &SignedIn) {
        signed.chains.iter().for_each(|chain| self.stage.pool.chain_ended(chain));
    }

    /// The user signs out.
    pub async fn sign_out(&mut self) -> Option<()> {
        let mut signed = self.signed_in_twice().await?;
        let back = self.agreed(&mut signed).await?;
        let heard = self.leave(&mut signed, &back).await;
        self.over(&signed);
        heard.ok().map(drop)
    }

    /// An operator ends the session.
    pub async fn sign_out_by_operator(&mut self) -> Option<()> {
        let signed = self.signed_in_twice().await?;
        let heard = self.end_login(&[("sid", &signed.sid)], (Op::EndLogin, signed.session.sid, Key::default())).await;
        self.over(&signed);
        heard.ok().map(drop)
    }

    async fn end_login(&mut self, which: &[(&str, &str)], of: (Op, Key, Key)) -> Heard {
        let path = format!("/admin/oauth2/auth/sessions/login?{}", encoded(which));
        let call = Call { method: Method::DELETE, ..Call::get(&self.stage.target.admin, &path) };
        self.ask(of, &call, Wants::Success).await
    }

    /// The user signs out while the second client is granted something: either that is too late, or the client hears.
    pub async fn sign_out_against_grant(&mut self, other: &mut Self) -> Option<()> {
        let clients = self.stage.clients()?;
        let (mut signed, who) = self.signed_in().await?;
        let begun = self.begin_as(&clients.out[1], who, signed.jar.clone()).await?;
        let back = self.agreed(&mut signed).await?;
        let call = Call { cookie: begun.jar.header(), ..Call::get(&self.stage.target.public, &begun.back) };
        let of = (Op::Verifier, Key::of(&begun.back), begun.family);
        let session = signed.session;
        let (granted, left) = tokio::join!(other.ask(of, &call, Wants::Grant(session)), self.leave(&mut signed, &back));
        self.over(&signed);
        if let Some(granted) = granted.ok() {
            let heard = self.exchange(&begun, &granted.found, Op::Code).await;
            self.keep_begun(&heard, &begun).iter().for_each(|chain| self.stage.pool.chain_ended(chain));
        }
        left.ok().map(drop)
    }

    /// The user stays after all, or an operator ends all sessions of the user: nobody is to hear of either.
    pub async fn sign_out_of_nothing(&mut self, random: u64) -> Option<()> {
        let mut signed = self.signed_in_twice().await?;
        let of = step(signed.session.sid);
        let heard = if random & 1024 == 0 {
            let challenge = self.ask_for_logout(signed.session.sid, &mut signed.jar, &signed.hint).await?;
            let call = self.stage.clients()?.out[0].app(Method::PUT, "logout/reject", &challenge, None);
            self.ask(of, &call, Wants::Success).await
        } else {
            let subject = Arc::clone(&signed.chains.first()?.access.subject);
            self.end_login(&[("subject", &subject)], of).await
        };
        signed.chains.into_iter().for_each(|chain| self.stage.pool.put(chain));
        heard.ok().map(drop)
    }
}
