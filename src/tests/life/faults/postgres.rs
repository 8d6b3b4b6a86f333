//! PostgreSQL itself: restarted, crashed, read-only, full, failed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio_postgres::NoTls;

use super::{HEALED, Stand, healed, unavailable};
use crate::harness::{Cluster, Peer, Stop, fresh, machine};

/// Callers that ask for tokens all the time; each is told a token or to come again.
struct Traffic(Vec<tokio::task::JoinHandle<Vec<String>>>, Arc<AtomicBool>);

impl Traffic {
    fn on(peer: &Peer, id: &str, secret: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let callers = (0..8).map(|_| {
            let (peer, id, secret, over) = (peer.clone(), id.to_owned(), secret.to_owned(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let answer = peer.client_credentials(&id, &secret).await;
                    if answer.status == 200 {
                        tokens.push(answer.get("access_token"));
                    } else {
                        unavailable("under load", &answer);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
                tokens
            })
        });
        Self(callers.collect(), over)
    }

    /// Every token that somebody was given lives.
    async fn nothing_lost(self, peer: &Peer) {
        self.1.store(true, Ordering::Relaxed);
        let mut tokens = Vec::new();
        for caller in self.0 {
            tokens.extend(caller.await.unwrap());
        }
        assert!(tokens.len() > 8, "there was no load");
        for token in &tokens {
            assert!(peer.is_active(token).await, "an acknowledged token is gone, of {}", tokens.len());
        }
        println!("{} acknowledged tokens live", tokens.len());
    }
}

async fn restart(how: Stop) {
    let Some(mut cluster) = Cluster::start(&[]).await else { return };
    let stand = Stand::on(&cluster.admin(), &[]).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    let token = peer.token(&id, &secret).await;
    let traffic = Traffic::on(peer, &id, &secret);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.stop(how);
    for _ in 0..3 {
        unavailable("issue", &peer.client_credentials(&id, &secret).await);
        unavailable("introspect", &peer.introspect(&token).await);
        assert_eq!(peer.get("/health/ready").await.status, 503);
        assert_eq!(peer.get("/health/alive").await.status, 200);
    }
    cluster.run().await;
    healed("restarted", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    assert_eq!(peer.get("/health/ready").await.status, 200);
    assert!(peer.is_active(&token).await);
    traffic.nothing_lost(peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_restarts_is_found_again_within_a_second() {
    restart(Stop::Fast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_that_crashes_is_found_again_within_a_second() {
    restart(Stop::Immediate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_postgresql_is_read_and_not_written() {
    let Some(cluster) = Cluster::start(&[]).await else { return };
    let stand = Stand::on(&cluster.admin(), &[]).await;
    let (peer, (id, secret), web) = (stand.peer(), stand.world.machine().await, stand.world.web().await);
    let (token, tokens) = (peer.token(&id, &secret).await, stand.world.tokens(&web).await);
    let client = format!("/admin/clients/{id}");
    cluster.set("default_transaction_read_only = on").await;
    let until = Instant::now() + Duration::from_secs(5);
    while peer.client_credentials(&id, &secret).await.status == 200 {
        assert!(Instant::now() < until, "it is never read-only");
    }
    for _ in 0..5 {
        unavailable("issue", &peer.client_credentials(&id, &secret).await);
        unavailable("refresh", &peer.refresh(&web, &tokens.get("refresh_token"), &[]).await);
        unavailable("revoke", &peer.revoke(&token, &id, &secret).await);
        unavailable(
            "create",
            &peer.admin(Method::POST, "/admin/clients", Some(machine(&fresh("new"), "a-secret"))).await,
        );
        assert!(peer.is_active(&token).await && peer.is_active(&tokens.get("refresh_token")).await);
        assert_eq!(peer.userinfo(&tokens.get("access_token")).await.status, 200);
        assert_eq!(peer.admin(Method::GET, &client, None).await.status, 200);
    }
    cluster.set("default_transaction_read_only = off").await;
    healed("writable", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    assert_eq!(peer.refresh(&web, &tokens.get("refresh_token"), &[]).await.status, 200, "nothing was used up");
    assert_eq!(peer.revoke(&token, &id, &secret).await.status, 200);
}

/// A standby that has all that its primary has acknowledged.
async fn with_standby() -> Option<(Cluster, Cluster)> {
    let cluster = Cluster::start(&[]).await?;
    let standby = cluster.standby().await;
    cluster.set("synchronous_standby_names = '*'").await;
    Some((cluster, standby))
}

async fn promote(standby: &Cluster, stand: &Stand) {
    let client = standby.client().await;
    assert!(client.query_one("SELECT pg_promote()", &[]).await.unwrap().get::<_, bool>(0), "not promoted");
    stand.proxy.retarget("127.0.0.1", standby.port);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_nothing_acknowledged_is_lost() {
    let Some((mut cluster, standby)) = with_standby().await else { return };
    let stand = Stand::with(&cluster.admin(), "&target_session_attrs=read-write", &[]).await;
    let (peer, (id, secret), web) = (stand.peer(), stand.world.machine().await, stand.world.web().await);
    let tokens = stand.world.tokens(&web).await;
    let traffic = Traffic::on(peer, &id, &secret);
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.stop(Stop::Immediate);
    unavailable("failing over", &peer.client_credentials(&id, &secret).await);
    promote(&standby, &stand).await;
    healed("failed over", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    assert_eq!(peer.refresh(&web, &tokens.get("refresh_token"), &[]).await.status, 200);
    assert_eq!(peer.refresh(&web, &tokens.get("refresh_token"), &[]).await.status, 400, "once");
    traffic.nothing_lost(peer).await;
}

/// The old primary lives on and only reads, and connections to it stay open: they must not be kept for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_became_a_reader_is_left() {
    let Some((cluster, standby)) = with_standby().await else { return };
    let stand = Stand::on(&cluster.admin(), &[]).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    let traffic = Traffic::on(peer, &id, &secret);
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.set("default_transaction_read_only = on").await;
    promote(&standby, &stand).await;
    healed("failed over", Duration::from_secs(4), async || peer.client_credentials(&id, &secret).await).await;
    // What is left of connections to the old one is given up within another second; until then what is read may be old.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    traffic.nothing_lost(peer).await;
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'signet'
                     AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')";
    let until = Instant::now() + Duration::from_secs(2);
    let client = standby.client().await;
    while client.query_one(listening, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(Instant::now() < until, "changes are heard from the old one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_postgresql_is_not_stormed() {
    let Some(cluster) = Cluster::start(&["max_connections=14"]).await else { return };
    let stand = Stand::on(&cluster.admin(), &[]).await;
    let (peer, (id, secret)) = (stand.peer(), stand.world.machine().await);
    let token = peer.token(&id, &secret).await;
    // What there is left is taken by others: those connections that there are do for everybody.
    let first = cluster.client().await;
    let mut others = take_all(&cluster).await;
    let asks = (0..40).map(|_| async { (peer.client_credentials(&id, &secret).await, peer.introspect(&token).await) });
    for (issued, seen) in futures_util::future::join_all(asks).await {
        assert_eq!((issued.status, seen.status), (200, 200), "{} {}", issued.brief(), seen.brief());
    }
    // Ours are ended, and others come first.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'signet'";
    let until = Instant::now() + Duration::from_secs(20);
    while first.query_one(end, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        others.extend(take_all(&cluster).await);
        assert!(Instant::now() < until, "ours are always first");
    }
    let (before, began, mut refused) = (stand.proxy.begun(), Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        let asks = (0..8).map(|_| peer.client_credentials(&id, &secret));
        for answer in futures_util::future::join_all(asks).await {
            unavailable("full", &answer);
            refused += 1;
        }
    }
    let attempts = stand.proxy.begun() - before;
    println!("{refused} were refused, {attempts} attempts to connect");
    assert!(refused > 100, "{refused}");
    assert!(attempts < 60, "{attempts} attempts to connect in two seconds, {refused} refusals");
    drop((first, others));
    healed("room again", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    assert!(peer.is_active(&token).await);
}

/// Takes every connection that the cluster has left, and those that are given back in a moment.
async fn take_all(cluster: &Cluster) -> Vec<tokio_postgres::Client> {
    let (mut taken, until) = (Vec::new(), Instant::now() + Duration::from_millis(100));
    while Instant::now() < until {
        match tokio_postgres::connect(&cluster.admin(), NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                taken.push(client);
            }
            Err(full) => {
                assert_eq!(full.code().map(tokio_postgres::error::SqlState::code), Some("53300"), "{full}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    taken
}
