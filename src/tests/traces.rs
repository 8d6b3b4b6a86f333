//! Traces as a collector gets them: one token request through every layer, the batch that it shared, what is not sampled,
//! what is called outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine;
use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Answer, Callee, Collector, Database, Peer, Redis, Server, Span, Web, World, basic, fresh, machine, postgres,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// How long the hook takes.
const SLOW: Duration = Duration::from_millis(300);
/// What two clocks reads of one moment may differ by.
const BLUR: u64 = 2_000_000;

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

/// One span of a trace by its name; fails when there is none or more than one.
fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name} among {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>());
    found[0]
}

fn of_trace(spans: &[Span], trace: &str) -> Vec<Span> {
    spans.iter().filter(|span| span.trace == trace).cloned().collect()
}

fn is_below(child: &Span, parent: &Span) {
    assert_eq!(child.parent, parent.id, "{} below {}", child.name, parent.name);
    let within = child.start + BLUR >= parent.start && child.end <= parent.end + BLUR;
    assert!(
        within,
        "{} {}..{} is outside of {} {}..{}",
        child.name, child.start, child.end, parent.name, parent.start, parent.end
    );
}

async fn refresh(peer: &Peer, web: &Web, token: &str, trace: &str) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let request = peer.to_public(Method::POST, "/oauth2/token?hint=in-the-query").form(&form);
    let request =
        request.header("authorization", basic(&web.id, &web.secret)).header("cookie", "sid=a-cookie-of-theirs");
    let request = request.header("traceparent", traceparent(trace, "01")).header("baggage", "tenant=acme");
    let answer = Peer::send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer
}

/// A hook that lets nobody go before as many ask as are waited for, and takes its time.
struct Gate {
    hook: Callee,
    wanted: Arc<AtomicUsize>,
}

impl Gate {
    fn start() -> Self {
        let (wanted, here) = (Arc::new(AtomicUsize::new(1)), Arc::new((Mutex::new(0_usize), Condvar::new())));
        let most = Arc::clone(&wanted);
        let hook = Callee::start(move |_| {
            let (count, changed) = &*here;
            let mut count = count.lock().unwrap();
            *count += 1;
            if *count >= most.load(Ordering::SeqCst) {
                *count = 0;
                changed.notify_all();
            } else {
                drop(changed.wait_timeout(count, Duration::from_secs(5)).unwrap());
            }
            std::thread::sleep(SLOW);
            (204, String::new())
        });
        Self { hook, wanted }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_shows_a_slow_token_request_through_every_layer() {
    let (Some(redis), Some(admin)) = (Redis::start(), postgres()) else { return };
    let (collector, gate, database) = (Collector::start(), Gate::start(), Database::postgres(&admin).await);
    Server::migrate(&database.dsn());
    let (redis_url, environment) = (redis.url(), ("TRACING_DEPLOYMENT_ENVIRONMENT", "tests"));
    let mut env = collector.env().to_vec();
    env.extend([("REDIS_URL", redis_url.as_str()), ("OAUTH2_REFRESH_TOKEN_HOOK", &gate.hook.url), environment]);
    env.push(("TRACING_PROVIDERS_OTLP_AUTHORIZATION_HEADER", "Bearer of-the-collector"));
    let server = Server::start(&database.dsn(), None, &env).await;
    let world = World::of(vec![server], database);
    let web = world.web().await;
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens.push(world.tokens(&web).await.get("refresh_token"));
    }

    let first = refresh(&world.a, &web, &tokens[0], TRACE).await;
    tokens[0] = first.get("refresh_token");
    let spans = collector
        .wait("request", |spans| spans.iter().any(|s| s.trace == TRACE && s.name == "POST /oauth2/token"))
        .await;
    one_request(&of_trace(&spans, TRACE), &gate.hook);

    gate.wanted.store(tokens.len(), Ordering::SeqCst);
    let traces: Vec<String> = (1..=tokens.len()).map(|n| format!("{n:032x}")).collect();
    let all = tokens.iter().zip(&traces).map(|(token, trace)| refresh(&world.a, &web, token, trace));
    let answers = futures_util::future::join_all(all).await;
    let spans = collector
        .wait("20 requests", |spans| {
            traces.iter().all(|t| spans.iter().any(|s| s.trace == *t && s.name == "POST /oauth2/token"))
        })
        .await;
    shared_batches(&spans, &traces);

    let basic = basic(&web.id, &web.secret);
    let mut hidden = vec![web.secret.as_str(), &basic, "in-the-query", "a-cookie-of-theirs", "of-the-collector"];
    let (news, mut parts): (Vec<String>, Vec<String>) =
        (answers.iter().map(|a| a.get("access_token")).collect(), Vec::new());
    for token in tokens.iter().chain(&news) {
        parts.extend(token.trim_start_matches("ory_rt_").trim_start_matches("ory_at_").split('.').map(str::to_owned));
    }
    hidden.extend(parts.iter().map(String::as_str));
    collector.has_none_of(&hidden);
    assert!(collector.heads().contains("authorization: bearer of-the-collector"), "{}", collector.heads());
    assert!(spans.iter().all(|s| s.resource["deployment.environment.name"] == "tests"));
    assert!(spans.iter().all(|s| s.resource["service.name"] == "signet"));
}

/// Front end, read, hook, hop, commit, batch, database, Redis: each below the one that waits for it.
fn one_request(spans: &[Span], hook: &Callee) {
    let request = only(spans, "POST /oauth2/token");
    assert_eq!((request.parent.as_str(), request.kind), (CALLER, 2));
    for (name, expected) in [
        ("http.request.method", "POST"),
        ("http.route", "/oauth2/token"),
        ("http.response.status_code", "200"),
        ("url.path", "/oauth2/token"),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(request.get(name), expected, "{name} of {request:?}");
    }
    let (read, outer, post) =
        (only(spans, "store.refresh_token"), only(spans, "hook.refresh_token"), only(spans, "POST"));
    let (ask, commit) = (only(spans, "actor.token_issuer.ask"), only(spans, "actor.token_issuer.commit"));
    let (batch, write) = (only(spans, "actor.token_issuer.batch"), only(spans, "store.write_tokens"));
    let redis = only(spans, "PUBLISH");
    for (child, parent) in [
        (read, request),
        (outer, request),
        (post, outer),
        (ask, request),
        (commit, ask),
        (batch, commit),
        (write, batch),
        (redis, batch),
    ] {
        is_below(child, parent);
    }
    assert!(read.end <= outer.start && outer.end <= ask.start && write.end <= redis.start + BLUR);
    assert!(outer.took() >= SLOW && post.took() >= SLOW && request.took() >= outer.took());
    // What the request did one after the other explains its time.
    let parts: Duration = spans.iter().filter(|s| s.parent == request.id).map(Span::took).sum();
    assert!(parts <= request.took() + Duration::from_nanos(BLUR), "{parts:?} in {:?}", request.took());
    assert!(request.took() - parts < Duration::from_millis(150), "{parts:?} of {:?}", request.took());

    for (span, kind, all) in [
        (read, 3, &[("db.system.name", "postgresql"), ("db.operation.name", "refresh_token")][..]),
        (post, 3, &[("http.request.method", "POST"), ("http.response.status_code", "204"), ("url.scheme", "http")]),
        (write, 3, &[("db.query.summary", "write_tokens rotate"), ("db.operation.batch.size", "1")]),
        (redis, 3, &[("db.system.name", "redis"), ("db.operation.name", "PUBLISH")]),
        (ask, 1, &[("signet.actor", "token_issuer")]),
        (commit, 1, &[("signet.batch.size", "1"), ("signet.batch.position", "0")]),
    ] {
        assert_eq!(span.kind, kind, "{span:?}");
        for (name, expected) in all {
            assert_eq!(span.get(name), *expected, "{name} of {span:?}");
        }
    }
    let waited: f64 = ask.get("signet.mailbox.wait").parse().unwrap();
    assert!((0.0..1.0).contains(&waited), "{waited}");
    assert_eq!((commit.get("signet.batch.id"), batch.get("signet.batch.id")), (batch.id.as_str(), batch.id.as_str()));
    let told = request.events.iter().find(|(name, _)| name == "OAuth2AccessTokenIssued").unwrap();
    assert_eq!(told.1["OAuth2GrantType"], "refresh_token");
    let head = &hook.questions()[0].head;
    assert!(head.contains(&format!("traceparent: 00-{TRACE}-{}-01\r\n", post.id)), "{head}");
    assert!(head.contains("baggage: tenant=acme\r\n"), "{head}");
}

/// Each of the traces has a commit, and all that were in one batch are linked with it.
fn shared_batches(spans: &[Span], traces: &[String]) {
    let mut by_batch: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for trace in traces {
        let found: Vec<&Span> =
            spans.iter().filter(|s| s.trace == *trace && s.name == "actor.token_issuer.commit").collect();
        assert_eq!(found.len(), 1, "{trace}");
        by_batch.entry(found[0].get("signet.batch.id")).or_default().push(found[0]);
    }
    assert!(by_batch.len() < traces.len(), "nobody shared a commit");
    for (id, commits) in by_batch {
        let batch = spans.iter().find(|s| s.name == "actor.token_issuer.batch" && s.id == id).unwrap();
        let size = commits.len().to_string();
        assert!(commits.iter().all(|commit| commit.get("signet.batch.size") == size), "{commits:?}");
        let places: BTreeSet<usize> = commits.iter().map(|c| c.get("signet.batch.position").parse().unwrap()).collect();
        assert_eq!(places, (0..commits.len()).collect());
        let first = commits.iter().find(|commit| commit.get("signet.batch.position") == "0").unwrap();
        is_below(batch, first);
        let linked: BTreeSet<_> = batch.links.iter().cloned().collect();
        let expected: BTreeSet<_> = commits.iter().map(|c| (c.trace.clone(), c.id.clone())).collect();
        assert_eq!(linked, expected, "the batch leads to all whose work it carried");
        let back = (batch.trace.clone(), batch.id.clone());
        assert!(commits.iter().all(|commit| commit.links == [back.clone()]), "{commits:?}");
        let write = spans.iter().find(|s| s.parent == batch.id && s.name == "store.write_tokens").unwrap();
        assert_eq!(write.get("db.operation.batch.size"), size);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sampled_is_handed_on_and_not_exported() {
    let (collector, hook) = (Collector::start(), Callee::start(|_| (204, String::new())));
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let endpoint = format!("http://{}", collector.address);
    // As a platform sets it for every process that it runs.
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "logins"),
        ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=signet-0"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OAUTH2_TOKEN_HOOK", &hook.url),
    ];
    let server = Server::start(&database.dsn(), None, &env).await;
    let (id, secret) = (fresh("machine"), fresh("secret-of"));
    server.peer.create(machine(&id, &secret)).await;
    for flags in ["00", "01"] {
        let request =
            server.peer.to_public(Method::POST, "/oauth2/token").form(&[("grant_type", "client_credentials")]);
        let request =
            request.header("authorization", basic(&id, &secret)).header("traceparent", traceparent(TRACE, flags));
        assert_eq!(Peer::send(request).await.status, 200);
    }
    let spans = collector.wait("request", |spans| spans.iter().any(|s| s.name == "POST /oauth2/token")).await;
    assert_eq!(spans.iter().filter(|s| s.kind == 2).count(), 1, "{spans:?}");
    assert!(spans.iter().all(|s| s.trace == TRACE && s.resource["service.name"] == "logins"), "{spans:?}");
    assert!(spans.iter().all(|s| s.resource["k8s.pod.name"] == "signet-0"));
    let heads: Vec<String> = hook.questions().into_iter().map(|question| question.head).collect();
    assert_eq!(heads.len(), 2, "{heads:?}");
    for (head, flags) in heads.iter().zip(["00", "01"]) {
        let line = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
        assert!(line.starts_with(&format!("00-{TRACE}-")) && line.ends_with(flags), "{line}");
        assert!(!line.contains(CALLER), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_others_are_seen_with_their_tries() {
    let (collector, keys) = (Collector::start(), Callee::start(|_| (200, r#"{"keys":[]}"#.to_owned())));
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let hook = "http://127.0.0.1:9/hook?key=a-key-of-the-hook";
    let mut env = collector.env().to_vec();
    env.push(("OAUTH2_TOKEN_HOOK", hook));
    let server = Server::start(&database.dsn(), None, &env).await;
    let (id, secret) = (fresh("machine"), fresh("secret-of"));
    server.peer.create(machine(&id, &secret)).await;
    assert_eq!(server.peer.client_credentials(&id, &secret).await.status, 500);
    let spans = collector.wait("request", |spans| spans.iter().any(|s| s.name == "POST /oauth2/token")).await;
    let (request, hook) = (only(&spans, "POST /oauth2/token"), only(&spans, "hook.token"));
    assert!(request.failed && request.get("error.type") == "500" && hook.failed, "{request:?} {hook:?}");
    let tries: Vec<&Span> = spans.iter().filter(|s| s.name == "POST" && s.parent == hook.id).collect();
    assert!(tries.iter().all(|s| s.failed && s.get("error.type") == "connect"), "{tries:?}");
    let sent: BTreeSet<&str> = tries.iter().map(|s| s.get("http.request.resend_count")).collect();
    assert_eq!((tries.len(), sent), (3, ["", "1", "2"].into()));

    let client = fresh("signer");
    server
        .peer
        .create(json!({
            "client_id": client, "grant_types": ["client_credentials"], "response_types": [], "jwks_uri": keys.url,
            "token_endpoint_auth_method": "private_key_jwt",
        }))
        .await;
    let part = |value: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let assertion =
        format!("{}.{}.c2lnbmF0dXJlLW9mLW5vYm9keQ", part(json!({"alg": "RS256"})), part(json!({"sub": client})));
    let form = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    let ask = server.peer.to_public(Method::POST, "/oauth2/token").form(&form);
    let ask = ask.header("traceparent", traceparent(TRACE, "01")).header("baggage", "tenant=acme");
    assert_eq!(Peer::send(ask).await.error(), "invalid_client");
    let spans =
        collector.wait("fetch", |spans| spans.iter().any(|s| s.name == "POST /oauth2/token" && s.trace == TRACE)).await;
    let fetch = only(&spans, "GET");
    is_below(fetch, only(&of_trace(&spans, TRACE), "POST /oauth2/token"));
    let head = &keys.questions()[0].head;
    assert!(head.contains(&format!("traceparent: 00-{TRACE}-{}-01\r\n", fetch.id)), "{head}");
    assert!(!head.contains("baggage"), "a client's server learns nothing of the operator's: {head}");
    collector.has_none_of(&[&secret, "a-key-of-the-hook", "c2lnbmF0dXJlLW9mLW5vYm9keQ"]);
}
