//! `sector_identifier_uri`: a list of redirect URIs elsewhere that vouches for those registered here (OpenID Connect
//! Registration §5). Without the check a client could choose whose pairwise subjects it gets to see.

use crate::domain::client::Client;
use crate::domain::error::{ErrorCode, OAuthError};
use crate::http::{ApiError, App};

/// Largest list, in bytes.
const LIMIT: usize = 5 << 20;

/// Whether the list names every redirect URI of the client; nothing is fetched for a client without one.
///
/// # Errors
/// `invalid_client_metadata` when it does not, or cannot be read.
pub async fn check(app: &App, client: &Client) -> Result<(), ApiError> {
    let uri = &client.sector_identifier_uri;
    if uri.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = match app.outbound.fetch(uri, LIMIT).await.map(|body| serde_json::from_slice(&body)) {
        Ok(Ok(listed)) => listed,
        Ok(Err(_)) => return Err(refused("is not a JSON array of texts")),
        Err(why) => {
            tracing::warn!(error = why, "a sector_identifier_uri could not be fetched");
            return Err(refused("could not be fetched"));
        }
    };
    match client.redirect_uris.iter().find(|uri| !listed.contains(uri)) {
        None => Ok(()),
        Some(missing) => Err(refused(&format!("does not list the redirect URI '{missing}'"))),
    }
}

/// Whether the check has something new to say.
pub fn differs(before: &Client, after: &Client) -> bool {
    before.sector_identifier_uri != after.sector_identifier_uri
        || after.redirect_uris.iter().any(|uri| !before.redirect_uris.contains(uri))
}

fn refused(what: &str) -> ApiError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, format!("The document at sector_identifier_uri {what}.")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_needs_a_voucher() {
        let client = |sector: &str, uris: &[&str]| Client {
            sector_identifier_uri: sector.to_owned(),
            redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            ..Client::default()
        };
        let before = client("https://s.example/", &["https://a.example/", "https://b.example/"]);
        assert!(
            !differs(&before, &before) && !differs(&before, &client("https://s.example/", &["https://a.example/"]))
        );
        assert!(differs(&before, &client("https://t.example/", &["https://a.example/"])));
        assert!(differs(&before, &client("https://s.example/", &["https://c.example/"])));
    }
}
