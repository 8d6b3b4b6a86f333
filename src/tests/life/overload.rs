//! More than can be done at once: each class of requests has its own room, and who finds none is told at once.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::harness::{Database, Fault, Proxy, Scrape, Server, fresh, machine, postgres};

/// A hook that takes connections and never answers.
fn silence() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
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
    let calls: Vec<_> = (0..30)
        .map(|_| {
            let (peer, id, secret) = (peer.clone(), id.clone(), secret.clone());
            tokio::spawn(async move {
                let began = Instant::now();
                (peer.client_credentials(&id, &secret).await, began.elapsed())
            })
        })
        .collect();
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
    let (mut shed, mut held) = (0, 0);
    for call in calls {
        let (answer, took) = call.await.unwrap();
        if answer.status == 503 {
            assert_eq!(answer.error(), "temporarily_unavailable");
            let again: u32 = answer.header("retry-after").parse().unwrap();
            assert!((1..=3).contains(&again));
            assert!(took < Duration::from_millis(1500), "refused after {took:?}");
            shed += 1;
        } else {
            assert_eq!((answer.status, answer.error().as_str()), (500, "server_error"), "{}", answer.brief());
            assert!(took < Duration::from_secs(4), "the deadline is two seconds: {took:?}");
            held += 1;
        }
    }
    assert_eq!((shed, held), (28, 2));
    let text = Scrape::of(&peer).await.0;
    assert!(text.contains("signet_requests_shed_total{class=\"token\"} 29"), "counted");
    assert!(text.contains("signet_requests_in_work{class=\"token\"} 0"), "and all seats are free again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_hold_no_seat() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let server = Server::start(&database.dsn(), None, &[("LIMITS_TOKEN", "2"), ("LIMITS_QUEUE_TIME", "1ms")]).await;
    let (id, secret) = (fresh("slow"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let address = server.peer.public.trim_start_matches("http://").to_owned();
    let slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let head = "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                        Content-Length: 100\r\n\r\ngrant_type=";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
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
