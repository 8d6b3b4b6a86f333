//! Devices (RFC 8628): asked for, guessed, decided, polled.

use super::made::{attempt, device, flows_done, grant, granting, key, logout, redeem, redeeming, told, wrote};
use super::{client, created, earlier, later};
use signet::store::{
    Attempt, DeviceRequest, DeviceState, FlowVerdict, FlowWrite, Grant, Source, Store, StoreError, UserCodeGuess,
    Verdict,
};
use std::sync::Arc;
use uuid::Uuid;

/// A guess with at most three wrong ones.
async fn guess(store: &Arc<dyn Store>, challenge: Uuid, user_code: &[u8; 32], flow: Uuid) -> UserCodeGuess {
    store.guess_user_code(&attempt(challenge, user_code, flow)).await.unwrap()
}

async fn state(store: &Arc<dyn Store>, device: &DeviceRequest) -> DeviceState {
    store.poll_device(&device.signature, "nobody").await.unwrap().unwrap().state
}

/// A device that was asked for and given to a flow.
async fn bound(store: &Arc<dyn Store>, client: &signet::store::ClientRecord) -> (DeviceRequest, Uuid) {
    let (asked, flow) = (device(client), Uuid::new_v4());
    store.create_device(&asked, 1).await.unwrap();
    let accepted = DeviceRequest { flow_id: Some(flow), ..asked.clone() };
    assert_eq!(guess(store, Uuid::new_v4(), &asked.user_code, flow).await, UserCodeGuess::Accepted(accepted));
    (asked, flow)
}

pub async fn a_user_code_is_taken_until_it_ends(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let first = device(&record);
    store.create_device(&first, 1).await.unwrap();
    let same_code = DeviceRequest { user_code: first.user_code, ..device(&record) };
    assert_eq!(store.create_device(&same_code, 1).await, Err(StoreError::Conflict));
    let same_key = DeviceRequest { signature: first.signature, ..device(&record) };
    assert_eq!(store.create_device(&same_key, 1).await, Err(StoreError::Conflict));
    assert_eq!(state(store, &first).await, DeviceState::Pending);
    let over = DeviceRequest { expires_at: earlier(1), ..device(&record) };
    store.create_device(&over, 1).await.unwrap();
    let reused = DeviceRequest { user_code: over.user_code, ..device(&record) };
    store.create_device(&reused, 1).await.unwrap();
    assert_eq!(store.poll_device(&over.signature, "a").await.unwrap(), None);
    assert!(matches!(
        guess(store, Uuid::new_v4(), &reused.user_code, Uuid::new_v4()).await,
        UserCodeGuess::Accepted(_)
    ));
}

pub async fn a_device_needs_the_clients_version(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let asked = device(&record);
    assert!(matches!(store.create_device(&asked, 2).await, Err(StoreError::Unavailable(_))));
    let nobodys = device(&client("nobody"));
    assert!(matches!(store.create_device(&nobodys, 1).await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.poll_device(&asked.signature, "a").await.unwrap(), None);
    store.create_device(&asked, 1).await.unwrap();
}

pub async fn a_user_code_is_entered_once(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (asked, flow) = bound(store, &record).await;
    for (challenge, flow) in [(Uuid::new_v4(), Uuid::new_v4()), (Uuid::new_v4(), flow)] {
        assert_eq!(guess(store, challenge, &asked.user_code, flow).await, UserCodeGuess::Wrong);
    }
    // A flow has one device.
    let other = device(&record);
    store.create_device(&other, 1).await.unwrap();
    assert_eq!(guess(store, Uuid::new_v4(), &other.user_code, flow).await, UserCodeGuess::Wrong);
    let over = DeviceRequest { expires_at: earlier(1), ..device(&record) };
    store.create_device(&over, 1).await.unwrap();
    assert_eq!(guess(store, Uuid::new_v4(), &over.user_code, Uuid::new_v4()).await, UserCodeGuess::Wrong);
}

/// Made while secrets change places: one code that is another row's key under the other secret.
pub async fn a_user_code_of_two_devices_is_nobodys(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (one, other) = (device(&record), device(&record));
    for asked in [&one, &other] {
        store.create_device(asked, 1).await.unwrap();
    }
    let both = async |flow_id| {
        let user_codes = vec![one.user_code, other.user_code];
        let attempt = Attempt { user_codes, ..attempt(Uuid::new_v4(), &key(), flow_id) };
        store.guess_user_code(&attempt).await.unwrap()
    };
    assert_eq!(both(Uuid::new_v4()).await, UserCodeGuess::Wrong);
    for asked in [&one, &other] {
        assert_eq!(state(store, asked).await, DeviceState::Pending);
    }
    let flow = Uuid::new_v4();
    assert!(matches!(guess(store, Uuid::new_v4(), &one.user_code, flow).await, UserCodeGuess::Accepted(_)));
    let left = both(Uuid::new_v4()).await;
    assert!(matches!(left, UserCodeGuess::Accepted(device) if device.signature == other.signature), "one is left");
}

pub async fn wrong_guesses_are_counted_by_challenge(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let asked = device(&record);
    store.create_device(&asked, 1).await.unwrap();
    let (challenge, flow) = (Uuid::new_v4(), Uuid::new_v4());
    for _ in 0..3 {
        assert_eq!(guess(store, challenge, &key(), flow).await, UserCodeGuess::Wrong);
    }
    assert_eq!(guess(store, challenge, &asked.user_code, flow).await, UserCodeGuess::TooMany);
    assert_eq!(guess(store, challenge, &key(), flow).await, UserCodeGuess::TooMany);
    assert!(matches!(guess(store, Uuid::new_v4(), &asked.user_code, flow).await, UserCodeGuess::Accepted(_)));
}

pub async fn wrong_guesses_are_counted_together(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let asked = device(&record);
    store.create_device(&asked, 1).await.unwrap();
    let flow = Uuid::new_v4();
    let guess = async |code: &[u8; 32], most_of_all| {
        let attempt = Attempt { most_of_all, ..attempt(Uuid::new_v4(), code, flow) };
        store.guess_user_code(&attempt).await.unwrap()
    };
    let over = Attempt { challenge_ends: earlier(1), ..attempt(Uuid::new_v4(), &key(), flow) };
    assert_eq!(store.guess_user_code(&over).await.unwrap(), UserCodeGuess::Wrong);
    assert_eq!(guess(&key(), Some(2)).await, UserCodeGuess::Wrong, "what is over does not count");
    assert_eq!(guess(&key(), Some(2)).await, UserCodeGuess::Wrong);
    assert_eq!(guess(&asked.user_code, Some(2)).await, UserCodeGuess::TooManyOfAll);
    assert_eq!(guess(&key(), None).await, UserCodeGuess::Wrong, "who is known has no such limit");
    assert!(matches!(guess(&asked.user_code, Some(4)).await, UserCodeGuess::Accepted(_)));
}

pub async fn a_device_is_decided_once(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (granted, flow) = bound(store, &record).await;
    let (denied, refused) = bound(store, &record).await;
    let give = |flow| Grant { code: None, device: Some((flow, vec![5, 0, 5])), ..grant(&record, "s") };
    let first = give(flow);
    assert_eq!(wrote(store, &[FlowWrite::DenyDevice(refused), granting(&first)]).await, [FlowVerdict::Done; 2]);
    let expected = DeviceState::Granted { family_id: first.consent.id, session: vec![5, 0, 5] };
    assert_eq!(state(store, &granted).await, expected);
    assert_eq!(state(store, &denied).await, DeviceState::Denied);
    // What was decided stays, and a grant for nothing writes no consent.
    let late = [give(flow), give(refused), give(Uuid::new_v4())];
    assert_eq!(wrote(store, &late.each_ref().map(granting)).await, [FlowVerdict::Used; 3]);
    let denials = [flow, refused, Uuid::new_v4()].map(FlowWrite::DenyDevice);
    assert_eq!(wrote(store, &denials).await, [FlowVerdict::Used; 3]);
    for late in &late {
        assert!(store.consents_since(earlier(60), 9).await.unwrap().iter().all(|(id, _)| *id != late.consent.id));
        // Its id is still free.
        let mut other = grant(&record, "s");
        other.consent.id = late.consent.id;
        other.code = None;
        flows_done(store, &[granting(&other)]).await;
    }
    assert_eq!(state(store, &granted).await, expected);
    let order = redeem(&record, &first.consent, Source::Device(granted.signature));
    assert_eq!(told(store, redeeming(&order)).await, Verdict::Done);
    assert_eq!(state(store, &granted).await, DeviceState::Redeemed);
}

pub async fn two_decisions_on_one_device_in_a_batch(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (_, flow) = bound(store, &record).await;
    let (_, other) = bound(store, &record).await;
    let give = |flow| granting(&Grant { code: None, device: Some((flow, vec![1])), ..grant(&record, "s") });
    assert_eq!(wrote(store, &[give(flow), give(flow)]).await, [FlowVerdict::Done, FlowVerdict::Used]);
    let twice = [FlowWrite::DenyDevice(other), FlowWrite::DenyDevice(other)];
    assert_eq!(wrote(store, &twice).await, [FlowVerdict::Done, FlowVerdict::Used]);
    let (_, third) = bound(store, &record).await;
    let both = [FlowWrite::DenyDevice(third), give(third), FlowWrite::Logout(logout(Uuid::new_v4(), "s"))];
    let verdicts = wrote(store, &both).await;
    assert_ne!(verdicts[0], verdicts[1]);
}

pub async fn an_ended_device_is_not_decided(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let flow = Uuid::new_v4();
    let over = DeviceRequest { expires_at: earlier(1), flow_id: Some(flow), ..device(&record) };
    store.create_device(&over, 1).await.unwrap();
    let late = Grant { code: None, device: Some((flow, vec![1])), ..grant(&record, "s") };
    let batch = [granting(&late), FlowWrite::DenyDevice(flow)];
    assert_eq!(wrote(store, &batch).await, [FlowVerdict::Used; 2]);
    let poll = store.poll_device(&over.signature, "a").await.unwrap().unwrap();
    assert!(poll.expired && poll.state == DeviceState::Pending);
}

pub async fn one_who_polls_too_fast_must_wait_longer(fixture: &super::Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let asked = DeviceRequest { expires_at: later(10_000), ..device(&record) };
    store.create_device(&asked, 1).await.unwrap();
    let poll = async |client: &str| {
        let poll = store.poll_device(&asked.signature, client).await.unwrap().unwrap();
        assert_eq!((poll.client_id.as_str(), poll.state, poll.expired), ("a", DeviceState::Pending, false));
        poll.too_fast
    };
    assert!(!poll("a").await, "the first one is in time");
    // Another client's poll is told nothing of it and changes nothing.
    assert!(!poll("b").await);
    assert!(poll("a").await, "5 s after the last");
    fixture.pass(7).await;
    assert!(!poll("b").await);
    assert!(poll("a").await, "10 s after the last");
    fixture.pass(14).await;
    assert!(poll("a").await, "15 s after the last");
    fixture.pass(21).await;
    assert!(!poll("a").await, "20 s after the last");
    fixture.pass(10_000).await;
    assert!(store.poll_device(&asked.signature, "a").await.unwrap().unwrap().expired);
    assert_eq!(store.poll_device(&[0; 32], "a").await.unwrap(), None);
    assert_eq!(guess(store, Uuid::new_v4(), &asked.user_code, Uuid::new_v4()).await, UserCodeGuess::Wrong);
}
