//! Family E: signed things that are not what they say.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Case, World, cases, fresh};
use crate::jose::{Assertion, Key, b64};

const FAMILY: [Case; 8] = cases! {
    "E02" "an access token signed with our public key as a secret" => hmac_with_public_key,
    "E03" "crit, b64, and members that come twice" => crit_and_twins,
    "E04" "five parts, and bombs" => encrypted,
    "E05" "a megabyte of dots, and deep JSON" => large,
    "E06" "times of odd types are refused, never taken as absent" => odd_times,
    "E07" "keys that are weak or not keys" => weak_keys,
    "E08" "an access token is no assertion" => wrong_type,
    "E09" "the published keys hold nothing private" => published,
};
super::on_both!(FAMILY);

async fn signer(world: &World, key: &Key) -> String {
    let over = json!({
        "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256", "jwks": {"keys": [key.public()]},
    });
    world.machine_with(over).await.0
}

fn refused(what: &str, answer: &Answer) {
    assert!([400, 401, 413, 414].contains(&answer.status), "{what}: {}", answer.brief());
}

async fn present(world: &World, assertion: &str) -> Answer {
    world.a.form("/oauth2/token", &Assertion::form(assertion), None).await
}

/// A JWT access token, and the client and secret it was given to.
async fn jwt(world: &World) -> (String, String, String) {
    let (id, secret) = world.machine_with(json!({"access_token_strategy": "jwt"})).await;
    let token = world.a.token(&id, &secret).await;
    assert_eq!(token.split('.').count(), 3, "a JWT was registered: {token}");
    (token, id, secret)
}

async fn hmac_with_public_key(world: &World) {
    let (token, ..) = jwt(world).await;
    assert!(world.b.is_active(&token).await, "the right one is active, on the other replica too");
    let parts: Vec<&str> = token.split('.').collect();
    let jwks = world.a.get("/.well-known/jwks.json").await;
    let key = jwks.json()["keys"][0].to_string();
    let input = format!("{}.{}", b64(r#"{"alg":"HS256","typ":"JWT"}"#), parts[1]);
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.as_bytes());
    let forged = format!("{input}.{}", b64(aws_lc_rs::hmac::sign(&mac, input.as_bytes())));
    let unsigned = format!("{}.{}.", b64(r#"{"alg":"none"}"#), parts[1]);
    let cut = format!("{}.{}.", parts[0], parts[1]);
    let own = Key::es256("k");
    let foreign = Assertion::raw(r#"{"alg":"ES256","kid":"k"}"#, r#"{"sub":"x","exp":9999999999}"#, |_| vec![0; 64]);
    let by_other = Assertion::new("x", "y").sign(&own);
    for (what, token) in
        [("HS256", forged), ("none", unsigned), ("no signature", cut), ("zeros", foreign), ("foreign", by_other)]
    {
        assert!(!world.a.is_active(&token).await, "{what}");
    }
}

async fn crit_and_twins(world: &World) {
    let key = Key::es256("k");
    let id = signer(world, &key).await;
    for (name, value) in
        [("crit", json!(["exp"])), ("crit", json!(["b64"])), ("crit", json!([])), ("crit", json!(["unheard"]))]
    {
        let assertion =
            Assertion::new(&id, &world.issuer()).header("b64", json!(false)).header(name, value.clone()).sign(&key);
        refused(&format!("{name} {value}"), &present(world, &assertion).await);
    }
    let claims = Assertion::new(&id, &world.issuer()).claims();
    let twice = claims.replacen('{', r#"{"sub":"someone-else","#, 1);
    let whole = Assertion::new(&id, &world.issuer()).sign(&key);
    assert_eq!(present(world, &whole).await.status, 200, "the right one");
    let signed = |header: &str, claims: &str| Assertion::raw(header, claims, |input| key.sign_bytes(input));
    refused("a claim twice", &present(world, &signed(r#"{"alg":"ES256","kid":"k"}"#, &twice)).await);
    refused("alg twice", &present(world, &signed(r#"{"alg":"none","alg":"ES256","kid":"k"}"#, &claims)).await);
    for (what, header) in [("an array", "[]"), ("no JSON", "alg"), ("nothing", ""), ("NUL", "\0")] {
        refused(what, &present(world, &signed(header, &claims)).await);
    }
}

async fn encrypted(world: &World) {
    for (what, header) in [
        ("JWE", r#"{"alg":"dir","enc":"A256GCM"}"#),
        ("zip", r#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#),
        ("PBES2", r#"{"alg":"PBES2-HS256+A128KW","enc":"A128CBC-HS256","p2c":2147483647,"p2s":"AAAA"}"#),
    ] {
        let token = format!("{}.AAAA.AAAA.AAAA.AAAA", b64(header));
        let began = Instant::now();
        refused(what, &present(world, &token).await);
        assert!(!world.a.is_active(&token).await, "{what}");
        assert!(began.elapsed() < Duration::from_secs(2), "{what} cost {:?}", began.elapsed());
    }
}

async fn large(world: &World) {
    let began = Instant::now();
    refused("dots", &present(world, &".".repeat(1_000_000)).await);
    let answer = world.a.introspect(&".".repeat(1_000_000)).await;
    assert!([200, 400, 413].contains(&answer.status) && answer.json()["active"] != true, "{}", answer.brief());
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    refused("deep", &present(world, &format!("{}.{}.AAAA", b64(&deep), b64(&deep))).await);
    assert!(began.elapsed() < Duration::from_secs(5), "cost {:?}", began.elapsed());
}

async fn odd_times(world: &World) {
    let key = Key::es256("k");
    let id = signer(world, &key).await;
    for name in ["exp", "iat", "nbf"] {
        for value in [json!("9999999999"), json!(true), json!(1e308), json!(-5), json!({}), json!([1])] {
            if name != "exp" && value == json!(-5) {
                continue; // long ago is a right answer to "not before" and "issued at"
            }
            let assertion = Assertion::new(&id, &world.issuer()).claim(name, value.clone()).sign(&key);
            refused(&format!("{name} {value}"), &present(world, &assertion).await);
        }
    }
}

async fn weak_keys(world: &World) {
    let good = Key::es256("k").public();
    let mut private = good.clone();
    private["d"] = json!(b64([7; 32]));
    let mut off_curve = good.clone();
    off_curve["y"] = json!(b64([1; 32]));
    let weak = json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": b64([0xC5; 128]), "e": "AQAB"});
    let mut one = Key::rs256("k").public();
    one["e"] = json!("AQ");
    for (what, jwk) in [("private part", private), ("point off the curve", off_curve), ("RSA 1024", weak), ("e=1", one)]
    {
        let client = json!({"client_id": fresh("weak"), "token_endpoint_auth_method": "private_key_jwt",
                            "grant_types": ["client_credentials"], "jwks": {"keys": [jwk]}});
        let answer = world.a.admin(Method::POST, "/admin/clients", Some(client)).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.brief());
    }
    let key = Key::es256("k");
    let id = signer(world, &key).await;
    let claims = Assertion::new(&id, &world.issuer()).claims();
    for (what, signature) in
        [("zeros", vec![0; 64]), ("short", vec![1; 63]), ("empty", vec![]), ("DER", vec![0x30; 70])]
    {
        let assertion = Assertion::raw(r#"{"alg":"ES256","kid":"k"}"#, &claims, |_| signature);
        refused(what, &present(world, &assertion).await);
    }
}

async fn wrong_type(world: &World) {
    let (token, ..) = jwt(world).await;
    refused("an access token as assertion", &present(world, &token).await);
    let key = Key::es256("k");
    let id = signer(world, &key).await;
    let assertion = Assertion::new(&id, &world.issuer()).header("typ", json!("at+jwt")).sign(&key);
    refused("typ at+jwt", &present(world, &assertion).await);
    let right = Assertion::new(&id, &world.issuer()).sign(&key);
    assert!(!world.a.is_active(&right).await, "an assertion is no access token");
}

async fn published(world: &World) {
    let answer = world.a.get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 200);
    let keys = answer.json()["keys"].as_array().cloned().unwrap_or_default();
    assert!(!keys.is_empty(), "{}", answer.brief());
    for key in keys {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private} is public in {}", key["kid"]);
        }
    }
}
