//! Orders as the tests write them.

use super::{later, now, token};
use signet::store::{
    AccessKey, Attempt, AuthorizationCode, ClientRecord, Consent, DeviceRequest, FlowVerdict, FlowWrite, Grant, Login,
    LoginSession, Logout, LogoutDelivery, Redeem, RefreshToken, Replay, Rotate, SignatureHash, Source, Store, Verdict,
    Write,
};
use std::sync::Arc;
use uuid::Uuid;

pub fn key() -> SignatureHash {
    let mut key = [7; 32];
    key[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    key
}

pub fn session(subject: &str) -> LoginSession {
    LoginSession {
        id: Uuid::new_v4(),
        subject: subject.to_owned(),
        authenticated_at: now(),
        expires_at: later(3600),
        identity_provider_session_id: "idp".to_owned(),
    }
}

pub fn remember(session: &LoginSession) -> FlowWrite {
    FlowWrite::Login(Login { remember: Some(session.clone()), ..Login::default() })
}

pub fn consent(client: &ClientRecord, subject: &str) -> Consent {
    Consent {
        id: Uuid::new_v4(),
        client_id: client.id.clone(),
        subject: subject.to_owned(),
        session_id: Uuid::new_v4(),
        scope: vec!["openid".to_owned(), "a \"b".to_owned()],
        audience: vec!["https://a".to_owned()],
        skipped: false,
        remember: false,
        remember_until: None,
        requested_at: now(),
        handled_at: now(),
        detail: vec![1, 0, 2],
    }
}

pub fn code(consent: &Consent) -> AuthorizationCode {
    AuthorizationCode {
        signature: key(),
        family_id: consent.id,
        client_id: consent.client_id.clone(),
        redirect_uri: Some("https://app/cb".to_owned()),
        code_challenge: Some("challenge".to_owned()),
        expires_at: later(600),
        session: vec![0, 3],
    }
}

/// A consent with a code.
pub fn grant(client: &ClientRecord, subject: &str) -> Grant {
    let consent = consent(client, subject);
    let code = Some(code(&consent));
    Grant { client_version: client.version, consent, stands_on: None, code, access_token: None, device: None }
}

pub fn granting(grant: &Grant) -> FlowWrite {
    FlowWrite::Grant(Box::new(grant.clone()))
}

/// An access token of the consent's family.
pub fn access(client: &ClientRecord, consent: &Consent) -> signet::store::AccessToken {
    let mut token = token(client, later(3600));
    token.family_id = consent.id;
    token.subject.clone_from(&consent.subject);
    token
}

/// A refresh token of the consent's family, issued with that access token.
pub fn refresh(consent: &Consent, access_token: AccessKey) -> RefreshToken {
    RefreshToken {
        signature: key(),
        family_id: consent.id,
        client_id: consent.client_id.clone(),
        subject: consent.subject.clone(),
        scope: consent.scope.clone(),
        audience: consent.audience.clone(),
        requested_at: now(),
        expires_at: Some(later(7200)),
        access_token,
        session: vec![4, 0],
    }
}

pub fn redeem(client: &ClientRecord, consent: &Consent, source: Source) -> Redeem {
    let access = access(client, consent);
    let refresh = Some(refresh(consent, access.signature));
    Redeem { client_version: client.version, source, access, refresh, jti: None }
}

pub fn redeem_code(client: &ClientRecord, grant: &Grant) -> Redeem {
    redeem(client, &grant.consent, Source::Code(grant.code.as_ref().unwrap().signature))
}

pub fn redeeming(order: &Redeem) -> Write {
    Write::Redeem(Box::new(order.clone()))
}

pub fn rotate(client: &ClientRecord, consent: &Consent, presented: SignatureHash) -> Rotate {
    let access = access(client, consent);
    let refresh = refresh(consent, access.signature);
    let client_version = client.version;
    Rotate { client_version, presented, access, refresh, successor: vec![9, 0, 9], strict: false, jti: None }
}

pub fn rotating(order: &Rotate) -> Write {
    Write::Rotate(Box::new(order.clone()))
}

pub fn replay(presented: SignatureHash, most: u32) -> Write {
    Write::Replay(Replay { presented, most, jti: None })
}

pub fn logout(session_id: Uuid, subject: &str) -> Logout {
    let (subject, clients, keep_until) = (subject.to_owned(), vec!["a".to_owned()], later(3600));
    Logout { session_id, subject, revoke_tokens: false, clients, deliveries: Vec::new(), keep_until }
}

pub fn delivery(client_id: &str) -> LogoutDelivery {
    LogoutDelivery {
        id: Uuid::new_v4(),
        client_id: client_id.to_owned(),
        uri: "https://app/logout".to_owned(),
        subject: "s".to_owned(),
        session_id: Uuid::new_v4(),
        attempts: 0,
    }
}

pub fn attempt(challenge: Uuid, user_code: &[u8; 32], flow_id: Uuid) -> Attempt {
    Attempt {
        challenge,
        challenge_ends: later(600),
        most: 3,
        most_of_all: None,
        user_codes: vec![key(), *user_code],
        flow_id,
    }
}

pub fn device(client: &ClientRecord) -> DeviceRequest {
    DeviceRequest {
        signature: key(),
        user_code: key(),
        client_id: client.id.clone(),
        scope: vec!["openid".to_owned()],
        audience: vec!["https://a".to_owned()],
        requested_at: now(),
        expires_at: later(600),
        interval: 5,
        flow_id: None,
    }
}

/// The verdicts on a batch of flows.
pub async fn wrote(store: &Arc<dyn Store>, batch: &[FlowWrite]) -> Vec<FlowVerdict> {
    store.write_flows(batch).await.unwrap()
}

/// Writes flows that all must be done.
pub async fn flows_done(store: &Arc<dyn Store>, batch: &[FlowWrite]) {
    assert_eq!(wrote(store, batch).await, vec![FlowVerdict::Done; batch.len()]);
}

/// The verdict on one write.
pub async fn told(store: &Arc<dyn Store>, write: Write) -> Verdict {
    store.write_tokens(&[write]).await.unwrap()[0]
}

/// A consent that was granted, its code exchanged: the grant and the exchange.
pub async fn exchanged(store: &Arc<dyn Store>, client: &ClientRecord, subject: &str) -> (Grant, Redeem) {
    let grant = grant(client, subject);
    flows_done(store, &[granting(&grant)]).await;
    let order = redeem_code(client, &grant);
    assert_eq!(told(store, redeeming(&order)).await, Verdict::Done);
    (grant, order)
}

/// Whether the access token of that key is valid.
pub async fn valid(store: &Arc<dyn Store>, signature: &AccessKey) -> bool {
    store.access_token(signature).await.unwrap().is_some()
}
