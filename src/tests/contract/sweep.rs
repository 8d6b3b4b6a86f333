//! Sweeping, with time passing: what is over goes, and what still guards something stays.

use super::made::{
    access, attempt, consent, delivery, device, exchanged, flows_done, grant, granting, key, logout, redeem_code,
    redeeming, remember, rotate, rotating, session, told, valid, wrote,
};
use super::{Fixture, created, later};
use signet::store::{
    ConsentFilter, ConsentPage, Delivered, DeviceRequest, FlowVerdict, FlowWrite, Grant, LoginSession, Logout, Redeem,
    Store, Sweep, SweepCounts, Verdict, Write,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const HOUR: u32 = 3600;
/// What was decided once stays known for so long, and is over then.
const KEPT: u32 = HOUR + 600;

async fn swept(store: &Arc<dyn Store>, limit: usize) -> SweepCounts {
    match store.sweep(limit).await.unwrap() {
        Sweep::Swept(counts) => counts,
        Sweep::Elsewhere => panic!("nobody else sweeps here"),
    }
}

fn nothing() -> SweepCounts {
    SweepCounts::default()
}

async fn consents(store: &Arc<dyn Store>) -> usize {
    let page = ConsentPage { subject: "s".to_owned(), session_id: None, before: None, limit: 100 };
    store.consents(&page).await.unwrap().len()
}

pub async fn what_is_over_goes_batch_by_batch(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    for _ in 0..3 {
        store.create_device(&device(&record), 1).await.unwrap();
        store.put_flow_body(&key(), &[1], later(600)).await.unwrap();
        store.guess_user_code(&attempt(Uuid::new_v4(), &key(), Uuid::new_v4())).await.unwrap();
        flows_done(store, &[remember(&LoginSession { expires_at: later(600), ..session("s") })]).await;
        let told = Logout { deliveries: vec![delivery("a")], keep_until: later(600), ..logout(Uuid::new_v4(), "s") };
        let one = told.deliveries[0].clone();
        flows_done(store, &[FlowWrite::Logout(told)]).await;
        store.settle_delivery(&one, Delivered::Dead).await.unwrap();
    }
    let waiting = Logout { deliveries: vec![delivery("a")], keep_until: later(600), ..logout(Uuid::new_v4(), "s") };
    flows_done(store, &[FlowWrite::Logout(waiting)]).await;
    assert_eq!(swept(store, 9).await, nothing());
    fixture.pass(601).await;
    let some = SweepCounts { devices: 2, flow_bodies: 2, guesses: 2, more: true, ..nothing() };
    assert_eq!(swept(store, 2).await, some);
    let rest = SweepCounts { devices: 1, flow_bodies: 1, guesses: 1, ..nothing() };
    assert_eq!(swept(store, 2).await, rest);
    // A session's id stays taken for a while after its end.
    fixture.pass(KEPT).await;
    assert_eq!(swept(store, 4).await, SweepCounts { login_sessions: 4, more: true, ..nothing() });
    assert_eq!(swept(store, 4).await, SweepCounts { login_sessions: 3, ..nothing() });
    fixture.pass(7 * 24 * HOUR).await;
    assert_eq!(swept(store, 9).await, SweepCounts { deliveries: 3, ..nothing() });
    assert_eq!(store.outbox_depth().await.unwrap().waiting, 1);
    assert_eq!(store.claim_deliveries(9, Duration::from_secs(1)).await.unwrap().len(), 1);
}

pub async fn a_consent_goes_when_nothing_stands_on_it(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let (given, first) = exchanged(store, &record, "s").await;
    let bare = Grant { code: None, ..grant(&record, "s") };
    flows_done(store, &[granting(&bare)]).await;
    assert_eq!(swept(store, 9).await, nothing());
    fixture.pass(601).await;
    assert_eq!(swept(store, 9).await, SweepCounts { codes: 1, ..nothing() });
    assert_eq!(consents(store).await, 2);
    fixture.pass(KEPT - 600).await;
    // Long after it was granted: nothing was ever issued on the one, a refresh token lives on the other.
    assert_eq!(swept(store, 9).await, SweepCounts { access_tokens: 1, consents: 1, ..nothing() });
    assert_eq!(swept(store, 9).await, nothing());
    assert_eq!(consents(store).await, 1);
    let refresh = first.refresh.unwrap().signature;
    assert_eq!(told(store, rotating(&rotate(&record, &given.consent, refresh))).await, Verdict::Done);
    fixture.pass(HOUR).await;
    // The used one is over, its successor has two hours from when this test began.
    let counts = swept(store, 9).await;
    assert_eq!((counts.refresh_tokens, counts.families), (if counts.consents == 1 { 2 } else { 1 }, 0));
    fixture.pass(2 * HOUR).await;
    let last = swept(store, 9).await;
    assert_eq!(counts.consents + last.consents, 1);
    assert_eq!(counts.refresh_tokens + last.refresh_tokens, 2);
    assert_eq!(consents(store).await, 0);
    assert_eq!(swept(store, 9).await, nothing());
    // What goes leaves nothing that could be revoked.
    assert_eq!(store.revoke_consents(&ConsentFilter::Subject("s".to_owned())).await, Ok(0));
}

pub async fn a_remembered_consent_stays_while_it_is_remembered(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let (mut for_ever, mut for_two_hours) = (grant(&record, "s"), grant(&record, "t"));
    for_ever.consent.remember = true;
    (for_two_hours.consent.remember, for_two_hours.consent.remember_until) = (true, Some(later(2 * 3600)));
    flows_done(store, &[granting(&for_ever), granting(&for_two_hours)]).await;
    for given in [&for_ever, &for_two_hours] {
        assert_eq!(told(store, Write::RevokeFamily(given.consent.id)).await, Verdict::Done);
    }
    let previous = async |subject: &str| store.previous_consent("a", subject).await.unwrap().map(|c| c.id);
    fixture.pass(KEPT + 1).await;
    assert_eq!(swept(store, 9).await, SweepCounts { codes: 2, families: 2, ..nothing() });
    assert_eq!(previous("s").await, Some(for_ever.consent.id));
    assert_eq!(previous("t").await, Some(for_two_hours.consent.id));
    // Its family is gone, but its id is not free.
    assert_eq!(wrote(store, &[granting(&for_ever)]).await, [FlowVerdict::Used]);
    fixture.pass(HOUR).await;
    assert_eq!(previous("t").await, None);
    assert_eq!(swept(store, 9).await, SweepCounts { consents: 1, ..nothing() });
    fixture.pass(40 * 24 * HOUR).await;
    assert_eq!(swept(store, 9).await, nothing());
    assert_eq!(previous("s").await, Some(for_ever.consent.id));
    assert_eq!(store.revoke_consents(&ConsentFilter::Id(for_ever.consent.id)).await, Ok(1));
    assert_eq!(previous("s").await, None);
}

pub async fn a_revoked_family_keeps_its_id_for_a_while(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let given = grant(&record, "s");
    flows_done(store, &[granting(&given)]).await;
    let order = redeem_code(&record, &given);
    let endless = Redeem {
        refresh: order.refresh.clone().map(|r| signet::store::RefreshToken { expires_at: None, ..r }),
        ..order.clone()
    };
    assert_eq!(told(store, redeeming(&endless)).await, Verdict::Done);
    assert_eq!(store.revoke_consents(&ConsentFilter::Id(given.consent.id)).await, Ok(1));
    assert_eq!(swept(store, 9).await, nothing());
    assert_eq!(wrote(store, &[granting(&given)]).await, [FlowVerdict::Used]);
    fixture.pass(KEPT + 1).await;
    let all = SweepCounts { access_tokens: 1, refresh_tokens: 1, codes: 1, families: 1, ..nothing() };
    assert_eq!(swept(store, 9).await, all);
    assert_eq!(store.refresh_token(&endless.refresh.unwrap().signature).await.unwrap(), None);
}

pub async fn a_revoked_consent_goes_with_its_family(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let (one, _) = exchanged(store, &record, "s").await;
    let (two, _) = exchanged(store, &record, "s").await;
    for given in [&one, &two] {
        assert_eq!(told(store, Write::RevokeFamily(given.consent.id)).await, Verdict::Done);
    }
    fixture.pass(601).await;
    assert_eq!(swept(store, 9).await, SweepCounts { codes: 2, ..nothing() });
    fixture.pass(KEPT).await;
    // One row of each kind at a time: the families go one after the other.
    let counts = [swept(store, 1).await, swept(store, 1).await, swept(store, 1).await, swept(store, 1).await];
    let sum = |of: fn(&SweepCounts) -> u64| counts.iter().map(of).sum::<u64>();
    assert_eq!((sum(|c| c.access_tokens), sum(|c| c.refresh_tokens)), (2, 2));
    assert_eq!(consents(store).await, 0);
    assert_eq!(swept(store, 9).await, nothing());
}

pub async fn looking_at_consents_takes_batches_too(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    for _ in 0..5 {
        exchanged(store, &record, "s").await;
    }
    fixture.pass(KEPT + 1).await;
    // Refresh tokens live on all of them: nothing is deleted, but there is more to look at.
    let tokens = |access_tokens, codes, more| SweepCounts { access_tokens, codes, more, ..nothing() };
    assert_eq!(swept(store, 3).await, tokens(3, 3, true));
    assert_eq!(swept(store, 3).await, tokens(2, 2, false));
    assert_eq!(swept(store, 2).await, nothing());
    assert_eq!(consents(store).await, 5);
}

pub async fn a_consent_whose_token_never_ends_stays(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let given = grant(&record, "s");
    flows_done(store, &[granting(&given)]).await;
    let mut order = redeem_code(&record, &given);
    order.refresh.as_mut().unwrap().expires_at = None;
    assert_eq!(told(store, redeeming(&order)).await, Verdict::Done);
    for _ in 0..3 {
        fixture.pass(31 * 24 * HOUR).await;
        swept(store, 9).await;
        assert_eq!(consents(store).await, 1);
    }
    let refresh = order.refresh.unwrap().signature;
    assert!(store.refresh_token(&refresh).await.unwrap().is_some_and(|found| !found.expired && !found.revoked));
    assert_eq!(told(store, rotating(&rotate(&record, &given.consent, refresh))).await, Verdict::Done);
}

pub async fn rows_under_way_hold_their_consent(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    // A device's grant, a code and an access token that live long, each alone on its consent.
    let (flow, asked) = (Uuid::new_v4(), device(&record));
    let asked = DeviceRequest { flow_id: Some(flow), expires_at: later(3 * 3600), ..asked };
    store.create_device(&asked, 1).await.unwrap();
    let by_device = Grant { code: None, device: Some((flow, vec![1])), ..grant(&record, "s") };
    let mut by_code = grant(&record, "s");
    by_code.code.as_mut().unwrap().expires_at = later(3 * 3600);
    let lone = consent(&record, "s");
    let mut token = access(&record, &lone);
    token.expires_at = later(3 * 3600);
    let by_token = Grant { code: None, access_token: Some(token.clone()), consent: lone, ..grant(&record, "s") };
    flows_done(store, &[granting(&by_device), granting(&by_code), granting(&by_token)]).await;
    fixture.pass(2 * HOUR).await;
    assert_eq!(swept(store, 9).await, nothing());
    assert!(valid(store, &token.signature).await);
    fixture.pass(HOUR + 1).await;
    let all = SweepCounts { access_tokens: 1, codes: 1, devices: 1, consents: 3, ..nothing() };
    assert_eq!(swept(store, 9).await, all);
}

pub async fn a_used_token_that_would_never_end_goes_after_a_while(fixture: &Fixture) {
    let store = &fixture.store;
    let record = created(store, "a").await;
    let grant = super::exchange::granted(store, &record).await;
    let mut order = redeem_code(&record, &grant);
    order.refresh.as_mut().unwrap().expires_at = None;
    let used = order.refresh.as_ref().unwrap().signature;
    assert_eq!(told(store, redeeming(&order)).await, Verdict::Done);
    let mut order = rotate(&record, &grant.consent, used);
    order.refresh.expires_at = None;
    assert_eq!(told(store, rotating(&order)).await, Verdict::Done);
    fixture.pass(89 * 24 * HOUR).await;
    assert_eq!(swept(store, 9).await.refresh_tokens, 0);
    assert!(store.refresh_token(&used).await.unwrap().unwrap().used_at.is_some(), "its reuse is still noticed");
    fixture.pass(2 * 24 * HOUR).await;
    assert_eq!(swept(store, 9).await.refresh_tokens, 1);
    assert!(store.refresh_token(&used).await.unwrap().is_none());
    assert!(!store.refresh_token(&order.refresh.signature).await.unwrap().unwrap().expired, "its successor lives on");
}
