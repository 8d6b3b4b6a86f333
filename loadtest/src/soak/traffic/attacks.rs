//! What operators and attackers do: revocations, replays, races, guesses.

use std::sync::Arc;

use hyper::Method;

use super::hand::{Hand, Wants};
use super::pool::Chain;
use crate::chance;
use crate::http::jar::Jar;
use crate::http::{Call, encoded};
use crate::soak::history::{Key, Op};

/// One of them.
pub async fn one<'a>(hand: &mut Hand<'a>, other: &mut Hand<'a>, random: u64) -> Option<()> {
    match random % 20 {
        0 => hand.revoke_machine().await,
        1 => hand.revoke_chain(random).await,
        2 => hand.revoke_against_refresh(other).await,
        3 => hand.code_again().await,
        4 => hand.code_at_once(other).await,
        5 => hand.refresh_again().await,
        6 => hand.refresh_at_once(other).await,
        7 | 8 => hand.assert_twice(other).await,
        9 => hand.device_at_once(other).await,
        10 => hand.verifier_at_once(other).await,
        11 => hand.verifier_again().await,
        12 => hand.other_browser().await,
        13 => hand.wrong_verifier().await,
        14 => hand.end_consent().await,
        15 => hand.sign_out().await,
        16 => hand.sign_out_by_operator().await,
        17 => hand.sign_out_against_grant(other).await,
        18 => hand.sign_out_of_nothing(random).await,
        _ if random & 1024 == 0 => hand.garbage().await,
        _ => hand.delete_client().await,
    }
}

impl Hand<'_> {
    fn all_ended(&self, chains: &[Option<Chain>]) {
        chains.iter().flatten().for_each(|chain| self.stage.pool.chain_ended(chain));
    }

    async fn chain(&mut self) -> Option<Chain> {
        match self.stage.pool.take() {
            Some(chain) => Some(chain),
            None => self.sign_in().await,
        }
    }

    /// A grant ends with either of its tokens.
    async fn revoke_chain(&mut self, random: u64) -> Option<()> {
        let chain = self.chain().await?;
        for token in [&chain.access, &chain.access, &chain.refresh] {
            self.introspect(token).await;
        }
        let token = if random & 1024 == 0 { &chain.access } else { &chain.refresh };
        let revoked = self.revoke(token, &chain.flow.client).await;
        self.stage.pool.chain_ended(&chain);
        revoked.ok().map(drop)
    }

    /// Nothing may come out of the race alive.
    async fn revoke_against_refresh(&mut self, other: &mut Self) -> Option<()> {
        let chain = self.chain().await?;
        let (refreshed, revoked) = tokio::join!(self.refresh(&chain), other.revoke(&chain.refresh, &chain.flow.client));
        let newer = self.keep(&refreshed, &chain.flow, chain.access.family, &chain.access.subject);
        self.all_ended(&[Some(chain), newer]);
        revoked.ok().map(drop)
    }

    async fn code_again(&mut self) -> Option<()> {
        let mut begun = self.begin().await?;
        let code = self.code(&mut begun).await?;
        let first = self.exchange(&begun, &code, Op::Code).await;
        let chain = self.keep_begun(&first, &begun);
        if let Some(chain) = &chain {
            self.introspect(&chain.access).await;
        }
        let again = self.exchange(&begun, &code, Op::Code).await;
        self.all_ended(&[chain, self.keep_begun(&again, &begun)]);
        (!again.is_lost()).then_some(())
    }

    async fn code_at_once(&mut self, other: &mut Self) -> Option<()> {
        let mut begun = self.begin().await?;
        let code = self.code(&mut begun).await?;
        let (one, two) = tokio::join!(self.exchange(&begun, &code, Op::Code), other.exchange(&begun, &code, Op::Code));
        self.all_ended(&[self.keep_begun(&one, &begun), self.keep_begun(&two, &begun)]);
        (!one.is_lost() && !two.is_lost()).then_some(())
    }

    async fn refresh_again(&mut self) -> Option<()> {
        let chain = self.chain().await?;
        let first = self.refresh(&chain).await;
        let newer = self.keep(&first, &chain.flow, chain.access.family, &chain.access.subject);
        if let Some(newer) = &newer {
            self.introspect(&newer.access).await;
        }
        let again = self.refresh(&chain).await;
        let more = self.keep(&again, &chain.flow, chain.access.family, &chain.access.subject);
        self.all_ended(&[Some(chain), newer, more]);
        (!again.is_lost()).then_some(())
    }

    async fn refresh_at_once(&mut self, other: &mut Self) -> Option<()> {
        let chain = self.chain().await?;
        let (one, two) = tokio::join!(self.refresh(&chain), other.refresh(&chain));
        let kept = [&one, &two].map(|heard| self.keep(heard, &chain.flow, chain.access.family, &chain.access.subject));
        self.all_ended(&kept);
        self.all_ended(&[Some(chain)]);
        (!one.is_lost() && !two.is_lost()).then_some(())
    }

    async fn device_at_once(&mut self, other: &mut Self) -> Option<()> {
        let (begun, device_code) = self.device().await?;
        let (one, two) = tokio::join!(self.poll(&begun, &device_code), other.poll(&begun, &device_code));
        let won = self.keep_begun(&one, &begun).or_else(|| self.keep_begun(&two, &begun));
        won.into_iter().for_each(|chain| self.stage.pool.put(chain));
        self.poll(&begun, &device_code).await;
        (!one.is_lost() && !two.is_lost()).then_some(())
    }

    async fn verifier_again(&mut self) -> Option<()> {
        let mut begun = self.begin().await?;
        // With the cookies that the first use takes away, as somebody who copied them would.
        let held = begun.jar.clone();
        let code = self.code(&mut begun).await;
        begun.jar = held;
        let again = self.verified(&mut begun, "code").await;
        if let Some(code) = code {
            let heard = self.exchange(&begun, &code, Op::Code).await;
            self.keep_begun(&heard, &begun).into_iter().for_each(|chain| self.stage.pool.put(chain));
        }
        (!again.is_lost()).then_some(())
    }

    async fn verifier_at_once(&mut self, other: &mut Self) -> Option<()> {
        let begun = self.begin().await?;
        let (of, mut one, mut two) =
            ((Op::Verifier, Key::of(&begun.back), begun.family), begun.jar.clone(), begun.jar.clone());
        let (one, two) = tokio::join!(
            self.browse(of, &mut one, &begun.back, "code"),
            other.browse(of, &mut two, &begun.back, "code")
        );
        let lost = one.is_lost() || two.is_lost();
        for won in [one, two].into_iter().filter_map(super::hand::Heard::ok) {
            let heard = self.exchange(&begun, &won.found, Op::Code).await;
            self.keep_begun(&heard, &begun).into_iter().for_each(|chain| self.stage.pool.put(chain));
        }
        (!lost).then_some(())
    }

    /// Another browser brings the verifier, without cookies and with those of a flow of its own; then the right one.
    async fn other_browser(&mut self) -> Option<()> {
        let mut begun = self.begin().await?;
        let (mut jar, path) = (Jar::default(), begun.flow.request(&chance::text(), &chance::text()));
        let of = (Op::VerifierElsewhere, Key::of(&begun.back), begun.family);
        self.browse(of, &mut Jar::default(), &begun.back, "code").await;
        self.browse((Op::Step, Key::default(), Key::default()), &mut jar, &path, "login_challenge").await.ok()?;
        self.browse(of, &mut jar, &begun.back, "code").await;
        let code = self.code(&mut begun).await?;
        let heard = self.exchange(&begun, &code, Op::Code).await;
        self.keep_begun(&heard, &begun).map(|chain| self.stage.pool.put(chain))
    }

    async fn wrong_verifier(&mut self) -> Option<()> {
        let mut begun = self.begin().await?;
        let code = self.code(&mut begun).await?;
        self.exchange(&begun, &code, Op::CodeWrong).await;
        let heard = self.exchange(&begun, &code, Op::Code).await;
        self.keep_begun(&heard, &begun).map(|chain| self.stage.pool.put(chain))
    }

    /// An operator takes a user's consent back.
    async fn end_consent(&mut self) -> Option<()> {
        let chain = self.sign_in().await?;
        for token in [&chain.access, &chain.access, &chain.refresh] {
            self.introspect(token).await;
        }
        let (subject, client) = (Arc::clone(&chain.access.subject), Arc::clone(&chain.access.client));
        let query = encoded(&[("subject", &subject), ("client", &client)]);
        let path = format!("/admin/oauth2/auth/sessions/consent?{query}");
        let call = Call { method: Method::DELETE, ..Call::get(&self.stage.target.admin, &path) };
        let family = chain.access.family;
        let ended = self.ask((Op::EndConsent, family, family), &call, Wants::Success).await;
        self.stage.pool.chain_ended(&chain);
        ended.ok().map(drop)
    }
}
