//! A replica whose clock is wrong, beside one whose clock is right. What decides is the database's clock: nothing is good
//! for longer anywhere, nothing is good twice, and the operator is told. The tokens of a replica that is ahead say so
//! themselves, in `exp`; those of one that is behind end early.

use std::time::{Duration, Instant};

use serde_json::json;

use super::process::{keys_take_over, signs_jwts};
use super::{QUIET, living_grants};
use crate::harness::{Browser, Database, Peer, Server, Web, World, WrongClock, accept, param, postgres};
use crate::jose::now;
use crate::life::cache::{Pair, hits, judge, looked};
use crate::life::gauge;

/// A token's and a code's life in these tests, and how late an end may be seen on a machine that does other things.
const LIFE: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_millis(1500);

/// Two replicas, `b` with a clock that is off by so many seconds; `env` is for both, `own` for `a` alone.
async fn apart(seconds: i64, env: &[(&str, &str)], own: &[(&str, &str)]) -> Option<(World, WrongClock)> {
    let (admin, clock) = (postgres()?, WrongClock::by(seconds)?);
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let env = [QUIET.as_slice(), env].concat();
    let a = Server::start(&database.dsn(), None, &[&env, own].concat()).await;
    let issuer = format!("{}/", a.peer.public);
    let b = Server::start(&database.dsn(), Some(&issuer), &[env.as_slice(), &clock.env()].concat()).await;
    for (peer, expected) in [(&a.peer, 0), (&b.peer, seconds)] {
        let told = gauge(peer, "signet_clock_ahead_seconds").await;
        assert!((told - expected as f64).abs() < 1.0, "{told} instead of {expected}");
    }
    assert!(b.said().contains("set the clocks") && !a.said().contains("set the clocks"), "{}", b.said());
    Some((World::of(vec![a, b], database), clock))
}

/// When both replicas have said that it is over, which they may not do before its life is.
async fn over_in_time(what: &str, began: Instant, world: &World, token: &str) {
    let ends = async |peer: &Peer| {
        while peer.is_active(token).await {
            assert!(began.elapsed() < LIFE + SLACK, "{what}: it lives after {:?}", began.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(began.elapsed() > LIFE - Duration::from_secs(1), "{what}: over after {:?}", began.elapsed());
    };
    tokio::join!(ends(&world.b), ends(&world.a));
}

async fn tokens_end(world: &World, seconds: i64) {
    let (id, secret) = world.machine().await;
    let life = json!({"client_credentials_grant_access_token_lifespan": "3s"});
    let (short, its) = world.machine_with(life).await;
    for issuer in [&world.a, &world.b] {
        let token = issuer.token(&id, &secret).await;
        assert!(world.a.is_active(&token).await && world.b.is_active(&token).await);
        assert_eq!(world.b.revoke(&token, &id, &secret).await.status, 200);
        assert!(!world.a.is_active(&token).await && !world.b.is_active(&token).await);
    }
    let (began, token) = (Instant::now(), world.a.token(&short, &its).await);
    assert!(world.b.is_active(&token).await, "a replica that is ahead ends nothing early");
    over_in_time("issued by a right clock", began, world, &token).await;
    // By its own clock it lives three seconds; what it says of itself is what holds.
    let token = world.b.token(&short, &its).await;
    for peer in [&world.a, &world.b] {
        let said = peer.introspect(&token).await.json();
        assert_eq!(said["active"], seconds > 0, "{seconds}: {said}");
        let left = said["exp"].as_i64().map(|exp| exp - now());
        assert!(left.is_none_or(|left| (left - seconds).abs() < 10), "{seconds}: {left:?} seconds are left");
    }
}

async fn codes_and_refresh_tokens_are_used_once(world: &World) {
    let web = world.web().await;
    let good = world.code(&web).await;
    let first = world.b.exchange(&web, &good, &[]).await;
    assert_eq!(first.status, 200, "{}", first.brief());
    let (late, began) = (world.code(&web).await, Instant::now());
    tokio::time::sleep((LIFE + Duration::from_millis(500)).saturating_sub(began.elapsed())).await;
    let refused = world.b.exchange(&web, &late, &[]).await;
    assert_eq!((refused.status, refused.error().as_str()), (400, "invalid_grant"), "a code that is over");
    let second = world.b.refresh(&web, &first.get("refresh_token"), &[]).await;
    assert_eq!(second.status, 200, "{}", second.brief());
    assert!(world.a.is_active(&second.get("access_token")).await);
    assert_eq!(world.a.refresh(&web, &first.get("refresh_token"), &[]).await.status, 400, "it was used");
    assert!(!world.b.is_active(&second.get("access_token")).await, "and its grant is over");
    assert_eq!(living_grants(&world.database).await, 1, "that of the late code");
}

/// A sign-in every step of which is at the other replica than the one before; what the client hears.
async fn signed_in_across(one: &Peer, other: &Peer, web: &Web, more: &[(&str, &str)]) -> String {
    let mut browser = Browser::default();
    let page = browser.ask(one, web, more).await.location();
    let back = accept(other, "login", &page, json!({"subject": "a-user", "remember": true})).await;
    let page = browser.go(one, &back).await.location();
    let back = accept(other, "consent", &page, json!({"grant_scope": ["openid", "offline"]})).await;
    browser.go(one, &back).await.location()
}

async fn users_sign_in(world: &World) {
    let web = world.web().await;
    for more in [vec![], vec![("prompt", "login")], vec![("max_age", "60")]] {
        for (one, other) in [(&world.a, &world.b), (&world.b, &world.a)] {
            let end = signed_in_across(one, other, &web, &more).await;
            assert!(!param(&end, "code").is_empty(), "{more:?}: {end}");
        }
    }
}

async fn the_database_decides(seconds: i64) {
    let Some((world, _clock)) = apart(seconds, &[], &[("TTL_AUTH_CODE", "3s")]).await else { return };
    tokens_end(&world, seconds).await;
    codes_and_refresh_tokens_are_used_once(&world).await;
    users_sign_in(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_minutes_ahead_makes_nothing_live_longer_or_twice() {
    the_database_decides(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_minutes_behind_makes_nothing_live_longer_or_twice() {
    the_database_decides(-300).await;
}

/// Who is behind keeps nothing; who is ahead keeps what it reads itself; revocations are known in time on both.
async fn cached(seconds: i64) {
    let Some(clock) = WrongClock::by(seconds) else { return };
    let Some(pair) = Pair::cold(&[], &clock.env()).await else { return };
    let (behind, ahead) = if seconds > 0 { (&pair.world.a, &pair.world.b) } else { (&pair.world.b, &pair.world.a) };
    pair.until_used(ahead).await;
    for _ in 0..3 {
        let (ends, lives) = (pair.asked().await, pair.asked().await);
        judge(&pair, &format!("{seconds} seconds off"), &ends, &lives).await;
    }
    assert_eq!(hits(behind).await, 0, "{seconds}: who is behind tells what others keep");
    assert!(looked(behind, "bypassed").await > 0 && hits(ahead).await > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_clock_makes_no_cached_answer_live_longer() {
    tokio::join!(cached(3), cached(-3));
    tokio::join!(cached(300), cached(-300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_ahead_signs_with_no_key_before_its_time() {
    let Some((world, _clock)) = apart(300, &signs_jwts(), &[]).await else { return };
    keys_take_over(world).await;
}
