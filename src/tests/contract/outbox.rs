//! Logout tokens to deliver, and flows that are too long for a URL.

use super::made::{delivery, flows_done, logout};
use super::{Fixture, earlier, later};
use signet::store::{Delivered, FlowWrite, Logout, LogoutDelivery, OutboxDepth, Store};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(30);

async fn put(store: &Arc<dyn Store>, deliveries: &[LogoutDelivery]) {
    let order = Logout { deliveries: deliveries.to_vec(), ..logout(Uuid::new_v4(), "s") };
    flows_done(store, &[FlowWrite::Logout(order)]).await;
}

async fn depth(store: &Arc<dyn Store>) -> (u64, u64) {
    let OutboxDepth { waiting, dead } = store.outbox_depth().await.unwrap();
    (waiting, dead)
}

pub async fn a_delivery_is_claimed_by_one_and_settled(fixture: &Fixture) {
    let store = &fixture.store;
    assert_eq!(store.claim_deliveries(9, LEASE).await.unwrap(), []);
    let (one, two) = (delivery("a"), delivery("b"));
    put(store, &[one.clone(), two.clone()]).await;
    assert_eq!(depth(store).await, (2, 0));
    let mut claimed = store.claim_deliveries(9, LEASE).await.unwrap();
    claimed.sort_by(|a, b| a.client_id.cmp(&b.client_id));
    assert_eq!(claimed, [one.clone(), two.clone()]);
    assert_eq!(store.claim_deliveries(9, LEASE).await.unwrap(), []);
    store.settle_delivery(&one, Delivered::Done).await.unwrap();
    for seconds in [100, 1] {
        // Said a second time it changes nothing.
        store.settle_delivery(&two, Delivered::Retry(Duration::from_secs(seconds))).await.unwrap();
    }
    store.settle_delivery(&two, Delivered::Dead).await.unwrap();
    assert_eq!(depth(store).await, (1, 0));
    fixture.pass(90).await;
    assert_eq!(store.claim_deliveries(9, LEASE).await.unwrap(), []);
    fixture.pass(20).await;
    let two = LogoutDelivery { attempts: 1, ..two };
    assert_eq!(store.claim_deliveries(9, LEASE).await.unwrap(), std::slice::from_ref(&two));
    // Whoever claimed it never came back: nobody knows of a try that failed.
    fixture.pass(40).await;
    assert_eq!(store.claim_deliveries(9, LEASE).await.unwrap(), std::slice::from_ref(&two));
    store.settle_delivery(&two, Delivered::Dead).await.unwrap();
    fixture.pass(1000).await;
    assert_eq!(store.claim_deliveries(9, LEASE).await.unwrap(), []);
    assert_eq!(depth(store).await, (0, 1));
    store.settle_delivery(&delivery("c"), Delivered::Done).await.unwrap();
}

pub async fn claims_at_once_share_the_outbox(store: &Arc<dyn Store>) {
    let all: Vec<LogoutDelivery> = (0..40).map(|_| delivery("a")).collect();
    put(store, &all).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let some = store.claim_deliveries(3, LEASE).await.unwrap();
                if some.is_empty() {
                    return mine;
                }
                assert!(some.len() <= 3);
                mine.extend(some.into_iter().map(|d| d.id));
            }
        });
    }
    let mut claimed: Vec<Uuid> = tasks.join_all().await.concat();
    // One that another claim was looking at may have been passed over.
    claimed.extend(store.claim_deliveries(99, LEASE).await.unwrap().into_iter().map(|d| d.id));
    assert_eq!(claimed.len(), 40);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 40);
}

pub async fn a_flow_is_kept_for_its_time(store: &Arc<dyn Store>) {
    store.put_flow_body(&[1; 32], &[0, 1, 2], later(60)).await.unwrap();
    store.put_flow_body(&[2; 32], &vec![7; 100_000], later(60)).await.unwrap();
    store.put_flow_body(&[3; 32], &[], earlier(1)).await.unwrap();
    assert_eq!(store.flow_body(&[1; 32]).await.unwrap(), Some(vec![0, 1, 2]));
    assert_eq!(store.flow_body(&[2; 32]).await.unwrap(), Some(vec![7; 100_000]));
    assert_eq!(store.flow_body(&[3; 32]).await.unwrap(), None);
    assert_eq!(store.flow_body(&[4; 32]).await.unwrap(), None);
    store.put_flow_body(&[3; 32], &[9], later(60)).await.unwrap();
    assert_eq!(store.flow_body(&[3; 32]).await.unwrap(), Some(vec![9]));
}
