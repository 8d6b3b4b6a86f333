//! Family J: devices without a browser (RFC 8628).

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Browser, Case, Peer, Web, World, cases, enter_user_code, grant_device, refuse_device};
use crate::jose::{Assertion, Key};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

const FAMILY: [Case; 6] = cases! {
    "J01" "a user code is typed as people type" => typed,
    "J03" "a device that polls too fast is slowed down, and gets its tokens all the same" => too_fast,
    "J04" "of two users who enter one code one gets the device" => two_users,
    "J05" "what a poll hears: pending, denied, another client's, unknown, redeemed" => polls,
    "J09" "who may ask for a device code, and for what" => asked,
    "D05" "a client assertion asks for one device code" => assertion_once,
};
super::on_both!(FAMILY);

async fn tv(world: &World) -> Web {
    world.web_with(json!({"grant_types": [DEVICE, "refresh_token"], "redirect_uris": null})).await
}

async fn code(world: &World, tv: &Web) -> Answer {
    let answer = world.a.device(tv, &[("scope", "openid offline")]).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer
}

fn heard(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{}", answer.brief());
}

async fn typed(world: &World) {
    let tv = tv(world).await;
    let device = code(world, &tv).await;
    let public = format!("{}/oauth2/device/verify", world.a.public);
    assert_eq!(device.get("verification_uri"), public);
    assert_eq!(device.get("verification_uri_complete"), format!("{public}?user_code={}", device.get("user_code")));
    assert_eq!((&device.json()["expires_in"], &device.json()["interval"]), (&json!(600), &json!(5)));
    let user_code = device.get("user_code");
    let ended = grant_device(&world.a, &format!(" {}-{} ", &user_code[..4], &user_code[4..]), &["openid"]).await;
    assert!(ended.contains("client_id="), "{ended}");
    let tokens = world.b.poll(&tv, &device.get("device_code")).await;
    assert_eq!((tokens.status, tokens.get("scope").as_str()), (200, "openid"), "{}", tokens.brief());
    assert!(!tokens.get("id_token").is_empty() && tokens.get("refresh_token").is_empty(), "{}", tokens.brief());
    assert_eq!(world.a.userinfo(&tokens.get("access_token")).await.get("sub"), "a-user");
}

async fn too_fast(world: &World) {
    let tv = tv(world).await;
    let device = code(world, &tv).await;
    let device_code = device.get("device_code");
    heard(&world.a.poll(&tv, &device_code).await, 400, "authorization_pending");
    heard(&world.b.poll(&tv, &device_code).await, 400, "slow_down");
    grant_device(&world.a, &device.get("user_code"), &["openid", "offline"]).await;
    let tokens = world.b.poll(&tv, &device_code).await;
    assert_eq!(tokens.status, 200, "a decision is told at once: {}", tokens.brief());
    assert_eq!(world.a.refresh(&tv, &tokens.get("refresh_token"), &[]).await.status, 200);
}

async fn two_users(world: &World) {
    let tv = tv(world).await;
    let device = code(world, &tv).await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    let won = enter_user_code(&world.a, &mut first, &device.get("user_code")).await;
    assert!(won.is_ok());
    let lost = enter_user_code(&world.b, &mut second, &device.get("user_code")).await;
    heard(&lost.expect_err("the device has its user"), 400, "invalid_request");
}

async fn polls(world: &World) {
    let (mine, other) = (tv(world).await, tv(world).await);
    let device = code(world, &mine).await;
    let device_code = device.get("device_code");
    heard(&world.a.poll(&other, &device_code).await, 400, "invalid_grant");
    heard(&world.a.poll(&mine, &device_code).await, 400, "authorization_pending");
    for unknown in ["", "zzz", &device_code.replace("ory_dc_", "ory_ac_"), &device_code[..device_code.len() - 1]] {
        heard(&world.b.poll(&mine, unknown).await, 400, "invalid_grant");
    }
    refuse_device(&world.a, &device.get("user_code")).await;
    heard(&world.b.poll(&mine, &device_code).await, 403, "access_denied");

    let device = code(world, &mine).await;
    grant_device(&world.a, &device.get("user_code"), &["openid", "offline"]).await;
    heard(&world.b.poll(&other, &device.get("device_code")).await, 400, "invalid_grant");
    let tokens = world.a.poll(&mine, &device.get("device_code")).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    heard(&world.b.poll(&mine, &device.get("device_code")).await, 400, "invalid_grant");
    for name in [device.get("device_code"), device.get("device_code").replace("ory_dc_", "ory_at_")] {
        assert!(!world.a.is_active(&name).await && world.a.userinfo(&name).await.status == 401);
    }
}

async fn asked(world: &World) {
    let (tv, web) = (tv(world).await, world.web().await);
    for (who, more, status, error) in [
        (&web, vec![("scope", "openid")], 400, "invalid_grant"),
        (&tv, vec![("scope", "admin")], 400, "invalid_scope"),
        (&tv, vec![("scope", "openid"), ("audience", "https://evil.example")], 400, "invalid_request"),
        (&tv, vec![("scope", "openid"), ("client_id", web.id.as_str())], 400, "invalid_request"),
        (&tv, vec![("scope", "openid"), ("scope", "openid")], 400, "invalid_request"),
        (&tv, vec![("scope", "openid"), ("client_id", tv.id.as_str())], 200, ""),
    ] {
        heard(&world.a.device(who, &more).await, status, error);
    }
    let wrong = Web { secret: "wrong".to_owned(), ..tv.clone() };
    heard(&world.a.device(&wrong, &[("scope", "openid")]).await, 401, "invalid_client");
    let native = world
        .web_with(json!({"grant_types": [DEVICE], "token_endpoint_auth_method": "none", "client_secret": null}))
        .await;
    let answer = world.b.form("/oauth2/device/auth", &[("client_id", &native.id), ("scope", "openid")], None).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
}

async fn assertion_once(world: &World) {
    let key = Key::es256("k1");
    let tv = world
        .web_with(json!({
            "grant_types": [DEVICE], "client_secret": null, "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256", "jwks": {"keys": [key.public()]},
        }))
        .await;
    let assertion = Assertion::new(&tv.id, &world.issuer()).sign(&key);
    let form: Vec<_> = Assertion::form(&assertion).into_iter().filter(|(name, _)| *name != "grant_type").collect();
    let first = world.a.form("/oauth2/device/auth", &form, None).await;
    assert_eq!(first.status, 200, "{}", first.brief());
    heard(&world.b.form("/oauth2/device/auth", &form, None).await, 400, "jti_known");
}

/// J04: many redemptions of one device code at once.
async fn redeemed_once(world: &World, rounds: usize) {
    let tv = tv(world).await;
    // A device's flow takes longer than a code's, and the write is the same.
    for round in 0..rounds / 5 {
        let device = code(world, &tv).await;
        grant_device(&world.a, &device.get("user_code"), &["offline"]).await;
        let (contenders, device_code) = (tv.clone(), device.get("device_code"));
        let answers = super::at_once(world, move |peer: Peer, _| {
            let (tv, device_code) = (contenders.clone(), device_code.clone());
            async move { peer.poll(&tv, &device_code).await }
        })
        .await;
        let won = super::sorted(&answers, "invalid_grant");
        assert_eq!(won.len(), 1, "round {round}");
        assert!(world.b.is_active(&won[0].get("access_token")).await, "round {round}");
    }
}

super::races! {
    j04_of_50_redemptions_of_one_device_code_one_wins => redeemed_once,
}

/// J05: a device code that is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn j05_a_device_code_that_is_over_hears_so() {
    let env = [("TTL_DEVICE_USER_CODE", "2s"), ("OAUTH2_DEVICE_AUTHORIZATION_USER_CODE_ENTROPY_PRESET", "low")];
    let world = World::sqlite(&env).await;
    let tv = tv(&world).await;
    let device = code(&world, &tv).await;
    let user_code = device.get("user_code");
    assert!(user_code.len() == 9 && user_code.bytes().all(|b| b.is_ascii_digit()), "{user_code}");
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    heard(&world.a.poll(&tv, &device.get("device_code")).await, 400, "expired_token");
    let late = enter_user_code(&world.a, &mut Browser::default(), &user_code).await;
    heard(&late.expect_err("it is over"), 400, "invalid_request");
    let gone = world.a.admin(Method::DELETE, &format!("/admin/clients/{}", tv.id), None).await;
    assert_eq!(gone.status, 204, "{}", gone.brief());
}
