//! The database goes away: every answer says so and none lies. It comes back: no restart is needed.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::unavailable;
use crate::harness::{Database, Peer, Proxy, Server, basic, free_port, fresh, machine, postgres};
use crate::jose::{Assertion, Key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_every_answer_is_503_and_none_is_a_lie() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let (host, port) = database.address();
    let proxy = Proxy::to(&host, port).unwrap();
    let gateway = free_port().to_string();
    let env = [
        ("SERVE_GATEWAY_ENABLED", "true"),
        ("SERVE_GATEWAY_PORT", gateway.as_str()),
        ("GATEWAY_POLICIES", r#"{"any": {}}"#),
    ];
    let server = Server::start(&database.dsn_through(proxy.port), None, &env).await;
    let peer = &server.peer;
    let (id, secret) = (fresh("outage"), fresh("secret"));
    peer.create(machine(&id, &secret)).await;
    let key = Key::es256("k1");
    let signer = fresh("signer");
    let mut client = machine(&signer, "");
    client.as_object_mut().unwrap().remove("client_secret");
    client["token_endpoint_auth_method"] = json!("private_key_jwt");
    client["token_endpoint_auth_signing_alg"] = json!("ES256");
    client["jwks"] = json!({"keys": [key.public()]});
    peer.create(client).await;
    let token = peer.token(&id, &secret).await;
    let assertion = Assertion::new(&signer, &format!("{}/", peer.public)).sign(&key);

    proxy.cut();
    unavailable("D16 token, known client", &peer.client_credentials(&id, &secret).await);
    unavailable("D16 token, unknown client", &peer.client_credentials("nobody-knows", &secret).await);
    unavailable("D16 token, assertion", &peer.form("/oauth2/token", &Assertion::form(&assertion), None).await);
    unavailable("C09 revoke", &peer.revoke(&token, &id, &secret).await);
    unavailable("C10 introspect", &peer.introspect(&token).await);
    let batch = json!({"tokens": [token, "nonsense"]});
    unavailable("batch", &peer.admin(Method::POST, "/admin/oauth2/introspect/batch", Some(batch)).await);
    let at_gateway = |path: &str| format!("http://127.0.0.1:{gateway}{path}");
    let authz = peer.to(Method::GET, &at_gateway("/authz/any/x")).bearer_auth(&token);
    unavailable("authz", &Peer::send(authz).await);
    for accept in ["*/*", "application/jwt", "application/token-introspection+jwt"] {
        let form = peer.to(Method::POST, &at_gateway("/oauth2/introspect")).form(&[("token", &token)]);
        let asked = form.header("authorization", basic(&id, &secret)).header("accept", accept);
        unavailable(accept, &Peer::send(asked).await);
    }
    unavailable("admin list", &peer.admin(Method::GET, "/admin/clients", None).await);
    unavailable("admin get", &peer.admin(Method::GET, "/admin/clients/never-seen", None).await);
    unavailable(
        "admin create",
        &peer.admin(Method::POST, "/admin/clients", Some(machine(&fresh("new"), "a-secret"))).await,
    );
    unavailable("admin keys", &peer.admin(Method::GET, "/admin/keys/some-set", None).await);
    unavailable(
        "admin delete tokens",
        &peer.admin(Method::DELETE, &format!("/admin/oauth2/tokens?client_id={id}"), None).await,
    );
    assert_eq!(peer.get("/health/alive").await.status, 200, "alive all the same");
    assert_eq!(peer.get("/health/ready").await.status, 503, "not ready");

    proxy.mend();
    let began = Instant::now();
    while !peer.is_ready().await {
        assert!(began.elapsed() < Duration::from_secs(20), "not ready again:\n{}", server.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(peer.is_active(&token).await, "nothing of the outage was remembered");
    let answer = peer.form("/oauth2/token", &Assertion::form(&assertion), None).await;
    assert_eq!(answer.status, 200, "the assertion was not used up: {}", answer.brief());
    assert_eq!(peer.revoke(&token, &id, &secret).await.status, 200);
    assert!(!peer.is_active(&token).await);
}
