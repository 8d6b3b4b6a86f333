//! Health, sweeping, the feed, the end.

use super::{created, done, earlier, issue, jti, token};
use signet::store::{Change, Issue, KeyChange, Store, StoreError, Sweep, SweepCounts, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;

pub async fn the_schema_is_there(store: &Arc<dyn Store>) {
    store.ping().await.unwrap();
    let migrations = store.migrations().await.unwrap();
    assert!(!migrations.is_empty() && migrations.iter().all(|m| m.applied));
}

/// What a sweep of at most two of each did.
fn swept(access_tokens: u64, jtis: u64, families: u64) -> Sweep {
    let more = [access_tokens, jtis, families].contains(&2);
    Sweep::Swept(SweepCounts { access_tokens, jtis, families, more, ..SweepCounts::default() })
}

pub async fn sweeping_takes_what_is_over(store: &Arc<dyn Store>) {
    let (record, gone) = (created(store, "a").await, created(store, "b").await);
    let mut expired: Vec<Write> = Vec::new();
    for byte in 0..3 {
        let mut used = jti(&record, byte);
        used.expires_at = earlier(1);
        let order = Issue { token: token(&record, earlier(1)), jti: Some(used), ..issue(&record) };
        expired.push(Write::Issue(order));
    }
    let live = Issue { jti: Some(jti(&record, 9)), ..issue(&record) };
    expired.push(Write::Issue(live.clone()));
    expired.push(Write::Issue(issue(&gone)));
    done(store, &expired).await;
    store.delete_client("b").await.unwrap();
    assert_eq!(store.sweep(2).await, Ok(swept(2, 2, 1)));
    assert_eq!(store.sweep(2).await, Ok(swept(1, 1, 0)));
    assert_eq!(store.sweep(2).await, Ok(swept(0, 0, 0)));
    assert!(store.access_token(&live.token.signature).await.unwrap().is_some());
}

/// Waits for that change; others may come before.
async fn hear(feed: &mut Receiver<Change>, wanted: Change) {
    let heard = async { while feed.recv().await.unwrap() != wanted {} };
    tokio::time::timeout(Duration::from_secs(10), heard).await.expect("the change was not told");
}

pub async fn changes_are_told(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut feed = store.changes();
    store.replace_client(&record, 1).await.unwrap();
    hear(&mut feed, Change::Client("a".to_owned())).await;
    store.delete_tokens_of_client("a", uuid::Uuid::new_v4()).await.unwrap();
    hear(&mut feed, Change::Client("a".to_owned())).await;
    let delete = || Box::new(|_: &[_], _| vec![KeyChange::DeleteSet { set: "x".to_owned() }]);
    store.change_keys(&[], delete()).await.unwrap();
    hear(&mut feed, Change::Keys).await;
    store.delete_client("a").await.unwrap();
    hear(&mut feed, Change::Client("a".to_owned())).await;
}

pub async fn an_end_is_an_end(store: &Arc<dyn Store>) {
    store.ping().await.unwrap();
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.client("a").await, Err(StoreError::Unavailable(_))));
    store.close().await;
}
