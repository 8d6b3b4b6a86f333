//! Families I and C in the file itself: rows moved, planted and given to another network.

use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Callee, Database, Server, fresh, machine};

struct Sealed {
    _hook: Callee,
    server: Server,
    file: Connection,
    tokens: Vec<String>,
    id: String,
    secret: String,
}

/// A server on a file with two tokens, whose extra claims tell them apart.
async fn sealed(database: &Database) -> Sealed {
    let hook = Callee::start(|question| {
        let other = question.body.contains("write");
        (200, json!({"session": {"access_token": {"owner": if other { "second" } else { "first" }}}}).to_string())
    });
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let server = Server::start(&dsn, None, &[("OAUTH2_TOKEN_HOOK", hook.url.as_str())]).await;
    let (id, secret) = (fresh("rest"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let mut tokens = Vec::new();
    for scope in ["read", "write"] {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        tokens.push(server.peer.form("/oauth2/token", &form, Some((&id, &secret))).await.get("access_token"));
    }
    let path = dsn.trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
    let file = Connection::open(path).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    Sealed { _hook: hook, server, file, tokens, id, secret }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i02_claims_moved_to_another_row_do_not_open() {
    let database = Database::sqlite();
    let it = sealed(&database).await;
    assert_eq!(it.server.peer.introspect(&it.tokens[0]).await.json()["ext"]["owner"], "first");
    let rows: Vec<(Vec<u8>, Vec<u8>)> = it
        .file
        .prepare("SELECT signature, session FROM access_token")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for (signature, session) in [(&rows[0].0, &rows[1].1), (&rows[1].0, &rows[0].1)] {
        let swap = "UPDATE access_token SET session = ?2 WHERE signature = ?1";
        assert_eq!(it.file.execute(swap, [signature, session]).unwrap(), 1);
    }
    for token in &it.tokens {
        let answer = it.server.peer.introspect(token).await;
        assert_eq!((answer.status, answer.error().as_str()), (500, "server_error"), "{}", answer.brief());
        assert!(!answer.text.contains("owner"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i03_plain_claims_are_not_taken_where_claims_are_sealed() {
    let database = Database::sqlite();
    let it = sealed(&database).await;
    for planted in [&b"\x00{\"role\":\"admin\"}"[..], b"{\"role\":\"admin\"}", b"\x01"] {
        it.file.execute("UPDATE access_token SET session = ?1", [planted]).unwrap();
        let answer = it.server.peer.introspect(&it.tokens[0]).await;
        assert_eq!(answer.status, 500, "{planted:?}: {}", answer.brief());
        assert!(!answer.text.contains("admin"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_another_networks_rows_are_not_ours() {
    let database = Database::sqlite();
    let it = sealed(&database).await;
    let other = "UPDATE access_token SET nid = x'00000000000040008000000000000001'";
    it.file.execute(other, []).unwrap();
    assert!(!it.server.peer.is_active(&it.tokens[0]).await);
    it.file.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let other = other.replace("access_token", "client");
    it.file.execute(&other, []).unwrap();
    let answer = it.server.peer.get("/health/ready").await;
    assert_eq!(answer.status, 200);
    let gone = it.server.peer.admin(reqwest::Method::GET, &format!("/admin/clients/{}", it.id), None).await;
    assert_eq!(gone.status, 404, "{}", gone.brief());
    // The shelf may still know the client: the store compares before it writes.
    assert_eq!(it.server.peer.client_credentials(&it.id, &it.secret).await.error(), "invalid_client");
}
