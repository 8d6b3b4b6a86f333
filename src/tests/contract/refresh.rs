//! Refresh tokens used, replayed and revoked.

use super::exchange::{found, granted, revoke};
use super::made::{
    access, exchanged, flows_done, grant, granting, key, redeem_code, redeeming, replay, rotate, rotating, told, valid,
};
use super::{created, done, earlier, issue};
use signet::domain::token::expiry_hour::ExpiryHour;
use signet::store::Verdict::{ClientChanged, Done, Used};
use signet::store::{Revoked, Rotate, Store, Verdict, Write};
use std::sync::Arc;
use uuid::Uuid;

pub async fn a_refresh_token_is_used_once(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (grant, first) = exchanged(store, &record, "s").await;
    let presented = first.refresh.as_ref().unwrap().signature;
    let order = rotate(&record, &grant.consent, presented);
    assert_eq!(told(store, rotating(&order)).await, Done);
    let used = found(store, &presented).await;
    assert!(used.used_at.is_some_and(|at| at >= earlier(60) && at <= used.now));
    assert_eq!((used.successor, used.replayed), (order.successor.clone(), 0));
    let next = found(store, &order.refresh.signature).await;
    assert_eq!(next.token, order.refresh);
    assert_eq!((next.used_at, next.successor.len()), (None, 0));
    assert!(!valid(store, &first.access.signature).await, "the one issued with it is gone");
    assert!(valid(store, &order.access.signature).await);
    let again = Rotate { successor: vec![1], ..rotate(&record, &grant.consent, presented) };
    assert_eq!(told(store, rotating(&again)).await, Used);
    assert_eq!(found(store, &presented).await.successor, order.successor);
    assert!(!valid(store, &again.access.signature).await && valid(store, &order.access.signature).await);
    let last = rotate(&record, &grant.consent, order.refresh.signature);
    let too = rotate(&record, &grant.consent, order.refresh.signature);
    assert_eq!(store.write_tokens(&[rotating(&last), rotating(&too)]).await.unwrap(), [Done, Used]);
    assert!(valid(store, &last.access.signature).await && !valid(store, &too.access.signature).await);
}

pub async fn a_rotation_spares_or_ends_access_tokens_of_its_family(store: &Arc<dyn Store>) {
    let (record, other) = (created(store, "a").await, created(store, "b").await);
    for strict in [false, true] {
        let mut given = grant(&record, "s");
        given.access_token = Some(access(&record, &given.consent));
        flows_done(store, &[granting(&given)]).await;
        let first = redeem_code(&record, &given);
        let (_, neighbour) = exchanged(store, &record, "s").await;
        let (_, elsewhere) = exchanged(store, &other, "s").await;
        assert_eq!(told(store, redeeming(&first)).await, Done);
        let presented = first.refresh.as_ref().unwrap().signature;
        let order = Rotate { strict, ..rotate(&record, &given.consent, presented) };
        assert_eq!(told(store, rotating(&order)).await, Done);
        assert!(!valid(store, &first.access.signature).await);
        assert_eq!(valid(store, &given.access_token.unwrap().signature).await, !strict);
        for spared in [&neighbour.access, &elsewhere.access, &order.access] {
            assert!(valid(store, &spared.signature).await);
        }
    }
}

pub async fn a_refresh_token_is_for_one_client_and_family(store: &Arc<dyn Store>) {
    let (record, other) = (created(store, "a").await, created(store, "b").await);
    let (grant, first) = exchanged(store, &record, "s").await;
    let (foreign, _) = exchanged(store, &other, "s").await;
    let presented = first.refresh.as_ref().unwrap().signature;
    let mut moved = rotate(&record, &grant.consent, presented);
    (moved.access.client_id, moved.refresh.client_id) = ("b".to_owned(), "b".to_owned());
    let strange = rotate(&other, &foreign.consent, presented);
    let unknown = rotate(&record, &grant.consent, key());
    let stale = Rotate { client_version: 5, ..rotate(&record, &grant.consent, presented) };
    let right = rotate(&record, &grant.consent, presented);
    let batch = [&moved, &strange, &unknown, &stale, &right].map(rotating);
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [Used, Used, Used, ClientChanged, Done]);
    for order in [&moved, &strange, &unknown, &stale] {
        assert!(!valid(store, &order.access.signature).await);
    }
}

pub async fn a_refresh_token_ends_by_time_or_never(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let ends = [Some(earlier(1)), None];
    for end in ends {
        let grant = granted(store, &record).await;
        let mut order = redeem_code(&record, &grant);
        order.refresh.as_mut().unwrap().expires_at = end;
        assert_eq!(told(store, redeeming(&order)).await, Done);
        let kept = order.refresh.unwrap();
        assert_eq!(found(store, &kept.signature).await.token, kept);
        assert_eq!(found(store, &kept.signature).await.expired, end.is_some());
        let verdict = if end.is_some() { Used } else { Done };
        assert_eq!(told(store, rotating(&rotate(&record, &grant.consent, kept.signature))).await, verdict);
        assert_eq!(told(store, replay(kept.signature, 9)).await, verdict);
    }
    assert!(store.refresh_token(&[0; 32]).await.unwrap().is_none());
}

pub async fn replays_are_counted_up_to_the_most(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (grant, first) = exchanged(store, &record, "s").await;
    let presented = first.refresh.as_ref().unwrap().signature;
    assert_eq!(told(store, replay(presented, 9)).await, Used, "an unused one has no successor");
    let order = rotate(&record, &grant.consent, presented);
    assert_eq!(told(store, rotating(&order)).await, Done);
    assert_eq!(told(store, replay(presented, 0)).await, Used);
    assert_eq!(told(store, replay(presented, 1)).await, Done);
    assert_eq!(told(store, replay(presented, 1)).await, Used);
    let batch = [replay(presented, 3), replay(key(), 3), replay(presented, 3), replay(presented, 3)];
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [Done, Used, Done, Used]);
    assert_eq!(found(store, &presented).await.replayed, 3);
    let batch = [replay(presented, 4), replay(presented, 4), Write::Issue(issue(&record))];
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [Done, Used, Done]);
    assert_eq!(told(store, Write::RevokeFamily(grant.consent.id)).await, Done);
    assert_eq!(told(store, replay(presented, 9)).await, Used);
    assert_eq!(found(store, &presented).await.replayed, 4);
}

pub async fn revoking_a_refresh_token_ends_its_family(store: &Arc<dyn Store>) {
    let (record, _) = (created(store, "a").await, created(store, "b").await);
    for used in [false, true] {
        let (grant, first) = exchanged(store, &record, "s").await;
        let (_, neighbour) = exchanged(store, &record, "s").await;
        let presented = first.refresh.as_ref().unwrap().signature;
        let mut last = first.access.signature;
        if used {
            let order = rotate(&record, &grant.consent, presented);
            assert_eq!(told(store, rotating(&order)).await, Done);
            last = order.access.signature;
        }
        done(
            store,
            &[
                revoke(Revoked::Refresh(presented), "b"),
                revoke(Revoked::Access(ExpiryHour::NONE.before(&presented)), "a"),
            ],
        )
        .await;
        assert!(valid(store, &last).await);
        let batch = [revoke(Revoked::Refresh(key()), "a"), revoke(Revoked::Refresh(presented), "a")];
        let ended = [None, Some(grant.consent.id)].map(Verdict::Revoked);
        assert_eq!(store.write_tokens(&batch).await.unwrap(), ended);
        assert!(!valid(store, &last).await && valid(store, &neighbour.access.signature).await);
        assert!(found(store, &presented).await.revoked);
        done(store, &[revoke(Revoked::Refresh(presented), "a")]).await;
        assert_eq!(told(store, rotating(&rotate(&record, &grant.consent, presented))).await, Used);
    }
}

pub async fn revoking_an_access_token_ends_its_family(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (_, first) = exchanged(store, &record, "s").await;
    let own = issue(&record);
    done(store, &[Write::Issue(own.clone())]).await;
    let batch = [own.token.signature, first.access.signature].map(|key| revoke(Revoked::Access(key), "a"));
    let ended = [None, Some(first.access.family_id)].map(Verdict::Revoked);
    assert_eq!(store.write_tokens(&batch).await.unwrap(), ended, "no client's shared one");
    let own = issue(&record);
    done(store, &[Write::Issue(own.clone())]).await;
    assert!(!valid(store, &first.access.signature).await && valid(store, &own.token.signature).await);
    assert!(found(store, &first.refresh.unwrap().signature).await.revoked);
}

pub async fn a_family_is_revoked_but_no_shared_one(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (grant, first) = exchanged(store, &record, "s").await;
    let own = issue(&record);
    done(store, &[Write::Issue(own.clone())]).await;
    let families = [grant.consent.id, record.family_id, Uuid::new_v4(), grant.consent.id];
    done(store, &families.map(Write::RevokeFamily)).await;
    assert!(!valid(store, &first.access.signature).await && valid(store, &own.token.signature).await);
}
