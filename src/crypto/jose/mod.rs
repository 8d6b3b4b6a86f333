//! JSON Web Signatures (RFC 7515): signing our tokens, verifying anybody's.
//! Any room may call it. Invariant: an algorithm is used only with a key of its own kind and curve, and nothing in a
//! token chooses the key material.

mod key;
mod strict;
mod token;

pub use key::{SigningKey, VerifyingKey};
pub(crate) use key::{check_pair, ec_signing, parse_point};
pub use token::{Claims, Header, MAX_TOKEN, Unverified};

/// Why a token is refused or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// Longer than this program reads.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of canonical base64url with JSON objects in the first two.
    #[error("the token is malformed")]
    Malformed,
    /// A member stands twice in one JSON object (RFC 7515 section 4, RFC 7519 section 4).
    #[error("the token has a duplicate or malformed member")]
    Json,
    /// A header that asks for what this program does not do: `crit`, `b64`, `zip`, `enc`.
    #[error("the token's header {0:?} is not supported")]
    Header(&'static str),
    /// The algorithm is unknown or not allowed here.
    #[error("the token's signature algorithm is not allowed")]
    Algorithm,
    /// No key fits the header.
    #[error("no key fits the token's header")]
    NoKey,
    /// A key fits, the signature does not.
    #[error("the token's signature does not match")]
    Signature,
    /// A claim is not of its type.
    #[error("the claim {0:?} is malformed")]
    Claim(String),
    /// The token could not be made.
    #[error("the token could not be signed")]
    Sign,
}

#[cfg(test)]
mod tests;
