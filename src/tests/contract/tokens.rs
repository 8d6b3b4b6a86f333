//! Tokens.

use super::{created, done, earlier, issue, jti, token};
use signet::store::{Issue, Revoke, Revoked, Store, Verdict, Write};
use std::sync::Arc;
use uuid::Uuid;

fn revoke(order: &Issue) -> Revoke {
    Revoke { token: Revoked::Access(order.token.signature), client_id: order.token.client_id.clone(), jti: None }
}

pub async fn a_token_comes_back_whole(store: &Arc<dyn Store>) {
    let order = issue(&created(store, "a").await);
    done(store, &[Write::Issue(order.clone())]).await;
    assert_eq!(store.access_token(&order.token.signature).await.unwrap(), Some(order.token));
    assert_eq!(store.access_token(&[7; 34]).await.unwrap(), None);
    assert_eq!(store.write_tokens(&[]).await.unwrap(), []);
}

pub async fn many_come_back_each_in_its_place(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (one, two) = (issue(&record), issue(&record));
    let over = Issue { token: token(&record, earlier(1)), ..issue(&record) };
    done(store, &[one.clone(), two.clone(), over.clone()].map(Write::Issue)).await;
    let keys = [two.token.signature, [7; 34], over.token.signature, one.token.signature, two.token.signature];
    let found = store.access_tokens(&keys).await.unwrap();
    assert_eq!(found, [Some(two.token.clone()), None, None, Some(one.token), Some(two.token)]);
    assert_eq!(store.access_tokens(&[]).await.unwrap(), []);
}

pub async fn an_expired_token_is_not_there(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let order = Issue { token: token(&record, earlier(1)), ..issue(&record) };
    done(store, &[Write::Issue(order.clone())]).await;
    assert_eq!(store.access_token(&order.token.signature).await.unwrap(), None);
}

pub async fn an_issue_needs_the_version(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    store.replace_client(&record, 1).await.unwrap();
    let old = issue(&record);
    let new = Issue { client_version: 2, ..issue(&record) };
    let nobody = issue(&super::client("nobody"));
    let writes = [old.clone(), new.clone(), nobody].map(Write::Issue);
    let verdicts = store.write_tokens(&writes).await.unwrap();
    assert_eq!(verdicts, [Verdict::ClientChanged, Verdict::Done, Verdict::ClientChanged]);
    assert_eq!(store.access_token(&old.token.signature).await.unwrap(), None);
    assert!(store.access_token(&new.token.signature).await.unwrap().is_some());
}

pub async fn a_batch_has_a_verdict_each(store: &Arc<dyn Store>) {
    let (a, b) = (created(store, "a").await, created(store, "b").await);
    let early = issue(&a);
    done(store, &[Write::Issue(early.clone())]).await;
    let changed = Issue { client_version: 9, jti: Some(jti(&a, 3)), ..issue(&a) };
    let writes = [
        Write::Issue(Issue { jti: Some(jti(&a, 1)), ..issue(&a) }),
        Write::Issue(Issue { jti: Some(jti(&a, 1)), ..issue(&a) }),
        Write::Issue(Issue { jti: Some(jti(&b, 1)), ..issue(&b) }),
        Write::Issue(changed),
        Write::Revoke(Revoke { jti: Some(jti(&a, 2)), ..revoke(&early) }),
        Write::Revoke(Revoke { jti: Some(jti(&a, 2)), ..revoke(&early) }),
        Write::Issue(issue(&b)),
    ];
    use Verdict::{ClientChanged, Done, JtiKnown, Revoked};
    let verdicts = store.write_tokens(&writes).await.unwrap();
    assert_eq!(verdicts, [Done, JtiKnown, Done, ClientChanged, Revoked(None), JtiKnown, Done]);
    for (write, verdict) in writes.iter().zip(verdicts) {
        if let Write::Issue(order) = write {
            let found = store.access_token(&order.token.signature).await.unwrap();
            assert_eq!(found.is_some(), verdict == Done);
        }
    }
    assert_eq!(store.access_token(&early.token.signature).await.unwrap(), None);
}

pub async fn a_jti_is_used_once(store: &Arc<dyn Store>) {
    let (a, b) = (created(store, "a").await, created(store, "b").await);
    let write = |record, byte| Write::Issue(Issue { jti: Some(jti(record, byte)), ..issue(record) });
    done(store, &[write(&a, 1)]).await;
    assert_eq!(store.write_tokens(&[write(&a, 1)]).await.unwrap(), [Verdict::JtiKnown]);
    done(store, &[write(&b, 1), write(&a, 2)]).await;
}

pub async fn a_refused_issue_uses_no_jti(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let order = Issue { client_version: 5, jti: Some(jti(&record, 1)), ..issue(&record) };
    assert_eq!(store.write_tokens(&[Write::Issue(order.clone())]).await.unwrap(), [Verdict::ClientChanged]);
    done(store, &[Write::Issue(Issue { client_version: 1, ..order })]).await;
}

pub async fn fifty_at_once_one_jti_one_winner(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let order = Issue { jti: Some(jti(&record, 1)), ..issue(&record) };
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let verdicts = patiently!(store.write_tokens(&[Write::Issue(order.clone())]).await).unwrap();
            let found = patiently!(store.access_token(&order.token.signature).await).unwrap();
            assert_eq!(found.is_some(), verdicts == [Verdict::Done]);
            verdicts[0]
        });
    }
    let verdicts = tasks.join_all().await;
    assert_eq!(verdicts.iter().filter(|v| **v == Verdict::Done).count(), 1);
    assert_eq!(verdicts.iter().filter(|v| **v == Verdict::JtiKnown).count(), 49);
}

pub async fn only_the_owner_revokes(store: &Arc<dyn Store>) {
    let order = issue(&created(store, "a").await);
    done(store, &[Write::Issue(order.clone())]).await;
    let foreign = Revoke { client_id: "b".to_owned(), ..revoke(&order) };
    done(store, &[Write::Revoke(foreign)]).await;
    assert!(store.access_token(&order.token.signature).await.unwrap().is_some());
    done(store, &[Write::Revoke(revoke(&order))]).await;
    assert_eq!(store.access_token(&order.token.signature).await.unwrap(), None);
}

pub async fn a_revoked_token_stays_so(store: &Arc<dyn Store>) {
    let order = issue(&created(store, "a").await);
    done(store, &[Write::Issue(order.clone())]).await;
    done(store, &[Write::Revoke(revoke(&order))]).await;
    done(store, &[Write::Revoke(revoke(&order))]).await;
    assert_eq!(store.access_token(&order.token.signature).await.unwrap(), None);
}

pub async fn revoking_spares_the_others(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (one, two) = (issue(&record), issue(&record));
    done(store, &[Write::Issue(one.clone()), Write::Issue(two.clone())]).await;
    done(store, &[Write::Revoke(revoke(&one))]).await;
    assert!(store.access_token(&two.token.signature).await.unwrap().is_some());
    done(store, &[Write::Issue(issue(&record))]).await;
}

pub async fn revoking_at_once_is_done_for_all(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let orders: Vec<Issue> = (0..20).map(|_| issue(&record)).collect();
    let writes: Vec<Write> = orders.iter().cloned().map(Write::Issue).collect();
    done(store, &writes).await;
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..10 {
        let mut writes: Vec<Write> = orders.iter().map(|o| Write::Revoke(revoke(o))).collect();
        writes.rotate_left(turn * 2);
        let store = Arc::clone(store);
        tasks.spawn(async move { done(&store, &writes).await });
    }
    tasks.join_all().await;
    for order in orders {
        assert_eq!(store.access_token(&order.token.signature).await.unwrap(), None);
    }
}

pub async fn deleting_all_tokens_spares_later_ones(store: &Arc<dyn Store>) {
    let (record, other) = (created(store, "a").await, created(store, "b").await);
    let (old, theirs) = (issue(&record), issue(&other));
    done(store, &[Write::Issue(old.clone()), Write::Issue(theirs.clone())]).await;
    let family = Uuid::new_v4();
    assert_eq!(store.delete_tokens_of_client("a", family).await, Ok(true));
    assert_eq!(store.access_token(&old.token.signature).await.unwrap(), None);
    assert!(store.access_token(&theirs.token.signature).await.unwrap().is_some());
    // Whoever decided before must decide again.
    assert_eq!(store.write_tokens(&[Write::Issue(issue(&record))]).await.unwrap(), [Verdict::ClientChanged]);
    let changed = store.client("a").await.unwrap().unwrap();
    assert_eq!((changed.family_id, changed.version), (family, 2));
    let new = issue(&changed);
    done(store, &[Write::Issue(new.clone())]).await;
    assert!(store.access_token(&new.token.signature).await.unwrap().is_some());
    assert_eq!(store.delete_tokens_of_client("a", Uuid::new_v4()).await, Ok(true));
    assert_eq!(store.access_token(&new.token.signature).await.unwrap(), None);
}

pub async fn deleting_tokens_of_nobody(store: &Arc<dyn Store>) {
    assert_eq!(store.delete_tokens_of_client("nobody", Uuid::new_v4()).await, Ok(false));
    assert_eq!(store.delete_tokens_of_client("no\0body", Uuid::new_v4()).await, Ok(false));
}

pub async fn many_dead_tokens_go_in_batches(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let orders: Vec<Issue> = (0..2500).map(|_| issue(&record)).collect();
    let writes: Vec<Write> = orders.iter().cloned().map(Write::Issue).collect();
    done(store, &writes).await;
    assert_eq!(store.delete_client("a").await, Ok(true));
    for order in [&orders[0], &orders[2499]] {
        assert_eq!(store.access_token(&order.token.signature).await.unwrap(), None);
    }
    // The rows are gone: their signatures may be written again.
    done(store, &[]).await;
    let again = created(store, "a").await;
    let mut first = orders[0].clone();
    first.token.family_id = again.family_id;
    done(store, &[Write::Issue(first)]).await;
}
