//! Batches taken apart by column, as statements take them: one array for each.

use super::rows::{Moment, list_text};
use crate::store::{AccessToken, RefreshToken};
use std::collections::BTreeSet;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// A statement's values.
pub(super) type Values<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// Each once, in order.
pub(super) fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    ids.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Access tokens by column; nulls where an order has none.
#[derive(Default)]
pub(super) struct AccessColumns<'a> {
    signatures: Vec<Option<&'a [u8]>>,
    families: Vec<Option<Uuid>>,
    clients: Vec<Option<&'a str>>,
    subjects: Vec<Option<&'a str>>,
    scopes: Vec<Option<String>>,
    audiences: Vec<Option<String>>,
    requested: Vec<Option<Moment>>,
    expires: Vec<Option<Moment>>,
    sessions: Vec<Option<&'a [u8]>>,
}

impl<'a> AccessColumns<'a> {
    /// Takes the tokens apart.
    pub(super) fn of(tokens: impl Iterator<Item = Option<&'a AccessToken>>) -> Self {
        let mut by = Self::default();
        for token in tokens {
            by.signatures.push(token.map(|t| t.signature.as_slice()));
            by.families.push(token.map(|t| t.family_id));
            by.clients.push(token.map(|t| t.client_id.as_str()));
            by.subjects.push(token.map(|t| t.subject.as_str()));
            by.scopes.push(token.map(|t| list_text(&t.scope)));
            by.audiences.push(token.map(|t| list_text(&t.audience)));
            by.requested.push(token.map(|t| Moment(t.requested_at)));
            by.expires.push(token.map(|t| Moment(t.expires_at)));
            by.sessions.push(token.map(|t| t.session.as_slice()));
        }
        by
    }

    /// `signature, family_id, client_id, subject, scope, audience, requested_at, expires_at, session`.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.signatures,
            &self.families,
            &self.clients,
            &self.subjects,
            &self.scopes,
            &self.audiences,
            &self.requested,
            &self.expires,
            &self.sessions,
        ]
    }
}

/// Refresh tokens by column; nulls where an order has none. Family and client are those of the access token.
#[derive(Default)]
pub(super) struct RefreshColumns<'a> {
    signatures: Vec<Option<&'a [u8]>>,
    subjects: Vec<Option<&'a str>>,
    scopes: Vec<Option<String>>,
    audiences: Vec<Option<String>>,
    requested: Vec<Option<Moment>>,
    expires: Vec<Option<Moment>>,
    access_tokens: Vec<Option<&'a [u8]>>,
    sessions: Vec<Option<&'a [u8]>>,
}

impl<'a> RefreshColumns<'a> {
    /// Takes the tokens apart.
    pub(super) fn of(tokens: impl Iterator<Item = Option<&'a RefreshToken>>) -> Self {
        let mut by = Self::default();
        for token in tokens {
            by.signatures.push(token.map(|t| t.signature.as_slice()));
            by.subjects.push(token.map(|t| t.subject.as_str()));
            by.scopes.push(token.map(|t| list_text(&t.scope)));
            by.audiences.push(token.map(|t| list_text(&t.audience)));
            by.requested.push(token.map(|t| Moment(t.requested_at)));
            by.expires.push(token.and_then(|t| t.expires_at).map(Moment));
            by.access_tokens.push(token.map(|t| t.access_token.as_slice()));
            by.sessions.push(token.map(|t| t.session.as_slice()));
        }
        by
    }

    /// `signature, subject, scope, audience, requested_at, expires_at, access_token, session`.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 8] {
        [
            &self.signatures,
            &self.subjects,
            &self.scopes,
            &self.audiences,
            &self.requested,
            &self.expires,
            &self.access_tokens,
            &self.sessions,
        ]
    }
}
