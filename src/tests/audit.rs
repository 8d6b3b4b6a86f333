//! Audit events from the real API: each of the table once it is true, on its own stream, with nothing secret in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use reqwest::Method;
use serde_json::{Value, json};
use signet::telemetry::audit::AuditEvent;

use crate::harness::{
    Browser, CALLBACK, Database, Peer, SECRET, Server, Web, accept, basic, decide, enter_user_code, fresh, machine,
    param, postgres, sign_in, signal,
};

/// What every line has beside the fields of its event.
const ENVELOPE: [&str; 7] = ["level", "time", "audience", "service_name", "service_version", "event", "request_id"];

/// A server whose events go to a file.
struct Audited {
    server: Server,
    peer: Peer,
    file: PathBuf,
    _dir: tempfile::TempDir,
    _database: Database,
}

impl Audited {
    async fn on(database: Database, more: &[(&str, &str)]) -> Self {
        Server::migrate(&database.dsn());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.log");
        let mut env = vec![("LOG_AUDIT_PATH", file.to_str().unwrap()), ("KEYS_ALGORITHM", "ES256")];
        env.extend(more);
        let server = Server::start(&database.dsn(), None, &env).await;
        Self { peer: server.peer.clone(), server, file, _dir: dir, _database: database }
    }

    /// Ends the server as an operator does; everything that it told, and the text of it.
    async fn end(&mut self) -> (Vec<Value>, String) {
        signal(self.server.pid(), "TERM");
        assert_eq!(self.server.wait_end().await, Some(0), "{}", self.server.said());
        let text = std::fs::read_to_string(&self.file).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), text)
    }
}

/// The names of a line's members, those of nested objects with a dot.
fn members(line: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, value) in line.as_object().unwrap() {
        match value.as_object() {
            Some(inner) => found.extend(inner.keys().map(|member| format!("{name}.{member}"))),
            None => drop(found.insert(name.clone())),
        }
    }
    found
}

fn named(events: &[Value], event: AuditEvent) -> Vec<&Value> {
    events.iter().filter(|line| line["event"] == event.name()).collect()
}

/// The only event of that name.
fn only(events: &[Value], event: AuditEvent) -> &Value {
    let found = named(events, event);
    assert_eq!(found.len(), 1, "{event:?}: {found:?}");
    found[0]
}

/// What a user's client may do here.
fn web(id: &str, secret: &str) -> Value {
    json!({
        "client_id": id, "client_secret": secret, "client_name": "An app", "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token", "implicit", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code", "token", "id_token token"], "scope": "openid offline",
    })
}

/// The browser goes as far as `what` (`login` or `consent`), and the app says no.
async fn rejected(peer: &Peer, web: &Web, what: &str) {
    let mut browser = Browser::default();
    let mut page = browser.ask(peer, web, &[]).await.location();
    if what == "consent" {
        let back = accept(peer, "login", &page, json!({"subject": "a-user"})).await;
        page = browser.go(peer, &back).await.location();
    }
    let no = decide(peer, &format!("{what}/reject"), &page, json!({"error": "not_today"})).await;
    let heard = browser.go(peer, &no.get("redirect_to")).await.location();
    assert_eq!(param(&heard, "error"), "not_today", "{heard}");
}

/// Everything that there is an event for, once if possible. What was secret on the way.
async fn a_day(peer: &Peer, web_client: &Web) -> Vec<String> {
    let (id, secret) = (web_client.id.as_str(), web_client.secret.as_str());
    let path = format!("/admin/clients/{id}");
    peer.create(web(id, secret)).await;
    let patch = json!([{"op": "replace", "path": "/client_name", "value": "Another app"}]);
    assert_eq!(peer.admin(Method::PATCH, &path, Some(patch)).await.status, 200);

    // Granted, exchanged, introspected, refreshed; then both come again.
    let back = sign_in(peer, web_client, &[], json!({})).await;
    let code = param(&back, "code");
    let first = peer.exchange(web_client, &code, &[]).await;
    assert_eq!(first.status, 200, "{}", first.brief());
    assert!(peer.is_active(&first.get("access_token")).await);
    let second = peer.refresh(web_client, &first.get("refresh_token"), &[]).await;
    assert_eq!(second.status, 200, "{}", second.brief());
    assert_eq!(peer.refresh(web_client, &first.get("refresh_token"), &[]).await.error(), "invalid_grant");
    let again = param(&sign_in(peer, web_client, &[], json!({})).await, "code");
    let third = peer.exchange(web_client, &again, &[]).await;
    assert_eq!(peer.exchange(web_client, &again, &[]).await.error(), "invalid_grant");

    // A token straight from the authorization endpoint, which another client cannot revoke.
    let more = [("response_type", "token"), ("nonce", "")];
    let at_once = sign_in(peer, web_client, &more, json!({})).await.replacen('#', "?", 1);
    let at_once = param(&at_once, "access_token");
    let (other, hush) = (fresh("other"), fresh("secret-of"));
    peer.create(machine(&other, &hush)).await;
    assert_eq!(peer.revoke(&at_once, &other, &hush).await.status, 200);
    assert!(peer.is_active(&at_once).await);
    for _ in 0..2 {
        assert_eq!(peer.revoke(&at_once, id, secret).await.status, 200);
    }

    let batch = json!({"tokens": [at_once, "forged"]});
    let batch = peer.admin(Method::POST, "/admin/oauth2/introspect/batch", Some(batch)).await;
    assert_eq!(batch.json(), json!([{"active": false}, {"active": false}]));

    rejected(peer, web_client, "login").await;
    rejected(peer, web_client, "consent").await;
    let device = peer.device(web_client, &[("scope", "openid")]).await;
    let typed = device.get("user_code");
    enter_user_code(peer, &mut Browser::default(), &typed).await.unwrap_or_else(|a| panic!("{}", a.brief()));

    let consents = "/admin/oauth2/auth/sessions/consent";
    let nobodys = peer.admin(Method::DELETE, &format!("{consents}?subject=nobody&all=true"), None).await;
    let users = peer.admin(Method::DELETE, &format!("{consents}?subject=a-user&client={id}"), None).await;
    assert_eq!((nobodys.status, users.status), (204, 204));
    assert_eq!(peer.admin(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(peer.admin(Method::DELETE, &path, None).await.status, 404);

    let mut secrets = vec![code, again, at_once, device.get("device_code"), typed, hush, secret.to_owned()];
    for answer in [&first, &second, &third] {
        secrets.extend(["access_token", "refresh_token", "id_token"].map(|name| answer.get(name)));
    }
    secrets.extend([basic(id, secret), SECRET.to_owned(), "_challenge".to_owned(), "_verifier".to_owned()]);
    secrets
}

async fn every_event(database: Database) {
    let mut audited = Audited::on(database, &[("LOG_AUDIT_INTROSPECTIONS", "true")]).await;
    let client = Web { id: fresh("audited"), secret: fresh("secret-of") };
    let secrets = a_day(&audited.peer, &client).await;
    let (events, text) = audited.end().await;

    let told: BTreeSet<&str> = events.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let table: BTreeMap<&str, AuditEvent> = AuditEvent::ALL.iter().map(|event| (event.name(), *event)).collect();
    assert_eq!(told, table.keys().copied().collect(), "the events that happen are those of the table");
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in &events {
        assert_eq!(line["audience"], "audit", "{line}");
        let fields = members(line).into_iter().filter(|name| !ENVELOPE.contains(&name.as_str()));
        seen.entry(line["event"].as_str().unwrap()).or_default().extend(fields);
    }
    for (name, event) in table {
        let fields: BTreeSet<String> = event.fields().iter().map(|field| (*field).to_owned()).collect();
        let missing: Vec<&String> = fields.difference(&seen[name]).collect();
        // Two of them depend on what was revoked.
        let lacks: &[&str] = match event {
            AuditEvent::ConsentRevoked => &["OAuth2ConsentRequestID"],
            AuditEvent::AccessTokenRevoked => &["OAuth2RefreshTokenSignature"],
            _ => &[],
        };
        assert!(seen[name].is_subset(&fields) && missing == lacks, "{name}: {:?} {fields:?}", seen[name]);
    }
    for hidden in secrets {
        // Of an opaque token its parts, each of which would be enough.
        for part in hidden.split('.').filter(|part| part.len() > 5) {
            assert!(!text.contains(part), "{part} of {hidden}: {:?}", text.lines().find(|line| line.contains(part)));
        }
    }
    let said = audited.server.said();
    assert!(!said.contains("OAuth2") && !said.contains("AdminApiCall"), "events have their own stream:\n{said}");
    what_they_say(&events, &client.id);
}

fn what_they_say(events: &[Value], client_id: &str) {
    let issued = named(events, AuditEvent::AccessTokenIssued);
    let by = |grant: &str| issued.iter().filter(|line| line["OAuth2GrantType"] == grant).count();
    assert_eq!((by("authorization_code"), by("refresh_token"), by("implicit")), (2, 1, 1), "{issued:?}");
    let first = issued[0];
    let signature = first["OAuth2AccessTokenSignature"].as_str().unwrap();
    assert!(signature.len() == 8 && hex::decode(signature).is_ok(), "{first}");
    for (field, expected) in
        [("OAuth2ClientID", client_id), ("OAuth2Subject", "a-user"), ("OAuth2TokenFormat", "opaque"), ("level", "info")]
    {
        assert_eq!(first[field], expected, "{first}");
    }
    // The same token when it was introspected, the same consent when it was granted.
    let inspected = named(events, AuditEvent::AccessTokenInspected);
    assert_eq!(inspected[0]["OAuth2AccessTokenSignature"], signature, "{inspected:?}");
    assert_eq!(inspected.len(), 2, "{inspected:?}");
    let granted = named(events, AuditEvent::ConsentAccepted);
    assert_eq!(granted[0]["OAuth2ConsentRequestID"], first["OAuth2ConsentRequestID"]);
    assert_eq!((granted.len(), named(events, AuditEvent::LoginAccepted).len()), (3, 4));
    assert_eq!(named(events, AuditEvent::RefreshTokenIssued).len(), 3);
    let reused = only(events, AuditEvent::RefreshReuseDetected);
    assert_eq!(reused["OAuth2ConsentRequestID"], first["OAuth2ConsentRequestID"], "{reused}");
    assert_eq!(only(events, AuditEvent::CodeReuseDetected)["OAuth2GrantType"], "authorization_code");
    let refused = named(events, AuditEvent::TokenExchangeError);
    assert!(refused.len() == 2 && refused.iter().all(|line| line["ErrorReason"] == "invalid_grant"), "{refused:?}");
    assert_eq!(only(events, AuditEvent::LoginRejected)["ErrorReason"], "not_today");
    assert_eq!(only(events, AuditEvent::ConsentRejected)["OAuth2Subject"], "a-user");
    // Twice asked for, once true; and not by who does not own it.
    assert_eq!(only(events, AuditEvent::AccessTokenRevoked)["OAuth2ClientID"], client_id);
    assert_eq!(only(events, AuditEvent::ConsentRevoked)["OAuth2ClientID"], client_id);
    assert_eq!(only(events, AuditEvent::ClientUpdated)["OAuth2ClientName"], "Another app");
    assert_eq!(only(events, AuditEvent::ClientDeleted)["OAuth2ClientID"], client_id);
    let sets: BTreeSet<&str> =
        named(events, AuditEvent::KeyRotated).iter().map(|line| line["key"]["set"].as_str().unwrap()).collect();
    assert_eq!(sets, ["hydra.jwt.access-token", "hydra.openid.id-token"].into());
    let calls = named(events, AuditEvent::AdminApiCall);
    let deleted: Vec<&&Value> = calls
        .iter()
        .filter(|line| {
            line["http_request"]["method"] == "DELETE" && line["http_request"]["route"] == "/admin/clients/{id}"
        })
        .collect();
    let statuses: Vec<&Value> = deleted.iter().map(|line| &line["http_response"]["status"]).collect();
    assert_eq!(statuses, [&json!(204), &json!(404)]);
    assert_eq!(deleted[0]["http_request"]["path"], format!("/admin/clients/{client_id}"));
    assert_eq!(deleted[0]["http_request"]["remote"], "127.0.0.1");
    assert!(deleted[0]["request_id"].as_str().is_some_and(|id| id.len() == 36));
    let quiet = ["introspect", "health", "metrics"];
    assert!(calls.iter().all(|line| !quiet.iter().any(|path| line.to_string().contains(path))), "{calls:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_told_on_sqlite() {
    every_event(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_told_on_postgres() {
    let Some(admin) = postgres() else { return };
    every_event(Database::postgres(&admin).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn introspections_are_told_only_when_asked_for() {
    let mut audited = Audited::on(Database::sqlite(), &[("LOG_LEVEL", "error")]).await;
    let (id, secret) = (fresh("machine"), fresh("secret-of"));
    audited.peer.create(machine(&id, &secret)).await;
    let token = audited.peer.token(&id, &secret).await;
    assert!(audited.peer.is_active(&token).await);
    let (events, _) = audited.end().await;
    assert!(named(&events, AuditEvent::AccessTokenInspected).is_empty(), "{events:?}");
    // A client's own token stands on nobody's consent, and the log's level says nothing about events.
    let issued = only(&events, AuditEvent::AccessTokenIssued);
    assert_eq!((&issued["OAuth2Subject"], &issued["OAuth2ConsentRequestID"]), (&json!(id), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_be_written_is_told_at_the_start() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let mut server = Server::launch(&database.dsn(), None, &[("LOG_AUDIT_PATH", "/nonexistent/audit.log")]);
    assert_eq!(server.wait_end().await, Some(1));
    let said = server.said();
    assert!(said.contains("log.audit.path: /nonexistent/audit.log cannot be opened"), "{said}");
}
