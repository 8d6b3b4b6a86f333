//! News of what ended: with a Redis that is well the other replica acts on them at once, long before an answer that it
//! keeps is too old.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::cache::{Pair, death, hits, looked, untold};
use super::series;
use super::statements::Counter;
use crate::harness::{Answer, Browser, Web, World, consented, param};

/// So old an answer may be in these tests: what dies sooner died of the news.
const LONG: (&str, &str) = ("INTROSPECTION_STALENESS", "10s");
/// What news may take at most, and what half of them take, on a machine that does other things.
const SOON: Duration = Duration::from_millis(1500);
const USUAL: Duration = Duration::from_millis(200);

/// With a tier inside of the process and without.
const LOCAL: (&str, &str) = ("INTROSPECTION_LOCAL_ENTRIES", "1000");
const NO_LOCAL: (&str, &str) = ("INTROSPECTION_LOCAL_ENTRIES", "0");

/// Half of them took no longer than is usual.
fn usual(what: &str, mut lags: Vec<Duration>) {
    lags.sort_unstable();
    let (median, most) = (lags[lags.len() / 2], lags[lags.len() - 1]);
    println!("{what}: inactive on the other replica after {median:?}, at most {most:?}");
    assert!(median < USUAL, "{what}: {lags:?}");
}

async fn revocation(tier: (&str, &str), answers: &str) {
    let Some(pair) = Pair::new(&[LONG, tier]).await else { return };
    let before = looked(&pair.world.b, answers).await;
    let mut lags = Vec::new();
    for _ in 0..50 {
        let token = pair.cached().await;
        pair.revoke(&token).await;
        lags.push(death(&pair.world.b, &token, "revoked", (Instant::now(), SOON)).await);
    }
    usual("revoked", lags);
    assert!(looked(&pair.world.b, answers).await >= before + 50, "nothing was cached");
    let canaries = series(&pair.world.b, "signet_revocation_lag_seconds_count{path=\"own\"}").await;
    let echoes = series(&pair.world.b, "signet_revocation_lag_seconds_count{path=\"peer\"}").await;
    assert!(canaries > 0 && echoes > 0, "{canaries} canaries, {echoes} echoes");
    assert_eq!(untold(&pair.world.a).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_known_on_the_other_replica_at_once() {
    revocation(NO_LOCAL, "redis").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_reaches_the_tier_inside_of_the_other_replica_at_once() {
    revocation(LOCAL, "local").await;
}

/// Ends a token on the first replica.
type End = for<'a> fn(&'a World, &'a Web, &'a Answer) -> futures_util::future::BoxFuture<'a, ()>;

/// Whatever ends tokens but their own revocation.
fn ends() -> [(&'static str, End); 6] {
    [
        ("refresh token revoked", |w, web, got| {
            Box::pin(async move {
                let token = got.get("refresh_token");
                assert_eq!(w.a.revoke(&token, &web.id, &web.secret).await.status, 200);
            })
        }),
        ("refreshed", |w, web, got| {
            Box::pin(async move {
                assert_eq!(w.a.refresh(web, &got.get("refresh_token"), &[]).await.status, 200);
            })
        }),
        ("refresh token reused", |w, web, got| {
            Box::pin(async move {
                let (first, used) = (w.a.refresh(web, &got.get("refresh_token"), &[]).await, got.get("refresh_token"));
                assert!(w.b.is_active(&first.get("access_token")).await);
                assert_eq!(w.a.refresh(web, &used, &[]).await.status, 400);
                let since = (Instant::now(), SOON);
                death(&w.b, &first.get("access_token"), "the successor of what was reused", since).await;
            })
        }),
        ("consent revoked", |w, _, _| {
            Box::pin(async move {
                let path = "/admin/oauth2/auth/sessions/consent?subject=a-user&all=true";
                assert_eq!(w.a.admin(Method::DELETE, path, None).await.status, 204);
            })
        }),
        ("tokens of the client deleted", |w, web, _| {
            Box::pin(async move {
                let path = format!("/admin/oauth2/tokens?client_id={}", web.id);
                assert_eq!(w.a.admin(Method::DELETE, &path, None).await.status, 204);
            })
        }),
        ("client deleted", |w, web, _| {
            Box::pin(async move {
                assert_eq!(w.a.admin(Method::DELETE, &format!("/admin/clients/{}", web.id), None).await.status, 204);
            })
        }),
    ]
}

async fn whatever_ends_a_token(tier: (&str, &str)) {
    let grace = ("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "0s");
    let Some(pair) = Pair::new(&[LONG, tier, grace]).await else { return };
    let (world, mut lags) = (&pair.world, Vec::new());
    let web = world.web_with(json!({"post_logout_redirect_uris": ["http://127.0.0.1:9010/bye"]})).await;
    for (what, end) in ends() {
        let got = world.tokens(&web).await;
        let token = got.get("access_token");
        pair.cache(&token).await;
        end(world, &web, &got).await;
        let since = (Instant::now(), SOON);
        lags.push(death(&world.b, &token, what, since).await);
        death(&world.a, &token, what, since).await;
    }
    usual("ended in another way", lags);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_token_reaches_the_other_replica() {
    whatever_ends_a_token(NO_LOCAL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_a_token_reaches_the_tier_inside_of_the_other_replica() {
    whatever_ends_a_token(LOCAL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_reaches_the_other_replica() {
    let Some(pair) = Pair::new(&[LONG, LOCAL]).await else { return };
    let (world, mut browser) = (&pair.world, Browser::default());
    let web = world.web().await;
    let login = json!({"subject": "leaves", "remember": true});
    let page = browser.signed_in(&world.a, &web, &[], login).await;
    let code = param(&consented(&world.a, &mut browser, &page).await.location(), "code");
    let got = world.a.exchange(&web, &code, &[]).await;
    let token = got.get("access_token");
    pair.cache(&token).await;
    let asked = browser.get(&world.a, &format!("{}/oauth2/sessions/logout", world.a.public)).await.location();
    let path =
        format!("/admin/oauth2/auth/requests/logout/accept?logout_challenge={}", param(&asked, "logout_challenge"));
    let next = world.a.admin(Method::PUT, &path, None).await.get("redirect_to");
    browser.get(&world.a, &next).await;
    death(&world.b, &token, "logged out", (Instant::now(), SOON)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_staleness_nothing_is_cached() {
    let Some(pair) = Pair::cold(&[("INTROSPECTION_STALENESS", "0s"), LOCAL], &[]).await else { return };
    // So long after its start a replica would answer from the cache.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let ([a, b], token) = ([&pair.world.a, &pair.world.b], pair.token().await);
    for _ in 0..3 {
        assert!(a.is_active(&token).await && b.is_active(&token).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let keys = || pair.redis.ask::<Vec<String>>(&["KEYS", "*"]);
    assert!(keys().is_empty(), "{:?}", keys());
    assert_eq!((hits(a).await, hits(b).await), (0, 0), "hits");
    assert_eq!((looked(a, "bypassed").await, looked(b, "bypassed").await), (3, 3));
    pair.revoke(&token).await;
    assert!(!b.is_active(&token).await && !a.is_active(&token).await);
    assert!(keys().is_empty(), "{:?}", keys());
}

/// A Redis that has lost everything sends all callers on; the database is not asked by each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_redis_is_no_storm_on_the_database() {
    const CALLERS: usize = 200;
    // How soon Redis answers so many is not looked at here.
    let Some(pair) = Pair::new(&[LONG, NO_LOCAL, ("REDIS_TIMEOUT", "2s")]).await else { return };
    let Some(count) = Counter::on(&pair.world).await else { return };
    let (token, peer) = (pair.cached().await, &pair.world.b);
    let before = (count.now().await, looked(peer, "miss").await);
    let _: () = pair.redis.ask(&["FLUSHALL"]);
    let asks = (0..CALLERS).map(|_| {
        let (peer, token) = (peer.clone(), token.clone());
        tokio::spawn(async move { peer.is_active(&token).await })
    });
    for asked in asks.collect::<Vec<_>>() {
        assert!(asked.await.unwrap());
    }
    let (spent, missed) = (count.now().await - before.0, looked(peer, "miss").await - before.1);
    println!("{CALLERS} callers, {missed} found nothing in Redis, {spent} statements");
    assert!(missed > 0 && spent > 0, "Redis was not empty");
    assert!(spent < 40, "{spent} statements for {CALLERS} callers, of whom {missed} found nothing");
}
