//! The tokens of those who signed in, in memory: gone with the process, and never more than a few.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most sessions kept; the oldest goes first.
const MOST: usize = 64;

/// What a sign-in brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token, if `offline_access` was granted.
    pub refresh: Option<String>,
    /// The ID token, if `openid` was granted.
    pub id: Option<String>,
    /// What was done last, to be told once; and whether it worked.
    pub notice: Option<(String, bool)>,
}

/// All of them.
#[derive(Default)]
pub struct Sessions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<String, (u64, Tokens)>,
    count: u64,
}

impl Sessions {
    /// Keeps tokens under an id, in the place of earlier ones.
    pub fn put(&self, id: &str, tokens: Tokens) {
        let mut kept = self.kept();
        kept.count += 1;
        let at = kept.count;
        kept.by_id.insert(id.to_owned(), (at, tokens));
        if kept.by_id.len() > MOST {
            let oldest = kept.by_id.iter().min_by_key(|(_, (at, _))| *at).map(|(id, _)| id.clone());
            oldest.and_then(|id| kept.by_id.remove(&id));
        }
    }

    /// The tokens of an id.
    pub fn get(&self, id: &str) -> Option<Tokens> {
        self.kept().by_id.get(id).map(|(_, tokens)| tokens.clone())
    }

    /// The notice of an id, told once.
    pub fn take_notice(&self, id: &str) -> Option<(String, bool)> {
        self.kept().by_id.get_mut(id).and_then(|(_, tokens)| tokens.notice.take())
    }

    /// Forgets an id; what it had.
    pub fn take(&self, id: &str) -> Option<Tokens> {
        self.kept().by_id.remove(id).map(|(_, tokens)| tokens)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn they_are_few_and_the_oldest_goes_first() {
        let sessions = Sessions::default();
        for n in 0..=MOST {
            let access = format!("token {n}");
            sessions
                .put(&n.to_string(), Tokens { access, notice: Some(("done".to_owned(), true)), ..Tokens::default() });
        }
        assert!(sessions.get("0").is_none());
        assert_eq!(sessions.get("1").unwrap().access, "token 1");
        assert_eq!(sessions.take_notice("1"), Some(("done".to_owned(), true)));
        assert_eq!(sessions.take_notice("1"), None);
        assert_eq!(sessions.take("1").unwrap().access, "token 1");
        assert!(sessions.get("1").is_none());
    }
}
