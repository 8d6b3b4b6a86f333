//! JSON Web Keys.

use super::{earlier, later, now};
use signet::domain::world::Timestamp;
use signet::store::{KeyChange, KeyRow, Store};
use std::sync::Arc;

fn key(set: &str, kid: &str, created_at: Timestamp) -> KeyRow {
    KeyRow {
        set: set.to_owned(),
        kid: kid.to_owned(),
        alg: "RS256".to_owned(),
        sealed: vec![0, 1, 2],
        created_at,
        activates_at: created_at,
        retires_at: None,
    }
}

async fn put(store: &Arc<dyn Store>, rows: Vec<KeyRow>) {
    store.change_keys(&[], Box::new(move |_, _| rows.iter().cloned().map(KeyChange::Put).collect())).await.unwrap();
}

async fn kids(store: &Arc<dyn Store>, sets: &[&str]) -> Vec<String> {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    store.keys(&sets).await.unwrap().into_iter().map(|k| k.kid).collect()
}

pub async fn keys_come_back_newest_first(store: &Arc<dyn Store>) {
    let mut retired = key("a", "2", earlier(20));
    retired.retires_at = Some(later(20));
    put(store, vec![key("a", "1", earlier(30)), retired.clone(), key("a", "3", earlier(10)), key("b", "4", now())])
        .await;
    assert_eq!(kids(store, &["a"]).await, ["3", "2", "1"]);
    assert_eq!(kids(store, &["a", "b"]).await, ["4", "3", "2", "1"]);
    assert_eq!(store.key_sets().await.unwrap(), ["a", "b"]);
    assert!(kids(store, &["c"]).await.is_empty() && kids(store, &[]).await.is_empty());
    assert_eq!(store.keys(&["a".to_owned()]).await.unwrap()[1], retired);
}

pub async fn changes_are_applied_in_order(store: &Arc<dyn Store>) {
    put(store, vec![key("a", "1", earlier(3)), key("a", "2", earlier(2)), key("b", "1", earlier(1))]).await;
    let at = later(60);
    let owned = |text: &str| text.to_owned();
    let (set, kid) = (owned("a"), owned("1"));
    let mut replaced = key("b", "1", now());
    replaced.alg = "ES256".to_owned();
    let changes = vec![
        KeyChange::Retire { set: set.clone(), kid, at },
        KeyChange::Delete { set, kid: owned("2") },
        KeyChange::Put(replaced.clone()),
        KeyChange::Put(key("c", "1", now())),
        KeyChange::DeleteSet { set: owned("c") },
    ];
    let sets = [owned("a"), owned("b"), owned("c")];
    let after = store.change_keys(&sets, Box::new(move |_, _| changes.clone())).await.unwrap();
    let retired = KeyRow { retires_at: Some(at), ..after[1].clone() };
    assert_eq!(after, [replaced, retired]);
    assert_eq!(store.keys(&sets).await.unwrap(), after);
}

pub async fn eight_openers_make_one_key(store: &Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..8 {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let decide = move |found: &[KeyRow], at: Timestamp| {
                let first = KeyChange::Put(key("a", &turn.to_string(), at));
                if found.is_empty() { vec![first] } else { Vec::new() }
            };
            store.change_keys(&["a".to_owned()], Box::new(decide)).await.unwrap()
        });
    }
    let seen = tasks.join_all().await;
    assert_eq!(seen[0].len(), 1);
    assert!(seen.iter().all(|keys| *keys == seen[0]));
}

pub async fn a_decision_for_nothing_writes_nothing(store: &Arc<dyn Store>) {
    put(store, vec![key("a", "1", now())]).await;
    let decide = |found: &[KeyRow], at: Timestamp| {
        assert_eq!(found.len(), 1);
        assert!(at >= earlier(60) && at <= later(60));
        Vec::new()
    };
    let after = store.change_keys(&["a".to_owned()], Box::new(decide)).await.unwrap();
    assert_eq!(after.len(), 1);
}
