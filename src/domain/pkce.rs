//! Proof Key for Code Exchange (RFC 7636), by S256 alone.
//!
//! The challenge lies with the code, and the code is spent only after the verifier fits: a wrong guess costs its owner
//! nothing, and a second try without a verifier gets nobody past a challenge.

use super::error::{ErrorCode, OAuthError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Whether a text has the form of a `code_challenge` by S256: SHA-256 in base64url, 43 characters (RFC 7636 §4.2).
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Checks the `code_verifier` of a token request against the `code_challenge` that lies with the code (RFC 7636 §4.6).
/// An empty verifier counts as none. A verifier for a code without a challenge is refused: somebody took the challenge
/// out of the authorization request (RFC 9700 §4.8).
///
/// # Errors
/// `invalid_grant`.
pub fn verify(challenge: Option<&str>, verifier: Option<&str>) -> Result<(), OAuthError> {
    let verifier = verifier.unwrap_or_default();
    let refused = |hint| Err(OAuthError::new(ErrorCode::InvalidGrant, hint));
    match challenge {
        None if verifier.is_empty() => Ok(()),
        None => refused("Unable to find initial PKCE data tied to this request"),
        Some(_) if verifier.len() < 43 => refused("The PKCE code verifier must be at least 43 characters."),
        Some(_) if verifier.len() > 128 => refused("The PKCE code verifier can not be longer than 128 characters."),
        Some(_) if !verifier.bytes().all(is_unreserved) => {
            refused("The PKCE code verifier must only contain [a-Z], [0-9], '-', '.', '_', '~'.")
        }
        Some(challenge) if URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) != challenge => {
            refused("The PKCE code challenge did not match the code verifier.")
        }
        Some(_) => Ok(()),
    }
}

/// RFC 3986 §2.3.
const fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc() {
        assert!(is_challenge(CHALLENGE));
        assert_eq!(verify(Some(CHALLENGE), Some(VERIFIER)), Ok(()));
        assert_eq!(verify(None, None), Ok(()));
        assert_eq!(verify(None, Some("")), Ok(()));
    }

    #[test]
    fn b04_b05_what_does_not_fit_is_an_invalid_grant() {
        let hint = |challenge, verifier| verify(challenge, verifier).map_err(|e| (e.code, e.hint));
        for (challenge, verifier, why) in [
            (None, Some(VERIFIER), "Unable to find"),
            (Some(CHALLENGE), None, "at least 43"),
            (Some(CHALLENGE), Some(""), "at least 43"),
            (Some(CHALLENGE), Some(&VERIFIER[1..]), "at least 43"),
            (Some(CHALLENGE), Some(&*"a".repeat(129)), "longer than 128"),
            (Some(CHALLENGE), Some(&*" ".repeat(43)), "must only contain"),
            (Some(CHALLENGE), Some(&*"a".repeat(43)), "did not match"),
            (Some(CHALLENGE), Some(CHALLENGE), "did not match"),
        ] {
            let Err((code, hint)) = hint(challenge, verifier) else { panic!("{challenge:?} {verifier:?} passed") };
            assert_eq!(code, ErrorCode::InvalidGrant);
            assert!(hint.contains(why), "{hint} instead of {why}");
        }
    }

    #[test]
    fn b06_challenges_have_one_form() {
        for bad in ["", &CHALLENGE[1..], &format!("{CHALLENGE}A"), &CHALLENGE.replace('-', "+"), &"é".repeat(21)] {
            assert!(!is_challenge(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_verifier_fits_its_own_challenge_and_no_other(v in "[A-Za-z0-9._~-]{43,128}", w in "[A-Za-z0-9._~-]{43,128}") {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&v));
            prop_assert!(is_challenge(&challenge));
            prop_assert_eq!(verify(Some(&challenge), Some(&v)), Ok(()));
            prop_assert_eq!(verify(Some(&challenge), Some(&w)).is_ok(), v == w);
        }
    }
}
