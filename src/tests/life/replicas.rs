//! Two replicas on one database are one server: single use, changes and keys are the same on both.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Database, Server, World, fresh, machine, postgres};
use crate::jose::{Assertion, Key};

const SEEN_WITHIN: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 50;

async fn one_jti_wins(world: &World) {
    let key = Key::es256("k1");
    let (id, _) = world
        .machine_with(json!({
            "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256", "jwks": {"keys": [key.public()]},
        }))
        .await;
    for _ in 0..3 {
        let assertion = Assertion::new(&id, &world.issuer()).sign(&key);
        let calls = (0..AT_ONCE).map(|n| {
            let peer = if n % 2 == 0 { world.a.clone() } else { world.b.clone() };
            let assertion = assertion.clone();
            tokio::spawn(async move { peer.form("/oauth2/token", &Assertion::form(&assertion), None).await })
        });
        let mut answers = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            answers.push(call.await.unwrap());
        }
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        let strange: Vec<_> = answers.iter().filter(|answer| ![200, 400, 401].contains(&answer.status)).collect();
        assert!(strange.is_empty(), "{}", strange[0].brief());
        assert_eq!(won, 1, "of {AT_ONCE} uses of one jti");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_50_uses_of_one_jti_one_wins_on_two_replicas() {
    let Some(world) = World::postgres(&[]).await else { return };
    one_jti_wins(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_50_uses_of_one_jti_one_wins_on_sqlite() {
    one_jti_wins(&World::sqlite(&[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_client_is_seen_by_the_other_replica_within_a_second() {
    let Some(world) = World::postgres(&[]).await else { return };
    let (id, old) = world.machine().await;
    world.a.token(&id, &old).await; // both have it on their shelf
    world.b.token(&id, &old).await;
    let new = fresh("another-secret");
    let changed = world.a.admin(Method::PUT, &format!("/admin/clients/{id}"), Some(machine(&id, &new))).await;
    assert_eq!(changed.status, 200, "{}", changed.brief());
    let began = Instant::now();
    while world.b.client_credentials(&id, &new).await.status != 200 {
        assert!(began.elapsed() < SEEN_WITHIN, "the new secret is unknown to the other replica");
    }
    assert_eq!(world.b.client_credentials(&id, &old).await.status, 401, "the old secret is dead on the other");
    assert_eq!(world.a.client_credentials(&id, &old).await.status, 401, "the old secret is dead where it was changed");

    let patch = json!([{"op": "replace", "path": "/scope", "value": "other"}]);
    let changed = world.a.admin(Method::PATCH, &format!("/admin/clients/{id}"), Some(patch)).await;
    assert_eq!(changed.status, 200, "{}", changed.brief());
    let form = [("grant_type", "client_credentials"), ("scope", "other")];
    let began = Instant::now();
    while world.b.form("/oauth2/token", &form, Some((&id, &new))).await.status != 200 {
        assert!(began.elapsed() < SEEN_WITHIN, "the new scope is unknown to the other replica");
    }

    let token = world.b.token(&id, &new).await;
    assert_eq!(world.b.admin(Method::DELETE, &format!("/admin/clients/{id}"), None).await.status, 204);
    let began = Instant::now();
    while world.a.client_credentials(&id, &new).await.status != 401 {
        assert!(began.elapsed() < SEEN_WITHIN, "the client is deleted, but not for the other replica");
    }
    assert!(!world.a.is_active(&token).await, "tokens of a deleted client are dead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_on_an_empty_key_table_publish_the_same_keys() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let (mut one, mut other) = (Server::launch(&dsn, None, &[]), Server::launch(&dsn, None, &[]));
    one.wait_ready().await;
    other.wait_ready().await;
    let (a, b) = (one.peer.get("/.well-known/jwks.json").await, other.peer.get("/.well-known/jwks.json").await);
    assert_eq!(a.status, 200, "{}", a.brief());
    let kids = |answer: &crate::harness::Answer| {
        let mut kids: Vec<String> =
            answer.json()["keys"].as_array().into_iter().flatten().map(|key| key["kid"].to_string()).collect();
        kids.sort();
        kids
    };
    assert!(!kids(&a).is_empty(), "{}", a.brief());
    assert_eq!(kids(&a), kids(&b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_migrators_at_once_both_succeed() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let dsn = database.dsn();
            tokio::task::spawn_blocking(move || Server::migrate(&dsn))
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    Server::start(&database.dsn(), None, &[]).await;
}
