//! PostgreSQL alone: how many statements a verb costs, and that none of them reads a whole table.

use super::made::{
    attempt, device, exchanged, flows_done, grant, granting, key, logout, redeem_code, redeeming, remember, replay,
    rotate, rotating, session, told,
};
use super::tap::{Heard, tapped};
use super::{Fixture, created, earlier, issue, jti, later, new_database, options, sql_at};
use signet::store::{
    ConsentFilter, ConsentPage, Delivered, FlowWrite, ForcedSubject, Issue, Login, Logout, Revoke, Revoked, Store,
    Verdict, Write, migrate, open,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A store whose statements are heard.
async fn heard_store() -> Option<(Fixture, Heard)> {
    let (dsn, database) = new_database().await?;
    migrate(&dsn, &mut |_| true).await.unwrap();
    let heard = Heard::default();
    let store = open(options(&tapped(&dsn, &heard).await)).await.unwrap();
    let clock = Arc::default();
    Some((Fixture { store, clock, dsn, database: Some(database), _dir: None }, heard))
}

/// The statements that a verb runs.
async fn cost<T>(heard: &Heard, verb: impl Future<Output = T>) -> Vec<String> {
    let background = |sql: &String| sql.starts_with("LISTEN") || sql == "SELECT 1";
    heard.lock().unwrap().clear();
    verb.await;
    heard.lock().unwrap().iter().filter(|sql| !background(sql)).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_verbs_are_one_statement() {
    let Some((fixture, heard)) = heard_store().await else { return };
    let store = &fixture.store;
    let record = created(store, "a").await;
    let writing = async |writes: Vec<Write>| {
        let spent = cost(&heard, super::done(store, &writes)).await;
        assert_eq!(spent.len(), 1, "{spent:#?}");
    };
    let flowing = async |writes: Vec<FlowWrite>| {
        let spent = cost(&heard, flows_done(store, &writes)).await;
        assert_eq!(spent.len(), 1, "{spent:#?}");
    };
    let one = |spent: Vec<String>| assert_eq!(spent.len(), 1, "{spent:#?}");

    let grants = [(); 3].map(|()| grant(&record, "s"));
    flowing(grants.iter().map(granting).collect()).await;
    let forced = ForcedSubject { client_id: "a".to_owned(), subject: "s".to_owned(), forced: "f".to_owned() };
    let known = session("s");
    let busy = Login { forced: Some(forced), ends: Some(known.id), ..Login::default() };
    flowing(vec![remember(&known), remember(&session("s")), FlowWrite::Login(busy)]).await;
    one(cost(&heard, store.login_session(known.id)).await);
    one(cost(&heard, store.previous_consent("a", "s")).await);
    one(cost(&heard, store.forced_subject("a", "s")).await);
    one(cost(&heard, store.authorization_code(&grants[0].code.as_ref().unwrap().signature)).await);
    let orders = grants.each_ref().map(|g| redeem_code(&record, g));
    writing(orders.iter().map(redeeming).collect()).await;
    let refresh = orders.each_ref().map(|o| o.refresh.as_ref().unwrap().signature);
    one(cost(&heard, store.refresh_token(&refresh[0])).await);
    let rotations = [0, 1].map(|at| rotating(&rotate(&record, &grants[at].consent, refresh[at])));
    writing(rotations.to_vec()).await;
    writing(vec![replay(refresh[0], 3), replay(refresh[1], 3)]).await;
    one(cost(&heard, store.access_token(&orders[2].access.signature)).await);
    writing(vec![Write::Issue(issue(&record)), Write::Issue(issue(&record))]).await;
    let revoke = |token| Write::Revoke(Revoke { token, client_id: "a".to_owned(), jti: None });
    writing(vec![revoke(Revoked::Access(orders[2].access.signature)), revoke(Revoked::Refresh(refresh[0]))]).await;
    writing(vec![Write::RevokeFamily(grants[1].consent.id)]).await;
    one(cost(&heard, store.create_device(&device(&record), 1)).await);
    one(cost(&heard, store.poll_device(&key(), "a")).await);
    fixture.end().await;
}

/// Every verb that there is but those of keys and upkeep, with something to do.
async fn every_verb(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (given, first) = exchanged(store, &record, "s").await;
    let refresh = first.refresh.unwrap().signature;
    let with_jti = Issue { jti: Some(jti(&record, 1)), ..issue(&record) };
    let mixed = [Write::Issue(with_jti), rotating(&rotate(&record, &given.consent, refresh)), replay(refresh, 0)];
    assert_eq!(store.write_tokens(&mixed).await.unwrap(), [Verdict::Done, Verdict::Done, Verdict::Used]);
    for write in [
        replay(refresh, 3),
        Write::Issue(issue(&record)),
        rotating(&rotate(&record, &given.consent, refresh)),
        Write::Revoke(Revoke { token: Revoked::Refresh(refresh), client_id: "a".to_owned(), jti: None }),
        Write::RevokeFamily(given.consent.id),
    ] {
        told(store, write).await;
    }
    let (known, asked) = (session("s"), device(&record));
    flows_done(store, &[remember(&known), FlowWrite::Login(Login::default())]).await;
    let out = Logout { revoke_tokens: true, deliveries: vec![super::made::delivery("a")], ..logout(known.id, "s") };
    let delivery = out.deliveries[0].clone();
    flows_done(store, &[FlowWrite::Logout(out), granting(&grant(&record, "s"))]).await;
    store.create_device(&asked, 1).await.unwrap();
    let flow = Uuid::new_v4();
    store.guess_user_code(&attempt(Uuid::new_v4(), &key(), flow)).await.unwrap();
    store.guess_user_code(&attempt(Uuid::new_v4(), &asked.user_code, flow)).await.unwrap();
    flows_done(store, &[FlowWrite::DenyDevice(flow)]).await;
    store.poll_device(&asked.signature, "a").await.unwrap();
    store.claim_deliveries(1, Duration::from_secs(1)).await.unwrap();
    for outcome in [Delivered::Retry(Duration::ZERO), Delivered::Dead, Delivered::Done] {
        store.settle_delivery(&delivery, outcome).await.unwrap();
    }
    store.put_flow_body(&key(), &[1], later(60)).await.unwrap();
    store.flow_body(&key()).await.unwrap();
    store.access_token(&[7; 34]).await.unwrap();
    store.refresh_token(&key()).await.unwrap();
    store.authorization_code(&key()).await.unwrap();
    store.login_session(known.id).await.unwrap();
    store.previous_consent("a", "s").await.unwrap();
    store.forced_subject("a", "s").await.unwrap();
    store.consents_since(earlier(60), 1).await.unwrap();
    store.consents(&ConsentPage { subject: "s".to_owned(), session_id: None, before: None, limit: 9 }).await.unwrap();
    store.clients_of_session(known.id, "s").await.unwrap();
    store.end_sessions_of_subject("s").await.unwrap();
    let of_client = ConsentFilter::Client { subject: "s".to_owned(), client_id: "a".to_owned() };
    for filter in [ConsentFilter::Id(given.consent.id), of_client, ConsentFilter::Subject("s".to_owned())] {
        store.revoke_consents(&filter).await.unwrap();
    }
    store.client("a").await.unwrap();
    store.replace_client(&record, 1).await.unwrap();
    store.delete_tokens_of_client("a", Uuid::new_v4()).await.unwrap();
    store.delete_client("a").await.unwrap();
    let gone = created(store, "b").await;
    store.delete_client(&gone.id).await.unwrap();
    store.sweep(1000).await.unwrap();
}

/// Many rows in every table that grows.
const FILL: &str = "
    INSERT INTO token_family (id, nid, client_id, subject, shared, revoked_at, version)
    SELECT gen_random_uuid(), n.id, 'c' || i % 5000, 's', false, CASE WHEN i % 50 = 0 THEN now() END, 1
    FROM network n, generate_series(1, 20000) i;
    INSERT INTO access_token
    SELECT p.hour || sha256(f.id::text::bytea), f.nid, f.id, f.client_id, 's', '[]', '[]', now(),
           now() + interval '1 day', ''
    FROM (SELECT *, row_number() OVER () AS n FROM token_family) f
    JOIN (SELECT decode(right(c.relname, 4), 'hex') AS hour, row_number() OVER () - 1 AS n
          FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          WHERE i.inhparent = 'access_token'::regclass) p ON p.n = f.n % 4;
    INSERT INTO refresh_token
    SELECT signature, nid, family_id, client_id, 's' || right(signature::text, 6), '[]', '[]', now(), expires_at, NULL, 0,
           signature, '', '' FROM access_token;
    INSERT INTO authorization_code
    SELECT signature, nid, family_id, client_id, NULL, NULL, expires_at, NULL, '' FROM access_token;
    INSERT INTO device
    SELECT signature, nid, signature, client_id, '[]', '[]', now(), expires_at, 5, NULL, gen_random_uuid(), 'pending',
           NULL, '' FROM access_token;
    INSERT INTO consent
    SELECT family_id, nid, client_id, 's' || right(signature::text, 6), gen_random_uuid(), '[]', '[]', false, true, NULL,
           now(), expires_at - interval '1 day', '', expires_at FROM access_token;
    INSERT INTO login_session
    SELECT family_id, nid, 's' || right(signature::text, 6), now(), expires_at, NULL, '' FROM access_token;
    INSERT INTO device_guess SELECT family_id, nid, 0, expires_at FROM access_token;
    INSERT INTO forced_subject SELECT nid, client_id, family_id::text, '' FROM access_token;
    INSERT INTO flow_body SELECT signature, nid, '', expires_at FROM access_token;
    INSERT INTO assertion_jti SELECT nid, client_id, signature, expires_at FROM access_token;
    INSERT INTO logout_delivery
    SELECT family_id, nid, client_id, '', '', family_id, 0, expires_at, false, now() FROM access_token;
    INSERT INTO client
    SELECT n.id, 'c' || i, '', '', '{}', '', '[]', NULL, gen_random_uuid(), 1, now(), now()
    FROM network n, generate_series(1, 20000) i";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_reads_a_whole_table() {
    let Some((fixture, heard)) = heard_store().await else { return };
    for sql in FILL.split(';').chain(["ANALYZE"]) {
        sql_at(&fixture.dsn, sql).await.unwrap();
    }
    let run = cost(&heard, every_verb(&fixture.store)).await;
    let (client, connection) = tokio_postgres::connect(&fixture.dsn, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let (mut mode, mut seen) = ("force_generic_plan", BTreeSet::new());
    for sql in &run {
        match sql.as_str() {
            "BEGIN" | "START TRANSACTION" | "COMMIT" | "ROLLBACK" => {
                mode = "force_generic_plan";
                continue;
            }
            other if other.starts_with("SET LOCAL plan_cache_mode") => {
                mode = "force_custom_plan";
                continue;
            }
            // Which hours there are.
            other if other.contains("pg_inherits") => continue,
            // How many wait is counted by looking at all of them.
            other if other.contains("count(*) FILTER") => continue,
            other if !seen.insert(other) => continue,
            _ => {}
        }
        let plan = plan(&client, sql, mode).await;
        assert!(!plan.contains("Seq Scan") || plan.contains("Seq Scan on network"), "{sql}\n{plan}");
    }
    assert!(seen.len() > 60, "{}", seen.len());
    fixture.end().await;
}

/// The plan for whatever values there may be; for small ones in the custom mode.
async fn plan(client: &tokio_postgres::Client, sql: &str, mode: &str) -> String {
    let prepare = format!("SET plan_cache_mode = {mode}; DEALLOCATE ALL; PREPARE it AS {sql}");
    client.batch_execute(&prepare).await.unwrap_or_else(|fault| panic!("{fault:?}: {sql}"));
    let nid: String = client.query_one("SELECT id::text FROM network", &[]).await.unwrap().get(0);
    let taken = "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'it'";
    let values: Vec<String> = client
        .query(taken, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| match row.get(0) {
            "bigint" | "integer" => "10".to_owned(),
            "uuid" => format!("'{nid}'"),
            "uuid[]" => format!("'{{{nid}}}'"),
            "text" => "'c7'".to_owned(),
            _ => "NULL".to_owned(),
        })
        .collect();
    let values = if values.is_empty() { String::new() } else { format!("({})", values.join(", ")) };
    let plan = client.simple_query(&format!("EXPLAIN EXECUTE it{values}")).await.unwrap();
    let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    plan.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}
