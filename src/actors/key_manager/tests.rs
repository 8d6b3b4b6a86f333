//! The manager on a store in memory, at a time that the tests move.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]

use super::super::mailbox::Mailbox;
use super::*;
use crate::crypto::seal::Secrets;
use crate::domain::world::{Entropy, NoEntropy};
use crate::store::{OpenOptions, open};
use crate::telemetry::metrics::Metrics;
use serde_json::json;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

struct Hands(AtomicI64);
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
impl Hands {
    fn pass(&self, secs: i64) {
        self.0.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

struct Counting(AtomicU64);
impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<(), NoEntropy> {
        for byte in out.iter_mut().rev().zip(self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes()) {
            *byte.0 = byte.1;
        }
        Ok(())
    }
}

async fn keys() -> (Keys, Arc<Hands>) {
    let clock = Arc::new(Hands(AtomicI64::new(1_700_000_000_000_000)));
    let (dsn, statement_timeout) = ("memory".to_owned(), Duration::from_secs(5));
    let metrics = Metrics::new("test").unwrap();
    let options = OpenOptions {
        dsn,
        max_conns: 2,
        statement_timeout,
        access_token_life: statement_timeout,
        clock: clock.clone(),
        metrics,
        cache: None,
    };
    let store = open(options).await.unwrap();
    let rotation = Policy {
        rotation_interval: Duration::ZERO,
        publish_lead: Duration::ZERO,
        longest_token: Duration::from_secs(3600),
    };
    let policy = KeyPolicy { alg: Alg::ES256, rsa_bits: 2048, rotation, broadcast: vec!["more".to_owned()] };
    let vault = KeyVault {
        store,
        sealer: secrets("first").sealer("jwk"),
        entropy: Arc::new(Counting(AtomicU64::new(0))),
        metrics: Metrics::new("test").unwrap(),
    };
    (Keys { vault, policy: Arc::new(policy), clock: clock.clone(), apart: Arc::default() }, clock)
}

fn secrets(one: &str) -> Secrets {
    Secrets::new(&[one.repeat(8)]).unwrap()
}

async fn manager(keys: &Keys) -> (Mailbox<KeyManager>, watch::Receiver<Arc<KeyRing>>) {
    let (ring, seen) = watch::channel(Arc::new(keys.turn().await.unwrap()));
    let metrics = Arc::clone(&keys.vault.metrics);
    let alive = Alive::new(CancellationToken::new(), labels::Actor::KeyManager, Arc::clone(&metrics));
    let addr = KeyManager::new(keys.clone(), ring, alive).start();
    (Mailbox::new(addr, labels::Actor::KeyManager, 8, Duration::from_secs(20), metrics), seen)
}

fn create(set: &str, kid: &str) -> CreateKey {
    CreateKey { set: set.to_owned(), alg: Alg::ES256, kid: kid.to_owned(), use_: "sig".to_owned() }
}

fn signs(ring: &KeyRing, now: Timestamp) -> String {
    ring.signer(ACCESS_TOKEN_SET, now).map(|key| key.kid().to_owned()).unwrap_or_default()
}

#[actix_web::test]
async fn many_replicas_make_one_key_for_each_set() {
    let (keys, clock) = keys().await;
    let rings = futures_util::future::join_all((0..8).map(|_| keys.turn())).await;
    let signers: Vec<_> = rings.iter().map(|r| signs(r.as_ref().unwrap(), clock.now())).collect();
    assert!(signers.iter().all(|kid| !kid.is_empty() && Some(kid) == signers.first()), "{signers:?}");
    let rows = keys.vault.store.keys(&keys.sets()).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(!rows.iter().any(|row| row.sealed.windows(5).any(|w| w == b"\"kty\"")), "sealed at rest");
}

#[actix_web::test]
async fn a_posted_key_is_published_at_once_and_signs_after_the_lead() {
    let (keys, clock) = keys().await;
    let (mailbox, seen) = manager(&keys).await;
    let first = signs(&seen.borrow(), clock.now());
    let made = mailbox.ask(create(ACCESS_TOKEN_SET, "mine")).await.unwrap().unwrap();
    assert_eq!((made.kid(), made.alg()), (Some("mine"), Some("ES256")));
    let ring = seen.borrow().clone();
    assert!(ring.verifying(ACCESS_TOKEN_SET, "mine").is_some());
    let public = String::from_utf8(ring.jwks.to_vec()).unwrap();
    assert!(public.contains("\"mine\"") && !public.contains("\"d\""), "{public}");
    assert_eq!(signs(&ring, clock.now()), first);
    clock.pass(10);
    assert_eq!(signs(&ring, clock.now()), "mine");
    keys.turn().await.unwrap();
    clock.pass(3600);
    assert!(keys.turn().await.unwrap().verifying(ACCESS_TOKEN_SET, &first).is_some(), "its tokens may still live");
    clock.pass(301);
    keys.turn().await.unwrap();
    assert_eq!(keys.vault.read(ACCESS_TOKEN_SET).await.unwrap().len(), 1);
}

#[actix_web::test]
async fn making_a_key_never_overwrites_one() {
    let (keys, _) = keys().await;
    let (mailbox, _seen) = manager(&keys).await;
    let first = mailbox.ask(create("apart", "größe/1")).await.unwrap().unwrap();
    let again = mailbox.ask(create("apart", "größe/1")).await.unwrap();
    assert!(matches!(again, Err(KeyError::Store(StoreError::Conflict))), "{again:?}");
    assert_eq!(keys.vault.read("apart").await.unwrap(), [first]);
}

#[actix_web::test]
async fn a_key_that_cannot_sign_never_retires_the_signer() {
    let (keys, clock) = keys().await;
    let (mailbox, seen) = manager(&keys).await;
    let first = signs(&seen.borrow(), clock.now());
    let public = generate(Alg::ES256, 0, "public".to_owned(), "sig").unwrap().public();
    let oct = serde_json::from_value(json!({"kty": "oct", "kid": "oct", "k": "AAAA"})).unwrap();
    let put = PutKeys { set: ACCESS_TOKEN_SET.to_owned(), keys: vec![public, oct], replace: false };
    mailbox.ask(put).await.unwrap().unwrap();
    for _ in 0..5 {
        clock.pass(3600);
        let ring = keys.turn().await.unwrap();
        assert_eq!(signs(&ring, clock.now()), first);
        assert!(ring.verifying(ACCESS_TOKEN_SET, "public").is_some());
        assert!(!String::from_utf8(ring.jwks.to_vec()).unwrap().contains("\"oct\""), "symmetric keys stay secret");
    }
}

#[actix_web::test]
async fn without_the_secret_keys_are_left_alone() {
    let (keys, clock) = keys().await;
    let first = signs(&keys.turn().await.unwrap(), clock.now());
    let mut other = keys.clone();
    other.vault.sealer = secrets("other").sealer("jwk");
    assert!(other.turn().await.unwrap().is_empty());
    assert_eq!(keys.vault.store.keys(&keys.sets()).await.unwrap().len(), 2);
    assert_eq!(signs(&keys.turn().await.unwrap(), clock.now()), first);
    // A newer key that this replica cannot open does not end the one that it can.
    let foreign = generate(Alg::ES256, 0, "foreign".to_owned(), "sig").unwrap();
    clock.pass(60);
    let row = other.vault.seal(ACCESS_TOKEN_SET, &foreign, clock.now(), clock.now()).unwrap();
    let set = [ACCESS_TOKEN_SET.to_owned()];
    keys.vault.store.change_keys(&set, Box::new(move |_, _| vec![KeyChange::Put(row.clone())])).await.unwrap();
    assert_eq!(signs(&keys.turn().await.unwrap(), clock.now()), first);
    let rows = keys.vault.store.keys(&set).await.unwrap();
    assert!(rows.iter().all(|row| row.retires_at.is_none()));
}

#[actix_web::test]
async fn a_deleted_or_replaced_set_keeps_a_signer() {
    let (keys, clock) = keys().await;
    let (mailbox, seen) = manager(&keys).await;
    let first = signs(&seen.borrow(), clock.now());
    mailbox.ask(DeleteKeys { set: ACCESS_TOKEN_SET.to_owned(), kid: None }).await.unwrap().unwrap();
    let second = signs(&seen.borrow(), clock.now());
    assert!(!second.is_empty() && second != first);
    let list = |kid: &str| generate(Alg::EdDSA, 0, kid.to_owned(), "sig").unwrap();
    let put = PutKeys { set: ACCESS_TOKEN_SET.to_owned(), keys: vec![list("a"), list("b")], replace: true };
    mailbox.ask(put).await.unwrap().unwrap();
    let kids: Vec<_> = keys.vault.read(ACCESS_TOKEN_SET).await.unwrap();
    assert_eq!(
        kids.iter().map(|k| k.kid().unwrap()).collect::<Vec<_>>(),
        ["a", "b"],
        "the first of a list is the newest"
    );
    assert_eq!(signs(&seen.borrow(), clock.now()), "a");
}

fn ordered(list: [&str; 2]) -> crate::crypto::seal::Sealer {
    Secrets::new(&list.map(|one| one.repeat(8))).unwrap().sealer("jwk")
}

#[actix_web::test]
async fn replicas_do_not_write_against_each_other_while_the_secrets_change_places() {
    let (mut old, clock) = keys().await;
    old.turn().await.unwrap();
    old.vault.sealer = ordered(["first", "second"]);
    let mut new = old.clone();
    new.vault.sealer = ordered(["second", "first"]);
    let mut feed = old.vault.store.changes();
    let (_old, _) = manager(&old).await;
    let (_new, ring) = manager(&new).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(feed.try_recv(), Ok(Change::Keys)), "the boot of the new one sealed the keys again");
    assert!(feed.try_recv().is_err(), "and nobody since");
    let mut only = new.clone();
    only.vault.sealer = secrets("second").sealer("jwk");
    let first = signs(&ring.borrow(), clock.now());
    assert_eq!(signs(&only.turn().await.unwrap(), clock.now()), first, "the old secret can be dropped");
}

#[actix_web::test]
async fn what_an_older_secret_sealed_after_the_boot_is_sealed_again_within_the_hour() {
    let (mut keys, clock) = keys().await;
    let old = keys.clone();
    keys.vault.sealer = ordered(["second", "first"]);
    let (mailbox, _seen) = manager(&keys).await;
    let row = |vault: &KeyVault| {
        let late = generate(Alg::ES256, 0, "late".to_owned(), "sig").unwrap();
        vault.seal("more", &late, clock.now(), clock.now()).unwrap()
    };
    let (set, late) = (["more".to_owned()], row(&old.vault));
    old.vault.store.change_keys(&set, Box::new(move |_, _| vec![KeyChange::Put(late.clone())])).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(old.vault.read("more").await.unwrap().len(), 1, "not yet");
    clock.pass(3600);
    mailbox.ask(create("more", "nudge")).await.unwrap().unwrap();
    for _ in 0..100 {
        if keys.vault.store.keys(&set).await.unwrap().iter().all(|row| old.vault.open(row).is_none()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the key is still under the old secret");
}

#[actix_web::test]
async fn a_set_put_back_with_one_more_key_goes_on_signing_with_the_old_one_for_the_lead() {
    let (keys, clock) = keys().await;
    let (mailbox, seen) = manager(&keys).await;
    let first = signs(&seen.borrow(), clock.now());
    let new = |kid: &str| generate(Alg::ES256, 0, kid.to_owned(), "sig").unwrap();
    let mut list = keys.vault.read(ACCESS_TOKEN_SET).await.unwrap();
    list.insert(0, new("new"));
    let put = |keys: Vec<Jwk>, replace| PutKeys { set: ACCESS_TOKEN_SET.to_owned(), keys, replace };
    mailbox.ask(put(list.clone(), true)).await.unwrap().unwrap();
    assert_eq!(keys.vault.read(ACCESS_TOKEN_SET).await.unwrap(), list);
    assert_eq!(signs(&seen.borrow(), clock.now()), first, "the others do not publish the new one yet");
    clock.pass(11);
    assert_eq!(signs(&seen.borrow(), clock.now()), "new");
    // The same name, but another key: it waits.
    mailbox.ask(put(vec![new(&first)], false)).await.unwrap().unwrap();
    assert_eq!(signs(&seen.borrow(), clock.now()), "new");
    clock.pass(11);
    assert_eq!(signs(&seen.borrow(), clock.now()), first);
}
