//! SIGTERM loses no accepted request; SIGKILL loses no acknowledged token.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::half_sent;
use crate::harness::{
    Answer, Callee, Database, Peer, Server, claims, fresh, machine, param, postgres, sign_in, signal,
};

const CALLERS: usize = 16;
const UNDER_LOAD: Duration = Duration::from_secs(3);

/// Callers that ask for tokens as fast as they are answered, until told to stop or refused.
struct Load {
    stop: Arc<AtomicBool>,
    callers: Vec<tokio::task::JoinHandle<Vec<Answer>>>,
}

impl Load {
    fn on(peer: &Peer, id: &str, secret: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = (0..CALLERS)
            .map(|_| {
                let (peer, id, secret, stop) = (peer.clone(), id.to_owned(), secret.to_owned(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let answer = peer.client_credentials(&id, &secret).await;
                        // A caller goes elsewhere when told so, as every balancer and HTTP client does.
                        let leave = answer.header("connection") == "close" || answer.text.starts_with("refused");
                        seen.push(answer);
                        if leave {
                            break;
                        }
                    }
                    seen
                })
            })
            .collect();
        Self { stop, callers }
    }

    /// Every answer of every caller.
    async fn end(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for caller in self.callers {
            all.extend(caller.await.unwrap());
        }
        all
    }
}

async fn sigterm(database: &Database) {
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let mut server = Server::start(&dsn, None, &[]).await;
    let (id, secret) = (fresh("term"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let load = Load::on(&server.peer, &id, &secret);
    tokio::time::sleep(UNDER_LOAD).await;
    signal(server.pid(), "TERM");
    assert_eq!(server.wait_end().await, Some(0), "a clean end is exit code 0");
    let answers = load.end().await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.text.starts_with("refused")).count();
    let lost: Vec<String> = answers
        .iter()
        .filter(|answer| answer.status != 200 && !answer.text.starts_with("refused"))
        .map(Answer::brief)
        .collect();
    assert!(lost.is_empty(), "{good} good, {refused} refused, {} lost: {:?}", lost.len(), &lost[..lost.len().min(3)]);
    assert!(good > CALLERS, "there was no load: {good}");
}

async fn sigkill(database: &Database) {
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let mut server = Server::start(&dsn, None, &[]).await;
    let (id, secret) = (fresh("kill"), fresh("secret"));
    server.peer.create(machine(&id, &secret)).await;
    let load = Load::on(&server.peer, &id, &secret);
    tokio::time::sleep(UNDER_LOAD).await;
    signal(server.pid(), "KILL");
    server.wait_end().await;
    let acknowledged: Vec<String> = load
        .end()
        .await
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.get("access_token"))
        .collect();
    assert!(acknowledged.len() > CALLERS, "there was no load: {}", acknowledged.len());
    let again = Server::start(&dsn, Some(&format!("{}/", server.peer.public)), &[]).await;
    for token in &acknowledged {
        assert!(again.peer.is_active(token).await, "an acknowledged token is gone, of {}", acknowledged.len());
    }
}

/// A delivery that is left half done would be tried again only when its lease ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_waits_for_a_client_that_is_being_told_of_a_logout() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let mut server = Server::start(&dsn, None, &[("SERVE_SHUTDOWN_DRAIN_DELAY", "0s")]).await;
    let slow = Callee::start(|_| {
        std::thread::sleep(Duration::from_secs(2));
        (200, String::new())
    });
    let web = server.peer.web_with(json!({"backchannel_logout_uri": slow.url})).await;
    let back = sign_in(&server.peer, &web, &[], json!({})).await;
    let tokens = server.peer.exchange(&web, &param(&back, "code"), &[]).await;
    let claims = claims(&tokens.get("id_token"));
    let path = format!("/admin/oauth2/auth/sessions/login?sid={}", claims["sid"].as_str().unwrap());
    assert_eq!(server.peer.admin(Method::DELETE, &path, None).await.status, 204);
    let began = Instant::now();
    while slow.questions().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "the client was not told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    signal(server.pid(), "TERM");
    assert_eq!(server.wait_end().await, Some(0));
    let left = "SELECT count(*) FROM logout_delivery";
    let left: i64 = database.client().await.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!((slow.questions().len(), left), (1, 0), "told, and nothing is left to do");
}

/// Who never sends the rest of a request is not waited for until the end of all patience.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_does_not_wait_for_half_sent_bodies() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let mut server = Server::start(&database.dsn(), None, &[("SERVE_SHUTDOWN_DRAIN_DELAY", "1s")]).await;
    let halves = half_sent(&server.peer, 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    signal(server.pid(), "TERM");
    assert_eq!(server.wait_end().await, Some(0));
    println!("200 half-sent bodies: it ended after {:?}", began.elapsed());
    // The drain, what a body may take at most, and a machine that does other things.
    assert!(began.elapsed() < Duration::from_secs(1 + 10 + 3), "it ended after {:?}", began.elapsed());
    drop(halves);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_accepted_request_sqlite() {
    sigterm(&Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_accepted_request_postgres() {
    let Some(admin) = postgres() else { return };
    sigterm(&Database::postgres(&admin).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_under_load_keeps_every_acknowledged_token_sqlite() {
    sigkill(&Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigkill_under_load_keeps_every_acknowledged_token_postgres() {
    let Some(admin) = postgres() else { return };
    sigkill(&Database::postgres(&admin).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_falls_before_the_listener_closes() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let mut server = Server::start(&database.dsn(), None, &[]).await;
    let peer = server.peer.clone();
    assert_eq!(peer.get("/health/ready").await.status, 200);
    signal(server.pid(), "TERM");
    let mut seen = Vec::new();
    for _ in 0..200 {
        let answer = peer.get("/health/ready").await;
        seen.push(answer.status);
        if answer.status != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen.last(), Some(&503), "not ready is said before the door is shut: {seen:?}");
    assert_eq!(server.wait_end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_the_same_sqlite_file_is_refused() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let first = Server::start(&database.dsn(), None, &[]).await;
    let mut second = Server::launch(&database.dsn(), None, &[]);
    let code = second.wait_end().await;
    assert!(code.is_some_and(|code| code != 0), "it ended with {code:?}:\n{}", second.said());
    assert!(first.peer.is_ready().await, "the first goes on");
}
