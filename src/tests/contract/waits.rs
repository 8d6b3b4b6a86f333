//! PostgreSQL alone: what a statement decides that had to wait for another transaction. The other one is played by
//! hand, so that the order is certain: it holds a row, the store's statement waits for it, then it commits.

use super::made::{exchanged, flows_done, grant, granting, redeem_code, redeeming, replay, rotate, rotating, valid};
use super::{Fixture, created};
use signet::store::{FlowVerdict, StoreError, Verdict, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Somebody else in the same database.
async fn other(fixture: &Fixture) -> Client {
    let (client, connection) = tokio_postgres::connect(&fixture.dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Runs `sql` in an open transaction, begins the write, which must wait, then ends the transaction with `end`.
async fn after<T: Send + 'static>(
    fixture: &Fixture,
    sql: &str,
    end: &str,
    write: impl Future<Output = T> + Send + 'static,
) -> T {
    let other = other(fixture).await;
    other.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
    let waiting = tokio::spawn(write);
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        if other.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1 {
            break;
        }
        assert!(!waiting.is_finished(), "it did not wait for: {sql}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    other.batch_execute(end).await.unwrap();
    waiting.await.unwrap()
}

fn write(fixture: &Fixture, write: Write) -> impl Future<Output = Verdict> + Send + 'static {
    let store = Arc::clone(&fixture.store);
    async move { store.write_tokens(&[write]).await.unwrap()[0] }
}

fn end_family(id: Uuid) -> String {
    format!("UPDATE token_family SET revoked_at = clock_timestamp() WHERE id = '{id}'")
}

const CHANGE_CLIENT: &str = "UPDATE client SET version = version + 1 WHERE id = 'a'";
const SLOW: &str = "SELECT pg_sleep(0.4); COMMIT";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_that_waited_sees_what_it_waited_for() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    for (sql, expected) in [
        (None, Verdict::Used),
        (Some("UPDATE authorization_code SET spent_at = clock_timestamp()"), Verdict::Used),
        (Some("DELETE FROM authorization_code"), Verdict::Used),
        (Some("SELECT id FROM token_family FOR UPDATE"), Verdict::Done),
        (Some("UPDATE token_family SET version = version + 1 WHERE NOT shared"), Verdict::Done),
        (Some("SELECT id FROM client FOR UPDATE"), Verdict::Done),
        (Some("UPDATE client SET updated_at = now()"), Verdict::Done),
    ] {
        let given = grant(&record, "s");
        flows_done(store, &[granting(&given)]).await;
        let order = redeem_code(&record, &given);
        let sql = sql.map_or_else(|| end_family(given.consent.id), str::to_owned);
        let verdict = after(&fixture, &sql, "COMMIT", write(&fixture, redeeming(&order))).await;
        assert_eq!(verdict, expected, "{sql}");
        assert_eq!(valid(store, &order.access.signature).await, expected == Verdict::Done, "{sql}");
    }
    let given = grant(&record, "s");
    flows_done(store, &[granting(&given)]).await;
    let order = redeem_code(&record, &given);
    let verdict = after(&fixture, &end_family(given.consent.id), "ROLLBACK", write(&fixture, redeeming(&order))).await;
    assert_eq!(verdict, Verdict::Done);
    let given = grant(&record, "s");
    flows_done(store, &[granting(&given)]).await;
    let order = redeem_code(&record, &given);
    assert_eq!(
        after(&fixture, CHANGE_CLIENT, "COMMIT", write(&fixture, redeeming(&order))).await,
        Verdict::ClientChanged
    );
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_waited_sees_what_it_waited_for() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    for (sql, expected) in [
        (None, Verdict::Used),
        (Some("UPDATE refresh_token SET used_at = clock_timestamp()"), Verdict::Used),
        (Some("UPDATE refresh_token SET expires_at = clock_timestamp()"), Verdict::Used),
        (Some("SELECT id FROM token_family FOR UPDATE"), Verdict::Done),
        (Some("UPDATE refresh_token SET replayed = replayed"), Verdict::Done),
    ] {
        let (given, first) = exchanged(store, &record, "s").await;
        let order = rotate(&record, &given.consent, first.refresh.as_ref().unwrap().signature);
        let sql = sql.map_or_else(|| end_family(given.consent.id), str::to_owned);
        let verdict = after(&fixture, &sql, "COMMIT", write(&fixture, rotating(&order))).await;
        assert_eq!(verdict, expected, "{sql}");
        assert_eq!(valid(store, &order.access.signature).await, expected == Verdict::Done, "{sql}");
    }
    let (given, first) = exchanged(store, &record, "s").await;
    let presented = first.refresh.as_ref().unwrap().signature;
    assert_eq!(write(&fixture, rotating(&rotate(&record, &given.consent, presented))).await, Verdict::Done);
    let counted = "UPDATE refresh_token SET replayed = 2";
    assert_eq!(after(&fixture, counted, "COMMIT", write(&fixture, replay(presented, 3))).await, Verdict::Done);
    assert_eq!(store.refresh_token(&presented).await.unwrap().unwrap().replayed, 3);
    assert_eq!(after(&fixture, counted, "COMMIT", write(&fixture, replay(presented, 2))).await, Verdict::Used);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ended_while_one_waited_has_ended() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    let mut given = grant(&record, "s");
    given.code.as_mut().unwrap().expires_at = super::now().plus(Duration::from_millis(300));
    flows_done(store, &[granting(&given)]).await;
    let order = redeem_code(&record, &given);
    let hold = format!("SELECT id FROM token_family WHERE id = '{}' FOR UPDATE", given.consent.id);
    assert_eq!(after(&fixture, &hold, SLOW, write(&fixture, redeeming(&order))).await, Verdict::Used);

    let (given, first) = exchanged(store, &record, "s").await;
    let presented = first.refresh.as_ref().unwrap().signature;
    let ends = "UPDATE refresh_token SET expires_at = clock_timestamp() + interval '0.3 seconds'";
    super::sql_at(&fixture.dsn, ends).await.unwrap();
    let order = rotate(&record, &given.consent, presented);
    assert_eq!(
        after(&fixture, "SELECT id FROM client FOR UPDATE", SLOW, write(&fixture, rotating(&order))).await,
        Verdict::Used
    );
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_waited_sees_what_it_waited_for() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    let write = |order: &signet::store::Grant| {
        let (store, order) = (Arc::clone(store), granting(order));
        async move { store.write_flows(&[order]).await.unwrap()[0] }
    };
    for (end, expected) in [("COMMIT", FlowVerdict::Used), ("ROLLBACK", FlowVerdict::Done)] {
        let given = grant(&record, "s");
        let taken = format!(
            "INSERT INTO token_family (id, nid, client_id, subject, shared, version)
             SELECT '{}', id, 'a', 's', false, 1 FROM network",
            given.consent.id
        );
        assert_eq!(after(&fixture, &taken, end, write(&given)).await, expected);
    }
    let given = grant(&record, "s");
    assert_eq!(after(&fixture, CHANGE_CLIENT, "ROLLBACK", write(&given)).await, FlowVerdict::Done);
    for sql in [CHANGE_CLIENT, "DELETE FROM client"] {
        let verdict = after(&fixture, sql, "COMMIT", write(&grant(&record, "s"))).await;
        assert_eq!(verdict, FlowVerdict::ClientChanged, "{sql}");
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_never_let_go_is_unavailable() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    let given = grant(&record, "s");
    flows_done(store, &[granting(&given)]).await;
    let options =
        signet::store::OpenOptions { statement_timeout: Duration::from_millis(300), ..super::options(&fixture.dsn) };
    let impatient = signet::store::open(options).await;
    let Ok(impatient) = impatient else { panic!("{:?}", impatient.err()) };
    let other = other(&fixture).await;
    other.batch_execute("BEGIN; SELECT id FROM token_family FOR UPDATE").await.unwrap();
    let order = redeem_code(&record, &given);
    let answer = impatient.write_tokens(&[redeeming(&order)]).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    other.batch_execute("COMMIT").await.unwrap();
    // It used nothing up.
    assert_eq!(impatient.write_tokens(&[redeeming(&order)]).await, Ok(vec![Verdict::Done]));
    impatient.close().await;
    fixture.end().await;
}
