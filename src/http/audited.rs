//! What handlers tell the audit stream. Called once what is told is committed; what a write takes with it is noted before.

use super::public::token::known;
use super::{ApiError, App};
use crate::domain::flow::Flow;
use crate::domain::token::expiry_hour::hash_in;
use crate::store::{AccessToken, ConsentFilter, Grant, RefreshToken, Revoked, Write};
use crate::telemetry::audit::{self, AuditEvent, Facts, signature};
use crate::telemetry::labels::TokenType;
use crate::telemetry::request_log::printable;
use std::borrow::Cow;
use uuid::Uuid;

/// `consent_request_id` as the admin API writes it.
fn consent(id: Uuid) -> String {
    id.simple().to_string()
}

/// What is known of every step of a flow.
pub fn flow(of: &Flow) -> Facts<'_> {
    Facts {
        client_id: Some(of.client_id.as_str().into()),
        consent_request_id: Some(consent(of.consent_id())),
        ..Facts::default()
    }
}

/// What a grant is known by: its client and its family.
pub fn grant<'a>(client_id: &'a str, family_id: Uuid, grant_type: &'a str) -> Facts<'a> {
    Facts {
        client_id: Some(client_id.into()),
        grant_type: Some(grant_type),
        consent_request_id: Some(consent(family_id)),
        ..Facts::default()
    }
}

/// A client.
pub fn client<'a>(id: &'a str, name: Option<&'a str>) -> Facts<'a> {
    Facts { client_id: Some(id.into()), client_name: name, ..Facts::default() }
}

/// Whose consents were revoked.
pub fn consents(of: &ConsentFilter) -> Facts<'_> {
    let (id, subject, client_id) = match of {
        ConsentFilter::Id(id) => (Some(*id), None, None),
        ConsentFilter::Client { subject, client_id } => (None, Some(subject), Some(client_id)),
        ConsentFilter::Subject(subject) => (None, Some(subject), None),
    };
    Facts {
        client_id: client_id.map(Cow::from),
        subject: subject.map(Cow::from),
        consent_request_id: id.map(consent),
        ..Facts::default()
    }
}

/// A refused request to the token endpoint; `client_id` is what anybody wrote there.
pub fn refused(client_id: Option<&str>, grant_type: &'static str, error: &'static str) -> Facts<'static> {
    Facts {
        client_id: client_id.map(|id| printable(id).into_owned().into()),
        grant_type: Some(grant_type),
        error_reason: Some(error.into()),
        ..Facts::default()
    }
}

/// What a write issues, noted before the write is handed over.
pub struct Issued {
    client_id: String,
    subject: String,
    consent_request_id: Option<String>,
    access: Option<String>,
    refresh: Option<String>,
}

impl Issued {
    /// What a token write issues; nothing if nobody reads events.
    pub fn by(write: &Write) -> Option<Self> {
        if !audit::is_wanted() {
            return None;
        }
        match write {
            // A client's own token stands on nobody's consent.
            Write::Issue(order) => Some(Self { consent_request_id: None, ..Self::of(&order.token, None) }),
            Write::Redeem(order) => Some(Self::of(&order.access, order.refresh.as_ref())),
            Write::Rotate(order) => Some(Self::of(&order.access, Some(&order.refresh))),
            Write::Revoke(_) | Write::Replay(_) | Write::RevokeFamily(_) => None,
        }
    }

    /// The same of a grant at the authorization endpoint.
    pub fn at_once(order: &Grant) -> Option<Self> {
        audit::is_wanted().then(|| Self {
            client_id: order.consent.client_id.clone(),
            subject: order.consent.subject.clone(),
            consent_request_id: Some(consent(order.consent.id)),
            access: order.access_token.as_ref().map(|token| signature(hash_in(&token.signature))),
            refresh: None,
        })
    }

    fn of(access: &AccessToken, refresh: Option<&RefreshToken>) -> Self {
        Self {
            client_id: access.client_id.clone(),
            subject: access.subject.clone(),
            consent_request_id: Some(consent(access.family_id)),
            access: Some(signature(hash_in(&access.signature))),
            refresh: refresh.map(|token| signature(&token.signature)),
        }
    }

    /// Tells of each token that was issued.
    pub fn tell(&self, grant_type: &str, kinds: &[TokenType]) {
        for kind in kinds {
            let facts = Facts {
                client_id: Some(self.client_id.as_str().into()),
                subject: Some(self.subject.as_str().into()),
                grant_type: Some(grant_type),
                consent_request_id: self.consent_request_id.clone(),
                ..Facts::default()
            };
            let (event, facts) = match kind {
                TokenType::AccessOpaque | TokenType::AccessJwt => {
                    let format = if *kind == TokenType::AccessJwt { "jwt" } else { "opaque" };
                    let access_token_signature = self.access.clone();
                    (
                        AuditEvent::AccessTokenIssued,
                        Facts { token_format: Some(format), access_token_signature, ..facts },
                    )
                }
                TokenType::Refresh => {
                    let refresh_token_signature = self.refresh.clone();
                    (AuditEvent::RefreshTokenIssued, Facts { refresh_token_signature, ..facts })
                }
                TokenType::Id => (AuditEvent::IdentityTokenIssued, facts),
            };
            audit::tell(event, || facts);
        }
    }
}

/// The live token of its own that a client is about to revoke; nothing for another's, for one that is over already, or
/// if nobody reads events. Read before, for afterwards nobody can tell them apart.
///
/// # Errors
/// 503.
pub async fn to_be_revoked(app: &App, token: &Revoked, client_id: &str) -> Result<Option<Facts<'static>>, ApiError> {
    if !audit::is_wanted() {
        return Ok(None);
    }
    let (owner, subject, facts) = match token {
        Revoked::Access(key) => {
            let Some(row) = app.store.access_token(key).await? else { return Ok(None) };
            let access_token_signature = Some(signature(hash_in(key)));
            (row.client_id, row.subject, Facts { access_token_signature, ..Facts::default() })
        }
        Revoked::Refresh(key) => {
            let found = app.store.refresh_token(key).await?;
            let live = found.filter(|found| known(found).is_active(app.rules.refresh.grace));
            let Some(row) = live.map(|found| found.token) else { return Ok(None) };
            let refresh_token_signature = Some(signature(key));
            (row.client_id, row.subject, Facts { refresh_token_signature, ..Facts::default() })
        }
    };
    let facts = Facts { subject: Some(subject.into()), ..facts };
    Ok((owner == client_id).then(|| Facts { client_id: Some(owner.into()), ..facts }))
}
