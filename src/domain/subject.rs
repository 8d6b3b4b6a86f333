//! How a client knows a user: by the subject itself, by a pseudonym of its sector, or by a name that the login app chose
//! (OpenID Connect Core §8).

use super::client::Client;
use super::error::{ErrorCode, OAuthError};
use sha2::{Digest, Sha256};

/// Which subject types this server gives out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SubjectRules {
    /// The salt of pairwise subjects; `None` when that type is off. It is never rotated: another salt is other users.
    pub pairwise_salt: Option<String>,
}

/// The salt is a secret.
impl std::fmt::Debug for SubjectRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectRules").field("pairwise", &self.pairwise_salt.is_some()).finish()
    }
}

/// `sub` of what this client gets to see. A `forced` name (`force_subject_identifier` of the login app) wins over
/// everything; else a pairwise client gets the hex SHA-256 over sector, subject and salt, as Hydra makes it.
///
/// # Errors
/// `invalid_request` for a pairwise client whose sector is not clear, or when pairwise subjects are off.
pub fn subject_for(
    client: &Client,
    subject: &str,
    forced: Option<&str>,
    rules: &SubjectRules,
) -> Result<String, OAuthError> {
    if let Some(forced) = forced {
        return Ok(forced.to_owned());
    }
    if !client.is_pairwise() {
        return Ok(subject.to_owned());
    }
    let Some(salt) = &rules.pairwise_salt else {
        return Err(refused(format!(
            "Subject Identifier Algorithm 'pairwise' was requested by OAuth 2.0 Client '{}' but is not configured.",
            client.client_id
        )));
    };
    let hash = Sha256::new().chain_update(sector(client)?).chain_update(subject).chain_update(salt);
    Ok(hex::encode(hash.finalize()))
}

/// The whole `sector_identifier_uri`, or the host of the only redirect URI (OpenID Connect Core §8.1).
fn sector(client: &Client) -> Result<&str, OAuthError> {
    if !client.sector_identifier_uri.is_empty() {
        return Ok(&client.sector_identifier_uri);
    }
    let why = match client.redirect_uris.as_slice() {
        [one] => match host(one) {
            Some(host) => return Ok(host),
            None => "has a redirect_uri without a host but no sector_identifier_uri was set",
        },
        [] => "has neither a sector_identifier_uri nor a redirect_uris",
        _ => "has multiple redirect_uris but no sector_identifier_uri was set",
    };
    Err(refused(format!(
        "OAuth 2.0 Client '{}' {why} which is not allowed when performing using subject type 'pairwise'. Please reconfigure the OAuth 2.0 client properly.",
        client.client_id
    )))
}

/// Host and port as they are written: a parser would lower the case and drop a port, and so make other users.
fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

fn refused(hint: String) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, hint)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn pairwise(uris: &[&str], sector: &str) -> Client {
        Client {
            client_id: "c".to_owned(),
            subject_type: "pairwise".to_owned(),
            redirect_uris: uris.iter().map(|u| (*u).to_owned()).collect(),
            sector_identifier_uri: sector.to_owned(),
            ..Client::default()
        }
    }

    fn rules() -> SubjectRules {
        SubjectRules { pairwise_salt: Some("salt".to_owned()) }
    }

    #[test]
    fn public_and_forced() {
        let public = Client::default();
        assert_eq!(subject_for(&public, "u", None, &rules()).unwrap(), "u");
        for client in [public, pairwise(&[], "")] {
            assert_eq!(subject_for(&client, "u", Some("f"), &SubjectRules::default()).unwrap(), "f");
        }
    }

    #[test]
    fn a_pseudonym_is_the_hash_of_sector_subject_and_salt() {
        let hashed = |text: &str| hex::encode(Sha256::digest(text));
        for (client, text) in [
            (pairwise(&["https://A.example:443/cb?x"], ""), "A.example:443usalt"),
            (pairwise(&["http://u@127.0.0.1:9010#f"], ""), "127.0.0.1:9010usalt"),
            (pairwise(&["https://a/", "https://b/"], "https://s.example/list"), "https://s.example/listusalt"),
        ] {
            assert_eq!(subject_for(&client, "u", None, &rules()).unwrap(), hashed(text));
        }
    }

    #[test]
    fn a_sector_must_be_clear() {
        for (client, why) in [
            (pairwise(&[], ""), "neither"),
            (pairwise(&["https://a/x", "https://a/y"], ""), "multiple"),
            (pairwise(&["com.ex.app:/cb"], ""), "without a host"),
        ] {
            let e = subject_for(&client, "u", None, &rules()).unwrap_err();
            assert_eq!(e.code, ErrorCode::InvalidRequest);
            assert!(e.hint.contains(why), "{}", e.hint);
        }
        let off = subject_for(&pairwise(&["https://a/"], ""), "u", None, &SubjectRules::default()).unwrap_err();
        assert!(off.hint.contains("not configured"));
        assert!(!format!("{:?}", rules()).contains("salt\""));
    }
}
