//! PostgreSQL ends one connection after the other while traffic runs. What everybody was told is kept, and must be a
//! history that one honest server could have told: no code with two winners, no refresh token with two successors,
//! nothing acknowledged lost, nothing used up by who was told to come again.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{join_all, join3};

use super::{QUIET, living_grants, unavailable};
use crate::harness::{Answer, Peer, Web, World};

const CODES: usize = 24;
const PLAYED: Duration = Duration::from_secs(4);
const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'signet' ORDER BY random() LIMIT 2) AS two";

/// Asks until it is answered; the answer, and how often it was told to come again.
async fn asked(what: &str, ask: impl AsyncFn() -> Answer) -> (Answer, usize) {
    for refused in 0..200 {
        let answer = ask().await;
        if answer.status != 503 {
            assert!([200, 400].contains(&answer.status), "{what}: {}", answer.brief());
            return (answer, refused);
        }
        unavailable(what, &answer);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: never answered");
}

fn refused(answer: &Answer) -> bool {
    assert!(answer.status == 200 || answer.error() == "invalid_grant", "{}", answer.brief());
    answer.status != 200
}

/// Two present the same code at once.
async fn race(peer: &Peer, web: &Web, code: &str) -> Vec<Answer> {
    let one = asked("exchange", async || peer.exchange(web, code, &[]).await);
    let other = asked("exchange", async || peer.exchange(web, code, &[]).await);
    let (one, other) = tokio::join!(one, other);
    let won = [one.0, other.0].into_iter().filter(|answer| !refused(answer)).collect::<Vec<_>>();
    assert!(won.len() < 2, "a code with two winners");
    won
}

/// One after the other; the last answer of a chain that lives, and whether some other end was told without a reason.
async fn chain(peer: &Peer, web: &Web, code: &str, over: &Cell<bool>) -> Option<Answer> {
    let (mut last, told) = asked("exchange", async || peer.exchange(web, code, &[]).await).await;
    if refused(&last) {
        assert!(told > 0, "a code was used up by nobody");
        return None;
    }
    while !over.get() {
        let token = last.get("refresh_token");
        let (next, told) = asked("refresh", async || peer.refresh(web, &token, &[]).await).await;
        if refused(&next) {
            assert!(told > 0, "a refresh token was used up by nobody");
            return None;
        }
        assert_ne!(next.get("refresh_token"), token);
        last = next;
    }
    Some(last)
}

/// Tokens that live, and tokens that were revoked.
async fn issue(peer: &Peer, id: &str, secret: &str, over: &Cell<bool>) -> (Vec<String>, Vec<String>) {
    let (mut live, mut dead) = (Vec::new(), Vec::new());
    while !over.get() {
        let token = asked("issue", async || peer.client_credentials(id, secret).await).await.0.get("access_token");
        let (seen, _) = asked("introspect", async || peer.introspect(&token).await).await;
        assert_eq!(seen.json()["active"], true, "{}", seen.brief());
        if live.len() > dead.len() {
            let (gone, _) = asked("revoke", async || peer.revoke(&token, id, secret).await).await;
            assert_eq!(gone.status, 200, "{}", gone.brief());
            let (seen, _) = asked("introspect", async || peer.introspect(&token).await).await;
            assert_eq!(seen.json()["active"], false, "{}", seen.brief());
            dead.push(token);
        } else {
            live.push(token);
        }
    }
    (live, dead)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_all_the_time_spoil_no_history() {
    let Some(world) = World::postgres(&QUIET).await else { return };
    let (web, (id, secret)) = (world.web().await, world.machine().await);
    let mut codes = Vec::new();
    for _ in 0..CODES {
        codes.push(world.code(&web).await);
    }
    let over = Cell::new(false);
    let peer = |at: usize| if at.is_multiple_of(2) { &world.a } else { &world.b };
    let (raced, chained) = codes.split_at(CODES / 2);
    let races = async {
        let mut won = Vec::new();
        for (at, code) in raced.iter().enumerate() {
            won.extend(race(peer(at), &web, code).await);
            tokio::time::sleep(PLAYED / 12).await;
        }
        over.set(true);
        won
    };
    let chains = join_all(chained.iter().enumerate().map(|(at, code)| chain(peer(at), &web, code, &over)));
    let issuers = join_all((0..4).map(|at| issue(peer(at), &id, &secret, &over)));
    let (killer, mut killed) = (world.database.client().await, 0);
    let kills = async {
        loop {
            killed += killer.query_one(KILL, &[]).await.unwrap().get::<_, i64>(0);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (won, ends, issued) = tokio::select! {
        played = join3(races, chains, issuers) => played,
        () = kills => unreachable!("it goes on for ever"),
    };
    let ends: Vec<Answer> = ends.into_iter().flatten().collect();
    let (live, dead): (Vec<_>, Vec<_>) = issued.into_iter().unzip();
    let (live, dead) = (live.concat(), dead.concat());
    println!("{killed} ended: {} tokens live, {} revoked, {} chains live", live.len(), dead.len(), ends.len());
    assert!(killed > 20 && live.len() > 20 && dead.len() > 20, "there was no load, or no fault");
    // Twice presented codes leave nothing; each chain that was not told otherwise goes on.
    for (tokens, alive) in [(&live, true), (&dead, false)] {
        for token in tokens {
            assert_eq!(asked("introspect", async || world.b.introspect(token).await).await.0.json()["active"], alive);
        }
    }
    for answer in &won {
        assert!(!world.a.is_active(&answer.get("access_token")).await, "what was won by a code that came twice");
    }
    let living = living_grants(&world.database).await;
    assert_eq!(usize::try_from(living).unwrap(), ends.len(), "grants that live, and chains that were not ended");
    for end in &ends {
        assert!(world.a.is_active(&end.get("access_token")).await);
        assert_eq!(world.b.refresh(&web, &end.get("refresh_token"), &[]).await.status, 200);
    }
}
