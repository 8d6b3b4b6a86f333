//! Faults of the machine under one replica, and of time: a full disk, keys that change under load.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use signet::crypto::jose::Unverified;
use signet::crypto::jwk::{Alg, parse_set};

use super::{QUIET, healed, unavailable};
use crate::harness::{Database, Peer, Server, World, fresh, machine};

/// A disk of a few megabytes; gone with this value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one, or says that this needs root.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let args = ["-t", "tmpfs", "-o", "size=8m", "tmpfs"];
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
    let Some(disk) = SmallDisk::mount() else { return };
    let database = Database::Sqlite { dir: tempfile::tempdir_in(disk.path()).unwrap() };
    let file = database.dsn().trim_start_matches("sqlite://").split('?').next().unwrap().to_owned();
    Server::migrate(&database.dsn());
    let mut server = Server::start(&database.dsn(), None, &QUIET).await;
    let (peer, id, secret) = (server.peer.clone(), fresh("full"), fresh("secret"));
    peer.create(machine(&id, &secret)).await;
    let mut tokens = vec![peer.token(&id, &secret).await, peer.token(&id, &secret).await];
    disk.fill();
    // The log has some room of its own.
    let refused = loop {
        let answer = peer.client_credentials(&id, &secret).await;
        if answer.status != 200 {
            break answer;
        }
        tokens.push(answer.get("access_token"));
        assert!(tokens.len() < 20_000, "the disk is never full");
    };
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

/// Keys as a resource server keeps them: what it fetched last, and when.
async fn published(peer: &Peer) -> Value {
    let answer = peer.get("/.well-known/jwks.json").await;
    assert_eq!(answer.status, 200, "{}", answer.brief());
    answer.json()
}

/// Signed by a key of this set.
fn verified(set: &Value, jwt: &str) -> bool {
    Unverified::parse(jwt).unwrap().verify(&parse_set(set), &[Alg::ES256]).is_ok()
}

fn kid(jwt: &str) -> String {
    use base64::Engine as _;
    let head = jwt.split('.').next().unwrap();
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap();
    serde_json::from_slice::<Value>(&head).unwrap()["kid"].as_str().unwrap().to_owned()
}

const LEAD: Duration = Duration::from_secs(6);

/// Asks both replicas for tokens; whoever fetched the keys of the other one within the lead can verify them.
async fn ask_and_verify(world: &World, id: &str, secret: &str, over: &AtomicBool) -> HashMap<String, usize> {
    let (mut kept, mut signed) = ([published(&world.b).await, published(&world.a).await], HashMap::new());
    let mut fetched = Instant::now();
    while !over.load(Ordering::Relaxed) {
        for (at, peer) in [&world.a, &world.b].into_iter().enumerate() {
            let token = peer.token(id, secret).await;
            assert!(verified(&kept[at], &token), "keys of {:?} ago do not verify {}", fetched.elapsed(), kid(&token));
            *signed.entry(kid(&token)).or_insert(0) += 1;
        }
        if fetched.elapsed() > LEAD - Duration::from_secs(1) {
            kept = [published(&world.b).await, published(&world.a).await];
            fetched = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_change_under_load_verify_for_who_fetched_them_before() {
    let env = [
        ("STRATEGIES_ACCESS_TOKEN", "jwt"),
        ("KEYS_ALGORITHM", "ES256"),
        ("KEYS_ROTATION_INTERVAL", "8s"),
        ("KEYS_ROTATION_PUBLISH_LEAD", "6s"),
    ];
    let Some(world) = World::postgres(&[QUIET.as_slice(), &env].concat()).await else { return };
    let (id, secret) = world.machine().await;
    let (world, over) = (Arc::new(world), Arc::new(AtomicBool::new(false)));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (world, over, id, secret) = (Arc::clone(&world), Arc::clone(&over), id.clone(), secret.clone());
            tokio::spawn(async move { ask_and_verify(&world, &id, &secret, &over).await })
        })
        .collect();
    let (first, began) = (kid(&world.a.token(&id, &secret).await), Instant::now());
    while began.elapsed() < Duration::from_secs(40)
        && (kid(&world.a.token(&id, &secret).await) == first || kid(&world.b.token(&id, &secret).await) == first)
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    over.store(true, Ordering::Relaxed);
    let mut signed: HashMap<String, usize> = HashMap::new();
    for caller in callers {
        for (kid, times) in caller.await.unwrap() {
            *signed.entry(kid).or_default() += times;
        }
    }
    println!("signed by each key: {signed:?}");
    assert!(signed.len() >= 2, "no key took over: {signed:?}");
}
