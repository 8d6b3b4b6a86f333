//! PostgreSQL commits, and its answer never arrives: the caller hears 503, and whatever it does next, there is one
//! outcome (never two living chains, never what was ended alive).

use reqwest::Method;
use serde_json::json;

use super::races::waits_for_a_row;
use super::{Stand, living_grants, number, unavailable};
use crate::harness::{Answer, Browser, Fault, Web, accept, param, postgres};
use crate::jose::{Assertion, Key};

impl Stand {
    async fn lossy(env: &[(&str, &str)]) -> Option<Self> {
        Some(Self::on(&postgres()?, env).await)
    }

    /// Does it while answers to commits are lost; one must have been, and the caller hears 503.
    async fn lose(&self, what: &str, ask: impl Future<Output = Answer>) {
        let before = self.proxy.lost();
        self.proxy.play(Fault::LoseAnswer);
        let answer = ask.await;
        self.proxy.mend();
        // The outbox is looked at all the time: its answers may be lost too.
        assert!(self.proxy.lost() > before, "{what}: no answer was lost: {}", answer.brief());
        assert_eq!(answer.status, 503, "{what}: {}", answer.brief());
    }
}

fn refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_grant"), "{what}: {}", answer.brief());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_an_issue_is_lost_and_the_next_one_is_good() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let (id, secret) = stand.world.machine().await;
    stand.peer().token(&id, &secret).await;
    stand.lose("issue", stand.peer().client_credentials(&id, &secret)).await;
    let token = stand.peer().token(&id, &secret).await;
    assert!(stand.peer().is_active(&token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_code_is_lost_and_nothing_lives_on_it() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let web = stand.world.web().await;
    let code = stand.world.code(&web).await;
    stand.lose("exchange", stand.peer().exchange(&web, &code, &[])).await;
    refused(&stand.peer().exchange(&web, &code, &[]).await, "the code again");
    assert_eq!(living_grants(&stand.world.database).await, 0, "something lives on the code");
    stand.world.tokens(&web).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_refresh_is_lost_and_without_grace_the_grant_ends() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let web = stand.world.web().await;
    let first = stand.world.tokens(&web).await;
    let token = first.get("refresh_token");
    stand.lose("refresh", stand.peer().refresh(&web, &token, &[])).await;
    refused(&stand.peer().refresh(&web, &token, &[]).await, "the token again");
    assert_eq!(living_grants(&stand.world.database).await, 0, "a chain lives");
    assert!(!stand.peer().is_active(&first.get("access_token")).await);
    stand.world.tokens(&web).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_refresh_is_lost_and_within_grace_there_is_one_successor() {
    let grace = [("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "1m")];
    let Some(stand) = Stand::lossy(&grace).await else { return };
    let web = stand.world.web().await;
    let token = stand.world.tokens(&web).await.get("refresh_token");
    stand.lose("refresh", stand.peer().refresh(&web, &token, &[])).await;
    let (one, other) = (stand.peer().refresh(&web, &token, &[]).await, stand.peer().refresh(&web, &token, &[]).await);
    assert_eq!((one.status, other.status), (200, 200), "{} {}", one.brief(), other.brief());
    for name in ["access_token", "refresh_token"] {
        assert_eq!(one.get(name), other.get(name), "two successors: {name}");
        assert!(stand.peer().is_active(&one.get(name)).await, "{name}");
    }
    let unused = "SELECT count(*) FROM refresh_token WHERE used_at IS NULL";
    assert_eq!(number(&stand.world.database, unused).await, 1, "one chain");
    assert_eq!(stand.peer().refresh(&web, &one.get("refresh_token"), &[]).await.status, 200, "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_revocation_is_lost_and_the_token_is_dead() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let (id, secret) = stand.world.machine().await;
    let token = stand.peer().token(&id, &secret).await;
    stand.lose("revoke", stand.peer().revoke(&token, &id, &secret)).await;
    assert!(!stand.peer().is_active(&token).await, "what was committed holds");
    assert_eq!(stand.peer().revoke(&token, &id, &secret).await.status, 200, "and revoking again does no harm");
    let web = stand.world.web().await;
    let tokens = stand.world.tokens(&web).await;
    stand.lose("revoke", stand.peer().revoke(&tokens.get("refresh_token"), &web.id, &web.secret)).await;
    for name in ["access_token", "refresh_token"] {
        assert!(!stand.peer().is_active(&tokens.get(name)).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_consent_is_lost_and_there_is_one_grant_at_most() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let web: Web = stand.world.web().await;
    let (peer, mut browser) = (stand.peer(), Browser::default());
    let page = browser.signed_in(peer, &web, &[], json!({"subject": "a-user"})).await;
    let back = accept(peer, "consent", &page, json!({"grant_scope": ["openid", "offline"]})).await;
    let mut other = browser.clone();
    stand.lose("consent", async { other.go(peer, &back).await }).await;
    let again = browser.go(peer, &back).await;
    assert!(!again.location().contains("code="), "a second code: {}", again.location());
    assert!((300..500).contains(&again.status), "{}", again.brief());
    let codes = number(&stand.world.database, "SELECT count(*) FROM authorization_code").await;
    assert_eq!(codes, 1, "codes of one consent");
    assert!(!param(&stand.world.sign_in(&web, &[], json!({})).await, "code").is_empty(), "a new login is good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_an_assertion_is_lost_and_it_is_used_up() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let key = Key::es256("k1");
    let (id, _) = stand
        .world
        .machine_with(json!({
            "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256", "jwks": {"keys": [key.public()]},
        }))
        .await;
    let assertion = || Assertion::new(&id, &stand.world.issuer()).sign(&key);
    let ask = async |assertion: &str| stand.peer().form("/oauth2/token", &Assertion::form(assertion), None).await;
    assert_eq!(ask(&assertion()).await.status, 200);
    let lost = assertion();
    stand.lose("assertion", ask(&lost)).await;
    let again = ask(&lost).await;
    assert!([400, 401].contains(&again.status), "it was used twice: {}", again.brief());
    assert_eq!(ask(&assertion()).await.status, 200);
    assert_eq!(number(&stand.world.database, "SELECT count(*) FROM assertion_jti").await, 3);
    stand.proxy.cut();
    unavailable("cut", &ask(&assertion()).await);
    assert_eq!(number(&stand.world.database, "SELECT count(*) FROM assertion_jti").await, 3, "and nothing is, unasked");
}

/// Deletions of clients wait here while somebody else has the lock.
const GATE: &str = "
    CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN OLD; END $$;
    CREATE TRIGGER gate BEFORE DELETE ON client FOR EACH ROW EXECUTE FUNCTION gate();
    SELECT pg_advisory_lock(4711)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_a_clients_deletion_is_lost_and_it_is_told_all_the_same() {
    let Some(stand) = Stand::lossy(&[]).await else { return };
    let (id, secret) = stand.world.machine().await;
    let token = stand.peer().token(&id, &secret).await;
    let (holder, watcher) = (stand.world.database.client().await, stand.world.database.client().await);
    holder.batch_execute(GATE).await.unwrap();
    let path = format!("/admin/clients/{id}");
    let delete = async || stand.peer().admin(Method::DELETE, &path, None).await;
    let lose = async {
        waits_for_a_row(&watcher).await;
        stand.proxy.play(Fault::LoseAnswer);
        holder.batch_execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
    };
    let (gone, ()) = tokio::join!(delete(), lose);
    stand.proxy.mend();
    assert!(stand.proxy.lost() > 0, "no answer was lost");
    assert_eq!(gone.status, 204, "{}", gone.brief());
    assert!(!stand.peer().is_active(&token).await);
    assert_eq!(delete().await.status, 404, "who asks for what is gone");
    let refused = stand.peer().client_credentials(&id, &secret).await;
    assert_eq!((refused.status, refused.error().as_str()), (401, "invalid_client"));
}
