//! PostgreSQL alone: access tokens in partitions by the hour of their end, made ahead, dropped when they are over, and
//! made on the spot when they are missing. Nobody who issues, reads or ends a token notices.

use super::made::{exchanged, flows_done, grant, granting, key, redeem_code, redeeming, rotate, rotating, told, valid};
use super::{Fixture, created, done, issue, jti, later, now, token};
use signet::domain::token::expiry_hour::{ExpiryHour, hash_in};
use signet::store::{
    AccessToken, ClientRecord, Grant, Issue, Revoke, Revoked, Store, Sweep, SweepCounts, Verdict, Write,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// The same token with its hour.
fn timed(mut token: AccessToken) -> AccessToken {
    let hash: [u8; 32] = hash_in(&token.signature).try_into().unwrap();
    token.signature = ExpiryHour::of(now(), token.expires_at).before(&hash);
    token
}

/// A token that ends in that hour, as far as its key says.
fn in_hour(client: &ClientRecord, hour: ExpiryHour) -> AccessToken {
    let mut token = token(client, later(3600));
    let hash: [u8; 32] = hash_in(&token.signature).try_into().unwrap();
    token.signature = hour.before(&hash);
    token
}

fn issuing(client: &ClientRecord, token: AccessToken) -> Write {
    Write::Issue(Issue { token, ..issue(client) })
}

async fn beside(fixture: &Fixture) -> Client {
    let (client, connection) = tokio_postgres::connect(&fixture.dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

const HOURS: &str = "
    SELECT right(c.relname, 4) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'access_token'::regclass";

async fn hours(client: &Client) -> BTreeSet<u16> {
    let rows = client.query(HOURS, &[]).await.unwrap();
    rows.iter().map(|row| u16::from_str_radix(row.get(0), 16).unwrap()).collect()
}

async fn swept(store: &Arc<dyn Store>) -> SweepCounts {
    loop {
        if let Sweep::Swept(counts) = store.sweep(1000).await.unwrap() {
            return counts;
        }
    }
}

/// The hour that is over for so many hours.
fn over_for(hours: u64) -> ExpiryHour {
    let then = now().minus(Duration::from_secs(3600 * (hours + 1)));
    ExpiryHour::of(then, then)
}

async fn drop_all(client: &Client) {
    for hour in hours(client).await.into_iter().filter(|hour| *hour != u16::MAX) {
        client.batch_execute(&format!("DROP TABLE access_token_{hour:04x}")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_are_made_ahead_and_stay_while_a_token_may_live() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let client = beside(&fixture).await;
    let wanted: BTreeSet<u16> =
        ExpiryHour::ahead(now(), Duration::from_secs(3600)).chain([ExpiryHour::NONE]).map(ExpiryHour::number).collect();
    assert!(wanted.len() >= 4 && hours(&client).await.is_superset(&wanted), "made by the migration");
    drop_all(&client).await;
    swept(&fixture.store).await;
    assert!(hours(&client).await.is_superset(&wanted), "made by a sweep");
    // The hour that is going on, and the one before until some minutes have passed, are not over.
    let record = created(&fixture.store, "a").await;
    let going_on = ExpiryHour::of(now(), now());
    done(&fixture.store, &[issuing(&record, in_hour(&record, going_on))]).await;
    swept(&fixture.store).await;
    assert!(hours(&client).await.contains(&going_on.number()));
    fixture.end().await;
}

const MANY: &str = "
    INSERT INTO access_token
    SELECT decode('HOUR', 'hex') || sha256(i::text::bytea), id, id, 'a', 'a', '[]', '[]', now(), now(), ''
    FROM network, generate_series(1, 50) i";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_that_is_over_goes_as_a_whole() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let (store, client) = (&fixture.store, beside(&fixture).await);
    let record = created(store, "a").await;
    let (gone, living) = (in_hour(&record, over_for(2)), timed(token(&record, later(3600))));
    done(store, &[issuing(&record, gone.clone()), issuing(&record, living.clone())]).await;
    assert!(valid(store, &gone.signature).await, "its partition was made for it");
    let hour = format!("{:04x}", over_for(2).number());
    client.batch_execute(&MANY.replace("HOUR", &hour)).await.unwrap();
    client.query_one("SELECT pg_stat_force_next_flush()", &[]).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    let counts = swept(store).await;
    assert!((50..=51).contains(&counts.in_hours), "{counts:?}");
    assert_eq!(SweepCounts { in_hours: 0, ..counts }, SweepCounts::default());
    assert!(!hours(&client).await.contains(&over_for(2).number()));
    assert!(!valid(store, &gone.signature).await && valid(store, &living.signature).await);
    assert_eq!(swept(store).await, SweepCounts::default());
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_hour_makes_it() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let (store, client) = (&fixture.store, beside(&fixture).await);
    let record = created(store, "a").await;
    let one = || timed(token(&record, later(3600)));
    let given = grant(&record, "s");
    flows_done(store, &[granting(&given)]).await;
    let mut first = redeem_code(&record, &given);
    first.access = timed(first.access);
    let refresh = first.refresh.as_mut().unwrap();
    refresh.access_token = first.access.signature;
    let presented = refresh.signature;
    let mut turned = rotate(&record, &given.consent, presented);
    turned.access = timed(turned.access);
    let lone = grant(&record, "t");
    let mut implicit = one();
    implicit.family_id = lone.consent.id;

    drop_all(&client).await;
    let plain = one();
    done(store, &[issuing(&record, plain.clone())]).await;
    drop_all(&client).await;
    let mixed = Issue { token: one(), jti: Some(jti(&record, 1)), ..issue(&record) };
    done(store, &[Write::Issue(mixed.clone()), Write::Issue(Issue { token: one(), ..issue(&record) })]).await;
    drop_all(&client).await;
    assert_eq!(told(store, redeeming(&first)).await, Verdict::Done);
    drop_all(&client).await;
    assert_eq!(told(store, rotating(&turned)).await, Verdict::Done);
    assert!(valid(store, &turned.access.signature).await && !valid(store, &first.access.signature).await);
    drop_all(&client).await;
    flows_done(store, &[granting(&Grant { access_token: Some(implicit.clone()), ..lone })]).await;
    assert!(valid(store, &implicit.signature).await);
    assert!(!valid(store, &plain.signature).await, "what went with its hour is not there");
    // A clock that is far off, in both directions.
    for hour in [over_for(9000), ExpiryHour::of(later(90_000), later(90_000))] {
        let far = in_hour(&record, hour);
        done(store, &[issuing(&record, far.clone())]).await;
        assert!(valid(store, &far.signature).await);
    }
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_all_hours_are_read_together_and_end_together() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    let tokens: Vec<AccessToken> =
        (0..30).map(|n| timed(token(&record, later(n * 600 + 5)))).chain([token(&record, later(60))]).collect();
    assert!(tokens.iter().map(|t| ExpiryHour::at_head_of(&t.signature)).collect::<BTreeSet<_>>().len() > 5);
    done(store, &tokens.iter().map(|t| issuing(&record, t.clone())).collect::<Vec<_>>()).await;
    let reads = tokens.iter().map(|t| store.access_token(&t.signature));
    for (found, token) in futures_util::future::join_all(reads).await.into_iter().zip(&tokens) {
        assert_eq!(found.unwrap().map(|t| t.signature), Some(token.signature));
    }
    let revoke = |t: &AccessToken| {
        let token = Revoked::Access(t.signature);
        Write::Revoke(Revoke { token, client_id: "a".to_owned(), jti: None })
    };
    done(store, &tokens.iter().take(10).map(revoke).collect::<Vec<_>>()).await;
    assert!(!valid(store, &tokens[3].signature).await && valid(store, &tokens[20].signature).await);
    store.delete_tokens_of_client("a", uuid::Uuid::new_v4()).await.unwrap();
    let left = beside(&fixture).await.query_one("SELECT count(*) FROM access_token", &[]).await.unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reader_delays_the_drop_and_nobody_else() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let (store, reader) = (&fixture.store, beside(&fixture).await);
    let record = created(store, "a").await;
    done(store, &[issuing(&record, in_hour(&record, over_for(3)))]).await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM access_token").await.unwrap();
    let working = traffic(store, &record, 1);
    for _ in 0..5 {
        swept(store).await;
    }
    working.end().await;
    assert!(hours(&reader).await.contains(&over_for(3).number()));
    reader.batch_execute("COMMIT").await.unwrap();
    swept(store).await;
    assert!(!hours(&reader).await.contains(&over_for(3).number()));
    fixture.end().await;
}

/// Tokens issued, read, exchanged, refreshed and revoked until it ends; every single one must be served.
struct Traffic {
    over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<u32>>,
}

impl Traffic {
    async fn end(self) -> u32 {
        self.over.store(true, Ordering::SeqCst);
        let mut rounds = 0;
        for task in self.tasks {
            rounds += task.await.unwrap();
        }
        rounds
    }
}

fn traffic(store: &Arc<dyn Store>, record: &ClientRecord, tasks: u32) -> Traffic {
    let over = Arc::new(AtomicBool::new(false));
    let one = || {
        let (store, record, over) = (Arc::clone(store), record.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut rounds = 0;
            while !over.load(Ordering::SeqCst) {
                round(&store, &record).await;
                rounds += 1;
            }
            rounds
        })
    };
    Traffic { tasks: (0..tasks).map(|_| one()).collect(), over }
}

async fn round(store: &Arc<dyn Store>, record: &ClientRecord) {
    let plain = timed(token(record, later(1800)));
    done(store, &[issuing(record, plain.clone())]).await;
    assert!(valid(store, &plain.signature).await);
    let with_jti = Issue { token: timed(token(record, later(1800))), ..issue(record) };
    let used = super::JtiUse { jti: key(), ..jti(record, 0) };
    done(store, &[Write::Issue(Issue { jti: Some(used), ..with_jti }), Write::RevokeFamily(uuid::Uuid::new_v4())])
        .await;
    let (given, first) = exchanged(store, record, "s").await;
    let mut presented = first.refresh.unwrap().signature;
    for strict in [false, true] {
        let mut order = rotate(record, &given.consent, presented);
        order.access = timed(order.access);
        order.refresh.access_token = order.access.signature;
        order.strict = strict;
        assert_eq!(told(store, rotating(&order)).await, Verdict::Done);
        assert!(valid(store, &order.access.signature).await);
        presented = order.refresh.signature;
    }
    let revoke = Revoke { token: Revoked::Access(plain.signature), client_id: record.id.clone(), jti: None };
    done(store, &[Write::Revoke(revoke)]).await;
    assert!(!valid(store, &plain.signature).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hours_come_and_go_under_traffic_and_no_request_fails() {
    let Some(fixture) = Fixture::postgres().await else { return };
    let (store, client) = (&fixture.store, beside(&fixture).await);
    let record = created(store, "a").await;
    let working = traffic(store, &record, 6);
    let (mut dropped, begun) = (0, std::time::Instant::now());
    for age in 2.. {
        if begun.elapsed() > Duration::from_secs(8) {
            break;
        }
        let old = in_hour(&record, over_for(age));
        done(store, &[issuing(&record, old)]).await;
        assert!(hours(&client).await.contains(&over_for(age).number()));
        swept(store).await;
        dropped += u32::from(!hours(&client).await.contains(&over_for(age).number()));
    }
    let rounds = working.end().await;
    assert!(dropped >= 10 && rounds >= 20, "{dropped} hours were dropped beside {rounds} rounds");
    fixture.end().await;
}
