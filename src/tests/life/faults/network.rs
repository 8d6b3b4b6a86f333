//! The way to PostgreSQL: slow, frozen, half gone, garbled, and gone for one replica alone.

use std::time::{Duration, Instant};

use reqwest::Method;

use super::{HEALED, QUIET, Stand, healed, number, unavailable};
use crate::harness::{Answer, Fault, Peer, Server, postgres, signal};

const SHORT: [(&str, &str); 1] = [("DB_STATEMENT_TIMEOUT", "1s")];
const SHORT_CONNECT: &str = "&connect_timeout=1";
/// A statement's second or that of connecting, what is added to it, and a machine that does other things.
const IN_TIME: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_postgresql_is_waited_for_in_reason() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::with(&admin, SHORT_CONNECT, &SHORT).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    let token = peer.token(&id, &secret).await;
    stand.proxy.play(Fault::Delay(Duration::from_millis(100)));
    let (issued, seen) = tokio::join!(peer.client_credentials(&id, &secret), peer.introspect(&token));
    assert_eq!((issued.status, seen.status), (200, 200), "200 ms: {} {}", issued.brief(), seen.brief());
    stand.proxy.play(Fault::Delay(Duration::from_secs(1)));
    for _ in 0..2 {
        let began = Instant::now();
        let asks = async { tokio::join!(peer.client_credentials(&id, &secret), peer.introspect(&token)) };
        let others = async {
            for path in ["/.well-known/jwks.json", "/.well-known/openid-configuration", "/health/alive"] {
                let began = Instant::now();
                assert_eq!(peer.get(path).await.status, 200, "{path}");
                assert!(began.elapsed() < Duration::from_secs(1), "{path}: {:?}", began.elapsed());
            }
        };
        let ((issued, seen), ()) = tokio::join!(asks, others);
        unavailable("2 s", &issued);
        unavailable("2 s", &seen);
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    }
    stand.proxy.mend();
    healed("fast again", Duration::from_secs(5), async || peer.client_credentials(&id, &secret).await).await;
}

/// The processes that serve a database's connections, stopped in their tracks; they go on with this value.
struct Frozen(Vec<u32>);

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| signal(*pid, "CONT"));
    }
}

/// Reads so much at once that every connection there may be is there.
async fn fill_pool(peer: &Peer) {
    let asks = (0..64).map(|_| peer.admin(Method::GET, "/admin/clients", None));
    assert!(futures_util::future::join_all(asks).await.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_connections_are_given_up_for_new_ones() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &SHORT).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    fill_pool(peer).await;
    let pids = "SELECT array_agg(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'signet'";
    let pids: Vec<i32> = stand.world.database.client().await.query_one(pids, &[]).await.unwrap().get(0);
    assert!(pids.len() > 5, "hardly any connection: {pids:?}");
    let frozen = Frozen(pids.iter().map(|pid| u32::try_from(*pid).unwrap()).collect());
    frozen.0.iter().for_each(|pid| signal(*pid, "STOP"));
    let ask = async || peer.client_credentials(&id, &secret).await;
    let refused = healed("frozen", Duration::from_secs(10), ask).await;
    assert!(refused <= 2, "{refused} callers in turn waited for connections that were silent");
    drop(frozen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_are_noticed_within_ten_seconds() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &SHORT).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    fill_pool(peer).await;
    let token = peer.token(&id, &secret).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                     AND application_name = 'signet' AND query = 'LISTEN signet_change' AND backend_start > $1";
    let db = stand.world.database.client().await;
    let at: time::OffsetDateTime = db.query_one("SELECT clock_timestamp()", &[]).await.unwrap().get(0);
    let began = Instant::now();
    stand.proxy.strand();
    let issued = healed("stranded", Duration::from_secs(10), async || peer.client_credentials(&id, &secret).await);
    let (ready, refused) = tokio::join!(peer.get("/health/ready"), issued);
    assert!(refused <= 2, "{refused} callers in turn waited for connections that were silent");
    assert_eq!(ready.status, 503, "it was ready while nothing was heard: {}", ready.brief());
    assert!(peer.is_active(&token).await);
    assert_eq!(peer.get("/health/ready").await.status, 200, "ready again");
    while db.query_one(listening, &[&at]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "changes are not heard any more");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("stranded: changes are heard again after {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbled_answers_are_no_answers() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::with(&admin, SHORT_CONNECT, &SHORT).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    let (token, issued) = (peer.token(&id, &secret).await, "SELECT count(*) FROM access_token");
    for _ in 0..3 {
        stand.proxy.play(Fault::Corrupt);
        let began = Instant::now();
        let asks = async { tokio::join!(peer.client_credentials(&id, &secret), peer.introspect(&token)) };
        let (refused, seen): (Answer, Answer) = asks.await;
        unavailable("garbled", &refused);
        unavailable("garbled", &seen);
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        stand.proxy.mend();
        healed("plain again", HEALED, async || peer.client_credentials(&id, &secret).await).await;
        assert!(peer.is_active(&token).await);
    }
    assert!(number(&stand.world.database, issued).await >= 4);
}

/// Two replicas, of which one has lost its database: the other goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_cut_off_leaves_the_other_alone() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &SHORT).await;
    let issuer = stand.world.issuer();
    let other = Server::start(&stand.world.database.dsn(), Some(&issuer), &QUIET).await;
    let (id, secret) = stand.world.machine().await;
    stand.proxy.play(Fault::HangAnswers);
    let began = Instant::now();
    let (cut_off, good) = tokio::join!(stand.peer().client_credentials(&id, &secret), async {
        (other.peer.client_credentials(&id, &secret).await, began.elapsed())
    });
    unavailable("cut off", &cut_off);
    assert_eq!(good.0.status, 200, "{}", good.0.brief());
    assert!(good.1 < Duration::from_secs(1), "it waited for the other one: {:?}", good.1);
    stand.proxy.mend();
    let peer = stand.peer();
    healed("let in again", Duration::from_secs(5), async || peer.client_credentials(&id, &secret).await).await;
}
