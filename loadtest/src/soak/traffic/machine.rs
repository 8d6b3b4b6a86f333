//! Tokens that no user granted; introspection and revocation.

use std::sync::Arc;

use hyper::Method;

use super::hand::{Hand, Heard, Wants};
use super::pool::Token;
use crate::chance;
use crate::http::{Call, encoded};
use crate::soak::history::{Key, Op, Outcome};
use crate::target::{SCOPE, TestClient, machine};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Hand<'_> {
    /// Keeps the access token of an answer; one that no user granted is a grant of its own.
    fn keep_machine(&self, heard: &Heard, client: &TestClient, family: Option<Key>) -> Arc<Token> {
        let (text, client): (&str, Arc<str>) = (heard.text("access_token"), client.id.as_str().into());
        let key = Key::of(text);
        let subject = Arc::clone(&client);
        self.stage.pool.keep(Token { text: text.into(), key, family: family.unwrap_or(key), client, subject })
    }

    pub async fn token_of(&mut self, client: &TestClient, family: Option<Key>) -> Option<Arc<Token>> {
        let call = self.stage.target.token_call(client);
        let of = (Op::Token, Key::of(&client.id), family.unwrap_or_default());
        let heard = self.ask(of, &call, Wants::Tokens).await.ok()?;
        Some(self.keep_machine(&heard, client, family))
    }

    /// A token of one of the machine clients: 3 of 20 are JWTs, 5 live for seconds.
    pub async fn machine_token(&mut self, random: u64) -> Option<Arc<Token>> {
        let clients = self.stage.clients()?;
        let client = match random % 20 {
            0..3 => &clients.jwt,
            3..8 => &clients.brief,
            _ => &clients.opaque,
        };
        let token = self.token_of(client, None).await?;
        if client.id == clients.brief.id {
            self.stage.pool.ended(&token);
        }
        Some(token)
    }

    pub async fn introspect(&mut self, token: &Token) -> Option<()> {
        let call = self.stage.target.introspection(&token.text, "");
        let of = (Op::Introspect, token.key, token.family);
        self.ask(of, &call, Wants::Introspection(Some(token))).await.ok().map(drop)
    }

    pub async fn introspect_any(&mut self, random: u64) -> Option<()> {
        match self.stage.pool.any(random) {
            Some(token) => self.introspect(&token).await,
            None => self.machine_token(random).await.map(drop),
        }
    }

    pub async fn revoke(&mut self, token: &Token, client: &TestClient) -> Heard {
        let call = self.stage.target.revocation(client, &token.text);
        self.ask((Op::Revoke, token.key, token.family), &call, Wants::Success).await
    }

    /// A token is issued, known on every replica, and revoked.
    pub async fn revoke_machine(&mut self) -> Option<()> {
        let clients = self.stage.clients()?;
        let token = self.token_of(&clients.opaque, None).await?;
        for _ in 0..3 {
            self.introspect(&token).await;
        }
        let revoked = self.revoke(&token, &clients.opaque).await;
        self.stage.pool.ended(&token);
        for _ in 0..3 {
            self.introspect(&token).await;
        }
        revoked.ok().map(drop)
    }

    /// A client comes and goes, and its tokens with it.
    pub async fn delete_client(&mut self) -> Option<()> {
        let admin = self.stage.target.admin.clone();
        let call = Call::json(Method::POST, &admin, "/admin/clients", &machine("opaque"));
        let made = self.ask((Op::Step, Key::default(), Key::default()), &call, Wants::Success).await.ok()?;
        let client = TestClient { id: made.text("client_id").into(), secret: made.text("client_secret").into() };
        let family = Key::of(&client.id);
        let tokens = [self.token_of(&client, Some(family)).await?, self.token_of(&client, Some(family)).await?];
        for token in &tokens {
            self.introspect(token).await;
        }
        let call = Call { method: Method::DELETE, ..Call::get(&admin, &format!("/admin/clients/{}", client.id)) };
        let deleted = self.ask((Op::EndClient, family, family), &call, Wants::Success).await;
        for token in &tokens {
            self.stage.pool.ended(token);
            self.introspect(token).await;
        }
        deleted.ok().map(drop)
    }

    async fn assert(&mut self, assertion: &str) -> Heard {
        let form = encoded(&[
            ("grant_type", "client_credentials"),
            ("scope", SCOPE),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion),
        ]);
        let call = Call::form(&self.stage.target.public, "/oauth2/token", form);
        let heard = self.ask((Op::Assertion, Key::of(assertion), Key::default()), &call, Wants::Tokens).await;
        if heard.is(Outcome::Ok)
            && let Some(clients) = self.stage.clients()
        {
            self.keep_machine(&heard, &clients.signer, None);
        }
        heard
    }

    /// One assertion, twice at once and once more.
    pub async fn assert_twice(&mut self, other: &mut Self) -> Option<()> {
        let clients = self.stage.clients()?;
        let audience = format!("http://{}/oauth2/token", self.stage.target.public.authority);
        let assertion = clients.key.assertion(&clients.signer.id, &audience).ok()?;
        let (one, two) = tokio::join!(self.assert(&assertion), other.assert(&assertion));
        self.assert(&assertion).await;
        (!one.is_lost() && !two.is_lost()).then_some(())
    }

    /// What nobody issued is inactive, and refreshes nothing.
    pub async fn garbage(&mut self) -> Option<()> {
        let clients = self.stage.clients()?;
        let text = format!("{}.{}", chance::text(), chance::text());
        let of = (Op::Garbage, Key::of(&text), Key::default());
        let call = self.stage.target.introspection(&format!("ory_at_{text}"), "");
        self.ask(of, &call, Wants::Introspection(None)).await.ok()?;
        let call = clients.web.first()?.refresh(&format!("ory_rt_{text}"));
        let heard = self.ask(of, &call, Wants::Success).await;
        (!heard.is_lost()).then_some(())
    }
}
