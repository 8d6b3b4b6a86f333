//! Transactions that lose against others: tried again as a whole, three times at most, with a pause, within the request's
//! time; then 503, and nothing of it was done. What a PostgreSQL made of many machines says all day long.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio_postgres::Client;

use super::{Stand, number, series, unavailable};
use crate::harness::{Answer, Browser, Database, Peer, Web, accept, consented, grant_device, param, postgres};

const LOST: &str = "signet_db_tx_retries_total{reason=\"serialization\"}";
const DEADLOCKS: &str = "signet_db_tx_retries_total{reason=\"deadlock\"}";

/// Makes transactions lose while `n`, which counts their tries, is so. A transaction that has passed once has passed.
async fn lose_while(database: &Database, rule: &str) {
    let sql = format!(
        "DROP SEQUENCE IF EXISTS fault_tries, fault_at_1, fault_at_2, fault_at_3 CASCADE;
         CREATE SEQUENCE fault_tries;
         CREATE SEQUENCE fault_at_1; CREATE SEQUENCE fault_at_2; CREATE SEQUENCE fault_at_3;
         CREATE OR REPLACE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE n bigint;
         BEGIN
             IF current_setting('fault.passed', true) = txid_current()::text THEN RETURN NULL; END IF;
             -- Sweeps, which plan anew, and which nobody asks for either.
             IF current_setting('plan_cache_mode') = 'force_custom_plan' THEN RETURN NULL; END IF;
             n := nextval('fault_tries');
             IF n <= 3 THEN PERFORM setval('fault_at_' || n, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint); END IF;
             IF {rule} THEN RAISE EXCEPTION 'somebody else won' USING ERRCODE = '40001'; END IF;
             PERFORM set_config('fault.passed', txid_current()::text, true);
             RETURN NULL;
         END $$;
         DO $$ DECLARE name text; BEGIN
             -- Deliveries are looked for all the time, which nobody asks for.
             FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'logout_delivery' LOOP
                 EXECUTE format('CREATE OR REPLACE TRIGGER fault BEFORE INSERT OR UPDATE OR DELETE ON %I
                                 FOR EACH STATEMENT EXECUTE FUNCTION fault()', name);
             END LOOP;
         END $$;"
    );
    database.client().await.batch_execute(&sql).await.unwrap();
}

async fn lose_no_more(database: &Database) {
    database.client().await.batch_execute("DROP FUNCTION fault CASCADE").await.unwrap();
}

async fn tries(database: &Database) -> i64 {
    number(database, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM fault_tries").await
}

const ROWS: &str = "SELECT (SELECT count(*) FROM access_token) + (SELECT count(*) FROM refresh_token)
    + (SELECT count(*) FROM refresh_token WHERE used_at IS NOT NULL) * 1000000
    + (SELECT count(*) FROM authorization_code WHERE spent_at IS NOT NULL) * 1000
    + (SELECT count(*) FROM token_family WHERE revoked_at IS NOT NULL) * 100000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_always_loses_is_tried_three_times_and_leaves_nothing() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &[]).await;
    let (world, peer) = (&stand.world, stand.peer());
    let (id, secret) = world.machine().await;
    let web = world.web().await;
    let (code, tokens) = (world.code(&web).await, world.tokens(&web).await);
    let (token, access) = (tokens.get("refresh_token"), peer.token(&id, &secret).await);
    let before = number(&world.database, ROWS).await;
    type Ask<'a> = std::pin::Pin<Box<dyn Future<Output = Answer> + 'a>>;
    let asks: [(&str, Ask<'_>); 4] = [
        ("issue", Box::pin(peer.client_credentials(&id, &secret))),
        ("exchange", Box::pin(peer.exchange(&web, &code, &[]))),
        ("refresh", Box::pin(peer.refresh(&web, &token, &[]))),
        ("revoke", Box::pin(peer.revoke(&access, &id, &secret))),
    ];
    for (what, ask) in asks {
        lose_while(&world.database, "true").await;
        let (lost, began) = (series(peer, LOST).await, Instant::now());
        unavailable(what, &ask.await);
        assert!(began.elapsed() < Duration::from_millis(2500), "{what}: {:?}", began.elapsed());
        assert_eq!(tries(&world.database).await, 3, "{what}");
        assert_eq!(series(peer, LOST).await, lost + 2, "{what}: counted");
        let at = "SELECT ARRAY[b.last_value - a.last_value, c.last_value - b.last_value]
                  FROM fault_at_1 a, fault_at_2 b, fault_at_3 c";
        let pauses: Vec<i64> = world.database.client().await.query_one(at, &[]).await.unwrap().get(0);
        assert!(pauses[0] >= 10_000 && pauses[1] >= 20_000, "{what}: no pause between tries: {pauses:?} microseconds");
        assert_eq!(number(&world.database, ROWS).await, before, "{what}: something was done");
    }
    lose_no_more(&world.database).await;
    assert!(peer.is_active(&access).await, "it was not revoked");
    assert_eq!(peer.exchange(&web, &code, &[]).await.status, 200, "the code was not used up");
    assert_eq!(peer.refresh(&web, &token, &[]).await.status, 200, "nor the refresh token");
}

/// Every kind of write, from a client's creation to its deletion.
async fn everything(stand: &Stand) {
    let (world, peer) = (&stand.world, stand.peer());
    let web = world
        .web_with(json!({"grant_types": ["authorization_code", "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code"], "post_logout_redirect_uris": ["http://127.0.0.1:9010/bye"]}))
        .await;
    client_changes(peer, &web).await;
    let mut browser = Browser::default();
    let page = browser.signed_in(peer, &web, &[], json!({"subject": "a-user", "remember": true})).await;
    let code = param(&consented(peer, &mut browser, &page).await.location(), "code");
    let first = good("exchange", peer.exchange(&web, &code, &[]).await);
    let second = good("refresh", peer.refresh(&web, &first.get("refresh_token"), &[]).await);
    assert!(!peer.is_active(&first.get("access_token")).await && peer.is_active(&second.get("access_token")).await);
    good("revoke", peer.revoke(&second.get("refresh_token"), &web.id, &web.secret).await);
    assert!(!peer.is_active(&second.get("access_token")).await);
    let remembered = json!({"grant_scope": ["openid"], "remember": true});
    let page = browser.ask(peer, &web, &[]).await.location();
    let page = if param(&page, "login_challenge").is_empty() {
        page
    } else {
        let back = accept(peer, "login", &page, json!({"subject": "a-user"})).await;
        browser.go(peer, &back).await.location()
    };
    let back = accept(peer, "consent", &page, remembered).await;
    assert!(!param(&browser.go(peer, &back).await.location(), "code").is_empty(), "a remembered consent");
    let asked = good("device", peer.device(&web, &[("scope", "openid offline")]).await);
    grant_device(peer, &asked.get("user_code"), &["openid", "offline"]).await;
    let tokens = good("poll", peer.poll(&web, &asked.get("device_code")).await);
    let reused = peer.refresh(&web, &tokens.get("refresh_token"), &[]).await;
    assert_eq!(peer.refresh(&web, &tokens.get("refresh_token"), &[]).await.status, 400, "used");
    assert!(!peer.is_active(&good("refresh", reused).get("access_token")).await, "and its grant is over");
    let gone = |path: String| async move { peer.admin(Method::DELETE, &path, None).await.status };
    assert_eq!(gone("/admin/oauth2/auth/sessions/consent?subject=a-user&all=true".to_owned()).await, 204);
    assert_eq!(gone("/admin/oauth2/auth/sessions/login?subject=a-user".to_owned()).await, 204);
    assert_eq!(gone(format!("/admin/oauth2/tokens?client_id={}", web.id)).await, 204);
    assert_eq!(gone(format!("/admin/clients/{}", web.id)).await, 204);
    let made = peer.admin(Method::POST, "/admin/keys/some-set", Some(json!({"alg": "ES256", "use": "sig"}))).await;
    assert_eq!(made.status, 201, "{}", made.brief());
    assert_eq!(gone("/admin/keys/some-set".to_owned()).await, 204);
}

async fn client_changes(peer: &Peer, web: &Web) {
    let path = format!("/admin/clients/{}", web.id);
    let patch = json!([{"op": "replace", "path": "/client_name", "value": "patched"}]);
    let patched = good("patch", peer.admin(Method::PATCH, &path, Some(patch)).await);
    let mut whole = patched.json();
    whole["client_name"] = json!("put");
    let put = good("put", peer.admin(Method::PUT, &path, Some(whole)).await);
    assert_eq!((patched.get("client_name").as_str(), put.get("client_name").as_str()), ("patched", "put"));
}

fn good(what: &str, answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{what}: {}", answer.brief());
    answer
}

async fn losing(rule: &str) {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &[]).await;
    lose_while(&stand.world.database, rule).await;
    everything(&stand).await;
    let lost = series(stand.peer(), LOST).await;
    assert!(lost >= 15, "hardly anything lost: {lost}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_that_loses_once_is_done_in_the_end() {
    losing("n % 2 <> 0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_that_loses_twice_is_done_in_the_end() {
    losing("n % 3 <> 0").await;
}

/// Waits until a server's statement waits for a row.
pub(super) async fn waits_for_a_row(watcher: &Client) {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'signet' AND wait_event_type = 'Lock'";
    let until = Instant::now() + Duration::from_secs(10);
    while watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(Instant::now() < until, "nobody waits");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const HOLD: &str = "BEGIN; SELECT id FROM token_family WHERE NOT shared FOR UPDATE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_others_hold_is_waited_for_a_second_at_most() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &[]).await;
    let web = stand.world.web().await;
    let token = stand.world.tokens(&web).await.get("refresh_token");
    let (holder, watcher) = (stand.world.database.client().await, stand.world.database.client().await);
    holder.batch_execute(HOLD).await.unwrap();
    let began = Instant::now();
    unavailable("held", &stand.peer().refresh(&web, &token, &[]).await);
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    let refresh = stand.peer().refresh(&web, &token, &[]);
    let free = async {
        waits_for_a_row(&watcher).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (answer, ()) = tokio::join!(refresh, free);
    good("a refresh that waited", answer);
}

/// Those whose commit would have been shared with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_row_waits_alone() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &[]).await;
    let web = stand.world.web().await;
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        held.push(stand.world.tokens(&web).await.get("refresh_token"));
    }
    let (holder, watcher) = (stand.world.database.client().await, stand.world.database.client().await);
    holder.batch_execute(HOLD).await.unwrap();
    for _ in 0..12 {
        free.push(stand.world.tokens(&web).await.get("refresh_token"));
    }
    let refresh = async |token: &String| stand.peer().refresh(&web, token, &[]).await;
    // These are under way and wait, so that the others gather behind them.
    let first = join_all(held[1..].iter().map(refresh));
    let gathered = async {
        waits_for_a_row(&watcher).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::join!(refresh(&held[0]), join_all(free.iter().map(refresh)))
    };
    let (first, (alone, others)) = tokio::join!(first, gathered);
    for answer in first.iter().chain([&alone]) {
        unavailable("held", answer);
    }
    for answer in others {
        good("a refresh that has its row", answer);
    }
    holder.batch_execute("ROLLBACK").await.unwrap();
    for token in &held {
        good("what was held is not used up", refresh(token).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_chosen_in_a_deadlock_is_tried_again() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &[]).await;
    let web = stand.world.web().await;
    let token = stand.world.tokens(&web).await.get("refresh_token");
    let (holder, watcher) = (stand.world.database.client().await, stand.world.database.client().await);
    // Ours looks soon, the other one late: it is ours that is chosen.
    let sooner =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 400', current_database()); END $$";
    watcher.batch_execute(sooner).await.unwrap();
    stand.proxy.cut();
    stand.proxy.mend();
    let path = format!("/admin/clients/{}", web.id);
    let ask = async || stand.peer().admin(Method::GET, &path, None).await;
    super::healed("connected anew", Duration::from_secs(5), ask).await;
    holder.batch_execute(&format!("SET deadlock_timeout = '20s'; {HOLD}")).await.unwrap();
    let refresh = stand.peer().refresh(&web, &token, &[]);
    let cross = async {
        waits_for_a_row(&watcher).await;
        holder.batch_execute("UPDATE client SET name = name; COMMIT").await.unwrap();
    };
    let (answer, ()) = tokio::join!(refresh, cross);
    good("a refresh that was chosen", answer);
    assert_eq!(series(stand.peer(), DEADLOCKS).await, 1);
}
