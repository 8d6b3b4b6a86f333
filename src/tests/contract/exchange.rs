//! Codes exchanged, alone and among other writes.

use super::made::{
    attempt, device, exchanged, flows_done, grant, granting, key, redeem, redeem_code, redeeming, replay, rotate,
    rotating, told, valid,
};
use super::{created, done, earlier, issue, jti, later, token};
use signet::store::Verdict::{ClientChanged, Done, JtiKnown, Used};
use signet::store::{
    ClientRecord, FoundRefresh, Grant, Issue, Redeem, Replay, Revoke, Revoked, Rotate, SignatureHash, Source, Store,
    Verdict, Write,
};
use std::sync::Arc;
use uuid::Uuid;

pub async fn granted(store: &Arc<dyn Store>, client: &ClientRecord) -> Grant {
    let grant = grant(client, "s");
    flows_done(store, &[granting(&grant)]).await;
    grant
}

pub async fn found(store: &Arc<dyn Store>, signature: &SignatureHash) -> FoundRefresh {
    store.refresh_token(signature).await.unwrap().unwrap()
}

pub fn revoke(token: Revoked, client: &str) -> Write {
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
    assert_eq!(verdicts[5..], [Verdict::Revoked(None), Done, Used, ClientChanged]);
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
    store.guess_user_code(&attempt(Uuid::new_v4(), &asked.user_code, flow)).await.unwrap();
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
