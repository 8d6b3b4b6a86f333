//! Login sessions: remembered, extended, ended; names of subjects.

use super::made::{
    delivery, exchanged, flows_done, grant, granting, logout, redeem_code, redeeming, remember, session, told, valid,
    wrote,
};
use super::{created, earlier, later};
use signet::store::FlowVerdict::{ClientChanged, Done, Used};
use signet::store::{FlowWrite, ForcedSubject, Login, LoginSession, Logout, OutboxDepth, Store, Verdict};
use std::sync::Arc;
use uuid::Uuid;

fn forced(client: &str, subject: &str, name: &str) -> Option<ForcedSubject> {
    Some(ForcedSubject { client_id: client.to_owned(), subject: subject.to_owned(), forced: name.to_owned() })
}

pub async fn a_login_is_remembered(store: &Arc<dyn Store>) {
    let (one, two) = (session("größe"), LoginSession { identity_provider_session_id: String::new(), ..session("b") });
    flows_done(store, &[remember(&one), remember(&two)]).await;
    assert_eq!(store.login_session(one.id).await.unwrap(), Some(one));
    assert_eq!(store.login_session(two.id).await.unwrap(), Some(two));
    assert_eq!(store.login_session(Uuid::new_v4()).await.unwrap(), None);
    assert_eq!(wrote(store, &[]).await, []);
}

pub async fn a_login_comes_once_and_else_writes_nothing(store: &Arc<dyn Store>) {
    let (first, other) = (session("a"), session("a"));
    flows_done(store, &[remember(&first), remember(&other)]).await;
    let again = Login {
        remember: Some(LoginSession { subject: "thief".to_owned(), ..first.clone() }),
        extend: Some((other.id, later(9000))),
        ends: Some(other.id),
        forced: forced("c", "thief", "x"),
    };
    assert_eq!(wrote(store, &[FlowWrite::Login(again.clone())]).await, [Used]);
    assert_eq!(wrote(store, &[FlowWrite::DenyDevice(Uuid::new_v4()), FlowWrite::Login(again)]).await, [Used, Used]);
    assert_eq!(store.login_session(first.id).await.unwrap(), Some(first));
    assert_eq!(store.login_session(other.id).await.unwrap(), Some(other));
    assert_eq!(store.forced_subject("c", "thief").await.unwrap(), None);
    let twice = session("b");
    let changed = LoginSession { subject: "c".to_owned(), ..twice.clone() };
    assert_eq!(
        wrote(store, &[remember(&twice), remember(&changed), remember(&session("d"))]).await,
        [Done, Used, Done]
    );
    assert_eq!(store.login_session(twice.id).await.unwrap(), Some(twice));
}

pub async fn a_login_without_memory_is_always_done(store: &Arc<dyn Store>) {
    let unknown = Login { extend: Some((Uuid::new_v4(), later(1))), ends: Some(Uuid::new_v4()), ..Login::default() };
    let plain = FlowWrite::Login(Login::default());
    flows_done(store, &[plain.clone(), FlowWrite::Login(unknown), plain]).await;
}

pub async fn a_session_is_extended_and_ended(store: &Arc<dyn Store>) {
    let (kept, ended, over) = (session("a"), session("a"), LoginSession { expires_at: earlier(1), ..session("a") });
    flows_done(store, &[remember(&kept), remember(&ended), remember(&over)]).await;
    assert_eq!(store.login_session(over.id).await.unwrap(), None);
    let until = later(9000);
    let extend = |id| FlowWrite::Login(Login { extend: Some((id, until)), ..Login::default() });
    let end = |id| FlowWrite::Login(Login { ends: Some(id), ..Login::default() });
    flows_done(store, &[extend(kept.id), end(ended.id), extend(over.id)]).await;
    assert_eq!(store.login_session(kept.id).await.unwrap(), Some(LoginSession { expires_at: until, ..kept.clone() }));
    assert_eq!(store.login_session(ended.id).await.unwrap(), None);
    // Neither what ended nor what is over comes back.
    flows_done(store, &[extend(ended.id), extend(over.id)]).await;
    assert_eq!(store.login_session(ended.id).await.unwrap(), None);
    assert_eq!(store.login_session(over.id).await.unwrap(), None);
    assert_eq!(wrote(store, &[remember(&ended)]).await, [Used]);
    flows_done(store, &[extend(kept.id), end(kept.id), extend(kept.id)]).await;
    assert_eq!(store.login_session(kept.id).await.unwrap(), None);
}

pub async fn a_subject_has_the_last_name_it_was_given(store: &Arc<dyn Store>) {
    let login = |client: &str, subject: &str, name: &str| {
        FlowWrite::Login(Login { forced: forced(client, subject, name), ..Login::default() })
    };
    flows_done(store, &[login("a", "s", "1"), login("a", "s", "2"), login("b", "s", "3"), login("a", "t", "4")]).await;
    let name = async |client, subject| store.forced_subject(client, subject).await.unwrap();
    assert_eq!(name("a", "s").await.as_deref(), Some("2"));
    assert_eq!(name("b", "s").await.as_deref(), Some("3"));
    assert_eq!(name("b", "t").await, None);
    flows_done(store, &[login("a", "s", "5")]).await;
    assert_eq!(name("a", "s").await.as_deref(), Some("5"));
    assert_eq!(name("a\0", "s").await, None);
}

pub async fn a_logout_is_done_once(store: &Arc<dyn Store>) {
    let (known, unknown) = (session("a"), Uuid::new_v4());
    flows_done(store, &[remember(&known)]).await;
    for id in [known.id, unknown] {
        let out = FlowWrite::Logout(Logout { deliveries: vec![delivery("c")], ..logout(id, "a") });
        let too = FlowWrite::Logout(Logout { deliveries: vec![delivery("c")], ..logout(id, "a") });
        assert_eq!(wrote(store, &[out, too.clone()]).await, [Done, Used]);
        assert_eq!(wrote(store, &[too]).await, [Used]);
        assert_eq!(store.login_session(id).await.unwrap(), None);
        let reused = LoginSession { id, ..session("a") };
        assert_eq!(wrote(store, &[remember(&reused)]).await, [Used]);
    }
    // Only the first one's is to be delivered.
    assert_eq!(store.outbox_depth().await.unwrap(), OutboxDepth { waiting: 2, dead: 0 });
}

pub async fn a_logout_that_knows_not_all_clients_is_decided_again(store: &Arc<dyn Store>) {
    let (client, known) = (created(store, "a").await, session("s"));
    let mut grant = grant(&client, "s");
    grant.consent.session_id = known.id;
    flows_done(store, &[remember(&known), granting(&grant)]).await;
    let unaware = Logout { clients: Vec::new(), deliveries: vec![delivery("b")], ..logout(known.id, "s") };
    let aware = Logout { deliveries: vec![delivery("a")], ..logout(known.id, "s") };
    assert_eq!(wrote(store, &[FlowWrite::Logout(unaware.clone())]).await, [ClientChanged]);
    assert_eq!(store.login_session(known.id).await.unwrap(), Some(known.clone()), "nothing was written");
    assert_eq!(store.outbox_depth().await.unwrap(), OutboxDepth { waiting: 0, dead: 0 });
    let both = [unaware, aware].map(FlowWrite::Logout);
    assert_eq!(wrote(store, &both).await, [ClientChanged, Done]);
    assert_eq!(store.login_session(known.id).await.unwrap(), None);
    assert_eq!(store.outbox_depth().await.unwrap(), OutboxDepth { waiting: 1, dead: 0 });
}

pub async fn a_logout_ends_what_was_granted_in_its_session(store: &Arc<dyn Store>) {
    let client = created(store, "a").await;
    let id = Uuid::new_v4();
    let mut orders = Vec::new();
    for session in [id, id, Uuid::new_v4()] {
        let mut grant = grant(&client, "s");
        grant.consent.session_id = session;
        flows_done(store, &[granting(&grant)]).await;
        let order = redeem_code(&client, &grant);
        assert_eq!(told(store, redeeming(&order)).await, Verdict::Done);
        orders.push(order);
    }
    flows_done(store, &[FlowWrite::Logout(logout(Uuid::new_v4(), "s"))]).await;
    assert!(valid(store, &orders[0].access.signature).await);
    let order = Logout { revoke_tokens: true, ..logout(id, "s") };
    flows_done(store, &[FlowWrite::Logout(order)]).await;
    assert!(!valid(store, &orders[0].access.signature).await && !valid(store, &orders[1].access.signature).await);
    assert!(valid(store, &orders[2].access.signature).await);
    let revoked = store.refresh_token(&orders[0].refresh.as_ref().unwrap().signature).await.unwrap().unwrap();
    assert!(revoked.revoked);
}

pub async fn a_logout_may_spare_what_was_granted(store: &Arc<dyn Store>) {
    let client = created(store, "a").await;
    let (grant, order) = exchanged(store, &client, "s").await;
    flows_done(store, &[FlowWrite::Logout(logout(grant.consent.session_id, "s"))]).await;
    assert!(valid(store, &order.access.signature).await);
}

pub async fn sessions_of_a_subject_end_together(store: &Arc<dyn Store>) {
    let client = created(store, "a").await;
    let (_, order) = exchanged(store, &client, "s").await;
    let (one, two, other) = (session("s"), session("s"), session("t"));
    let over = LoginSession { expires_at: earlier(1), ..session("s") };
    flows_done(store, &[remember(&one), remember(&two), remember(&other), remember(&over)]).await;
    assert_eq!(store.end_sessions_of_subject("s").await, Ok(2));
    assert_eq!(store.end_sessions_of_subject("s").await, Ok(0));
    assert_eq!(store.end_sessions_of_subject("s\0").await, Ok(0));
    for id in [one.id, two.id] {
        assert_eq!(store.login_session(id).await.unwrap(), None);
    }
    assert!(store.login_session(other.id).await.unwrap().is_some());
    assert!(valid(store, &order.access.signature).await);
    assert_eq!(wrote(store, &[FlowWrite::Logout(logout(one.id, "s"))]).await, [Used]);
}

pub async fn kinds_of_flows_share_a_batch(store: &Arc<dyn Store>) {
    let client = created(store, "a").await;
    let (old, new) = (session("s"), session("s"));
    flows_done(store, &[remember(&old)]).await;
    let mut stale = grant(&client, "s");
    stale.client_version = 7;
    let fresh = grant(&client, "s");
    let batch = [
        granting(&stale),
        FlowWrite::Logout(logout(old.id, "s")),
        remember(&new),
        FlowWrite::DenyDevice(Uuid::new_v4()),
        granting(&fresh),
        remember(&new),
        FlowWrite::Logout(logout(old.id, "s")),
    ];
    use signet::store::FlowVerdict::ClientChanged;
    assert_eq!(wrote(store, &batch).await, [ClientChanged, Done, Done, Used, Done, Used, Used]);
    assert_eq!(store.login_session(old.id).await.unwrap(), None);
    assert!(store.login_session(new.id).await.unwrap().is_some());
    assert!(store.authorization_code(&fresh.code.unwrap().signature).await.unwrap().is_some());
    assert!(store.authorization_code(&stale.code.unwrap().signature).await.unwrap().is_none());
}
