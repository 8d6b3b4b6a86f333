//! A disk that is full: of a SQLite file, and of a PostgreSQL.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{HEALED, QUIET, Stand, healed, number, unavailable};
use crate::harness::{Answer, Cluster, Database, Peer, Server, fresh, machine};

/// A disk of a few megabytes; gone with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one, or says that this needs root.
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let args = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        let done = Command::new("mount").args(args).arg(dir.path()).output();
        if !done.is_ok_and(|done| done.status.success()) {
            println!("SKIPPED: a disk of a test's own can be mounted by root alone");
            return None;
        }
        Some(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        for size in [64 * 1024, 1024, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_writes_are_503_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let database = Database::Sqlite { dir: tempfile::tempdir_in(disk.path()).unwrap() };
    let file = database.dsn().trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
    Server::migrate(&database.dsn());
    let mut server = Server::start(&database.dsn(), None, &QUIET).await;
    let (peer, id, secret) = (server.peer.clone(), fresh("full"), fresh("secret"));
    peer.create(machine(&id, &secret)).await;
    let mut tokens = vec![peer.token(&id, &secret).await, peer.token(&id, &secret).await];
    disk.fill();
    // The log has some room of its own.
    let (more, refused) = until_refused(&peer, &id, &secret).await;
    tokens.extend(more);
    unavailable("a full disk", &refused);
    for _ in 0..5 {
        unavailable("a full disk", &peer.client_credentials(&id, &secret).await);
        unavailable("a full disk", &peer.revoke(&tokens[0], &id, &secret).await);
        assert!(peer.is_active(&tokens[0]).await, "what was not revoked is active");
        assert_eq!(peer.get("/health/alive").await.status, 200);
    }
    disk.make_room();
    healed("room again", Duration::from_secs(2), async || peer.client_credentials(&id, &secret).await).await;
    for token in &tokens {
        assert!(peer.is_active(token).await, "an acknowledged token is gone, of {}", tokens.len());
    }
    assert_eq!(peer.revoke(&tokens[0], &id, &secret).await.status, 200);
    crate::harness::signal(server.pid(), "KILL");
    server.wait_end().await;
    let found: String =
        rusqlite::Connection::open(file).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    let again = Server::start(&database.dsn(), Some(&format!("{}/", peer.public)), &QUIET).await;
    assert!(!again.peer.is_active(&tokens[0]).await);
    assert!(again.peer.is_active(&tokens[tokens.len() - 1]).await);
}

/// Takes what room the tables have of their own; every token that was acknowledged, and the refusal.
async fn until_refused(peer: &Peer, id: &str, secret: &str) -> (Vec<String>, Answer) {
    let mut tokens = Vec::new();
    loop {
        let answer = peer.client_credentials(id, secret).await;
        if answer.status != 200 {
            return (tokens, answer);
        }
        tokens.push(answer.get("access_token"));
        assert!(tokens.len() < 20_000, "the disk is never full");
    }
}

/// A PostgreSQL whose tables are on a disk of their own; its log is elsewhere, so it lives on.
async fn with_tables_on(disk: &SmallDisk) -> Option<(Cluster, Stand)> {
    let cluster = Cluster::start(&[]).await?;
    let place = cluster.folder_in(disk.path());
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    cluster.client().await.batch_execute(&tablespace).await.unwrap();
    cluster.set("default_tablespace = small").await;
    let stand = Stand::on(&cluster.admin(), &[]).await;
    Some((cluster, stand))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgresql_without_room_is_read_and_nothing_is_half_written() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let Some((cluster, stand)) = with_tables_on(&disk).await else { return };
    let (world, peer) = (&stand.world, stand.peer());
    let ((id, secret), web) = (world.machine().await, world.web().await);
    let (token, tokens, code) = (peer.token(&id, &secret).await, world.tokens(&web).await, world.code(&web).await);
    let rows = "SELECT (SELECT count(*) FROM access_token) + 1000000 * (SELECT count(*) FROM refresh_token)";
    let (before, began) = (number(&world.database, rows).await, "SELECT pg_postmaster_start_time()::text");
    let started: String = cluster.client().await.query_one(began, &[]).await.unwrap().get(0);
    disk.fill();
    let (more, refused) = until_refused(peer, &id, &secret).await;
    unavailable("a full disk", &refused);
    let rows_then = before + i64::try_from(more.len()).unwrap();
    let refresh = tokens.get("refresh_token");
    for _ in 0..5 {
        unavailable("issue", &peer.client_credentials(&id, &secret).await);
        unavailable("refresh", &peer.refresh(&web, &refresh, &[]).await);
        unavailable("exchange", &peer.exchange(&web, &code, &[]).await);
        assert!(peer.is_active(&token).await && peer.is_active(&refresh).await);
        assert_eq!(peer.userinfo(&tokens.get("access_token")).await.status, 200);
        assert_eq!(peer.get("/health/ready").await.status, 200);
    }
    assert_eq!(number(&world.database, rows).await, rows_then, "something was half written");
    // What takes no room is done, or not at all.
    match peer.revoke(&token, &id, &secret).await.status {
        200 => assert!(!peer.is_active(&token).await, "an acknowledged revocation"),
        503 => assert!(peer.is_active(&token).await),
        other => panic!("revoke: {other}"),
    }
    disk.make_room();
    healed("room again", HEALED, async || peer.client_credentials(&id, &secret).await).await;
    for token in &more {
        assert!(peer.is_active(token).await, "an acknowledged token is gone, of {}", more.len());
    }
    assert_eq!(peer.exchange(&web, &code, &[]).await.status, 200, "the code was not used up");
    assert_eq!(peer.refresh(&web, &refresh, &[]).await.status, 200, "nor the refresh token");
    assert_eq!(peer.refresh(&web, &refresh, &[]).await.status, 400, "once");
    let still: String = cluster.client().await.query_one(began, &[]).await.unwrap().get(0);
    assert_eq!(still, started, "the server went down");
}
