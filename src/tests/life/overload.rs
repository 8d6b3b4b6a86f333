//! More than can be done at once: each class of requests has its own room, and who finds none is told at once.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use reqwest::Method;

use super::{half_sent, series, unavailable};
use crate::harness::{Answer, Database, Fault, Peer, Proxy, Scrape, Server, World, fresh, machine, postgres};

/// `limits.queue_time` of these tests, and how soon after it half of those have heard that they are refused.
const QUEUED: Duration = Duration::from_millis(50);
const TOLD: Duration = Duration::from_millis(150);

/// Half of them took no longer than who is refused at once may take.
fn at_once(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let median = took[took.len() / 2];
    println!("{what}: {} refused after {median:?}, at most {:?}", took.len(), took[took.len() - 1]);
    assert!(median < QUEUED + TOLD, "{what}: {took:?}");
}

/// A hook that takes connections and never answers.
fn silence() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

/// So many requests for a token at once, each with its time.
fn timed_calls(peer: &Peer, id: &str, secret: &str, count: usize) -> Vec<tokio::task::JoinHandle<(Answer, Duration)>> {
    let call = |_| {
        let (peer, id, secret) = (peer.clone(), id.to_owned(), secret.to_owned());
        tokio::spawn(async move {
            let began = Instant::now();
            (peer.client_credentials(&id, &secret).await, began.elapsed())
        })
    };
    (0..count).map(call).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_class_refuses_at_once_and_leaves_the_others_alone() {
    let (_hook, url) = silence();
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let env = [("LIMITS_TOKEN", "2"), ("LIMITS_QUEUE_TIME", "50ms"), ("LIMITS_DEADLINE", "2s")];
    let mut with_hook = env.to_vec();
    with_hook.push(("OAUTH2_TOKEN_HOOK", &url));
    let (id, secret) = (fresh("busy"), fresh("secret"));
    let token = {
        let plain = Server::start(&database.dsn(), None, &env).await;
        plain.peer.create(machine(&id, &secret)).await;
        plain.peer.token(&id, &secret).await
    };
    let server = Server::start(&database.dsn(), None, &with_hook).await;
    let peer = server.peer.clone();
    let began = Instant::now();
    let calls = timed_calls(&peer, &id, &secret, 30);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(peer.is_active(&token).await, "introspection has a room of its own");
    assert_eq!(
        peer.admin(Method::GET, &format!("/admin/clients/{id}"), None).await.status,
        200,
        "so has the admin API"
    );
    for path in ["/health/alive", "/health/ready", "/.well-known/openid-configuration", "/.well-known/jwks.json"] {
        assert_eq!(peer.get(path).await.status, 200, "{path} needs none");
    }
    let userinfo = peer.userinfo(&token).await;
    assert_eq!(userinfo.status, 503, "userinfo shares the room of tokens: {}", userinfo.brief());
    assert!(began.elapsed() < Duration::from_millis(1500), "and all that at once: {:?}", began.elapsed());
    let (mut shed, mut held) = (Vec::new(), 0);
    for call in calls {
        let (answer, took) = call.await.unwrap();
        if answer.status == 503 {
            assert_eq!(answer.error(), "temporarily_unavailable");
            let again: u32 = answer.header("retry-after").parse().unwrap();
            assert!((1..=3).contains(&again));
            assert!(took < Duration::from_millis(1500), "refused after {took:?}");
            shed.push(took);
        } else {
            assert_eq!((answer.status, answer.error().as_str()), (500, "server_error"), "{}", answer.brief());
            assert!(took < Duration::from_secs(4), "the deadline is two seconds: {took:?}");
            held += 1;
        }
    }
    assert_eq!((shed.len(), held), (28, 2));
    at_once("token", shed);
    let text = Scrape::of(&peer).await.0;
    assert!(text.contains("signet_requests_shed_total{class=\"token\"} 29"), "counted");
    assert!(text.contains("signet_requests_in_work{class=\"token\"} 0"), "and all seats are free again");
}

/// One call of a class that waits for a table of the database.
type Call = for<'a> fn(&'a Peer, &'a str) -> futures_util::future::BoxFuture<'a, Answer>;

/// The other classes, and the table that holds up those who are in.
const CLASSES: [(&str, &str, Call); 3] = [
    ("introspect", "access_token", |peer, token| Box::pin(peer.introspect(token))),
    ("authorize", "client", |peer, _| {
        Box::pin(async move {
            let path = format!("/oauth2/auth?response_type=code&client_id={}", fresh("nobody"));
            peer.get(&path).await
        })
    }),
    ("admin", "client", |peer, _| Box::pin(peer.admin(Method::GET, "/admin/clients", None))),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_class_has_its_own_room() {
    let seats = [("LIMITS_INTROSPECT", "2"), ("LIMITS_AUTHORIZE", "2"), ("LIMITS_ADMIN", "2")];
    let times = [("LIMITS_QUEUE_TIME", "50ms"), ("LIMITS_DEADLINE", "2s"), ("DB_STATEMENT_TIMEOUT", "20s")];
    let Some(world) = World::postgres(&[seats.as_slice(), &times].concat()).await else { return };
    let (peer, (id, secret)) = (&world.a, world.machine().await);
    let token = peer.token(&id, &secret).await;
    for (class, table, call) in CLASSES {
        let db = world.database.client().await;
        db.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
        let shed = format!("signet_requests_shed_total{{class=\"{class}\"}}");
        let calls: Vec<_> = (0..30)
            .map(|_| {
                let (peer, token) = (peer.clone(), token.clone());
                tokio::spawn(async move {
                    let began = Instant::now();
                    (call(&peer, &token).await, began.elapsed())
                })
            })
            .collect();
        let began = Instant::now();
        tokio::time::sleep(Duration::from_millis(300)).await;
        for path in ["/health/alive", "/.well-known/openid-configuration", "/.well-known/jwks.json"] {
            assert_eq!(peer.get(path).await.status, 200, "{class}: {path} needs no seat");
        }
        assert_eq!(peer.get("/health/ready").await.status, 200, "{class}: readiness needs none");
        assert!(began.elapsed() < Duration::from_millis(1500), "{class}: all at once: {:?}", began.elapsed());
        assert_eq!(series(peer, &shed).await, 28, "{class}");
        let mut refused = Vec::new();
        for call in calls {
            let (answer, took) = call.await.unwrap();
            assert_eq!(answer.status, 503, "{class}: {}", answer.brief());
            assert!(!answer.header("retry-after").is_empty(), "{class}: {:?}", answer.headers);
            refused.push(took);
        }
        refused.sort_unstable();
        refused.truncate(28);
        at_once(class, refused);
        db.batch_execute("ROLLBACK").await.unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while call(peer, &token).await.status == 503 {
            assert!(Instant::now() < until, "{class}: no seat is free again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// `hook::AT_ONCE`.
const HOOK: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_hook_holds_so_many_and_no_more() {
    let (_hook, url) = silence();
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let env = [("LIMITS_DEADLINE", "3s"), ("OAUTH2_HASHERS_PBKDF2_ITERATIONS", "10000")];
    let (id, secret) = (fresh("hooked"), fresh("secret"));
    let token = {
        let plain = Server::start(&database.dsn(), None, &env).await;
        plain.peer.create(machine(&id, &secret)).await;
        plain.peer.token(&id, &secret).await
    };
    let with_hook = [env.as_slice(), &[("OAUTH2_TOKEN_HOOK", &url)]].concat();
    let server = Server::start(&database.dsn(), None, &with_hook).await;
    let peer = &server.peer;
    let calls = timed_calls(peer, &id, &secret, HOOK + 40);
    tokio::time::sleep(Duration::from_millis(1000)).await;
    for _ in 0..20 {
        let began = Instant::now();
        assert!(peer.is_active(&token).await, "introspection asks no hook");
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    }
    let (mut held, mut refused) = (0, 0);
    for call in calls {
        let (answer, took) = call.await.unwrap();
        if answer.status == 503 {
            unavailable("the hook is full", &answer);
            assert!(took < Duration::from_millis(2500), "refused after {took:?}");
            refused += 1;
        } else {
            assert_eq!((answer.status, answer.error().as_str()), (500, "server_error"), "{}", answer.brief());
            assert!(took > Duration::from_millis(2500), "it did not wait for the hook: {took:?}");
            held += 1;
        }
    }
    assert_eq!((held, refused), (HOOK, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_hold_no_seat() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let server = Server::start(&database.dsn(), None, &[("LIMITS_TOKEN", "2"), ("LIMITS_QUEUE_TIME", "1ms")]).await;
    let (id, secret) = (fresh("slow"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let slow = half_sent(&server.peer, 50);
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..5 {
        server.peer.token(&id, &secret).await;
    }
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_holds_nobody_beyond_the_deadline() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    Server::migrate(&database.dsn());
    let (host, port) = database.address();
    let proxy = Proxy::to(&host, port).unwrap();
    let env = [("LIMITS_DEADLINE", "1s"), ("DB_STATEMENT_TIMEOUT", "20s")];
    let server = Server::start(&database.dsn_through(proxy.port), None, &env).await;
    let (id, secret) = (fresh("hang"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let token = server.peer.token(&id, &secret).await;
    proxy.play(Fault::Hang);
    for _ in 0..3 {
        let began = Instant::now();
        let (introspected, issued) =
            tokio::join!(server.peer.introspect(&token), server.peer.client_credentials(&id, &secret));
        assert_eq!((introspected.status, issued.status), (503, 503), "{}", introspected.brief());
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        assert_eq!(server.peer.get("/health/alive").await.status, 200);
    }
    proxy.mend();
    let until = Instant::now() + Duration::from_secs(30);
    while server.peer.introspect(&token).await.status != 200 {
        assert!(Instant::now() < until, "it does not recover: {}", server.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
