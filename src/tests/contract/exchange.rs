//! Codes and refresh tokens exchanged, replayed and revoked.

use super::made::{
    access, device, exchanged, flows_done, grant, granting, key, redeem, redeem_code, redeeming, replay, rotate,
    rotating, told, valid,
};
use super::{created, done, earlier, issue, jti, later, token};
use signet::store::Verdict::{ClientChanged, Done, JtiKnown, Used};
use signet::store::{
    ClientRecord, FoundRefresh, Grant, Issue, Redeem, Replay, Revoke, Revoked, Rotate, SignatureHash, Source, Store,
    Write,
};
use std::sync::Arc;
use uuid::Uuid;

async fn granted(store: &Arc<dyn Store>, client: &ClientRecord) -> Grant {
    let grant = grant(client, "s");
    flows_done(store, &[granting(&grant)]).await;
    grant
}

async fn found(store: &Arc<dyn Store>, signature: &SignatureHash) -> FoundRefresh {
    store.refresh_token(signature).await.unwrap().unwrap()
}

fn revoke(token: Revoked, client: &str) -> Write {
    Write::Revoke(Revoke { token, client_id: client.to_owned(), jti: None })
}

pub async fn a_code_is_redeemed_once(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let grant = granted(store, &record).await;
    let order = redeem_code(&record, &grant);
    assert_eq!(told(store, redeeming(&order)).await, Done);
    assert_eq!(store.access_token(&order.access.signature).await.unwrap(), Some(order.access.clone()));
    let given = order.refresh.as_ref().unwrap();
    let kept = found(store, &given.signature).await;
    assert_eq!(kept.token, *given);
    assert_eq!((kept.used_at, kept.replayed, kept.successor.len()), (None, 0, 0));
    assert!(!kept.expired && !kept.revoked && kept.now >= earlier(60) && kept.now <= later(60));
    let spent = store.authorization_code(&grant.code.as_ref().unwrap().signature).await.unwrap().unwrap();
    assert!(spent.spent && !spent.revoked && !spent.expired);
    let again = redeem_code(&record, &grant);
    assert_eq!(told(store, redeeming(&again)).await, Used);
    assert!(!valid(store, &again.access.signature).await);
    assert!(store.refresh_token(&again.refresh.unwrap().signature).await.unwrap().is_none());
    assert!(valid(store, &order.access.signature).await);
}

pub async fn a_code_is_for_one_client_and_family(store: &Arc<dyn Store>) {
    let (record, other) = (created(store, "a").await, created(store, "b").await);
    let (grant, foreign) = (granted(store, &record).await, granted(store, &other).await);
    let mut moved = redeem_code(&record, &grant);
    moved.access.client_id = "b".to_owned();
    let mut strange = redeem_code(&record, &grant);
    strange.access.family_id = foreign.consent.id;
    let mut unknown = redeem_code(&record, &grant);
    unknown.source = Source::Code(key());
    let mut device = redeem_code(&record, &grant);
    device.source = Source::Device(grant.code.as_ref().unwrap().signature);
    for order in [&moved, &strange, &unknown, &device] {
        assert_eq!(told(store, redeeming(order)).await, Used);
        assert!(!valid(store, &order.access.signature).await);
    }
    let right = redeem_code(&record, &grant);
    let batch = [&moved, &strange, &right, &unknown, &device].map(redeeming);
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [Used, Used, Done, Used, Used]);
}

pub async fn a_code_ends_by_time_and_with_its_family(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut over = grant(&record, "s");
    over.code.as_mut().unwrap().expires_at = earlier(1);
    let revoked = grant(&record, "s");
    flows_done(store, &[granting(&over), granting(&revoked)]).await;
    assert_eq!(told(store, Write::RevokeFamily(revoked.consent.id)).await, Done);
    let state = async |grant: &Grant| {
        let key = &grant.code.as_ref().unwrap().signature;
        store.authorization_code(key).await.unwrap().map(|c| (c.spent, c.expired, c.revoked)).unwrap()
    };
    assert_eq!(state(&over).await, (false, true, false));
    assert_eq!(state(&revoked).await, (false, false, true));
    for grant in [&over, &revoked] {
        assert_eq!(told(store, redeeming(&redeem_code(&record, grant))).await, Used);
    }
    assert_eq!(state(&revoked).await, (false, false, true));
}

pub async fn redeeming_needs_the_version(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (grant, second) = (granted(store, &record).await, granted(store, &record).await);
    store.replace_client(&record, 1).await.unwrap();
    let stale = redeem_code(&record, &grant);
    assert_eq!(told(store, redeeming(&stale)).await, ClientChanged);
    // A stale use spoils no fresh one of the same code.
    let fresh = Redeem { client_version: 2, ..redeem_code(&record, &grant) };
    let other = Redeem { client_version: 2, ..redeem_code(&record, &second) };
    let batch = [&stale, &fresh, &other].map(redeeming);
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [ClientChanged, Done, Done]);
    assert!(!valid(store, &stale.access.signature).await && valid(store, &fresh.access.signature).await);
}

pub async fn two_uses_of_one_code_in_a_batch(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (one, two) = (granted(store, &record).await, granted(store, &record).await);
    let orders = [
        redeem_code(&record, &one),
        redeem_code(&record, &two),
        redeem_code(&record, &one),
        redeem_code(&record, &two),
    ];
    let batch: Vec<Write> = orders.iter().map(redeeming).collect();
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [Done, Done, Used, Used]);
    for (order, wins) in orders.iter().zip([true, true, false, false]) {
        assert_eq!(valid(store, &order.access.signature).await, wins);
        let refresh = store.refresh_token(&order.refresh.as_ref().unwrap().signature).await.unwrap();
        assert_eq!(refresh.is_some(), wins);
    }
}

pub async fn a_redemption_without_refresh_token(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let grant = granted(store, &record).await;
    let order = Redeem { refresh: None, ..redeem_code(&record, &grant) };
    assert_eq!(told(store, redeeming(&order)).await, Done);
    assert!(valid(store, &order.access.signature).await);
}

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

pub async fn a_rotation_spares_or_ends_the_familys_access_tokens(store: &Arc<dyn Store>) {
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
        done(store, &[revoke(Revoked::Refresh(presented), "b"), revoke(Revoked::Access(presented), "a")]).await;
        assert!(valid(store, &last).await);
        done(store, &[revoke(Revoked::Refresh(key()), "a"), revoke(Revoked::Refresh(presented), "a")]).await;
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
    done(store, &[revoke(Revoked::Access(first.access.signature), "a")]).await;
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

pub async fn an_exchange_uses_a_jti_only_if_it_is_done(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let with = |order: Redeem, byte| Redeem { jti: Some(jti(&record, byte)), ..order };
    let (one, two) = (granted(store, &record).await, granted(store, &record).await);
    done(store, &[redeeming(&with(redeem_code(&record, &one), 1))]).await;
    // A known jti leaves the code, a used code leaves the jti.
    assert_eq!(told(store, redeeming(&with(redeem_code(&record, &two), 1))).await, JtiKnown);
    assert_eq!(told(store, redeeming(&with(redeem_code(&record, &one), 2))).await, Used);
    let stale = Redeem { client_version: 8, ..with(redeem_code(&record, &two), 2) };
    assert_eq!(told(store, redeeming(&stale)).await, ClientChanged);
    // One whose jti is known does not take the code from the next.
    let orders = [1, 2, 3].map(|byte| with(redeem_code(&record, &two), byte));
    let batch: Vec<Write> = orders.iter().map(redeeming).collect();
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [JtiKnown, Done, Used]);
    for (order, wins) in orders.iter().zip([false, true, false]) {
        assert_eq!(valid(store, &order.access.signature).await, wins);
    }
    let refresh = orders[1].refresh.as_ref().unwrap().signature;
    let rotation = |byte| Rotate { jti: Some(jti(&record, byte)), ..rotate(&record, &two.consent, refresh) };
    assert_eq!(told(store, rotating(&rotation(2))).await, JtiKnown);
    let again = |byte| Write::Replay(Replay { presented: refresh, most: 1, jti: Some(jti(&record, byte)) });
    assert_eq!(told(store, again(4)).await, Used);
    done(store, &[rotating(&rotation(3))]).await;
    let batch = [again(3), again(4), again(5), Write::RevokeFamily(Uuid::new_v4())];
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [JtiKnown, Done, Used, Done]);
    done(store, &[Write::Issue(Issue { jti: Some(jti(&record, 5)), ..issue(&record) })]).await;
    assert_eq!(found(store, &refresh).await.replayed, 1);
}

pub async fn every_kind_of_write_shares_a_batch(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (grant_a, a) = exchanged(store, &record, "s").await;
    let (grant_b, b) = exchanged(store, &record, "s").await;
    let (grant_c, c) = exchanged(store, &record, "s").await;
    let unspent = granted(store, &record).await;
    let used = c.refresh.as_ref().unwrap().signature;
    done(store, &[rotating(&rotate(&record, &grant_c.consent, used))]).await;
    let own = issue(&record);
    let rotation = rotate(&record, &grant_a.consent, a.refresh.as_ref().unwrap().signature);
    let dead = rotate(&record, &grant_b.consent, b.refresh.as_ref().unwrap().signature);
    let order = redeem_code(&record, &unspent);
    let batch = [
        Write::Issue(own.clone()),
        rotating(&rotation),
        redeeming(&order),
        replay(used, 1),
        rotating(&dead),
        revoke(Revoked::Access(c.access.signature), "a"),
        Write::RevokeFamily(grant_b.consent.id),
        redeeming(&redeem_code(&record, &unspent)),
        Write::Issue(Issue { client_version: 3, ..issue(&record) }),
    ];
    let verdicts = store.write_tokens(&batch).await.unwrap();
    // Of what ends and what uses one family in one batch, either may come first.
    assert!([Done, Used].contains(&verdicts[4]), "{verdicts:?}");
    assert_eq!(verdicts[..4], [Done, Done, Done, Done]);
    assert_eq!(verdicts[5..], [Done, Done, Used, ClientChanged]);
    for alive in [&own.token, &rotation.access, &order.access] {
        assert!(valid(store, &alive.signature).await);
    }
    for ended in [&dead.access, &b.access, &a.access] {
        assert!(!valid(store, &ended.signature).await);
    }
}

pub async fn a_device_code_is_redeemed_once(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let asked = device(&record);
    store.create_device(&asked, 1).await.unwrap();
    let flow = Uuid::new_v4();
    store.guess_user_code(Uuid::new_v4(), 5, &asked.user_code, flow, later(600)).await.unwrap();
    let given = Grant { code: None, device: Some((flow, vec![1])), ..grant(&record, "s") };
    let source = Source::Device(asked.signature);
    assert_eq!(told(store, redeeming(&redeem(&record, &given.consent, source))).await, Used);
    flows_done(store, &[granting(&given)]).await;
    let orders = [(); 3].map(|()| redeem(&record, &given.consent, source));
    let batch: Vec<Write> = orders.iter().map(redeeming).collect();
    assert_eq!(store.write_tokens(&batch).await.unwrap(), [Done, Used, Used]);
    assert_eq!(told(store, redeeming(&redeem(&record, &given.consent, source))).await, Used);
    assert!(valid(store, &orders[0].access.signature).await && !valid(store, &orders[1].access.signature).await);
}

pub async fn a_token_of_a_lost_family_is_not_valid(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (_, order) = exchanged(store, &record, "s").await;
    let mut stray = token(&record, later(60));
    stray.family_id = Uuid::new_v4();
    done(store, &[Write::Issue(Issue { client_version: 1, token: stray.clone(), jti: None })]).await;
    assert!(!valid(store, &stray.signature).await && valid(store, &order.access.signature).await);
}
