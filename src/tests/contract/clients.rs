//! Clients.

use super::{client, created, done, issue};
use signet::store::{ClientPage, Replaced, Store, StoreError, Verdict, Write};
use std::sync::Arc;
use uuid::Uuid;

pub async fn a_client_comes_back_whole(store: &Arc<dyn Store>) {
    let first = created(store, "first").await;
    let mut bare = client("bare");
    bare.registration_token_hash = None;
    bare.rotated_secret_hashes.clear();
    bare.name = "größe '\"\\".to_owned();
    store.create_client(&bare).await.unwrap();
    assert_eq!(store.client("first").await.unwrap(), Some(first));
    assert_eq!(store.client("bare").await.unwrap(), Some(bare));
    assert_eq!(store.client("First").await.unwrap(), None);
}

pub async fn an_id_is_taken_once(store: &Arc<dyn Store>) {
    let first = created(store, "a").await;
    assert_eq!(store.create_client(&client("a")).await, Err(StoreError::Conflict));
    assert_eq!(store.client("a").await.unwrap(), Some(first));
}

pub async fn clients_are_listed_by_page(store: &Arc<dyn Store>) {
    for (id, owner) in [("b", "x"), ("a", "x"), ("B", "y"), ("ä", "x"), ("a-b", "x")] {
        let mut record = client(id);
        record.owner = owner.to_owned();
        store.create_client(&record).await.unwrap();
    }
    let ids = async |page: ClientPage| -> Vec<String> {
        store.clients(&page).await.unwrap().into_iter().map(|c| c.id).collect()
    };
    let all = ClientPage { limit: 10, ..ClientPage::default() };
    assert_eq!(ids(all.clone()).await, ["B", "a", "a-b", "b", "ä"]);
    assert_eq!(ids(ClientPage { limit: 2, ..all.clone() }).await, ["B", "a"]);
    assert_eq!(ids(ClientPage { limit: 2, after: Some("a".to_owned()), ..all.clone() }).await, ["a-b", "b"]);
    assert_eq!(ids(ClientPage { owner: Some("y".to_owned()), ..all.clone() }).await, ["B"]);
    assert_eq!(ids(ClientPage { name: Some("A name".to_owned()), limit: 1, ..all.clone() }).await, ["B"]);
    assert!(ids(ClientPage { name: Some("Another".to_owned()), ..all }).await.is_empty());
}

pub async fn a_replacement_needs_the_version(store: &Arc<dyn Store>) {
    let mut record = created(store, "a").await;
    let family = record.family_id;
    record.document = "{}".to_owned();
    record.family_id = Uuid::new_v4();
    assert_eq!(store.replace_client(&record, 1).await, Ok(Replaced::Done));
    assert_eq!(store.replace_client(&record, 1).await, Ok(Replaced::Stale));
    record.version = 2;
    record.family_id = family;
    assert_eq!(store.client("a").await.unwrap(), Some(record));
    assert_eq!(store.replace_client(&client("b"), 1).await, Ok(Replaced::Missing));
}

pub async fn deleting_a_client_ends_its_tokens(store: &Arc<dyn Store>) {
    let (record, other) = (created(store, "a").await, created(store, "b").await);
    let (mine, theirs) = (issue(&record), issue(&other));
    done(store, &[Write::Issue(mine.clone()), Write::Issue(theirs.clone())]).await;
    assert_eq!(store.delete_client("a").await, Ok(true));
    assert_eq!(store.delete_client("a").await, Ok(false));
    assert_eq!(store.client("a").await.unwrap(), None);
    assert_eq!(store.access_token(&mine.token.signature).await.unwrap(), None);
    assert!(store.access_token(&theirs.token.signature).await.unwrap().is_some());
    // Another client of the same id is another client.
    created(store, "a").await;
    assert_eq!(store.access_token(&mine.token.signature).await.unwrap(), None);
}

pub async fn deleting_while_issuing_leaves_no_valid_token(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut issuers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, record) = (Arc::clone(store), record.clone());
        issuers.spawn(async move {
            let mut issued = Vec::new();
            loop {
                let order = issue(&record);
                issued.push(order.token.signature);
                match store.write_tokens(&[Write::Issue(order)]).await.unwrap().as_slice() {
                    [Verdict::Done] => {}
                    [Verdict::ClientChanged] => return issued,
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(store.delete_client("a").await, Ok(true));
    for issued in issuers.join_all().await {
        for signature in issued {
            assert_eq!(store.access_token(&signature).await.unwrap(), None);
        }
    }
}

pub async fn odd_ids_are_found_or_absent(store: &Arc<dyn Store>) {
    for id in ["a b", "'; DROP TABLE client; --", "größe", "%25", ""] {
        let record = created(store, id).await;
        assert_eq!(store.client(id).await.unwrap(), Some(record));
    }
    assert_eq!(store.client("a\0b").await, Ok(None));
    assert_eq!(store.delete_client("a\0b").await, Ok(false));
    let long = created(store, &"x".repeat(2000)).await;
    assert_eq!(store.replace_client(&long, 1).await, Ok(Replaced::Done));
}
