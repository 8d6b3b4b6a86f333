//! Keys that change while tokens are signed with them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use signet::crypto::jose::Unverified;
use signet::crypto::jwk::{Alg, parse_set};

use super::QUIET;
use crate::harness::{Peer, World, jose_header};

/// Keys as a resource server keeps them: what it fetched last, and when.
async fn published(peer: &Peer) -> Value {
    let answer = peer.get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer.json()
}

/// Signed by a key of this set.
fn verified(set: &Value, jwt: &str) -> bool {
    Unverified::parse(jwt).unwrap().verify(&parse_set(set), &[Alg::ES256]).is_ok()
}

fn kid(jwt: &str) -> String {
    jose_header(jwt)["kid"].as_str().unwrap().to_owned()
}

const LEAD: Duration = Duration::from_secs(6);

/// Asks both replicas for tokens; whoever fetched the keys of the other one within the lead can verify them.
async fn ask_and_verify(world: &World, id: &str, secret: &str, over: &AtomicBool) -> HashMap<String, usize> {
    let (mut kept, mut signed) = ([published(&world.b).await, published(&world.a).await], HashMap::new());
    let mut fetched = Instant::now();
    while !over.load(Ordering::Relaxed) {
        for (at, peer) in [&world.a, &world.b].into_iter().enumerate() {
            let token = peer.token(id, secret).await;
            assert!(verified(&kept[at], &token), "keys of {:?} ago do not verify {}", fetched.elapsed(), kid(&token));
            *signed.entry(kid(&token)).or_insert(0) += 1;
        }
        if fetched.elapsed() > LEAD - Duration::from_secs(1) {
            kept = [published(&world.b).await, published(&world.a).await];
            fetched = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signed
}

/// Settings under which tokens are signed, by keys that change every few seconds.
pub(super) fn signs_jwts() -> [(&'static str, &'static str); 4] {
    [
        ("STRATEGIES_ACCESS_TOKEN", "jwt"),
        ("KEYS_ALGORITHM", "ES256"),
        ("KEYS_ROTATION_INTERVAL", "8s"),
        ("KEYS_ROTATION_PUBLISH_LEAD", "6s"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_change_under_load_verify_for_who_fetched_them_before() {
    let Some(world) = World::postgres(&[QUIET.as_slice(), &signs_jwts()].concat()).await else { return };
    keys_take_over(world).await;
}

/// Asks both replicas for tokens until a new key signs on each; whoever fetched the keys before can verify all of them.
pub(super) async fn keys_take_over(world: World) {
    let (id, secret) = world.machine().await;
    let (world, over) = (Arc::new(world), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (world, over, id, secret) = (Arc::clone(&world), Arc::clone(&over), id.clone(), secret.clone());
            tokio::spawn(async move { ask_and_verify(&world, &id, &secret, &over).await })
        })
        .collect();
    let (first, began) = (kid(&world.a.token(&id, &secret).await), Instant::now());
    while kid(&world.a.token(&id, &secret).await) == first || kid(&world.b.token(&id, &secret).await) == first {
        assert!(began.elapsed() < Duration::from_secs(40), "no key took over on each replica");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.store(true, Ordering::Relaxed);
    let mut signed: HashMap<String, usize> = HashMap::new();
    for caller in callers {
        for (kid, times) in caller.await.unwrap() {
            *signed.entry(kid).or_default() += times;
        }
    }
    println!("signed by each key: {signed:?}");
    assert!(signed.len() >= 2, "no key took over: {signed:?}");
}
