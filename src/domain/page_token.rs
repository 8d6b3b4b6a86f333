//! Where a list goes on: a sealed value that nobody but this server can make.
//!
//! Handlers of lists call it. Invariant: a token serves one list with one set of filters for one hour, and carries a
//! value to compare with, never the name of a column.

use super::world::Timestamp;
use crate::crypto::seal::{Sealer, aad};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

/// How long a token may be used.
const LIFE: Duration = Duration::from_secs(3600);
/// Bytes of the expiry in front of the value.
const EXPIRY: usize = 8;

/// Why a page token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenError {
    /// Made by somebody else, for another list, or for other filters.
    #[error("invalid pagination token")]
    Invalid,
    /// Older than an hour.
    #[error("the pagination token has expired: use it within an hour, do not store it, and start from the first page")]
    Expired,
}

/// The list that a token belongs to: its name and its filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List(Vec<u8>);

impl List {
    /// The list `name` with these filters; a filter that is not set differs from an empty one.
    pub fn new(name: &str, filters: &[Option<&str>]) -> Self {
        let mut row = Vec::new();
        for filter in filters {
            row.push(u8::from(filter.is_some()));
            let text = filter.unwrap_or_default();
            row.extend_from_slice(&(text.len() as u64).to_be_bytes());
            row.extend_from_slice(text.as_bytes());
        }
        Self(aad("page_token", name, &row))
    }

    /// A token for what comes after `after`; empty for the first page. `salt` must be fresh random bytes.
    ///
    /// # Errors
    /// When nothing can be sealed.
    pub fn token(
        &self,
        sealer: &Sealer,
        salt: &[u8; 32],
        after: &str,
        now: Timestamp,
    ) -> Result<String, PageTokenError> {
        let mut plain = now.plus(LIFE).micros().to_be_bytes().to_vec();
        plain.extend_from_slice(after.as_bytes());
        let sealed = sealer.seal(salt, &self.0, &plain).map_err(|_| PageTokenError::Invalid)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What the page comes after, `None` for the first page; and which secret sealed the token, 0 the newest.
    ///
    /// # Errors
    /// See [`PageTokenError`].
    pub fn after(
        &self,
        sealer: &Sealer,
        token: &str,
        now: Timestamp,
    ) -> Result<(Option<String>, usize), PageTokenError> {
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| PageTokenError::Invalid)?;
        let opened = sealer.open(&self.0, &sealed).map_err(|_| PageTokenError::Invalid)?;
        let (expiry, after) = opened.plain.split_first_chunk::<EXPIRY>().ok_or(PageTokenError::Invalid)?;
        if Timestamp::from_micros(i64::from_be_bytes(*expiry)) < now {
            return Err(PageTokenError::Expired);
        }
        let after = std::str::from_utf8(after).map_err(|_| PageTokenError::Invalid)?;
        Ok((Some(after.to_owned()).filter(|text| !text.is_empty()), opened.generation))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use crate::crypto::seal::Secrets;

    fn sealer() -> Sealer {
        Secrets::new(&["a-system-secret-of-some-length".to_owned()]).unwrap().sealer("page-token")
    }

    #[test]
    fn h15_a_token_serves_its_own_list_for_an_hour() {
        let (list, now) = (List::new("clients", &[Some("a"), None]), Timestamp::from_secs(1_000_000));
        let token = list.token(&sealer(), &[1; 32], "id", now).unwrap();
        assert!(token.len() >= 60);
        assert_eq!(list.after(&sealer(), &token, now.plus(LIFE)), Ok((Some("id".to_owned()), 0)));
        assert_eq!(list.after(&sealer(), &token, now.plus(LIFE + LIFE)), Err(PageTokenError::Expired));
        let first = list.token(&sealer(), &[2; 32], "", now).unwrap();
        assert_eq!(list.after(&sealer(), &first, now), Ok((None, 0)));
        for other in [
            List::new("keys", &[Some("a"), None]),
            List::new("clients", &[None, Some("a")]),
            List::new("clients", &[Some("a"), Some("")]),
        ] {
            assert_eq!(other.after(&sealer(), &token, now), Err(PageTokenError::Invalid));
        }
        for forged in ["", "zzz", "%%", &token[1..], &format!("{token}A"), &token.replace(&token[80..84], "AAAA")] {
            assert_eq!(list.after(&sealer(), forged, now), Err(PageTokenError::Invalid), "{forged}");
        }
    }
}
