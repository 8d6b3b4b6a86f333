//! What is told to Prometheus: where, how much of it after a load, and that `metrics list` knows it all.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Browser, Database, Peer, Redis, Scrape, Server, Web, World, decide, free_port, grant_device, refuse_device, run,
};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// As much as a scrape may be after a load of every kind, in bytes, without the names that are Hydra's and with them.
/// What costs is series, not requests: this load makes more of them than most installations ever see.
const MOST: usize = 155_000;
const MOST_WITH_HYDRA: usize = 320_000;

/// Flows, grants, refusals, and what an operator does, each once.
async fn load(world: &World) {
    let (peer, web) = (&world.a, world.web().await);
    let tokens = world.tokens(&web).await;
    let (access, refresh) = (tokens.get("access_token"), tokens.get("refresh_token"));
    assert_eq!(peer.userinfo(&access).await.status, 200);
    let rotated = peer.refresh(&web, &refresh, &[]).await;
    assert_eq!(rotated.status, 200, "{}", rotated.brief());
    assert_eq!(peer.refresh(&web, &refresh, &[]).await.status, 400, "it was used");
    assert_eq!(peer.revoke(&access, &web.id, &web.secret).await.status, 200);
    let (id, secret) = world.machine().await;
    let token = peer.token(&id, &secret).await;
    assert!(peer.is_active(&token).await && !peer.is_active("ory_at_forged.forged").await);
    assert_eq!(peer.client_credentials(&id, "wrong").await.status, 401);
    assert_eq!(peer.userinfo("ory_at_forged.forged").await.status, 401);
    rejected(world, &web).await;
    devices(world).await;
    for path in
        ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/health/alive", "/health/ready", "/odd"]
    {
        peer.get(path).await;
    }
    for path in ["/clients", "/clients/nobody", "/keys/hydra.openid.id-token", "/health/alive", "/health/ready"] {
        peer.admin(Method::GET, path, None).await;
    }
    assert_eq!(peer.admin(Method::DELETE, &format!("/admin/clients/{id}"), None).await.status, 204);
}

async fn rejected(world: &World, web: &Web) {
    let page = Browser::default().ask(&world.a, web, &[]).await.location();
    assert_eq!(decide(&world.a, "login", &page, Value::Null).await.status, 200);
    assert_eq!(decide(&world.a, "login/reject", &page, json!({"error": "access_denied"})).await.status, 200);
}

async fn devices(world: &World) {
    let tv = world.web_with(json!({"grant_types": [DEVICE, "refresh_token"], "redirect_uris": null})).await;
    let scope = [("scope", "openid offline")];
    let (granted, refused) = (world.a.device(&tv, &scope).await, world.a.device(&tv, &scope).await);
    let waiting = world.a.device(&tv, &scope).await;
    assert_eq!(world.a.poll(&tv, &waiting.get("device_code")).await.error(), "authorization_pending");
    grant_device(&world.a, &granted.get("user_code"), &["openid"]).await;
    assert_eq!(world.a.poll(&tv, &granted.get("device_code")).await.status, 200);
    refuse_device(&world.a, &refused.get("user_code")).await;
    assert_eq!(world.a.poll(&tv, &refused.get("device_code")).await.status, 403);
}

/// `signet metrics list`: the items by name.
fn listed() -> BTreeMap<String, Value> {
    let done = run(&["metrics", "list", "--format", "json"], &[]);
    assert!(done.status.success(), "{done:?}");
    let list: Value = serde_json::from_slice(&done.stdout).unwrap();
    list["items"].as_array().unwrap().iter().map(|i| (i["name"].as_str().unwrap().to_owned(), i.clone())).collect()
}

/// Fails for a sample that `metrics list` does not know, by its labels and their values.
fn all_listed(scrape: &Scrape, listed: &BTreeMap<String, Value>) {
    let families = scrape.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in families {
        let item = listed.get(name).unwrap_or_else(|| panic!("{name} is not listed"));
        assert_eq!(item["type"], kind, "{name}");
        let series = if kind == "histogram" { format!("{name}_bucket") } else { name.to_owned() };
        for (labels, _) in scrape.samples(&series) {
            let pairs = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once("=\""));
            for (label, value) in pairs.filter(|(label, _)| *label != "le") {
                let values = item["labels"].get(label).unwrap_or_else(|| panic!("{label} of {name} is not listed"));
                let value = value.trim_end_matches('"');
                let known = values.as_array().is_none_or(|values| values.iter().any(|v| v == value));
                assert!(known, "{label}={value} of {name} is not listed");
            }
        }
    }
}

/// What is scraped after a load, of a server with these settings.
async fn loaded(env: &[(&str, &str)]) -> Scrape {
    let world = World::sqlite(env).await;
    load(&world).await;
    let scrape = Scrape::of(&world.a).await;
    println!("{} bytes", scrape.0.len());
    scrape
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loaded_scrape_is_small_and_listed() {
    let scrape = loaded(&[]).await;
    assert!(scrape.0.len() < MOST_WITH_HYDRA, "{} bytes", scrape.0.len());
    assert!(scrape.0.contains("\nhttp_requests_total{"));
    all_listed(&scrape, &listed());
    let scrape = loaded(&[("METRICS_HYDRA_NAMES", "false")]).await;
    assert!(scrape.0.len() < MOST, "{} bytes", scrape.0.len());
    assert!(!scrape.0.contains("http_requests_"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_database_and_redis_add_is_listed_too() {
    let Some(redis) = Redis::start() else { return };
    let Some(world) = World::postgres(&[("REDIS_URL", &redis.url())]).await else { return };
    load(&world).await;
    all_listed(&Scrape::of(&world.a).await, &listed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_listener_serves_metrics_and_health_alone() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let port = free_port();
    let text = port.to_string();
    let env = [("SERVE_METRICS_ENABLED", "true"), ("SERVE_METRICS_HOST", "127.0.0.1"), ("SERVE_METRICS_PORT", &text)];
    let server = Server::start(&database.dsn(), None, &env).await;
    // The same wire to another port.
    let peer = Peer::new(port, port);
    for path in ["/health/alive", "/health/ready"] {
        assert_eq!(peer.get(path).await.json(), json!({"status": "ok"}), "{path}");
    }
    let scrape = peer.get("/metrics").await;
    assert_eq!(scrape.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let names = |text: &str| {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(names(&scrape.text), names(&Scrape::of(&server.peer).await.0), "the same as on the admin listener");
    assert!(peer.get("/metrics").await.text.contains("http_route=\"/metrics\",listener=\"metrics\""));
    for path in ["/admin/clients", "/clients", "/admin/metrics/prometheus", "/oauth2/token", "/version", "/"] {
        let answer = peer.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.brief());
    }
    assert_eq!(server.peer.get("/metrics").await.status, 404, "not on the public listener");
}
