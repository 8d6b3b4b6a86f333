//! The end of a login session: its row, its tokens, the clients to tell. Called by logout and by the operator's API.

use super::{ApiError, App};
use crate::actors::client_registry::Clients;
use crate::actors::flow_coordinator::Commit;
use crate::domain::client::RegisteredClient;
use crate::domain::flow::logout::Hint;
use crate::domain::subject::subject_for;
use crate::http::flow::with_query;
use crate::store::{FlowVerdict, FlowWrite, Logout, LogoutDelivery};
use std::sync::Arc;
use url::Url;
use uuid::Uuid;

/// What became of it.
pub enum Ended {
    /// It ended just now.
    Now {
        /// Addresses for the browser to load (OpenID Connect Front-Channel Logout 1.0 §2).
        frontchannel: Vec<String>,
    },
    /// It had ended before: nobody is told twice.
    Before,
}

/// The subject of the session that an ID token names, if the token's `sub` is that subject under the client's name for
/// it; `None` for a session that is over or somebody else's.
///
/// # Errors
/// 503.
pub async fn subject_of(app: &App, client: &RegisteredClient, hint: &Hint) -> Result<Option<String>, ApiError> {
    let id = &client.client.client_id;
    let found = match app.store.login_session(hint.session_id).await? {
        Some(session) => Some(session.subject),
        None => app.store.subject_of_session(hint.session_id).await?,
    };
    let Some(subject) = found else { return Ok(None) };
    if subject == hint.subject || known_as(app, client, &subject).as_deref() == Some(hint.subject.as_str()) {
        return Ok(Some(subject));
    }
    let forced = app.store.forced_subject(id, &subject).await?;
    Ok(Some(subject).filter(|_| forced.as_deref() == Some(hint.subject.as_str())))
}

fn known_as(app: &App, client: &RegisteredClient, subject: &str) -> Option<String> {
    subject_for(&client.client, subject, None, &app.rules.subjects).ok()
}

/// How often whom to tell is decided, while more is granted in the session.
const ATTEMPTS: usize = 5;

/// Ends a session, remembered or not; every client that was granted something in it hears of it.
///
/// # Errors
/// 503: nothing has ended.
pub async fn end(app: &App, clients: &Clients, session_id: Uuid, subject: &str) -> Result<Ended, ApiError> {
    for _ in 0..ATTEMPTS {
        let (order, frontchannel) = order(app, clients, session_id, subject).await?;
        match app.flows.ask(Commit(FlowWrite::Logout(order))).await?? {
            FlowVerdict::Done => {
                app.metrics.logout();
                app.finished.logout(session_id);
                return Ok(Ended::Now { frontchannel });
            }
            FlowVerdict::ClientChanged => {}
            _ => return Ok(Ended::Before),
        }
    }
    Err(ApiError::Unavailable("more is granted in the session again and again".to_owned()))
}

/// The logout, and the addresses for the browser to load.
async fn order(
    app: &App,
    clients: &Clients,
    session_id: Uuid,
    subject: &str,
) -> Result<(Logout, Vec<String>), ApiError> {
    let (mut deliveries, mut frontchannel) = (Vec::new(), Vec::new());
    let ids = app.store.clients_of_session(session_id, subject).await?;
    for id in &ids {
        let Some(client) = clients.get(id).await? else { continue };
        if !client.client.backchannel_logout_uri.is_empty() {
            deliveries.push(delivery(app, &client, session_id, subject).await?);
        }
        if !client.client.frontchannel_logout_uri.is_empty() {
            let more = [("iss", app.rules.issuer.as_str()), ("sid", &session_id.to_string())];
            frontchannel.push(with_query(&client.client.frontchannel_logout_uri, &more));
        }
    }
    deliveries.extend(provider_session(app, session_id).await?);
    let order = Logout {
        session_id,
        subject: subject.to_owned(),
        revoke_tokens: app.rules.logout_revokes_tokens,
        clients: ids,
        deliveries,
        keep_until: app.clock.now().plus(app.rules.session_ttl),
    };
    Ok((order, frontchannel))
}

/// The identity provider's session behind a remembered login, to be ended at the provider as Hydra does it at Kratos.
async fn provider_session(app: &App, session_id: Uuid) -> Result<Option<LogoutDelivery>, ApiError> {
    let Some(provider) = &app.rules.identity_provider else { return Ok(None) };
    let Some(session) = app.store.login_session(session_id).await? else { return Ok(None) };
    let Some(uri) = provider_address(provider, &session.identity_provider_session_id) else { return Ok(None) };
    let (id, client_id) = (app.entropy.uuid()?, String::new());
    Ok(Some(LogoutDelivery { id, client_id, uri, subject: session.subject, session_id, attempts: 0 }))
}

/// Where the provider's admin API has that session; `None` for no session.
fn provider_address(provider: &Url, session: &str) -> Option<String> {
    let mut address = provider.clone();
    address.path_segments_mut().ok()?.pop_if_empty().extend(["admin", "sessions", session]);
    // A name made of dots is none in a path.
    (!session.trim_matches('.').is_empty()).then(|| address.into())
}

async fn delivery(
    app: &App,
    client: &Arc<RegisteredClient>,
    session_id: Uuid,
    subject: &str,
) -> Result<LogoutDelivery, ApiError> {
    let id = &client.client.client_id;
    let forced = app.store.forced_subject(id, subject).await?;
    let known = forced.or_else(|| known_as(app, client, subject)).unwrap_or_else(|| subject.to_owned());
    Ok(LogoutDelivery {
        id: app.entropy.uuid()?,
        client_id: id.clone(),
        uri: client.client.backchannel_logout_uri.clone(),
        subject: known,
        session_id,
        attempts: 0,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_its_address_under_the_providers_own() {
        let at = |provider: &str, session: &str| provider_address(&Url::parse(provider).unwrap(), session);
        assert_eq!(at("http://k:4434", "s-1").as_deref(), Some("http://k:4434/admin/sessions/s-1"));
        assert_eq!(at("http://k/base/", "s-1").as_deref(), Some("http://k/base/admin/sessions/s-1"));
        assert_eq!(
            at("http://k", "../identities/1?x").as_deref(),
            Some("http://k/admin/sessions/..%2Fidentities%2F1%3Fx")
        );
        for none in ["", ".", ".."] {
            assert_eq!(at("http://k", none), None);
        }
    }
}
