//! Family D: who is the client?

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Case, Peer, World, cases, fresh, machine};
use crate::jose::{Assertion, Key, now};

const FAMILY: [Case; 16] = cases! {
    "D01" "an unknown client and a wrong secret look the same, in time too" => unknown_is_wrong,
    "D02" "two methods at once, or one that is not registered" => two_methods,
    "D03" "Basic credentials that are not" => odd_basic,
    "D04" "long secrets are not cut, and odd stored hashes are no panic" => long_secrets,
    "D05" "an assertion is used once, also at once and on another replica" => assertion_once,
    "D06" "a jti is burnt by nobody but its client, and only when the assertion is right" => jti_not_burnt,
    "D07" "the audience of an assertion" => audience,
    "D08" "the times of an assertion" => times,
    "D09" "algorithms that are not the registered one" => algorithms,
    "D10" "keys named by the header are ignored" => header_keys,
    "D11" "odd kids" => odd_kids,
    "D12" "secret rotation: both, then one" => rotation,
    "D13" "grant types that are not the client's, or nobody's" => grant_types,
    "D14" "a public client gets no client_credentials" => public_client,
    "D15" "the honest client after many wrong secrets" => after_guessing,
    "D17" "a deleted client" => deleted,
};
super::on_both!(FAMILY);

const CC: [(&str, &str); 1] = [("grant_type", "client_credentials")];

fn refused(what: &str, answer: &Answer, status: &[u16], error: &[&str]) {
    assert!(
        status.contains(&answer.status) && error.contains(&answer.error().as_str()),
        "{what}: expected {status:?} {error:?}, got {}",
        answer.brief()
    );
}

fn invalid_client(what: &str, answer: &Answer) {
    refused(what, answer, &[401], &["invalid_client"]);
}

async fn with_authorization(peer: &Peer, value: &[u8]) -> Answer {
    let header = reqwest::header::HeaderValue::from_bytes(value).unwrap();
    Peer::send(peer.to_public(Method::POST, "/oauth2/token").form(&CC).header("authorization", header)).await
}

async fn unknown_is_wrong(world: &World) {
    let (id, _) = world.machine().await;
    let mut spent = [Vec::new(), Vec::new()];
    for round in 0..15 {
        for (kind, who) in [id.clone(), fresh("nobody")].into_iter().enumerate() {
            let began = Instant::now();
            let answer = world.a.client_credentials(&who, &format!("wrong-{round}")).await;
            spent[kind].push(began.elapsed());
            invalid_client("wrong or unknown", &answer);
        }
    }
    let (wrong, unknown) =
        (world.a.client_credentials(&id, "wrong").await, world.a.client_credentials("nobody-knows", "wrong").await);
    assert_eq!(wrong.text, unknown.text, "the bodies");
    // Their order is a hash map's, another one in every answer.
    let names = |answer: &Answer| answer.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(names(&wrong), names(&unknown), "the headers");
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (known, unknown) = (median(&mut spent[0]), median(&mut spent[1]));
    let ratio = known.max(unknown) / known.min(unknown);
    assert!(ratio < 2.5, "wrong secret {known:.4} s, unknown client {unknown:.4} s");
}

async fn two_methods(world: &World) {
    let (id, secret) = world.machine().await;
    let both = [("grant_type", "client_credentials"), ("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let answer = world.a.form("/oauth2/token", &both, Some((&id, &secret))).await;
    refused("Basic and body", &answer, &[400, 401], &["invalid_request", "invalid_client"]);
    invalid_client("body where Basic is registered", &world.a.form("/oauth2/token", &both, None).await);
    let key = Key::es256("k");
    let assertion = Assertion::new(&id, &world.issuer()).sign(&key);
    let answer = world.a.form("/oauth2/token", &Assertion::form(&assertion), Some((&id, &secret))).await;
    refused("Basic and assertion", &answer, &[400, 401], &["invalid_request", "invalid_client"]);
    let answer = world.a.form("/oauth2/token", &Assertion::form(&assertion), None).await;
    invalid_client("assertion where Basic is registered", &answer);
    let (post, secret) = world.machine_with(json!({"token_endpoint_auth_method": "client_secret_post"})).await;
    invalid_client("Basic where body is registered", &world.a.client_credentials(&post, &secret).await);
    let mut twice = both.to_vec();
    twice.push(("client_secret", "other"));
    let answer = world.a.form("/oauth2/token", &twice, None).await;
    refused("a secret twice", &answer, &[400, 401], &["invalid_request", "invalid_client"]);
}

async fn odd_basic(world: &World) {
    let (id, secret) = world.machine().await;
    let encoded = |pair: &[u8]| format!("Basic {}", STANDARD.encode(pair)).into_bytes();
    let right = encoded(format!("{id}:{secret}").as_bytes());
    let lower = String::from_utf8(right.clone()).unwrap().replacen("Basic", "basic", 1);
    assert_eq!(with_authorization(&world.a, lower.as_bytes()).await.status, 200, "the scheme has no case");
    for (what, header) in [
        ("not base64", b"Basic %%%".to_vec()),
        ("nothing", b"Basic ".to_vec()),
        ("no colon", encoded(b"justonepart")),
        ("percent that is none", encoded(b"a%zz:b%zz")),
        ("NUL", encoded(b"a\0b:c\0d")),
        ("not UTF-8", encoded(b"\xff\xfe:\xff")),
        ("empty parts", encoded(b":")),
        ("another scheme", b"Digest abc".to_vec()),
        ("20 kB", encoded(&[b'a'; 20_000])),
    ] {
        let answer = with_authorization(&world.a, &header).await;
        assert!([400, 401, 431].contains(&answer.status), "{what}: {}", answer.brief());
        if answer.status == 401 {
            assert!(!answer.header("www-authenticate").is_empty(), "{what}: no WWW-Authenticate");
        }
    }
    let plus = fresh("a+b c%25");
    world.a.create(machine(&plus, "s+ e%:c-ret")).await;
    assert_eq!(world.a.client_credentials(&plus, "s+ e%:c-ret").await.status, 200, "form-encoded parts");
}

async fn long_secrets(world: &World) {
    let long = "x".repeat(80);
    let (id, _) = world.machine_with(json!({"client_secret": long})).await;
    assert_eq!(world.a.client_credentials(&id, &long).await.status, 200);
    invalid_client("cut at 72", &world.b.client_credentials(&id, &long[..72]).await);
    invalid_client("another end", &world.b.client_credentials(&id, &format!("{}y", &long[..79])).await);
    for hash in ["$2a$04$~~~", "$pbkdf2-sha256$i=1,l=32$x$y", "$argon2id$v=19$m=1,t=1,p=1$$", "$2b$31$short"] {
        let (id, _) = world.machine_with(json!({"client_secret": hash})).await;
        let answer = world.a.client_credentials(&id, "anything-else").await;
        assert!([400, 401].contains(&answer.status), "{hash}: {}", answer.brief());
    }
}

/// A client with a key of its own.
async fn signer(world: &World, key: &Key, alg: &str) -> String {
    let over = json!({
        "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": alg, "jwks": {"keys": [key.public()]},
    });
    world.machine_with(over).await.0
}

async fn present(peer: &Peer, assertion: &str) -> Answer {
    peer.form("/oauth2/token", &Assertion::form(assertion), None).await
}

async fn assertion_once(world: &World) {
    let key = Key::es256("k");
    let id = signer(world, &key, "ES256").await;
    let assertion = Assertion::new(&id, &world.issuer()).sign(&key);
    let first = present(&world.a, &assertion).await;
    assert_eq!(first.status, 200, "{}", first.brief());
    for peer in [&world.a, &world.b] {
        refused("replay", &present(peer, &assertion).await, &[400, 401], &["jti_known", "invalid_client"]);
    }
    let assertion = Assertion::new(&id, &world.issuer()).sign(&key);
    let calls: Vec<_> = (0..12)
        .map(|n| {
            let peer = if n % 2 == 0 { world.a.clone() } else { world.b.clone() };
            let assertion = assertion.clone();
            tokio::spawn(async move { present(&peer, &assertion).await.status })
        })
        .collect();
    let mut won = 0;
    for call in calls {
        won += u32::from(call.await.unwrap() == 200);
    }
    assert_eq!(won, 1, "of 12 at once");
}

async fn jti_not_burnt(world: &World) {
    let (mine, other) = (Key::es256("k"), Key::es256("k"));
    let (id, neighbour) = (signer(world, &mine, "ES256").await, signer(world, &other, "ES256").await);
    let jti = fresh("shared-jti");
    let with_jti = |client: &str, audience: &str| Assertion::new(client, audience).claim("jti", json!(jti));
    let forged = with_jti(&id, &world.issuer()).sign(&other);
    invalid_client("signed by another key", &present(&world.a, &forged).await);
    let elsewhere = with_jti(&id, "https://elsewhere.example/").sign(&mine);
    invalid_client("for another server", &present(&world.a, &elsewhere).await);
    let neighbours = with_jti(&neighbour, &world.issuer()).sign(&other);
    assert_eq!(present(&world.a, &neighbours).await.status, 200, "the neighbour's own");
    let honest = present(&world.b, &with_jti(&id, &world.issuer()).sign(&mine)).await;
    assert_eq!(honest.status, 200, "still good for its client: {}", honest.brief());
}

async fn audience(world: &World) {
    let key = Key::es256("k");
    let id = signer(world, &key, "ES256").await;
    let token_url = format!("{}oauth2/token", world.issuer());
    for audience in [world.issuer(), token_url] {
        let answer = present(&world.a, &Assertion::new(&id, &audience).sign(&key)).await;
        assert_eq!(answer.status, 200, "{audience}: {}", answer.brief());
    }
    for wrong in [json!("https://elsewhere.example/"), json!(""), Value::Null, json!(17), json!({}), json!([])] {
        let assertion = Assertion::new(&id, "").claim("aud", wrong.clone()).sign(&key);
        invalid_client(&format!("aud {wrong}"), &present(&world.a, &assertion).await);
    }
}

async fn times(world: &World) {
    let key = Key::es256("k");
    let id = signer(world, &key, "ES256").await;
    for (name, value) in [
        ("exp", Value::Null),
        ("exp", json!("soon")),
        ("exp", json!(true)),
        ("exp", json!(-1)),
        ("exp", json!(now() - 120)),
        ("exp", json!(now() + 86_400 * 400)),
        ("exp", json!(1e300)),
        ("iat", json!(now() + 3_600)),
        ("iat", json!("yesterday")),
        ("nbf", json!(now() + 3_600)),
        ("nbf", json!([])),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!(1)),
        ("sub", json!("another")),
        ("iss", json!("another")),
        ("sub", Value::Null),
        ("iss", Value::Null),
    ] {
        let assertion = Assertion::new(&id, &world.issuer()).claim(name, value.clone()).sign(&key);
        let answer = present(&world.a, &assertion).await;
        refused(&format!("{name} {value}"), &answer, &[400, 401], &["invalid_client", "invalid_request"]);
    }
}

async fn algorithms(world: &World) {
    let key = Key::rs256("k");
    let id = signer(world, &key, "RS256").await;
    let good = present(&world.a, &Assertion::new(&id, &world.issuer()).sign(&key)).await;
    assert_eq!(good.status, 200, "{}", good.brief());
    let public = key.public().to_string();
    for alg in ["none", "None", "nOnE", "", "HS256", "PS256", "RS512", "ES256", "EdDSA", "XX"] {
        let assertion = Assertion::new(&id, &world.issuer()).header("alg", json!(alg)).sign(&key);
        invalid_client(&format!("alg {alg}"), &present(&world.a, &assertion).await);
    }
    let claims = Assertion::new(&id, &world.issuer()).claims();
    for (what, header, mac) in [
        ("none, nothing signed", r#"{"alg":"none"}"#, false),
        ("no alg", r#"{"kid":"k"}"#, false),
        ("HS256 with the public key", r#"{"alg":"HS256","kid":"k"}"#, true),
    ] {
        let sign = |input: &[u8]| if mac { hmac_sha256(public.as_bytes(), input) } else { Vec::new() };
        invalid_client(what, &present(&world.a, &Assertion::raw(header, &claims, sign)).await);
    }
    let other = Key::es256("k");
    let mixed = Assertion::new(&id, &world.issuer()).header("alg", json!("RS256")).sign(&other);
    invalid_client("signed on a curve, said RSA", &present(&world.a, &mixed).await);
}

fn hmac_sha256(key: &[u8], input: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac;
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input).as_ref().to_vec()
}

async fn header_keys(world: &World) {
    let (key, thief) = (Key::es256("k"), Key::es256("k"));
    let id = signer(world, &key, "ES256").await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    for (name, value) in [("jwk", thief.public()), ("jku", json!(url)), ("x5u", json!(url)), ("x5c", json!(["MIIB"]))] {
        let assertion = Assertion::new(&id, &world.issuer()).header(name, value).sign(&thief);
        invalid_client(name, &present(&world.a, &assertion).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(listener.accept().is_err(), "the server went out to a URL of a header");
}

async fn odd_kids(world: &World) {
    let key = Key::es256("k");
    let id = signer(world, &key, "ES256").await;
    for kid in [json!("../../etc/passwd"), json!("' OR 1=1 --"), json!("k".repeat(10_000)), json!("unknown"), json!(7)]
    {
        let assertion = Assertion::new(&id, &world.issuer()).header("kid", kid.clone()).sign(&key);
        let answer = present(&world.a, &assertion).await;
        refused(
            &kid.to_string().chars().take(20).collect::<String>(),
            &answer,
            &[400, 401],
            &["invalid_client", "invalid_request"],
        );
    }
}

async fn rotation(world: &World) {
    let (id, old) = world.machine().await;
    world.b.token(&id, &old).await;
    let rotate = format!("/admin/clients/{id}/secrets/rotate");
    let answer = world.a.admin(Method::POST, &rotate, None).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    let new = answer.get("client_secret");
    assert!(new.len() >= 20 && new != old, "{}", answer.brief());
    assert_eq!(world.b.client_credentials(&id, &new).await.status, 200, "at once, where the client was known before");
    for secret in [&old, &new] {
        assert_eq!(world.a.client_credentials(&id, secret).await.status, 200, "both are good");
    }
    let dropped = world.a.admin(Method::DELETE, &rotate, None).await;
    assert!(dropped.status < 300, "{}", dropped.brief());
    assert_eq!(world.a.client_credentials(&id, &new).await.status, 200);
    invalid_client("the old secret where it was dropped", &world.a.client_credentials(&id, &old).await);
    eventually("the old secret on the other replica", || async {
        world.b.client_credentials(&id, &old).await.status == 401
            && world.b.client_credentials(&id, &new).await.status == 200
    })
    .await;
}

/// True within a second.
async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let began = Instant::now();
    while !check().await {
        assert!(began.elapsed() < Duration::from_secs(1), "{what}: not within a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn grant_types(world: &World) {
    let (id, secret) = world
        .machine_with(json!({"grant_types": ["authorization_code"], "redirect_uris": ["https://a.example/cb"]}))
        .await;
    refused("not the client's", &world.a.client_credentials(&id, &secret).await, &[400], &["unauthorized_client"]);
    let (id, secret) = world.machine().await;
    for (what, grant, errors) in [
        ("nobody's", "magic", &["unsupported_grant_type", "invalid_request"][..]),
        ("password", "password", &["unsupported_grant_type", "invalid_request", "unauthorized_client"]),
        ("empty", "", &["unsupported_grant_type", "invalid_request"]),
        ("odd case", "Client_Credentials", &["unsupported_grant_type", "invalid_request"]),
    ] {
        let answer = world.a.form("/oauth2/token", &[("grant_type", grant)], Some((&id, &secret))).await;
        refused(what, &answer, &[400], errors);
    }
}

async fn public_client(world: &World) {
    let (id, _) = world.machine_with(json!({"client_secret": null, "token_endpoint_auth_method": "none"})).await;
    let answer = world.a.form("/oauth2/token", &[CC[0], ("client_id", &id)], None).await;
    assert!([400, 401].contains(&answer.status), "{}", answer.brief());
}

async fn after_guessing(world: &World) {
    let (id, secret) = world.machine().await;
    for guess in 0..20 {
        let answer = world.a.client_credentials(&id, &format!("guess-{guess}")).await;
        assert!([401, 429].contains(&answer.status), "{}", answer.brief());
    }
    assert_eq!(world.b.client_credentials(&id, &secret).await.status, 200, "the honest client");
}

async fn deleted(world: &World) {
    let (id, secret) = world.machine().await;
    let token = world.b.token(&id, &secret).await;
    assert_eq!(world.a.admin(Method::DELETE, &format!("/admin/clients/{id}"), None).await.status, 204);
    invalid_client("where it was deleted", &world.a.client_credentials(&id, &secret).await);
    assert!(!world.a.is_active(&token).await && !world.b.is_active(&token).await, "its tokens are dead");
    eventually("on the other replica", || async { world.b.client_credentials(&id, &secret).await.status == 401 }).await;
    world.a.create(machine(&id, &secret)).await; // the same id again is another client
    assert!(!world.a.is_active(&token).await, "C21: nothing of the old client comes back");
}
