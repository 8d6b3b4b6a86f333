//! Family B: authorization codes and PKCE.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{
    Answer, CALLBACK, Case, Database, Fault, Peer, Proxy, Server, Web, World, cases, postgres, signal,
};

const FAMILY: [Case; 9] = cases! {
    "B01" "a code presented twice ends its grant" => replay,
    "B03" "a code presented by another client is not spent" => other_client,
    "B04" "a challenge asks for its verifier, and a wrong one spends nothing" => verifier,
    "B05" "a verifier without a challenge" => downgrade,
    "B08" "a code sent twice in one request, or in the query" => pollution,
    "B09" "another redirect_uri, or none" => redirect_uri,
    "B13" "the family of a code that was never redeemed has no tokens to end" => replay_after_revocation,
    "D17" "the client is deleted between authorization and token" => client_deleted,
    "C11" "a code is no token of another kind" => no_token,
};
super::on_both!(FAMILY);

fn refused(answer: &Answer, error: &str, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (400, error), "{what}: {}", answer.brief());
}

async fn ended(world: &World, tokens: &Answer) {
    for name in ["access_token", "refresh_token"] {
        let token = tokens.get(name);
        assert!(!token.is_empty(), "no {name}: {}", tokens.brief());
        assert!(!world.a.is_active(&token).await && !world.b.is_active(&token).await, "{name} is still active");
    }
}

async fn replay(world: &World) {
    let web = world.web().await;
    let code = world.code(&web).await;
    let tokens = world.a.exchange(&web, &code, &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    let newer = world.a.refresh(&web, &tokens.get("refresh_token"), &[]).await;
    assert_eq!(newer.status, 200, "{}", newer.brief());
    for peer in [&world.b, &world.a] {
        refused(&peer.exchange(&web, &code, &[]).await, "invalid_grant", "again");
    }
    ended(world, &tokens).await;
    ended(world, &newer).await;
    refused(&world.b.refresh(&web, &newer.get("refresh_token"), &[]).await, "invalid_grant", "its refresh token");
}

async fn other_client(world: &World) {
    let (web, other) = (world.web().await, world.web().await);
    let code = world.code(&web).await;
    refused(&world.b.exchange(&other, &code, &[]).await, "invalid_grant", "by another client");
    let tokens = world.a.exchange(&web, &code, &[]).await;
    assert_eq!(tokens.status, 200, "the owner still can: {}", tokens.brief());
    refused(&world.b.exchange(&other, &code, &[]).await, "invalid_grant", "spent, by another client");
    assert!(world.a.is_active(&tokens.get("access_token")).await, "a stranger's replay ends nothing");
}

async fn verifier(world: &World) {
    let verifier = "v".repeat(50);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let asked = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let public = json!({"token_endpoint_auth_method": "none", "client_secret": null});
    let (web, mut native) = (world.web().await, world.web_with(public).await);
    native.secret.clear();
    for client in [&web, &native] {
        let code = world.code_with(client, &asked, json!({})).await;
        for wrong in ["", &verifier[..42], &"v".repeat(129), &"w".repeat(50), &format!("{verifier} "), &challenge] {
            let answer = world.b.exchange(client, &code, &[("code_verifier", wrong)]).await;
            refused(&answer, "invalid_grant", wrong);
        }
        let answer = world.a.exchange(client, &code, &[("code_verifier", &verifier)]).await;
        assert_eq!(answer.status, 200, "the right one: {}", answer.brief());
    }
}

async fn downgrade(world: &World) {
    let web = world.web().await;
    let code = world.code(&web).await;
    let answer = world.a.exchange(&web, &code, &[("code_verifier", &"v".repeat(50))]).await;
    refused(&answer, "invalid_grant", "a verifier that nobody asked for");
    assert_eq!(world.b.exchange(&web, &code, &[]).await.status, 200, "the code was not spent");
}

async fn pollution(world: &World) {
    let web = world.web().await;
    let (code, other) = (world.code(&web).await, world.code(&web).await);
    let twice = [("grant_type", "authorization_code"), ("code", &code), ("code", &other), ("redirect_uri", CALLBACK)];
    refused(&world.a.form("/oauth2/token", &twice, Some((&web.id, &web.secret))).await, "invalid_request", "twice");
    let path = format!("/oauth2/token?code={code}");
    let form = [("grant_type", "authorization_code"), ("redirect_uri", CALLBACK)];
    refused(&world.a.form(&path, &form, Some((&web.id, &web.secret))).await, "invalid_grant", "in the query");
    for code in [code, other] {
        assert_eq!(world.b.exchange(&web, &code, &[]).await.status, 200, "neither was spent");
    }
}

async fn redirect_uri(world: &World) {
    let over = json!({"redirect_uris": [CALLBACK, "http://127.0.0.1:9010/other"]});
    let web = world.web_with(over).await;
    let code = world.code(&web).await;
    for wrong in
        ["", "http://127.0.0.1:9010/other", "http://127.0.0.1:9010/callback/", "http://127.0.0.1:9010/CALLBACK"]
    {
        let answer = world.b.exchange(&web, &code, &[("redirect_uri", wrong)]).await;
        refused(&answer, "invalid_grant", wrong);
    }
    assert_eq!(world.a.exchange(&web, &code, &[]).await.status, 200, "the code was not spent");
    let one = world.web().await;
    let code = world.code_with(&one, &[("redirect_uri", ""), ("scope", "offline")], json!({})).await;
    let answer = world.a.exchange(&one, &code, &[("redirect_uri", "")]).await;
    assert_eq!(answer.status, 200, "none was sent there, none is asked here: {}", answer.brief());
}

async fn replay_after_revocation(world: &World) {
    let web = world.web().await;
    let code = world.code(&web).await;
    let tokens = world.a.exchange(&web, &code, &[]).await;
    assert_eq!(world.b.revoke(&tokens.get("access_token"), &web.id, &web.secret).await.status, 200);
    ended(world, &tokens).await;
    refused(&world.b.exchange(&web, &code, &[]).await, "invalid_grant", "a code of an ended grant");
}

async fn client_deleted(world: &World) {
    let web = world.web().await;
    let code = world.code(&web).await;
    let gone = world.b.admin(Method::DELETE, &format!("/admin/clients/{}", web.id), None).await;
    assert_eq!(gone.status, 204, "{}", gone.brief());
    let answer = world.a.exchange(&web, &code, &[]).await;
    assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "{}", answer.brief());
    let again = json!({
        "client_id": web.id, "client_secret": web.secret, "redirect_uris": [CALLBACK], "scope": "openid offline",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    world.a.create(again).await;
    refused(&world.b.exchange(&web, &code, &[]).await, "invalid_grant", "a new client of the same name");
}

async fn no_token(world: &World) {
    let web = world.web().await;
    let code = world.code(&web).await;
    let bare = code.strip_prefix("ory_ac_").unwrap_or_else(|| panic!("a code has its prefix: {code}"));
    for name in [code.clone(), bare.to_owned(), format!("ory_at_{bare}"), format!("ory_rt_{bare}")] {
        assert!(!world.b.is_active(&name).await, "{name}");
        assert_eq!(world.a.userinfo(&name).await.status, 401, "{name}");
        refused(&world.a.refresh(&web, &name, &[]).await, "invalid_grant", &name);
        assert_eq!(world.a.revoke(&name, &web.id, &web.secret).await.status, 200, "{name}");
    }
    let tokens = world.a.exchange(&web, bare, &[]).await;
    assert_eq!(tokens.status, 200, "the prefix may be missing: {}", tokens.brief());
    for name in ["access_token", "refresh_token", "id_token"] {
        let answer = world.b.exchange(&web, &tokens.get(name), &[]).await;
        refused(&answer, "invalid_grant", name);
    }
}

/// B02: many redemptions of one code at once.
async fn redeemed_once(world: &World, rounds: usize) {
    let web = world.web_with(json!({"scope": "offline"})).await;
    for round in 0..rounds {
        let code = world.code_with(&web, &[("scope", "offline")], json!({})).await;
        let contenders = web.clone();
        let answers = super::at_once(world, move |peer, _| {
            let (web, code) = (contenders.clone(), code.clone());
            async move { peer.exchange(&web, &code, &[]).await }
        })
        .await;
        let won: Vec<&Answer> = super::sorted(&answers, "invalid_grant");
        assert_eq!(won.len(), 1, "round {round}");
        ended(world, won[0]).await;
    }
}

super::races! {
    b02_of_50_redemptions_of_one_code_one_wins_and_its_tokens_end => redeemed_once,
}

/// B10: a code that is over. No clock of a replica decides, the store's does.
async fn over(world: &World) {
    let web: Web = world.web().await;
    let code = world.code(&web).await;
    tokio::time::sleep(std::time::Duration::from_millis(2_200)).await;
    refused(&world.b.exchange(&web, &code, &[]).await, "invalid_grant", "over");
    let fresh = world.code(&web).await;
    assert_eq!(world.b.exchange(&web, &fresh, &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_a_code_that_is_over_is_refused() {
    let env = [("TTL_AUTH_CODE", "2s")];
    over(&World::sqlite(&env).await).await;
    if let Some(world) = World::postgres(&env).await {
        over(&world).await;
    }
}

/// B12, C14: what lies in the database is nothing that anybody could present, and tells no claim.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_c14_the_database_holds_nothing_to_present() {
    let Some(world) = World::postgres(&[]).await else { return };
    let web = world.web().await;
    let verifier = "verifier-".repeat(6);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let asked = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    let claims =
        json!({"session": {"access_token": {"canary": "sung-in-access"}, "id_token": {"canary": "sung-in-id"}}});
    let code = world.code_with(&web, &asked, claims).await;
    let tokens = world.a.exchange(&web, &code, &[("code_verifier", &verifier)]).await;
    let newer = world.a.refresh(&web, &tokens.get("refresh_token"), &[]).await;
    assert_eq!(newer.status, 200, "{}", newer.brief());
    let mut secrets = vec![verifier, web.secret.clone(), "sung-in".to_owned(), "a-nonce-of-some-length".to_owned()];
    for token in [&code, &tokens.get("access_token"), &tokens.get("refresh_token"), &newer.get("refresh_token")] {
        let (_, both) = token.split_at("ory_xx_".len());
        secrets.extend(both.split('.').map(str::to_owned));
    }
    secrets.push(tokens.get("id_token"));
    let db = world.database.client().await;
    let tables = db.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'", &[]).await;
    let tables: Vec<String> = tables.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(tables.iter().any(|t| t == "refresh_token"), "{tables:?}");
    for table in tables {
        let rows = db.query(&format!("SELECT row_to_json(t)::text FROM {table} t"), &[]).await.unwrap();
        for row in rows {
            let text: String = row.get(0);
            for secret in &secrets {
                let found = text.contains(secret) || text.contains(&hex::encode(secret));
                assert!(!found, "{table} holds {secret}: {text}");
            }
        }
    }
    assert!(Peer::send(world.a.to_public(Method::GET, "/health/ready")).await.status == 200);
}

/// The answer to an exchange is lost with its replica: the code is spent, and the retry ends what was issued on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_a_replica_dies_between_the_commit_and_the_answer() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let (host, port) = database.address();
    let (proxy, env) = (Proxy::to(&host, port).unwrap(), [("DB_STATEMENT_TIMEOUT", "20s")]);
    let mut dying = Server::start(&database.dsn_through(proxy.port), None, &env).await;
    let other = Server::start(&database.dsn(), Some(&format!("{}/", dying.peer.public)), &env).await;
    let db = database.client().await;
    let world = World::of(vec![other], database);
    let web = world.web().await;
    let code = world.code(&web).await;
    // The client is known there, so that nothing but the exchange is slow.
    refused(&dying.peer.exchange(&web, "no-code", &[]).await, "invalid_grant", "no code");
    proxy.play(Fault::Delay(Duration::from_millis(400)));
    let (peer, asked, sent) = (dying.peer.clone(), web.clone(), code.clone());
    let call = tokio::spawn(async move { peer.exchange(&asked, &sent, &[]).await });
    let spent = "SELECT count(*) FROM authorization_code WHERE spent_at IS NOT NULL";
    while db.query_one(spent, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!call.is_finished(), "answered before anything was committed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    signal(dying.pid(), "KILL");
    dying.wait_end().await;
    let lost = call.await.unwrap();
    assert_eq!(lost.status, 0, "the answer came through: {}", lost.brief());
    refused(&world.a.exchange(&web, &code, &[]).await, "invalid_grant", "the retry");
    let alive = "SELECT count(*) FROM token_family WHERE NOT shared AND revoked_at IS NULL";
    assert_eq!(db.query_one(alive, &[]).await.unwrap().get::<_, i64>(0), 0, "something lives on the code");
}
