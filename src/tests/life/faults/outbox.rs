//! A database that is away when the end of a logout token's delivery is to be noted.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{Stand, number};
use crate::harness::{Callee, claims, param, postgres, sign_in};

/// How often the end of a try cannot be noted.
const AWAY: i64 = 3;

/// Neither told again after its lease, nor later for tries that did not fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_took_a_logout_token_is_told_once_though_it_cannot_be_noted_at_once() {
    let Some(admin) = postgres() else { return };
    let stand = Stand::on(&admin, &[]).await;
    let (database, peer) = (&stand.world.database, stand.peer());
    let client = Callee::start(|_| (200, String::new()));
    let web = peer.web_with(json!({"backchannel_logout_uri": client.url})).await;
    let back = sign_in(peer, &web, &[], json!({})).await;
    let tokens = peer.exchange(&web, &param(&back, "code"), &[]).await;
    let sql = format!(
        "CREATE SEQUENCE notes;
         CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('notes') <= {AWAY} THEN RAISE EXCEPTION 'away' USING ERRCODE = '57P03'; END IF;
             RETURN OLD;
         END $$;
         CREATE TRIGGER away BEFORE DELETE ON logout_delivery FOR EACH ROW EXECUTE FUNCTION away();"
    );
    database.client().await.batch_execute(&sql).await.unwrap();
    let sid = claims(&tokens.get("id_token"))["sid"].as_str().unwrap().to_owned();
    let path = format!("/admin/oauth2/auth/sessions/login?sid={sid}");
    assert_eq!(peer.admin(Method::DELETE, &path, None).await.status, 204);
    let began = Instant::now();
    while number(database, "SELECT count(*) FROM logout_delivery").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(15), "it was not noted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(number(database, "SELECT last_value FROM notes").await, AWAY + 1);
    assert_eq!(client.questions().len(), 1, "told, and not again");
}
