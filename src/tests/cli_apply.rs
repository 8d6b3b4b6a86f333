//! `apply oauth2-clients` against real servers: what is written, what is not, and what is said.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Case, Database, Server, World, cases, fresh, machine, play, postgres, run};

const TABLE: [Case; 9] = cases! {
    "A01" "a second apply writes nothing" => twice,
    "A02" "what was changed by hand is as declared again, and the secret stays" => drift,
    "A03" "another secret takes the place of all earlier ones" => secret,
    "A04" "a dry run says what it would do, and does nothing" => dry_run,
    "A05" "only what the same set made is deleted" => prune,
    "A06" "a fault in one client keeps all others from being applied" => faults,
    "A07" "a client that the server refuses keeps no other from being applied, and nothing from being kept" => refused,
    "A08" "what Hydra Maester sends is taken" => maester,
    "A09" "who applies the same at the same time gets the same" => at_once,
};

#[actix_web::test]
async fn on_sqlite() {
    play(&World::sqlite(&[]).await, &TABLE).await;
}

#[actix_web::test]
async fn on_postgres() {
    let Some(world) = World::postgres(&[]).await else { return };
    play(&world, &TABLE).await;
}

/// Applies a text as a file: at the admin listener of one replica, with secrets tried at another.
fn apply(world: &World, text: &str, more: &[&str], env: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clients.yaml");
    std::fs::write(&file, text).unwrap();
    let mut args = vec!["apply", "clients", file.to_str().unwrap(), "-e", &world.a.admin, "--public", &world.b.public];
    args.extend(more);
    run(&args, env)
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `ID ACTION MEMBERS` of each client, from an apply with `--format json` that ended as it should.
fn actions(done: &Output, code: i32) -> Vec<String> {
    assert_eq!(done.status.code(), Some(code), "{}", said(&done.stderr));
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let members = |item: &Value| {
        let each = item["changed"].as_array().unwrap().iter().map(|one| one["member"].as_str().unwrap());
        each.collect::<Vec<_>>().join(",")
    };
    let line = |item: &Value| {
        let (id, action) = (item["client_id"].as_str().unwrap(), item["action"].as_str().unwrap());
        format!("{id} {action} {}", members(item)).trim_end().to_owned()
    };
    told["items"].as_array().unwrap().iter().map(line).collect()
}

fn applied(world: &World, text: &str, more: &[&str]) -> Vec<String> {
    let more: Vec<&str> = ["--format", "json"].into_iter().chain(more.iter().copied()).collect();
    actions(&apply(world, text, &more, &[]), 0)
}

/// Id, version and time of change of every client, as the database has them.
async fn written(world: &World) -> Vec<String> {
    const ALL: &str = "SELECT id || ' ' || version || ' ' || updated_at FROM client ORDER BY id";
    match &world.database {
        Database::Postgres { .. } => {
            let rows = world.database.client().await.query(ALL, &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        }
        Database::Sqlite { dir } => {
            let file = rusqlite::Connection::open(dir.path().join("signet.sqlite")).unwrap();
            let mut all = file.prepare(ALL).unwrap();
            all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
    }
}

async fn shown(world: &World, id: &str) -> Value {
    world.a.admin(Method::GET, &format!("/admin/clients/{id}"), None).await.json()
}

async fn is_there(world: &World, id: &str) -> bool {
    world.a.admin(Method::GET, &format!("/admin/clients/{id}"), None).await.status == 200
}

async fn gets_a_token(world: &World, id: &str, secret: &str) -> bool {
    world.a.client_credentials(id, secret).await.status == 200
}

/// A client with a secret, in a file.
fn with_secret(id: &str, secret: &str) -> String {
    format!("client_id: {id}\nclient_secret: {secret}\ngrant_types: [client_credentials]\nscope: read\n")
}

fn without_secret(id: &str) -> String {
    format!("client_id: {id}\ntoken_endpoint_auth_method: none\nredirect_uris: ['https://{id}.example/cb?a=1&b=2']\n")
}

async fn twice(world: &World) {
    let (web, app, posting) = (fresh("web"), fresh("app"), fresh("posting"));
    let posts = format!(
        "client_id: {posting}\nclient_secret: the+secret&of=posting\ntoken_endpoint_auth_method: client_secret_post\n\
         refresh_token_grant_refresh_token_lifespan: 90m\nmetadata: {{team: a, number: 5, rate: 0.5, none: null}}\n"
    );
    let by_variable = format!("client_id: {web}\nclient_secret_env: WEB\ngrant_types: [client_credentials]\n");
    let text = format!(
        "{by_variable}---\n{}---\n[{{\"client_id\": \"{app}2\", {}}}]\n---\n{posts}",
        without_secret(&app),
        r#""token_endpoint_auth_method": "none""#
    );
    let (json, env) = (["--format", "json"], [("WEB", "the secret: of web")]);
    let ids = [web.clone(), app.clone(), format!("{app}2"), posting];
    let all = |action: &str| ids.iter().map(|id| format!("{id} {action}")).collect::<Vec<_>>();
    assert_eq!(actions(&apply(world, &text, &json, &env), 0), all("created"));
    assert!(gets_a_token(world, &web, "the secret: of web").await);
    let before = written(world).await;
    assert!(before.len() >= 4);
    assert_eq!(actions(&apply(world, &text, &json, &env), 0), all("unchanged"));
    assert_eq!(written(world).await, before);
    let table = apply(world, &text, &[], &env);
    assert!(said(&table.stdout).ends_with("\n\n4 unchanged\n"), "{}", said(&table.stdout));
    // What the server shows can be applied as it is.
    let listed = run(&["list", "clients", "-e", &world.a.admin, "--page-size", "500", "--format", "json"], &[]);
    let again = apply(world, &said(&listed.stdout), &json, &[]);
    assert!(actions(&again, 0).iter().all(|line| line.ends_with(" unchanged")), "{}", said(&again.stdout));
    assert_eq!(written(world).await, before);
}

async fn drift(world: &World) {
    let id = fresh("drift");
    let text = with_secret(&id, "the-declared-secret");
    applied(world, &text, &[]);
    let path = format!("/admin/clients/{id}");
    let patch = json!([{"op": "replace", "path": "/scope", "value": "read write"}, {"op": "add", "path": "/owner", "value": "x"}]);
    assert_eq!(world.a.admin(Method::PATCH, &path, Some(patch)).await.status, 200);
    let rotated = world.a.admin(Method::POST, &format!("{path}/secrets/rotate"), None).await.get("client_secret");
    assert_eq!(applied(world, &text, &[]), [format!("{id} updated owner,scope")]);
    let client = shown(world, &id).await;
    assert_eq!((&client["scope"], &client["owner"]), (&json!("read"), &json!("")));
    for secret in ["the-declared-secret", &rotated] {
        assert!(gets_a_token(world, &id, secret).await, "{secret}");
    }
    assert_eq!(applied(world, &text, &[]), [format!("{id} unchanged")]);
}

async fn secret(world: &World) {
    let id = fresh("secret");
    applied(world, &with_secret(&id, "the-first-secret"), &[]);
    let done = apply(world, &with_secret(&id, "the-second-secret"), &["--format", "json"], &[]);
    assert_eq!(actions(&done, 0), [format!("{id} updated client_secret")]);
    let told = said(&done.stdout) + &said(&done.stderr);
    assert!(!told.contains("the-second") && !told.contains("the-first"), "{told}");
    assert!(gets_a_token(world, &id, "the-second-secret").await && !gets_a_token(world, &id, "the-first-secret").await);
    let undeclared = format!("client_id: {id}\ngrant_types: [client_credentials]\nscope: write\n");
    assert_eq!(applied(world, &undeclared, &[]), [format!("{id} updated scope")]);
    assert!(gets_a_token(world, &id, "the-second-secret").await);
    let public = format!("client_id: {id}\ntoken_endpoint_auth_method: none\n");
    applied(world, &public, &[]);
    let back = apply(world, &undeclared, &[], &[]);
    assert!(back.status.code() == Some(1) && said(&back.stderr).contains("needs a secret"), "{}", said(&back.stderr));
    let line = format!("{id} updated grant_types,scope,token_endpoint_auth_method,client_secret");
    assert_eq!(applied(world, &with_secret(&id, "the-third-secret"), &[]), [line]);
    assert!(gets_a_token(world, &id, "the-third-secret").await);
}

async fn dry_run(world: &World) {
    let (set, kept, gone, new) = (fresh("set"), fresh("kept"), fresh("gone"), fresh("new"));
    let (set, old) =
        (["--set", &set], format!("{}---\n{}", with_secret(&kept, "a-secret-of-kept"), without_secret(&gone)));
    applied(world, &old, &set);
    let before = written(world).await;
    let text = format!("{}---\n{}", with_secret(&kept, "another-of-kept"), without_secret(&new));
    let flags = [set[0], set[1], "--prune", "--dry-run", "--format", "json"];
    let done = apply(world, &text, &flags, &[]);
    let expected = [format!("{kept} update client_secret"), format!("{new} create"), format!("{gone} delete")];
    assert_eq!(actions(&done, 0), expected);
    assert!(!said(&done.stdout).contains("another-of-kept"), "{}", said(&done.stdout));
    assert_eq!(written(world).await, before);
    assert!(gets_a_token(world, &kept, "a-secret-of-kept").await);
}

async fn prune(world: &World) {
    let [one, two, other, adopted, manual] = ["one", "two", "other", "adopted", "manual"].map(fresh);
    let (mine, theirs) = (fresh("mine"), fresh("theirs"));
    let (mine, theirs) = (["--set", &mine, "--prune"], ["--set", &theirs, "--prune"]);
    for id in [&adopted, &manual] {
        world.a.create(machine(id, "made-by-somebody")).await;
    }
    let both = format!("{}---\n{}", without_secret(&one), without_secret(&two));
    applied(world, &format!("{both}---\n{}", without_secret(&adopted)), &mine);
    applied(world, &without_secret(&other), &theirs);
    let lines = [format!("{two} unchanged"), format!("{one} deleted")];
    assert_eq!(applied(world, &without_secret(&two), &mine), lines);
    let taken = apply(world, &without_secret(&other), &mine, &[]);
    assert!(
        taken.status.code() == Some(1) && said(&taken.stderr).contains("belongs to the set"),
        "{}",
        said(&taken.stderr)
    );
    assert!(is_there(world, &two).await);
    assert_eq!(applied(world, "[]", &mine), [format!("{two} deleted")]);
    for (id, there) in [(&one, false), (&two, false), (&other, true), (&adopted, true), (&manual, true)] {
        assert_eq!(is_there(world, id).await, there, "{id}");
    }
    let nothing = apply(world, "# no client\n", &mine, &[]);
    assert!(nothing.status.code() == Some(1) && said(&nothing.stderr).contains("holds no client"));
}

async fn faults(world: &World) {
    let (good, bad) = (fresh("good"), fresh("bad"));
    let before = written(world).await;
    for (text, words) in [
        (format!("client_id: {bad}\nredirect_uri: x\n"), "redirect_uri is no member of a client"),
        (format!("client_id: {bad}\n"), "needs a secret"),
        (format!("client_id: {good}\n"), "the same client_id stands in"),
    ] {
        let done = apply(world, &format!("{}---\n{text}", without_secret(&good)), &[], &[]);
        let told = said(&done.stderr);
        assert_eq!((done.status.code(), said(&done.stdout).as_str()), (Some(1), ""), "{told}");
        assert!(told.contains("clients.yaml, document 2, client \"") && told.contains(words), "{told}");
        assert!(told.starts_with("Error: nothing was applied:"), "{told}");
    }
    assert_eq!(written(world).await, before);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, with_secret(&good, "a-secret-of-good")).unwrap();
    let unproven = run(&["apply", "clients", file.path().to_str().unwrap(), "-e", &world.a.admin], &[]);
    assert!(
        unproven.status.code() == Some(1) && said(&unproven.stderr).contains("--public"),
        "{}",
        said(&unproven.stderr)
    );
    assert_eq!(written(world).await, before);
}

async fn refused(world: &World) {
    let (set, old, bad, new) = (fresh("set"), fresh("old"), fresh("bad"), fresh("new"));
    let set = ["--set", &set];
    applied(world, &without_secret(&old), &set);
    let text = format!(
        "{}sector_identifier_uri: https://127.0.0.1:9/list.json\n---\n{}",
        without_secret(&bad),
        without_secret(&new)
    );
    let done = apply(world, &text, &[set[0], set[1], "--prune", "--format", "json"], &[]);
    assert_eq!(actions(&done, 1), [format!("{bad} failed"), format!("{new} created")]);
    let told = said(&done.stderr);
    assert!(told.contains(&format!("client \"{bad}\"")) && told.contains("sector_identifier_uri"), "{told}");
    assert!(told.contains("1 of 2 clients are not as declared"), "{told}");
    assert!(is_there(world, &old).await && is_there(world, &new).await && !is_there(world, &bad).await);
}

/// The calls and bodies of ory/hydra-maester's `hydra/client.go` and `hydra/types.go`: what has no value is sent as well.
async fn maester(world: &World) {
    let id = fresh("maester");
    let body = json!({
        "client_name": "shop", "client_id": id, "client_secret": "made-by-maester", "grant_types": ["client_credentials"],
        "response_types": ["token"], "scope": "read", "owner": "shop/identity", "metadata": null,
        "frontchannel_logout_session_required": false, "frontchannel_logout_uri": "",
        "backchannel_logout_session_required": false, "backchannel_logout_uri": "",
    });
    let path = format!("/admin/clients/{id}");
    let call = async |method: Method, path: &str, body: Option<Value>| world.a.admin(method, path, body).await;
    assert_eq!(call(Method::GET, &path, None).await.status, 404);
    let made = call(Method::POST, "/admin/clients", Some(body.clone())).await;
    assert_eq!(
        (made.status, made.get("client_id"), made.get("client_secret")),
        (201, id.clone(), "made-by-maester".into())
    );
    let put = call(Method::PUT, &path, Some(body)).await;
    assert_eq!((put.status, put.get("owner")), (200, "shop/identity".to_owned()));
    assert!(gets_a_token(world, &id, "made-by-maester").await);
    let listed = call(Method::GET, "/admin/clients", None).await;
    assert!(listed.status == 200 && listed.json().is_array(), "{}", listed.brief());
    assert_eq!(call(Method::DELETE, &path, None).await.status, 204);
    assert_eq!(call(Method::DELETE, &path, None).await.status, 404);
}

async fn at_once(world: &World) {
    let (one, two) = (fresh("one"), fresh("two"));
    let text = format!("{}---\n{}", with_secret(&one, "the-secret-of-one"), without_secret(&two));
    let outcomes: Vec<Vec<String>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(|| applied(world, &text, &[]))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for id in [&one, &two] {
        let made = outcomes.iter().flatten().filter(|line| **line == format!("{id} created")).count();
        assert_eq!(made, 1, "{outcomes:?}");
    }
    assert_eq!(outcomes.iter().flatten().filter(|line| line.ends_with(" unchanged")).count(), 6, "{outcomes:?}");
    assert!(gets_a_token(world, &one, "the-secret-of-one").await);
}

#[actix_web::test]
async fn the_public_listener_of_another_server_is_found_out() {
    let (right, wrong) = (World::sqlite(&[]).await, World::sqlite(&[]).await);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, with_secret("web", "the-secret-of-web")).unwrap();
    let args = ["apply", "clients", file.path().to_str().unwrap(), "-e", &right.a.admin, "--public"];
    let done = run(&[&args[..], &[&wrong.a.public]].concat(), &[]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done.stdout));
    assert!(said(&done.stderr).contains("does --public name the same server?"), "{}", said(&done.stderr));
    let done = run(&[&args[..], &[&right.a.public]].concat(), &[]);
    assert!(said(&done.stdout).ends_with("\n\n1 unchanged\n"), "{}", said(&done.stderr));
}

/// The binary with something on standard input.
fn fed(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
    command.args(args).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[actix_web::test]
async fn it_waits_for_a_server_that_is_not_ready() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    let mut server = Server::launch(&database.dsn(), None, &[]);
    let (admin, id) = (server.peer.admin.clone(), fresh("early"));
    let args = ["apply", "clients", "-", "-e", &admin];
    let early = fed(&args, &without_secret(&id));
    assert_eq!((early.status.code(), said(&early.stdout).as_str()), (Some(1), ""));
    assert!(said(&early.stderr).contains("standard input, document 1"), "{}", said(&early.stderr));
    let waiting = std::thread::spawn({
        let (admin, text) = (admin.clone(), without_secret(&id));
        move || fed(&["apply", "clients", "-", "-e", &admin, "--wait", "60s", "--format", "json"], &text)
    });
    // Long enough to be refused at least once.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    Server::migrate(&database.dsn());
    server.wait_ready().await;
    let done = waiting.join().unwrap();
    assert_eq!(actions(&done, 0), [format!("{id} created")]);
    assert!(said(&done.stderr).starts_with("Not ready: "), "{}", said(&done.stderr));
}
