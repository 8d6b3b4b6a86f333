//! Family C: tokens after they were given out.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Case, Peer, Redis, World, cases};

const FAMILY: [Case; 8] = cases! {
    "C08" "revoke: own, again, unknown, another client's" => revoke,
    "C11" "a token under another type's name" => renamed,
    "C12" "a token cut, grown, with other tail bits, in other case" => variants,
    "C13" "a row planted in the database is no token" => planted,
    "C15" "a scope asked at introspection is judged each time" => scope_at_introspection,
    "C17" "a token that has run out is inactive" => expired,
    "C18" "introspection is never stored by a cache" => no_store,
    "C21" "all tokens of one client, and nobody else's" => by_client,
};
super::on_both!(FAMILY);

async fn revoke(world: &World) {
    let (id, secret) = world.machine().await;
    let (other, others_secret) = world.machine().await;
    let token = world.a.token(&id, &secret).await;
    assert_eq!(world.b.revoke(&token, &other, &others_secret).await.status, 200, "as if unknown");
    assert!(world.a.is_active(&token).await, "another client's revocation has no effect");
    let answer = world.b.revoke(&token, &id, "wrong").await;
    assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "{}", answer.brief());
    assert!(world.a.is_active(&token).await);
    for _ in 0..2 {
        assert_eq!(world.b.revoke(&token, &id, &secret).await.status, 200);
        assert!(!world.a.is_active(&token).await && !world.b.is_active(&token).await);
    }
    for unknown in ["zzz", "ory_at_zzz.zzz", "ory_at_", "a.b.c", "é"] {
        let answer = world.a.revoke(unknown, &id, &secret).await;
        assert_eq!(answer.status, 200, "{unknown}: {}", answer.brief());
    }
}

async fn renamed(world: &World) {
    let (id, secret) = world.machine().await;
    let token = world.a.token(&id, &secret).await;
    let bare = token.strip_prefix("ory_at_").unwrap_or_else(|| panic!("an opaque token has its prefix: {token}"));
    for prefix in ["ory_rt_", "ory_ac_", "ory_dc_", "ory_xx_", "ORY_AT_", " ory_at_", "ory_at_ory_at_"] {
        assert!(!world.b.is_active(&format!("{prefix}{bare}")).await, "{prefix}");
    }
    let answer = Peer::send(world.a.to_public(Method::GET, "/userinfo").bearer_auth(format!("ory_rt_{bare}"))).await;
    assert!([401, 404].contains(&answer.status), "{}", answer.brief());
}

async fn variants(world: &World) {
    let (id, secret) = world.machine().await;
    let token = world.a.token(&id, &secret).await;
    world.cache(&world.b, &token).await;
    let (key, signature) = token.split_once('.').unwrap_or_else(|| panic!("an opaque token has two parts: {token}"));
    let flip = |text: &str| {
        let swap = |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        text.chars().map(swap).collect::<String>()
    };
    let mut tails: Vec<String> = Vec::new();
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let tail = format!("{}{last}", &token[..token.len() - 1]);
        if tail != token {
            tails.push(tail);
        }
    }
    let others = [
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        format!("{token}="),
        format!("{token}."),
        format!("{token}\n"),
        format!("{key}.{}", flip(signature)),
        format!("{}.{signature}", flip(key)),
        format!("{key}.{signature}.{signature}"),
        format!("{key}.{}", signature.replace('-', "+").replace('_', "/") + "+"),
        format!("{signature}.{key}"),
        format!("{key}."),
        format!(".{signature}"),
    ];
    for wrong in tails.iter().chain(&others) {
        let answer = world.b.introspect(wrong).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"active": false})), "{wrong:?}");
    }
    assert!(world.b.is_active(&token).await, "the right one still is");
}

async fn planted(world: &World) {
    let (id, secret) = world.machine().await;
    let token = world.a.token(&id, &secret).await;
    let (_, signature) = token.split_once('.').unwrap();
    for forged in [format!("ory_at_AAAA.{signature}"), format!("ory_at_{signature}.{signature}")] {
        assert!(!world.a.is_active(&forged).await, "the key does not belong to the signature");
    }
}

async fn scope_at_introspection(world: &World) {
    let (id, secret) = world.machine().await;
    let form = [("grant_type", "client_credentials"), ("scope", "read")];
    let token = world.a.form("/oauth2/token", &form, Some((&id, &secret))).await.get("access_token");
    world.cache(&world.b, &token).await;
    let before = world.hits(&world.b).await;
    for (scope, active) in [("write", false), ("read", true), ("read write", false), ("", true)] {
        let request = world.b.to_admin(Method::POST, "/admin/oauth2/introspect");
        let answer = Peer::send(request.form(&[("token", token.as_str()), ("scope", scope)])).await;
        assert_eq!(answer.json()["active"], json!(active), "{scope:?}: {}", answer.brief());
    }
    let all = if world.redis.is_some() { 4 } else { 0 };
    assert_eq!(world.hits(&world.b).await - before, all, "a scope was judged without what is cached");
}

async fn expired(world: &World) {
    let (id, secret) = world.machine_with(json!({"client_credentials_grant_access_token_lifespan": "2s"})).await;
    let answer = world.a.client_credentials(&id, &secret).await;
    assert_eq!(
        answer.json()["expires_in"].as_i64().map(|seconds| (1..=2).contains(&seconds)),
        Some(true),
        "{}",
        answer.brief()
    );
    let token = answer.get("access_token");
    assert!(world.b.is_active(&token).await);
    let kept = |redis: &Redis| redis.ask::<Vec<String>>(&["KEYS", "signet:t:*"]);
    let kept = if let Some(redis) = &world.redis {
        let _: () = redis.ask(&["FLUSHALL"]);
        world.cache(&world.b, &token).await;
        kept(redis)
    } else {
        Vec::new()
    };
    // Redis, too, would forget it by then.
    for key in &kept {
        assert_eq!(world.redis.as_ref().map(|redis| redis.ask::<u64>(&["PERSIST", key])), Some(1), "{kept:?}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(3_200)).await;
    assert!(!world.a.is_active(&token).await && !world.b.is_active(&token).await);
    for key in &kept {
        assert_eq!(world.redis.as_ref().map(|redis| redis.ask::<u64>(&["EXISTS", key])), Some(1), "Redis has it");
    }
}

async fn no_store(world: &World) {
    let (id, secret) = world.machine().await;
    let given = world.a.client_credentials(&id, &secret).await;
    assert!(given.header("cache-control").contains("no-store"), "token: {:?}", given.headers);
    for token in [given.get("access_token"), "unknown".to_owned()] {
        let answer = world.a.introspect(&token).await;
        assert!(answer.header("cache-control").contains("no-store"), "{}: {:?}", answer.brief(), answer.headers);
    }
}

async fn by_client(world: &World) {
    let (id, secret) = world.machine().await;
    let (other, others_secret) = world.machine().await;
    let (jwt, jwt_secret) = world.machine_with(json!({"access_token_strategy": "jwt"})).await;
    let mut mine = Vec::new();
    for peer in [&world.a, &world.b, &world.a] {
        mine.push(peer.token(&id, &secret).await);
    }
    let theirs = world.a.token(&other, &others_secret).await;
    let signed = world.a.token(&jwt, &jwt_secret).await;
    for token in mine.iter().chain([&signed]) {
        world.cache(&world.a, token).await;
    }
    for client in [&id, &jwt] {
        let answer = world.b.admin(Method::DELETE, &format!("/admin/oauth2/tokens?client_id={client}"), None).await;
        assert_eq!(answer.status, 204, "{}", answer.brief());
    }
    for token in mine.iter().chain([&signed]) {
        assert!(!world.a.is_active(token).await);
    }
    assert!(world.a.is_active(&theirs).await, "another client's token");
    assert!(world.a.is_active(&world.b.token(&id, &secret).await).await, "a later token of the same client");
}
