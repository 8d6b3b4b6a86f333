//! `import hydra`: a database that another program made (`data/hydra/make.py`) moves here, and Hydra's clients, tokens and
//! users notice nothing of what can move.

use std::process::Output;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use signet::crypto::jose::SigningKey;
use signet::crypto::jwk::Jwk;

use crate::harness::{
    Browser, Database, Peer, SECRET, Server, Web, consented, decide, fresh, param, postgres, run, to_client,
};

const POSTGRES: &str = include_str!("data/hydra/postgres.sql");
const SQLITE: &str = include_str!("data/hydra/sqlite.sql");
const KEYS: &str = include_str!("data/hydra/keys.json");
const SECRETS: &str = "hydra-system-secret-of-some-length,an-older-system-secret-of-hydra";

/// Hydra's database and ours, in which the schema is there and nothing else.
struct Worlds {
    hydra: Database,
    ours: Database,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Worlds {
    async fn postgres(admin: &str) -> Self {
        let worlds = Self { hydra: Database::postgres(admin).await, ours: Database::postgres(admin).await };
        worlds.hydra.client().await.batch_execute(POSTGRES).await.unwrap();
        Server::migrate(&worlds.ours.dsn());
        worlds
    }

    fn sqlite() -> Self {
        let worlds = Self { hydra: Database::sqlite(), ours: Database::sqlite() };
        let dsn = worlds.hydra.dsn();
        let path = dsn.trim_start_matches("sqlite://").split('?').next().unwrap();
        rusqlite::Connection::open(path).unwrap().execute_batch(SQLITE).unwrap();
        Server::migrate(&worlds.ours.dsn());
        worlds
    }

    fn import(&self, args: &[&str]) -> Output {
        self.import_with(args, SECRETS)
    }

    fn import_with(&self, args: &[&str], secrets: &str) -> Output {
        let (from, dsn) = (self.hydra.dsn(), self.ours.dsn());
        let env = [
            ("DSN", dsn.as_str()),
            ("SECRETS_SYSTEM", SECRET),
            ("HYDRA_DSN", &from),
            ("HYDRA_SECRETS_SYSTEM", secrets),
            ("OIDC_SUBJECT_IDENTIFIERS_SUPPORTED_TYPES", "public,pairwise"),
            ("OIDC_SUBJECT_IDENTIFIERS_PAIRWISE_SALT", "some-salt-of-some-length"),
        ];
        run(&[&["import", "hydra", "--format", "json"], args].concat(), &env)
    }

    /// Runs it; the report.
    fn report(&self, args: &[&str]) -> Value {
        let done = self.import(args);
        serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}{}", text(&done.stdout), text(&done.stderr)))
    }
}

/// `new, changed, same, left, refused` of each part.
fn tallies(report: &Value) -> Vec<(String, [u64; 5])> {
    let tally = |part: &Value| {
        let count = |name: &str| part[name].as_u64().unwrap();
        let counts = ["new", "changed", "same", "left", "refused"].map(count);
        (part["part"].as_str().unwrap().to_owned(), counts)
    };
    report["parts"].as_array().unwrap().iter().map(tally).collect()
}

fn expected(parts: [(&str, [u64; 5]); 5]) -> Vec<(String, [u64; 5])> {
    parts.map(|(part, counts)| (part.to_owned(), counts)).into()
}

fn first_time() -> Vec<(String, [u64; 5])> {
    expected([
        ("clients", [8, 0, 0, 0, 1]),
        ("keys", [4, 0, 0, 0, 0]),
        ("subjects", [1, 0, 0, 0, 0]),
        ("consents", [3, 0, 0, 0, 1]),
        ("issuers", [0, 0, 0, 1, 0]),
    ])
}

fn second_time() -> Vec<(String, [u64; 5])> {
    expected([
        ("clients", [0, 0, 8, 0, 1]),
        ("keys", [0, 0, 4, 0, 0]),
        ("subjects", [0, 0, 1, 0, 0]),
        ("consents", [0, 0, 3, 0, 1]),
        ("issuers", [0, 0, 0, 1, 0]),
    ])
}

/// The remarks about one thing, one below the other.
fn remarks(report: &Value, id: &str) -> String {
    let about = report["remarks"].as_array().unwrap().iter().filter(|remark| remark["id"] == id);
    about.map(|r| format!("{}: {}\n", r["what"].as_str().unwrap(), r["why"].as_str().unwrap())).collect()
}

/// Dry, then twice: what is new, what is the same, and what is told.
fn moves_once(worlds: &Worlds) {
    let dry = worlds.report(&["--dry-run"]);
    assert_eq!((tallies(&dry), &dry["dry_run"]), (first_time(), &json!(true)));
    let done = worlds.import(&[]);
    assert_eq!(done.status.code(), Some(1), "two things could not be taken over");
    assert_eq!(text(&done.stderr), "Error: 2 things could not be taken over; see above\n");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (tallies(&report), &report["remarks"]),
        (first_time(), &dry["remarks"]),
        "a dry run tells what a run does"
    );
    for (id, told) in [
        ("odd-hash", "note: its secret is hashed in a way that is not understood here: give it another secret\n"),
        ("bearer", "note: its grant urn:ietf:params:oauth:grant-type:jwt-bearer is not served here\n"),
        ("hydra.openid.id-token/id-new", "note: it is the one that signs here\n"),
        ("hydra.jwt.access-token/access-1", "note: it is the one that signs here\n"),
    ] {
        assert_eq!(remarks(&report, id), told, "{id}");
    }
    let strays = remarks(&report, "runs-script");
    assert!(strays.contains("refused: ") && strays.ends_with("refused: its client is not here\n"), "{strays}");
    assert!(remarks(&report, "https://partner.example").starts_with("left: the JWT bearer grant"));
    assert_eq!(report["remarks"].as_array().unwrap().len(), 7, "{report}");
    assert_eq!(tallies(&worlds.report(&[])), second_time());
    assert_eq!(tallies(&worlds.report(&["--dry-run"])), second_time());
}

fn web() -> Web {
    Web { id: "web".to_owned(), secret: "secret-of-web".to_owned() }
}

fn header_and_claims(jwt: &str) -> (Value, Value) {
    let part = |at| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(at).unwrap()).unwrap()).unwrap();
    (part(0), part(1))
}

/// An ID token as Hydra issued them, signed by one of its keys, over for long.
fn hydras_id_token(peer: &Peer, kid: &str, renamed: &str) -> String {
    let keys: Value = serde_json::from_str(KEYS).unwrap();
    let mut jwk = Jwk::from(keys[kid].as_object().unwrap().clone());
    jwk.members_mut().insert("kid".to_owned(), renamed.into());
    let claims = json!({
        "iss": format!("{}/", peer.public), "sub": "ada", "aud": ["web"], "iat": 1_735_689_600, "exp": 1_735_693_200,
        "sid": "00000002-0000-4000-8000-000000000000",
    });
    SigningKey::from_jwk(&jwk).unwrap().sign_jwt("JWT", &claims).unwrap()
}

async fn clients_go_on(peer: &Peer) {
    for (id, secret) in [
        ("machine", "secret-of-machine"),
        ("older-machine", "secret-of-older-machine"),
        ("older-machine", "its-secret-before"),
    ] {
        let answer = peer.client_credentials(id, secret).await;
        assert_eq!(answer.status, 200, "{id} by {secret}: {}", answer.brief());
    }
    for (id, secret) in [("machine", "its-secret-before"), ("odd-hash", "its-secret"), ("bearer", "secret-of-machine")]
    {
        assert_eq!(peer.client_credentials(id, secret).await.error(), "invalid_client", "{id}");
    }
    let answer = peer.admin(Method::GET, "/admin/clients/machine", None).await.json();
    for (field, value) in [
        ("client_name", json!("The client machine")),
        ("owner", json!("team-a")),
        ("scope", json!("read write")),
        ("audience", json!(["https://api.example.com"])),
        ("metadata", json!({"cost-centre": 7})),
        ("contacts", json!(["a@example.com"])),
        ("client_credentials_grant_access_token_lifespan", json!("1h30m0s")),
        ("created_at", json!("2024-03-01T10:00:00Z")),
        ("updated_at", json!("2025-03-01T10:00:00Z")),
    ] {
        assert_eq!(answer[field], value, "{field}");
    }
    assert_eq!(peer.client_credentials("machine", "secret-of-machine").await.json()["expires_in"], 5400);
    let asserts = peer.admin(Method::GET, "/admin/clients/asserts", None).await.json();
    assert_eq!(asserts["jwks"]["keys"][0]["kid"], "assertions-1");
}

async fn keys_go_on(peer: &Peer) {
    let jwks = peer.get("/.well-known/jwks.json").await.json();
    let mut kids: Vec<&str> = jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    kids.sort_unstable();
    assert_eq!(kids, ["access-1", "id-new", "id-old"], "Hydra's keys and no others");
    let token = peer.token("older-machine", "secret-of-older-machine").await;
    assert_eq!(header_and_claims(&token).0["kid"], "access-1");
    for kid in ["id-new", "id-old"] {
        let hint = hydras_id_token(peer, kid, kid);
        let asked = Browser::default().ask(peer, &web(), &[("id_token_hint", &hint)]).await;
        assert!(!param(&asked.location(), "login_challenge").is_empty(), "{kid}: {}", asked.location());
    }
    let forged = hydras_id_token(peer, "id-new", "id-old");
    let asked = Browser::default().ask(peer, &web(), &[("id_token_hint", &forged)]).await;
    to_client(&asked, "invalid_request", "a signature of another key");
}

/// The consent request of a user who signs in at a client of Hydra's.
async fn asked(peer: &Peer, browser: &mut Browser, subject: &str, scope: &str) -> (String, Value) {
    let page = browser.signed_in(peer, &web(), &[("scope", scope)], json!({"subject": subject})).await;
    let request = decide(peer, "consent", &page, Value::Null).await;
    assert_eq!(request.status, 200, "{subject}: {}", request.brief());
    (page, request.json())
}

async fn consents_go_on(peer: &Peer) {
    for (subject, scope, skips) in [
        ("ada", "openid offline", true),
        ("fay", "openid", true),
        ("ada", "openid offline read", false),
        ("bob", "openid offline", false),
        ("cyd", "openid offline", false),
        ("dora", "openid offline", false),
        ("eve", "openid offline", false),
    ] {
        let (_, request) = asked(peer, &mut Browser::default(), subject, scope).await;
        assert_eq!(request["skip"], skips, "{subject}, {scope}: {request}");
    }
    let mut browser = Browser::default();
    let (page, _) = asked(peer, &mut browser, "ada", "openid offline").await;
    let code = param(&consented(peer, &mut browser, &page).await.location(), "code");
    let tokens = peer.exchange(&web(), &code, &[]).await;
    let (header, claims) = header_and_claims(&tokens.get("id_token"));
    assert_eq!((&header["kid"], &claims["sub"]), (&json!("id-new"), &json!("ada")));
    assert!(peer.is_active(&tokens.get("access_token")).await);
    listed(peer).await;
    let path = "/admin/oauth2/auth/sessions/consent?subject=ada&client=web";
    assert_eq!(peer.admin(Method::DELETE, path, None).await.status, 204);
    let (_, request) = asked(peer, &mut Browser::default(), "ada", "openid offline").await;
    assert_eq!(request["skip"], false, "revoked");
}

async fn listed(peer: &Peer) {
    let list = peer.admin(Method::GET, "/admin/oauth2/auth/sessions/consent?subject=ada", None).await.json();
    let of_hydra = list.as_array().unwrap().iter().find(|c| c["consent_request_id"] == format!("c{:031x}", 2)).unwrap();
    for (pointer, value) in [
        ("/grant_scope", json!(["openid", "offline"])),
        ("/session/id_token/email", json!("ada@example.com")),
        ("/remember", json!(true)),
        ("/consent_request/login_session_id", json!("00000002-0000-4000-8000-000000000000")),
        ("/consent_request/login_challenge", json!(format!("{:032x}", 2))),
        ("/consent_request/context/from", json!("login")),
        ("/consent_request/oidc_context/display", json!("page")),
        ("/consent_request/amr", json!(["pwd"])),
    ] {
        assert_eq!(of_hydra.pointer(pointer), Some(&value), "{pointer}: {of_hydra}");
    }
    let url = of_hydra["consent_request"]["request_url"].as_str().unwrap();
    assert!(url.starts_with(&peer.public) && url.ends_with("client_id=web&response_type=code&scope=openid"), "{url}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hydras_clients_keys_and_consents_go_on_from_postgresql() {
    let Some(admin) = postgres() else { return };
    let worlds = Worlds::postgres(&admin).await;
    moves_once(&worlds);
    let server = Server::start(&worlds.ours.dsn(), None, &[]).await;
    clients_go_on(&server.peer).await;
    keys_go_on(&server.peer).await;
    consents_go_on(&server.peer).await;
    let client = worlds.ours.client().await;
    let forced = client.query_one("SELECT forced FROM forced_subject WHERE subject = 'gil'", &[]).await.unwrap();
    assert_eq!(forced.get::<_, &str>(0), "gil-as-they-know-him");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hydras_clients_keys_and_consents_go_on_from_sqlite() {
    let worlds = Worlds::sqlite();
    moves_once(&worlds);
    let server = Server::start(&worlds.ours.dsn(), None, &[]).await;
    clients_go_on(&server.peer).await;
    keys_go_on(&server.peer).await;
    consents_go_on(&server.peer).await;
}

/// What signs access tokens now.
async fn access_signer(peer: &Peer) -> String {
    let token = peer.token("older-machine", "secret-of-older-machine").await;
    header_and_claims(&token).0["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_server_hydras_newest_key_takes_over_and_each_run_brings_what_changed() {
    let Some(admin) = postgres() else { return };
    let worlds = Worlds::postgres(&admin).await;
    let server = Server::start(&worlds.ours.dsn(), None, &[]).await;
    let peer = &server.peer;
    let report = worlds.report(&[]);
    assert_eq!(tallies(&report), first_time());
    assert!(remarks(&report, "hydra.jwt.access-token/access-1").contains("in ten seconds"));
    let imported = Instant::now();

    // Of both sides, each on another client, and one on both.
    let hydra = worlds.hydra.client().await;
    let renamed = "UPDATE hydra_client SET client_name = 'Renamed there', updated_at = '2026-02-02 00:00:00'
                   WHERE id IN ('machine', 'web')";
    assert_eq!(hydra.execute(renamed, &[]).await.unwrap(), 2);
    let patch = json!([{"op": "replace", "path": "/client_name", "value": "Renamed here"}]);
    for id in ["web", "spa"] {
        assert_eq!(peer.admin(Method::PATCH, &format!("/admin/clients/{id}"), Some(patch.clone())).await.status, 200);
    }
    assert_eq!(peer.admin(Method::DELETE, "/admin/keys/hydra.openid.id-token/id-old", None).await.status, 204);
    let again = worlds.report(&[]);
    let mut wanted = second_time();
    wanted[0].1 = [0, 1, 5, 2, 1];
    wanted[1].1 = [0, 0, 3, 1, 0];
    assert_eq!(tallies(&again), wanted, "{again}");
    assert!(remarks(&again, "hydra.openid.id-token/id-old").contains("its own time is over"));
    let name = async |id: &str| peer.admin(Method::GET, &format!("/admin/clients/{id}"), None).await.get("client_name");
    assert_eq!((name("machine").await, name("web").await), ("Renamed there".to_owned(), "Renamed here".to_owned()));

    while access_signer(peer).await != "access-1" {
        assert!(imported.elapsed() < Duration::from_secs(30), "another key signs");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let ours = worlds.ours.client().await;
    let retiring = "SELECT count(*) FROM json_web_key WHERE set_id = 'hydra.jwt.access-token' AND retires_at > now()";
    while ours.query_one(retiring, &[]).await.unwrap().get::<_, i64>(0) != 1 {
        assert!(
            imported.elapsed() < Duration::from_secs(45),
            "what signed before is published for as long as its tokens live"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_does_not_open_is_told_by_the_key_and_its_set_stays_behind() {
    let Some(admin) = postgres() else { return };
    let worlds = Worlds::postgres(&admin).await;
    let done = worlds.import_with(&["--only", "clients,keys"], "hydra-system-secret-of-some-length");
    assert_eq!(done.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        tallies(&report),
        [("clients".to_owned(), [8, 0, 0, 0, 1]), ("keys".to_owned(), [2, 0, 0, 0, 2])],
        "{report}"
    );
    // The older one from a file.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets");
    std::fs::write(&file, "an-older-system-secret-of-hydra\n").unwrap();
    let args = ["--only", "keys", "--dry-run", "--secrets-system-file", file.to_str().unwrap()];
    let done = worlds.import_with(&args, "hydra-system-secret-of-some-length");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let told = |kid: &str| remarks(&report, &format!("hydra.openid.id-token/{kid}"));
    assert_eq!(told("id-old"), "refused: none of the given secrets opens it\n");
    assert!(told("id-new").contains("which of them signs must be certain"), "{}", told("id-new"));
    let keys = worlds.ours.client().await;
    let sets = keys.query("SELECT set_id FROM json_web_key ORDER BY set_id", &[]).await.unwrap();
    let sets: Vec<&str> = sets.iter().map(|row| row.get(0)).collect();
    assert_eq!(sets, ["https://partner.example", "hydra.jwt.access-token"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_another_secret_than_the_servers_nothing_is_written() {
    let Some(admin) = postgres() else { return };
    let worlds = Worlds::postgres(&admin).await;
    drop(Server::start(&worlds.ours.dsn(), None, &[("SECRETS_SYSTEM", "the-secret-of-the-servers-is-another")]).await);
    let done = worlds.import(&[]);
    assert_eq!(done.status.code(), Some(1));
    let told = text(&done.stderr);
    assert!(told.contains("is secrets.system here the one that its servers have?"), "{told}");
    let clients = worlds.ours.client().await.query_one("SELECT count(*) FROM client", &[]).await.unwrap();
    assert_eq!(clients.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hydras_database_is_only_read() {
    let Some(admin) = postgres() else { return };
    let worlds = Worlds::postgres(&admin).await;
    let client = worlds.hydra.client().await;
    // A role that can read and nothing else.
    let role = fresh("reader").replace('-', "_");
    let may_read =
        format!("CREATE ROLE {role} LOGIN PASSWORD 'reader'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}");
    client.batch_execute(&may_read).await.unwrap();
    let mut dsn = url::Url::parse(&worlds.hydra.dsn()).unwrap();
    dsn.set_username(&role).unwrap();
    dsn.set_password(Some("reader")).unwrap();
    let report = worlds.report(&["--from", dsn.as_str()]);
    client.batch_execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
    assert_eq!(tallies(&report), first_time());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hydras_own_database_is_not_migrated() {
    let mut all = vec![Worlds::sqlite()];
    if let Some(admin) = postgres() {
        all.push(Worlds::postgres(&admin).await);
    }
    for worlds in all {
        let done = run(&["migrate", "sql", "--yes", &worlds.hydra.dsn()], &[]);
        let wrote = text(&done.stderr);
        assert_eq!(done.status.code(), Some(1));
        assert!(wrote.contains("this is a database of Hydra's: make another one"), "{wrote}");
        let examined = run(&["doctor", "--dev"], &[("DSN", &worlds.hydra.dsn()), ("SECRETS_SYSTEM", SECRET)]);
        assert!(text(&examined.stdout).contains("this is a database of Hydra's"), "{}", text(&examined.stdout));
        assert!(!worlds.report(&["--dry-run"])["parts"].is_null(), "it is as it was");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_cannot_read_is_one_clear_line() {
    let Some(admin) = postgres() else { return };
    let (of_version_1, empty) = (Database::postgres(&admin).await, Database::postgres(&admin).await);
    let made = "CREATE TABLE hydra_client (id text, client_secret text, redirect_uris text)";
    of_version_1.client().await.batch_execute(made).await.unwrap();
    let ours = Database::postgres(&admin).await;
    let dsn = ours.dsn();
    let cases = [
        (vec!["--from", &dsn], "migrations are pending here; run `migrate sql` first"),
        (vec!["--from", "sqlite:///no/such/file"], "migrations are pending here"),
    ];
    let check = |args: &[&str], told: &str, env: &[(&str, &str)]| {
        let done = run(&[&["import", "hydra"], args].concat(), env);
        let wrote = text(&done.stderr);
        assert_eq!((done.status.code(), text(&done.stdout).as_str()), (Some(1), ""), "{wrote}");
        assert!(wrote.contains(told) && wrote.lines().count() == 1 && !wrote.contains("hidden"), "{told}: {wrote}");
    };
    let env = [("DSN", dsn.as_str()), ("SECRETS_SYSTEM", SECRET), ("HYDRA_SECRETS_SYSTEM", "some-hidden-secret")];
    for (args, told) in cases {
        check(&args, told, &env);
    }
    Server::migrate(&dsn);
    let (one, nothing) = (of_version_1.dsn(), empty.dsn());
    for (args, told) in [
        (vec!["--from", &dsn], "both DSNs are the same"),
        (vec!["--from", &one], "this is a database of Hydra 1"),
        (vec!["--from", &nothing], "there is no table hydra_client: a database of Hydra 2.0 to 26.2 is read here"),
        (vec!["--from", "mysql://u:hidden@h/hydra"], "the DSN names no known database"),
        (vec!["--from", "postgres://u:hidden@127.0.0.1:9/hydra"], "PostgreSQL cannot be reached"),
        (vec!["--from", "sqlite:///no/such/file"], "cannot use /no/such/file"),
    ] {
        check(&args, told, &env);
    }
    check(&["--from", &one], "is not set: give the one of the servers here", &[env[0], env[2]]);
    check(&["--from", &one], "give it in HYDRA_SECRETS_SYSTEM", &env[..2]);
    check(&["--from", &one], "DSN=memory lives inside its server", &[("DSN", "memory"), env[1], env[2]]);
    let unknown = run(&["import", "hydra", "--from", &one, "--only", "tokens"], &env);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("use clients, keys, subjects, consents, issuers"));
}
