//! Consents: granted with what they issue, found again, listed, revoked, and gone with their client.

use super::made::{
    access, code, consent, device, exchanged, flows_done, grant, granting, logout, redeem_code, redeeming, rotate,
    rotating, told, valid, wrote,
};
use super::{client, created, earlier, later};
use signet::store::FlowVerdict::{ClientChanged, ConsentRevoked, Done, SessionEnded, Used};
use signet::store::{
    Change, ClientRecord, Consent, ConsentFilter, ConsentPage, FlowWrite, ForcedSubject, Grant, Login, Store,
    StoreError, Verdict,
};
use std::sync::Arc;
use uuid::Uuid;

async fn listed(store: &Arc<dyn Store>, subject: &str) -> Vec<Consent> {
    let page = ConsentPage { subject: subject.to_owned(), session_id: None, before: None, limit: 100 };
    store.consents(&page).await.unwrap()
}

pub async fn a_grant_comes_back_whole(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut given = grant(&record, "größe");
    given.consent.handled_at = earlier(99_999);
    (given.consent.remember, given.consent.remember_until) = (true, Some(later(60)));
    given.access_token = Some(access(&record, &given.consent));
    let mut bare = grant(&record, "größe");
    bare.code =
        Some(signet::store::AuthorizationCode { redirect_uri: None, code_challenge: None, ..code(&bare.consent) });
    flows_done(store, &[granting(&given), granting(&bare)]).await;
    for given in [&given, &bare] {
        let found = store.authorization_code(&given.code.as_ref().unwrap().signature).await.unwrap().unwrap();
        assert_eq!(Some(found.code), given.code);
        assert!(!found.spent && !found.expired && !found.revoked);
    }
    let token = given.access_token.unwrap();
    assert_eq!(store.access_token(&token.signature).await.unwrap(), Some(token));
    let all = listed(store, "größe").await;
    assert_eq!(all.len(), 2);
    let found = all.iter().find(|c| c.id == given.consent.id).unwrap();
    // The moment of the grant is the store's own.
    assert!(found.handled_at >= earlier(60) && found.handled_at <= later(60));
    assert_eq!(*found, Consent { handled_at: found.handled_at, ..given.consent });
    assert!(store.authorization_code(&[0; 32]).await.unwrap().is_none());
}

pub async fn a_grant_is_done_once(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let first = grant(&record, "s");
    flows_done(store, &[granting(&first)]).await;
    let mut again = Grant { consent: Consent { subject: "t".to_owned(), ..first.consent.clone() }, ..first.clone() };
    again.code = Some(code(&again.consent));
    again.access_token = Some(access(&record, &again.consent));
    assert_eq!(wrote(store, &[granting(&again)]).await, [Used]);
    let (one, two) = (grant(&record, "u"), grant(&record, "u"));
    let mut twin = one.clone();
    twin.code = Some(code(&one.consent));
    let batch = [granting(&one), granting(&again), granting(&twin), granting(&two)];
    assert_eq!(wrote(store, &batch).await, [Done, Used, Used, Done]);
    for refused in [&again, &twin] {
        assert!(store.authorization_code(&refused.code.as_ref().unwrap().signature).await.unwrap().is_none());
    }
    assert!(!valid(store, &again.access_token.unwrap().signature).await);
    assert!(listed(store, "t").await.is_empty());
    assert_eq!(listed(store, "u").await.len(), 2);
    // Not even when its consent was revoked meanwhile.
    assert_eq!(store.revoke_consents(&ConsentFilter::Id(first.consent.id)).await, Ok(1));
    assert_eq!(wrote(store, &[granting(&first)]).await, [Used]);
    // The id of a client's own family is taken too.
    let mut own = grant(&record, "s");
    own.consent.id = record.family_id;
    assert_eq!(wrote(store, &[granting(&own)]).await, [Used]);
}

pub async fn a_grant_needs_the_version(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    store.replace_client(&record, 1).await.unwrap();
    let (old, nobody) = (grant(&record, "s"), grant(&client("nobody"), "s"));
    let new = Grant { client_version: 2, ..grant(&record, "s") };
    let batch = [granting(&old), granting(&new), granting(&nobody)];
    assert_eq!(wrote(store, &batch).await, [ClientChanged, Done, ClientChanged]);
    assert_eq!(listed(store, "s").await.len(), 1);
    // It was not used up.
    let decided_again = Grant { client_version: 2, ..old };
    assert_eq!(wrote(store, &[granting(&decided_again)]).await, [Done]);
}

pub async fn a_grant_needs_a_session_that_has_not_ended(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (first, mut late, other) = (grant(&record, "s"), grant(&record, "s"), grant(&record, "s"));
    late.consent.session_id = first.consent.session_id;
    assert_eq!(wrote(store, &[granting(&first)]).await, [Done]);
    assert_eq!(wrote(store, &[FlowWrite::Logout(logout(first.consent.session_id, "s"))]).await, [Done]);
    let batch = [granting(&late), granting(&other), granting(&first)];
    assert_eq!(wrote(store, &batch).await, [SessionEnded, Done, Used]);
    assert_eq!(store.authorization_code(&late.code.unwrap().signature).await.unwrap(), None);
}

pub async fn a_grant_needs_the_consent_it_stands_on(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut asked = grant(&record, "s");
    asked.consent.remember = true;
    let spared = || {
        let mut grant = grant(&record, "s");
        grant.consent.skipped = true;
        Grant { stands_on: Some(asked.consent.id), ..grant }
    };
    let (first, nobodys) = (spared(), Grant { stands_on: Some(Uuid::new_v4()), ..spared() });
    let batch = [granting(&asked), granting(&first), granting(&nobodys)];
    assert_eq!(wrote(store, &batch[..1]).await, [Done]);
    assert_eq!(wrote(store, &batch[1..]).await, [Done, ConsentRevoked]);
    let filter = ConsentFilter::Client { subject: "s".to_owned(), client_id: "a".to_owned() };
    assert_eq!(store.revoke_consents(&filter).await, Ok(2));
    let (late, other) = (spared(), grant(&record, "s"));
    let batch = [granting(&late), granting(&other), granting(&first)];
    assert_eq!(wrote(store, &batch).await, [ConsentRevoked, Done, Used]);
    assert_eq!(store.authorization_code(&late.code.unwrap().signature).await.unwrap(), None);
    // One that was asked and is not remembered spares nothing.
    let on_other = Grant { stands_on: Some(other.consent.id), ..spared() };
    assert_eq!(wrote(store, &[granting(&on_other)]).await, [ConsentRevoked]);
}

pub async fn a_client_knows_of_remembered_consents(store: &Arc<dyn Store>) {
    let (record, mut changes) = (created(store, "a").await, store.changes());
    store.note_remembered_consent("a").await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), Change::Client("a".to_owned()));
    let noted = ClientRecord { has_remembered_consent: true, ..record };
    assert_eq!(store.client("a").await.unwrap(), Some(noted.clone()));
    store.note_remembered_consent("a").await.unwrap();
    store.note_remembered_consent("nobody").await.unwrap();
    store.replace_client(&ClientRecord { has_remembered_consent: false, ..noted }, 1).await.unwrap();
    assert!(store.client("a").await.unwrap().unwrap().has_remembered_consent, "a replacement leaves it");
    store.delete_client("a").await.unwrap();
    assert!(!created(store, "a").await.has_remembered_consent);
}

pub async fn a_stale_grant_spoils_no_fresh_one(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let fresh = grant(&record, "s");
    let mut stale = fresh.clone();
    stale.client_version = 9;
    assert_eq!(wrote(store, &[granting(&stale), granting(&fresh)]).await, [ClientChanged, Done]);
}

pub async fn the_newest_remembered_consent_is_found(store: &Arc<dyn Store>) {
    let (a, b) = (created(store, "a").await, created(store, "b").await);
    let previous = async |client: &str, subject: &str| {
        store.previous_consent(client, subject).await.unwrap().map(|found| found.id)
    };
    assert_eq!(previous("a", "s").await, None);
    let give = async |client, subject: &str, change: &dyn Fn(&mut Consent)| {
        let mut grant = grant(client, subject);
        change(&mut grant.consent);
        flows_done(store, &[granting(&grant)]).await;
        grant.consent.id
    };
    give(&a, "s", &|_| {}).await;
    assert_eq!(previous("a", "s").await, None);
    give(&a, "s", &|c| c.remember = true).await;
    let newest = give(&a, "s", &|c| (c.remember, c.remember_until) = (true, Some(later(60)))).await;
    give(&a, "s", &|c| (c.remember, c.remember_until) = (true, Some(earlier(1)))).await;
    give(&a, "s", &|c| (c.remember, c.skipped) = (true, true)).await;
    give(&b, "s", &|c| c.remember = true).await;
    give(&a, "t", &|c| c.remember = true).await;
    assert_eq!(previous("a", "s").await, Some(newest));
    assert_eq!(previous("a", "s\0").await, None);
    // It outlives what was issued on it.
    assert_eq!(told(store, signet::store::Write::RevokeFamily(newest)).await, Verdict::Done);
    assert_eq!(previous("a", "s").await, Some(newest));
}

pub async fn consents_are_listed_by_page(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let session = Uuid::new_v4();
    let mut ids = Vec::new();
    for turn in 0..7 {
        let mut grant = grant(&record, "s");
        match turn {
            1 => grant.consent.skipped = true,
            2 => (grant.consent.remember, grant.consent.remember_until) = (true, Some(earlier(1))),
            3 => (grant.consent.remember, grant.consent.session_id) = (true, session),
            4 => (grant.consent.remember_until, grant.consent.session_id) = (Some(earlier(1)), session),
            _ => {}
        }
        flows_done(store, &[granting(&grant)]).await;
        ids.push(grant.consent.id);
    }
    flows_done(store, &[granting(&grant(&record, "t"))]).await;
    let expected: Vec<Uuid> = [6, 5, 4, 3, 0].map(|turn| ids[turn]).to_vec();
    let mut page = ConsentPage { subject: "s".to_owned(), session_id: None, before: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let some = store.consents(&page).await.unwrap();
        let Some(last) = some.last() else { break };
        assert!(some.len() <= 2);
        page.before = Some((last.handled_at, last.id));
        seen.extend(some.iter().map(|c| c.id));
    }
    assert_eq!(seen, expected);
    let of_session = ConsentPage { session_id: Some(session), before: None, limit: 9, ..page };
    let found: Vec<Uuid> = store.consents(&of_session).await.unwrap().iter().map(|c| c.id).collect();
    assert_eq!(found, [ids[4], ids[3]]);
    assert!(listed(store, "s\0").await.is_empty());
}

pub async fn consents_since_a_moment_come_oldest_first(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    assert_eq!(store.consents_since(earlier(60), 9).await.unwrap(), []);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let grant = grant(&record, "s");
        flows_done(store, &[granting(&grant)]).await;
        ids.push(grant.consent.id);
    }
    let all = store.consents_since(earlier(60), 9).await.unwrap();
    assert_eq!(all.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    let (_, second) = all[1];
    assert_eq!(store.consents_since(second, 9).await.unwrap(), all[1..]);
    assert_eq!(store.consents_since(earlier(60), 2).await.unwrap(), all[..2]);
    assert_eq!(store.consents_since(later(60), 9).await.unwrap(), []);
}

pub async fn revoking_consents_ends_all_that_stands_on_them(store: &Arc<dyn Store>) {
    let (a, b) = (created(store, "a").await, created(store, "b").await);
    let (one, first) = exchanged(store, &a, "s").await;
    let unspent = grant(&a, "s");
    let mut skipped = grant(&a, "s");
    skipped.consent.skipped = true;
    skipped.access_token = Some(access(&a, &skipped.consent));
    flows_done(store, &[granting(&unspent), granting(&skipped)]).await;
    let (_, elsewhere) = exchanged(store, &b, "s").await;
    let (_, other) = exchanged(store, &a, "t").await;
    let rotated = rotate(&a, &one.consent, first.refresh.as_ref().unwrap().signature);
    assert_eq!(told(store, rotating(&rotated)).await, Verdict::Done);

    let filter = ConsentFilter::Client { subject: "s".to_owned(), client_id: "a".to_owned() };
    assert_eq!(store.revoke_consents(&filter).await, Ok(3));
    assert_eq!(store.revoke_consents(&filter).await, Ok(0));
    for ended in [&first.access, &rotated.access, skipped.access_token.as_ref().unwrap()] {
        assert!(!valid(store, &ended.signature).await);
    }
    let code = store.authorization_code(&unspent.code.as_ref().unwrap().signature).await.unwrap();
    assert!(code.is_none_or(|found| found.revoked));
    assert_eq!(told(store, redeeming(&redeem_code(&a, &unspent))).await, Verdict::Used);
    assert_eq!(told(store, rotating(&rotate(&a, &one.consent, rotated.refresh.signature))).await, Verdict::Used);
    assert!(valid(store, &elsewhere.access.signature).await && valid(store, &other.access.signature).await);

    assert_eq!(store.revoke_consents(&ConsentFilter::Subject("s".to_owned())).await, Ok(1));
    assert!(!valid(store, &elsewhere.access.signature).await && valid(store, &other.access.signature).await);
    assert!(listed(store, "s").await.is_empty());
    for nobody in [ConsentFilter::Id(Uuid::new_v4()), ConsentFilter::Subject("s\0".to_owned())] {
        assert_eq!(store.revoke_consents(&nobody).await, Ok(0));
    }
    let id = listed(store, "t").await[0].id;
    assert_eq!(store.revoke_consents(&ConsentFilter::Id(id)).await, Ok(1));
    assert!(!valid(store, &other.access.signature).await);
}

pub async fn clients_of_a_session_come_once(store: &Arc<dyn Store>) {
    let (a, b) = (created(store, "a").await, created(store, "b").await);
    let session = Uuid::new_v4();
    for (client, subject, session) in
        [(&b, "s", session), (&a, "s", session), (&b, "s", session), (&a, "t", session), (&a, "s", Uuid::new_v4())]
    {
        let mut grant = grant(client, subject);
        (grant.consent.session_id, grant.consent.skipped) = (session, client.id == "b");
        flows_done(store, &[granting(&grant)]).await;
    }
    assert_eq!(store.clients_of_session(session, "s").await.unwrap(), ["a", "b"]);
    assert_eq!(store.clients_of_session(session, "t").await.unwrap(), ["a"]);
    assert!(store.clients_of_session(Uuid::new_v4(), "s").await.unwrap().is_empty());
    assert!(store.clients_of_session(session, "s\0").await.unwrap().is_empty());
}

pub async fn a_client_takes_all_of_it_away(store: &Arc<dyn Store>) {
    let (record, other) = (created(store, "a").await, created(store, "b").await);
    let mut remembered = grant(&record, "s");
    remembered.consent.remember = true;
    flows_done(store, &[granting(&remembered)]).await;
    let order = redeem_code(&record, &remembered);
    assert_eq!(told(store, redeeming(&order)).await, Verdict::Done);
    let unspent = grant(&record, "s");
    let forced = ForcedSubject { client_id: "a".to_owned(), subject: "s".to_owned(), forced: "f".to_owned() };
    let login = FlowWrite::Login(Login { forced: Some(forced), ..Login::default() });
    flows_done(store, &[granting(&unspent), login]).await;
    let pending = device(&record);
    store.create_device(&pending, 1).await.unwrap();
    let (_, spared) = exchanged(store, &other, "s").await;

    assert_eq!(store.delete_client("a").await, Ok(true));
    assert!(!valid(store, &order.access.signature).await);
    let rebuilt = created(store, "a").await;
    assert_eq!(store.previous_consent("a", "s").await.unwrap(), None);
    assert_eq!(store.forced_subject("a", "s").await.unwrap(), None);
    assert_eq!(listed(store, "s").await.len(), 1);
    assert!(store.authorization_code(&unspent.code.as_ref().unwrap().signature).await.unwrap().is_none());
    assert!(store.refresh_token(&order.refresh.as_ref().unwrap().signature).await.unwrap().is_none());
    assert_eq!(store.poll_device(&pending.signature, "a").await.unwrap(), None);
    assert_eq!(told(store, redeeming(&redeem_code(&rebuilt, &unspent))).await, Verdict::Used);
    let again = rotate(&rebuilt, &remembered.consent, order.refresh.unwrap().signature);
    assert_eq!(told(store, rotating(&again)).await, Verdict::Used);
    assert!(valid(store, &spared.access.signature).await);
}

pub async fn deleting_a_clients_tokens_leaves_its_consents(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut remembered = grant(&record, "s");
    remembered.consent.remember = true;
    flows_done(store, &[granting(&remembered)]).await;
    let (_, order) = exchanged(store, &record, "s").await;
    assert_eq!(store.delete_tokens_of_client("a", Uuid::new_v4()).await, Ok(true));
    let changed = store.client("a").await.unwrap().unwrap();
    assert!(!valid(store, &order.access.signature).await);
    assert_eq!(store.refresh_token(&order.refresh.unwrap().signature).await.unwrap(), None);
    assert_eq!(told(store, redeeming(&redeem_code(&changed, &remembered))).await, Verdict::Used);
    assert_eq!(store.previous_consent("a", "s").await.unwrap().map(|c| c.id), Some(remembered.consent.id));
    let (_, later) = exchanged(store, &changed, "s").await;
    assert!(valid(store, &later.access.signature).await);
}

pub async fn a_client_with_many_families_is_deleted(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let grants: Vec<Grant> = (0..2300)
        .map(|_| {
            let consent = consent(&record, "s");
            let access_token = Some(access(&record, &consent));
            Grant { code: Some(code(&consent)), consent, access_token, ..grant(&record, "s") }
        })
        .collect();
    for some in grants.chunks(256) {
        flows_done(store, &some.iter().map(granting).collect::<Vec<_>>()).await;
    }
    assert_eq!(store.delete_client("a").await, Ok(true));
    let rebuilt = created(store, "a").await;
    assert!(listed(store, "s").await.is_empty());
    for given in [&grants[0], &grants[1500], &grants[2299]] {
        assert!(!valid(store, &given.access_token.as_ref().unwrap().signature).await);
        assert!(store.authorization_code(&given.code.as_ref().unwrap().signature).await.unwrap().is_none());
        assert_eq!(told(store, redeeming(&redeem_code(&rebuilt, given))).await, Verdict::Used);
    }
    // The rows are gone: their keys may be used again.
    let mut fresh = grant(&rebuilt, "s");
    fresh.code.as_mut().unwrap().signature = grants[2299].code.as_ref().unwrap().signature;
    flows_done(store, &[granting(&fresh)]).await;
}

pub async fn a_key_that_is_taken_is_a_conflict(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let first = grant(&record, "s");
    flows_done(store, &[granting(&first)]).await;
    let mut second = grant(&record, "s");
    second.code.as_mut().unwrap().signature = first.code.as_ref().unwrap().signature;
    assert_eq!(store.write_flows(&[granting(&second)]).await, Err(StoreError::Conflict));
    // Nothing of it was written.
    second.code = Some(code(&second.consent));
    flows_done(store, &[granting(&second)]).await;
}
