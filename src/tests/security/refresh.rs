//! Family C where a user's tokens are concerned: refresh tokens, revocation, userinfo.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Case, Database, Peer, Proxy, Server, Web, World, cases, claims, postgres, sign_in};

const FAMILY: [Case; 8] = cases! {
    "C01" "a refresh token used twice ends its grant" => reuse,
    "C06" "another client, more scope, scope that the client lost" => refused_unspent,
    "C08" "revoke a refresh token: own, used, another client's" => revoke,
    "C11" "no kind of token passes for another" => kinds,
    "C16" "the app's claims replace none of ours" => reserved_claims,
    "C19" "userinfo takes a token from the header or a form, never from the query" => userinfo_where,
    "C20" "userinfo needs openid" => userinfo_scope,
    "C22" "a pairwise client never sees the subject" => pairwise,
};
super::on_both!(FAMILY);

fn refused(answer: &Answer, error: &str, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (400, error), "{what}: {}", answer.brief());
}

async fn refreshed(peer: &Peer, web: &Web, token: &str) -> Answer {
    let answer = peer.refresh(web, token, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer
}

async fn ended(world: &World, answer: &Answer) {
    for name in ["access_token", "refresh_token"] {
        let token = answer.get(name);
        assert!(!token.is_empty(), "no {name}: {}", answer.brief());
        assert!(!world.a.is_active(&token).await && !world.b.is_active(&token).await, "{name} is still active");
    }
}

async fn reuse(world: &World) {
    let web = world.web().await;
    let first = world.tokens(&web).await;
    let second = refreshed(&world.a, &web, &first.get("refresh_token")).await;
    assert!(!world.b.is_active(&first.get("access_token")).await, "strict: older access tokens end");
    assert!(!world.b.is_active(&first.get("refresh_token")).await, "a used one is inactive");
    assert!(world.b.is_active(&second.get("access_token")).await);
    let third = refreshed(&world.b, &web, &second.get("refresh_token")).await;
    refused(&world.b.refresh(&web, &first.get("refresh_token"), &[]).await, "invalid_grant", "the first again");
    ended(world, &third).await;
    refused(&world.a.refresh(&web, &third.get("refresh_token"), &[]).await, "invalid_grant", "the newest");
    let kept = |answer: &Answer| {
        let claims = claims(&answer.get("id_token"));
        ["sub", "sid", "nonce", "auth_time", "rat"].map(|name| claims[name].clone())
    };
    assert_eq!(kept(&first), kept(&third), "a refreshed ID token tells the same login");
    assert_ne!(claims(&first.get("id_token"))["jti"], claims(&third.get("id_token"))["jti"]);
}

async fn refused_unspent(world: &World) {
    let (web, other) = (world.web().await, world.web().await);
    let consent = json!({"grant_scope": ["openid", "offline", "read"]});
    let code = world.code_with(&web, &[("scope", "openid offline read write")], consent).await;
    let token = world.a.exchange(&web, &code, &[]).await.get("refresh_token");
    refused(&world.b.refresh(&other, &token, &[]).await, "invalid_grant", "another client");
    for wider in ["write", "openid write", "admin", "offline_access"] {
        refused(&world.b.refresh(&web, &token, &[("scope", wider)]).await, "invalid_scope", wider);
    }
    let path = format!("/admin/clients/{}", web.id);
    let scope = async |scope: &str| {
        let patch = json!([{"op": "replace", "path": "/scope", "value": scope}]);
        assert_eq!(world.a.admin(Method::PATCH, &path, Some(patch)).await.status, 200);
    };
    scope("openid offline").await;
    refused(&world.b.refresh(&web, &token, &[]).await, "invalid_scope", "a scope that the client lost");
    scope("openid offline read").await;
    let narrow = world.b.refresh(&web, &token, &[("scope", "read")]).await;
    assert_eq!((narrow.status, narrow.get("scope").as_str()), (200, "read"), "{}", narrow.brief());
    assert!(narrow.get("id_token").is_empty(), "no openid was asked for");
    assert_eq!(world.a.introspect(&narrow.get("access_token")).await.get("scope"), "read");
    let all = refreshed(&world.a, &web, &narrow.get("refresh_token")).await;
    assert_eq!(all.get("scope"), "openid offline read", "it was narrowed for one access token alone");
}

async fn revoke(world: &World) {
    let (web, other) = (world.web().await, world.web().await);
    let tokens = world.tokens(&web).await;
    let refresh = tokens.get("refresh_token");
    for hint in ["access_token", "refresh_token", "odd"] {
        let form = [("token", refresh.as_str()), ("token_type_hint", hint)];
        assert_eq!(world.a.form("/oauth2/revoke", &form, Some((&other.id, &other.secret))).await.status, 200);
        assert!(world.b.is_active(&refresh).await, "another client's revocation has no effect");
    }
    assert_eq!(world.b.revoke(&refresh, &web.id, &web.secret).await.status, 200);
    ended(world, &tokens).await;
    refused(&world.a.refresh(&web, &refresh, &[]).await, "invalid_grant", "revoked");

    let first = world.tokens(&web).await;
    let second = refreshed(&world.a, &web, &first.get("refresh_token")).await;
    assert_eq!(world.b.revoke(&first.get("refresh_token"), &web.id, &web.secret).await.status, 200);
    ended(world, &second).await;

    let tokens = world.tokens(&web).await;
    assert_eq!(world.b.revoke(&tokens.get("access_token"), &web.id, &web.secret).await.status, 200);
    ended(world, &tokens).await;
}

async fn kinds(world: &World) {
    let web = world.web().await;
    let tokens = world.tokens(&web).await;
    let (refresh, id_token) = (tokens.get("refresh_token"), tokens.get("id_token"));
    let bare = refresh.strip_prefix("ory_rt_").unwrap_or_else(|| panic!("a refresh token has its prefix: {refresh}"));
    for wrong in [&refresh, bare, &format!("ory_at_{bare}"), &id_token] {
        let answer = world.a.userinfo(wrong).await;
        assert_eq!((answer.status, answer.error().as_str()), (401, "request_unauthorized"), "{wrong}");
        assert!(answer.header("www-authenticate").starts_with("Bearer error="), "{:?}", answer.headers);
    }
    assert!(!world.a.is_active(&id_token).await && !world.a.is_active(&format!("ory_at_{bare}")).await);
    for (name, expected) in [("access_token", "access_token"), ("refresh_token", "refresh_token")] {
        let seen = world.b.introspect(&tokens.get(name)).await.json();
        assert_eq!((&seen["token_use"], &seen["token_type"]), (&json!(expected), &json!("Bearer")), "{seen}");
        refused(&world.a.refresh(&web, &tokens.get("access_token"), &[]).await, "invalid_grant", "an access token");
    }
    refreshed(&world.b, &web, bare).await;
}

async fn reserved_claims(world: &World) {
    let evil: serde_json::Map<String, Value> = [
        "active",
        "exp",
        "sub",
        "aud",
        "iss",
        "scope",
        "client_id",
        "iat",
        "nbf",
        "token_use",
        "jti",
        "sid",
        "nonce",
        "auth_time",
        "at_hash",
        "rat",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), json!("evil")))
    .collect();
    let both = json!({"session": {"access_token": evil, "id_token": evil}});
    for strategy in ["opaque", "jwt"] {
        let web = world.web_with(json!({"access_token_strategy": strategy})).await;
        let code = world.code_with(&web, &[], both.clone()).await;
        let first = world.a.exchange(&web, &code, &[]).await;
        let second = refreshed(&world.b, &web, &first.get("refresh_token")).await;
        for tokens in [&second] {
            let token = tokens.get("access_token");
            for name in ["access_token", "refresh_token"] {
                let mut seen = world.b.introspect(&tokens.get(name)).await.json();
                assert_eq!(seen["ext"]["sub"], "evil", "extra claims stay where they belong");
                seen.as_object_mut().unwrap().remove("ext");
                assert!(!seen.to_string().contains("evil"), "{seen}");
            }
            let ours = ["iss", "sub", "aud", "exp", "iat", "jti", "sid", "nonce", "auth_time", "at_hash", "rat"];
            let said = claims(&tokens.get("id_token"));
            assert!(ours.iter().all(|name| said[name] != "evil" && !said[name].is_null()), "{said}");
            let said = world.a.userinfo(&token).await.json();
            assert!(["iss", "sub", "aud", "iat", "auth_time", "rat"].iter().all(|name| said[name] != "evil"), "{said}");
            if strategy == "jwt" {
                let mut said = claims(&token);
                said.as_object_mut().unwrap().remove("ext");
                assert!(!said.to_string().contains("evil"), "{said}");
            }
        }
    }
}

async fn userinfo_where(world: &World) {
    let web = world.web().await;
    let token = world.tokens(&web).await.get("access_token");
    let post = || world.b.to_public(Method::POST, "/userinfo");
    for (what, request, status) in [
        ("header", world.a.to_public(Method::GET, "/userinfo").bearer_auth(&token), 200),
        ("header, POST", post().bearer_auth(&token), 200),
        ("lower case scheme", post().header("authorization", format!("bearer {token}")), 200),
        ("form", post().form(&[("access_token", &token)]), 200),
        ("query", world.a.to_public(Method::GET, &format!("/userinfo?access_token={token}")), 401),
        ("query of a POST", world.a.to_public(Method::POST, &format!("/userinfo?access_token={token}")), 401),
        ("two ways at once", post().bearer_auth(&token).form(&[("access_token", &token)]), 400),
        ("another scheme", post().header("authorization", format!("DPoP {token}")), 401),
        ("nothing", post(), 401),
    ] {
        let answer = Peer::send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.brief());
        if status == 401 {
            assert!(answer.header("www-authenticate").starts_with("Bearer "), "{what}: {:?}", answer.headers);
        }
    }
    assert_eq!(world.b.revoke(&token, &web.id, &web.secret).await.status, 200);
    assert_eq!(world.a.userinfo(&token).await.status, 401, "ended");
}

async fn userinfo_scope(world: &World) {
    let (id, secret) = world.machine().await;
    let web = world.web().await;
    let code = world.code_with(&web, &[("scope", "offline")], json!({})).await;
    let without = world.a.exchange(&web, &code, &[]).await.get("access_token");
    for token in [world.a.token(&id, &secret).await, without] {
        let answer = world.b.userinfo(&token).await;
        assert_eq!((answer.status, answer.error().as_str()), (403, "insufficient_scope"), "{}", answer.brief());
        assert!(answer.header("www-authenticate").contains("scope=\"openid\""), "{:?}", answer.headers);
    }
}

async fn pairwise(world: &World) {
    let signed = json!({"subject_type": "pairwise", "access_token_strategy": "jwt"});
    let mut names = Vec::new();
    for over in [json!({"subject_type": "pairwise"}), signed] {
        let web = world.web_with(over).await;
        let first = world.tokens(&web).await;
        let tokens = refreshed(&world.a, &web, &first.get("refresh_token")).await;
        let token = tokens.get("access_token");
        let shown = claims(&tokens.get("id_token"))["sub"].as_str().unwrap().to_owned();
        assert_eq!(shown.len(), 64, "hex of SHA-256: {shown}");
        let told =
            [tokens.text.clone(), world.b.userinfo(&token).await.text, claims(&tokens.get("id_token")).to_string()];
        assert!(told.iter().all(|text| !text.contains("a-user")), "{told:?}");
        assert!(told[1].contains(&shown), "{}", told[1]);
        if token.matches('.').count() == 2 {
            assert_eq!(claims(&token)["sub"], json!(shown));
        }
        for name in ["access_token", "refresh_token"] {
            let seen = world.b.introspect(&tokens.get(name)).await;
            assert_eq!((seen.get("sub").as_str(), seen.get("obfuscated_subject")), ("a-user", shown.clone()));
        }
        names.push(shown);
    }
    assert_eq!(names[0], names[1], "one sector, one name");
}

/// C02: many refreshes of one token at once, no grace.
async fn strict(world: &World, rounds: usize) {
    let web = world.web_with(json!({"scope": "offline"})).await;
    for round in 0..rounds {
        let code = world.code_with(&web, &[("scope", "offline")], json!({})).await;
        let token = world.a.exchange(&web, &code, &[]).await.get("refresh_token");
        let answers = refresh_at_once(world, &web, &token).await;
        let won = super::sorted(&answers, "invalid_grant");
        assert_eq!(won.len(), 1, "round {round}");
        ended(world, won[0]).await;
    }
}

/// C03: the same within the grace.
async fn graceful(world: &World, rounds: usize) {
    let web = world.web_with(json!({"scope": "offline"})).await;
    let code = world.code_with(&web, &[("scope", "offline")], json!({})).await;
    let mut token = world.a.exchange(&web, &code, &[]).await.get("refresh_token");
    for round in 0..rounds {
        let answers = refresh_at_once(world, &web, &token).await;
        let won = super::sorted(&answers, "invalid_grant");
        assert_eq!(won.len(), answers.len(), "round {round}: a lost answer is given again");
        for name in ["access_token", "refresh_token"] {
            assert!(won.iter().all(|answer| answer.get(name) == won[0].get(name)), "round {round}: one successor");
        }
        assert!(world.b.is_active(&won[0].get("access_token")).await, "round {round}");
        token = won[0].get("refresh_token");
    }
}

/// C07: a revocation among refreshes.
async fn revoked_among_refreshes(world: &World, rounds: usize) {
    let web = world.web_with(json!({"scope": "offline"})).await;
    for round in 0..rounds {
        let code = world.code_with(&web, &[("scope", "offline")], json!({})).await;
        let token = world.a.exchange(&web, &code, &[]).await.get("refresh_token");
        let (revoking, presented) = (web.clone(), token.clone());
        let answers = super::at_once(world, move |peer, n| {
            let (web, token) = (revoking.clone(), presented.clone());
            async move {
                if n == 20 {
                    peer.revoke(&token, &web.id, &web.secret).await
                } else {
                    peer.refresh(&web, &token, &[]).await
                }
            }
        })
        .await;
        for answer in &answers {
            assert!([200, 400].contains(&answer.status), "round {round}: {}", answer.brief());
            let (access, refresh) = (answer.get("access_token"), answer.get("refresh_token"));
            for token in [access, refresh].iter().filter(|token| !token.is_empty()) {
                assert!(!world.a.is_active(token).await && !world.b.is_active(token).await, "round {round}: {token}");
            }
        }
        assert!(!world.a.is_active(&token).await, "round {round}");
    }
}

async fn refresh_at_once(world: &World, web: &Web, token: &str) -> Vec<Answer> {
    let (web, token) = (web.clone(), token.to_owned());
    super::at_once(world, move |peer, _| {
        let (web, token) = (web.clone(), token.clone());
        async move { peer.refresh(&web, &token, &[]).await }
    })
    .await
}

super::races! {
    c02_of_50_refreshes_of_one_token_one_wins_and_its_tokens_end => strict,
    c07_nothing_outlives_a_revocation_among_50_refreshes => revoked_among_refreshes,
}
super::races! {
    with [("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "1m")];
    c03_of_50_refreshes_within_the_grace_all_get_one_successor => graceful,
    c07_nothing_outlives_a_revocation_among_50_graceful_refreshes => revoked_among_refreshes,
}

/// C03: the grace ends by time, or by count.
async fn grace_ends(world: &World, replays: Option<usize>) {
    let web = world.web().await;
    let first = world.tokens(&web).await;
    let token = first.get("refresh_token");
    let second = refreshed(&world.a, &web, &token).await;
    assert!(world.b.is_active(&token).await, "it would still give tokens");
    for _ in 0..replays.unwrap_or(3) {
        let again = refreshed(&world.b, &web, &token).await;
        for name in ["access_token", "refresh_token", "id_token", "scope"] {
            assert_eq!(again.get(name), second.get(name), "{name}");
        }
        let left = |answer: &Answer| answer.json()["expires_in"].as_u64().unwrap();
        assert!(left(&again) <= left(&second) && left(&again) + 5 > left(&second));
    }
    if replays.is_none() {
        tokio::time::sleep(Duration::from_millis(3_200)).await;
    }
    assert!(!world.a.is_active(&token).await);
    assert!(world.a.is_active(&second.get("access_token")).await);
    refused(&world.a.refresh(&web, &token, &[]).await, "invalid_grant", "after the grace");
    ended(world, &second).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c03_after_the_grace_a_reuse_ends_the_grant() {
    let period = "OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD";
    let count = ("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_REUSE_COUNT", "2");
    for (env, replays) in [(vec![(period, "3s")], None), (vec![(period, "1h"), count], Some(2))] {
        grace_ends(&World::sqlite(&env).await, replays).await;
        if let Some(world) = World::postgres(&env).await {
            grace_ends(&world, replays).await;
        }
    }
}

/// C04: what is known of a used token is in the database, nowhere else. A grace that is there only since covers no use from
/// before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c04_reuse_is_detected_after_a_restart() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let port = crate::harness::free_port();
    let issuer = format!("http://127.0.0.1:{port}/");
    let server = Server::start_at(&database.dsn(), Some(port), Some(&issuer), &[]).await;
    let web = Web { id: "restarted".to_owned(), secret: "secret-of-restarted".to_owned() };
    let client = json!({
        "client_id": web.id, "client_secret": web.secret, "redirect_uris": [crate::harness::CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"], "scope": "openid offline",
    });
    server.peer.create(client).await;
    let code = crate::harness::param(&sign_in(&server.peer, &web, &[], json!({})).await, "code");
    let first = server.peer.exchange(&web, &code, &[]).await;
    let second = refreshed(&server.peer, &web, &first.get("refresh_token")).await;
    drop(server);
    let grace = [("OAUTH2_GRANT_REFRESH_TOKEN_ROTATION_GRACE_PERIOD", "5m")];
    let server = Server::start_at(&database.dsn(), Some(port), Some(&issuer), &grace).await;
    assert!(!server.peer.is_active(&first.get("refresh_token")).await);
    assert!(server.peer.is_active(&second.get("refresh_token")).await);
    refused(&server.peer.refresh(&web, &first.get("refresh_token"), &[]).await, "invalid_grant", "after a restart");
    assert!(!server.peer.is_active(&second.get("refresh_token")).await);
}

/// C05: a failed refresh uses nothing up, however often it fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c05_a_refresh_that_failed_five_times_succeeds_at_last() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let (host, port) = database.address();
    let proxy = Proxy::to(&host, port).unwrap();
    let server = Server::start(&database.dsn_through(proxy.port), None, &[]).await;
    let peer = &server.peer;
    let web = Web { id: "patient".to_owned(), secret: "secret-of-patient".to_owned() };
    let client = json!({
        "client_id": web.id, "client_secret": web.secret, "redirect_uris": [crate::harness::CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"], "scope": "openid offline",
    });
    peer.create(client).await;
    let spare = crate::harness::param(&sign_in(peer, &web, &[], json!({})).await, "code");
    let code = crate::harness::param(&sign_in(peer, &web, &[], json!({})).await, "code");
    let first = peer.exchange(&web, &code, &[]).await;
    proxy.cut();
    for _ in 0..5 {
        for answer in [
            peer.refresh(&web, &first.get("refresh_token"), &[]).await,
            peer.exchange(&web, &spare, &[]).await,
            peer.revoke(&first.get("refresh_token"), &web.id, &web.secret).await,
            peer.introspect(&first.get("refresh_token")).await,
            peer.userinfo(&first.get("access_token")).await,
        ] {
            assert_eq!(answer.status, 503, "{}", answer.brief());
            assert!(!answer.header("retry-after").is_empty(), "{:?}", answer.headers);
        }
    }
    proxy.mend();
    while !peer.is_ready().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    refreshed(peer, &web, &first.get("refresh_token")).await;
    assert_eq!(peer.exchange(&web, &spare, &[]).await.status, 200);
}
