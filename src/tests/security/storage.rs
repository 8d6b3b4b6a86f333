//! Family I, on a running server: what is at rest, in answers and in the log.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Case, Database, SECRET, Server, World, cases, fresh, machine, postgres};

const FAMILY: [Case; 3] = cases! {
    "I07" "errors do not tell how the server is built" => no_inner_text,
    "I09" "neither hash nor secret in answers about clients" => no_hash,
    "I11" "tokens and secrets do not repeat" => distinct,
};
super::on_both!(FAMILY);

async fn no_inner_text(world: &World) {
    let (id, secret) = world.machine().await;
    let answers = [
        world.a.client_credentials(&id, "wrong").await,
        world.a.form("/oauth2/token", &[("grant_type", "magic")], Some((&id, &secret))).await,
        world.a.admin(Method::POST, "/admin/clients", Some(json!({"redirect_uris": "not a list"}))).await,
        world.a.admin(Method::POST, "/admin/clients", Some(machine(&id, "a-secret-here"))).await,
        world.a.admin(Method::GET, "/admin/clients/none-such", None).await,
    ];
    for answer in answers {
        assert!(answer.status >= 400, "{}", answer.brief());
        for word in [
            "src/",
            ".rs:",
            "panicked",
            "rusqlite",
            "tokio",
            "postgres",
            "UNIQUE constraint",
            "SQLSTATE",
            "duplicate key",
        ] {
            assert!(!answer.text.contains(word), "{word}: {}", answer.brief());
        }
        assert!(answer.json().get("error_debug").is_none(), "{}", answer.brief());
    }
}

async fn no_hash(world: &World) {
    let (id, secret) = world.machine().await;
    let one = world.a.admin(Method::GET, &format!("/admin/clients/{id}"), None).await;
    let all = world.a.admin(Method::GET, "/admin/clients", None).await;
    let patch = json!([{"op": "replace", "path": "/client_name", "value": "n"}]);
    let patched = world.a.admin(Method::PATCH, &format!("/admin/clients/{id}"), Some(patch)).await;
    for answer in [one, all, patched] {
        assert_eq!(answer.status, 200, "{}", answer.brief());
        assert!(
            !answer.text.contains(&secret) && !answer.text.contains("pbkdf2") && !answer.text.contains("$2"),
            "{}",
            answer.brief()
        );
    }
}

async fn distinct(world: &World) {
    let (id, secret) = world.machine().await;
    let mut seen = std::collections::HashSet::new();
    for round in 0..60 {
        let peer = if round % 2 == 0 { &world.a } else { &world.b };
        let token = peer.token(&id, &secret).await;
        assert!(token.len() >= 80, "{} characters", token.len());
        assert!(seen.insert(token[..20].to_owned()), "two tokens start alike");
    }
    for _ in 0..5 {
        let made = world.a.create(json!({"grant_types": ["client_credentials"]})).await;
        let secret = made["client_secret"].as_str().unwrap_or_default().to_owned();
        assert!(secret.len() >= 20 && seen.insert(secret), "{made}");
    }
}

/// What a canary must not be found in: the log, and every byte of the database.
async fn canary(database: &Database) {
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let env = [("LOG_LEVEL", "trace"), ("RUST_LOG", "trace")];
    let server = Server::start(&dsn, None, &env).await;
    let peer = &server.peer;
    let (id, secret) = (fresh("canary"), fresh("canary-secret-of-the-client"));
    peer.create(machine(&id, &secret)).await;
    let token = peer.token(&id, &secret).await;
    peer.client_credentials(&id, "canary-wrong-secret").await;
    assert!(peer.is_active(&token).await);
    let mut signed = machine(&fresh("canary-jwt"), &secret);
    signed["access_token_strategy"] = json!("jwt");
    let signed_id = signed["client_id"].as_str().unwrap().to_owned();
    peer.create(signed).await;
    let jwt = peer.token(&signed_id, &secret).await;
    peer.revoke(&token, &id, &secret).await;
    let set =
        peer.admin(Method::POST, "/admin/keys/canary", Some(json!({"alg": "ES256", "use": "sig", "kid": "k"}))).await;
    let private = set.json()["keys"][0]["d"].as_str().unwrap_or_default().to_owned();
    let (signature, jwt_signature) = (token.rsplit('.').next().unwrap(), jwt.rsplit('.').next().unwrap());
    let held = match database {
        Database::Sqlite { dir } => {
            let mut bytes = Vec::new();
            for file in std::fs::read_dir(dir.path()).unwrap() {
                bytes.extend(std::fs::read(file.unwrap().path()).unwrap_or_default());
            }
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Database::Postgres { .. } => {
            let done = std::process::Command::new("pg_dump").args(["--data-only", "--inserts", &dsn]).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8_lossy(&done.stdout).into_owned()
        }
    };
    assert!(held.contains(&id), "the dump holds the client");
    for (what, canary) in [
        ("the client's secret", secret.as_str()),
        ("a wrong secret", "canary-wrong-secret"),
        ("the token's signature", signature),
        ("the JWT's signature", jwt_signature),
        ("the system secret", SECRET),
        ("a private key", private.as_str()),
    ] {
        assert!(!canary.is_empty(), "{what}");
        assert!(!held.contains(canary), "I06, C14: {what} is in the database");
        assert!(!server.said().contains(canary), "I06: {what} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_no_secret_in_log_or_database_sqlite() {
    canary(&Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i06_no_secret_in_log_or_database_postgres() {
    let Some(admin) = postgres() else { return };
    canary(&Database::postgres(&admin).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i05_a_system_secret_taken_away_makes_tokens_inactive_and_never_500() {
    let database = Database::sqlite();
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let (id, secret) = (fresh("rotated"), fresh("secret"));
    let (token, issuer) = {
        let first = Server::start(&dsn, None, &[]).await;
        first.peer.create(machine(&id, &secret)).await;
        (first.peer.token(&id, &secret).await, format!("{}/", first.peer.public))
    };
    let new = "another-system-secret-of-some-length-too";
    {
        let both = format!("{new},{SECRET}");
        let second = Server::start(&dsn, Some(&issuer), &[("SECRETS_SYSTEM", both.as_str())]).await;
        assert!(second.peer.is_active(&token).await, "an old secret in second place still checks");
        assert_eq!(second.peer.get("/.well-known/jwks.json").await.status, 200);
    }
    let third = Server::start(&dsn, Some(&issuer), &[("SECRETS_SYSTEM", new)]).await;
    let answer = third.peer.introspect(&token).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"active": false})), "{}", answer.brief());
    assert_eq!(third.peer.client_credentials(&id, &secret).await.status, 200, "clients outlive the secret");
}
