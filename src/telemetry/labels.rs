//! The closed sets of label values. A value that comes from a request is folded into one of these before it reaches a
//! metric, so nobody outside can grow the number of series.

/// Declares an enum whose variants are label values: `ALL` for registration at boot, `as_str` for the exposition and
/// `from_name` for folding a word of the protocol into the set.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident, else $other:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = concat!("Label value `", $text, "`.")] $variant),+ }
        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// The label value as it is exposed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            /// Its place in [`Self::ALL`].
            #[must_use]
            pub const fn place(self) -> usize {
                self as usize
            }
            /// Folds a name into the set; an unknown one becomes the set's catch-all value.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name { $($text => Self::$variant,)+ _ => Self::$other }
            }
        }
    };
}

labels!(
    /// Which of the two listeners served a request.
    Listener, else Public { Public => "public", Admin => "admin" }
);
labels!(
    /// HTTP methods that keep their name; any other token a client invents is `_OTHER`.
    Method, else Other {
        Get => "GET", Head => "HEAD", Post => "POST", Put => "PUT", Patch => "PATCH", Delete => "DELETE",
        Options => "OPTIONS", Other => "_OTHER",
    }
);
labels!(
    /// `grant_type` of a token request.
    Grant, else Other {
        AuthorizationCode => "authorization_code", ClientCredentials => "client_credentials",
        RefreshToken => "refresh_token", DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer", Other => "other",
    }
);
labels!(
    /// How a token request ended: `ok` or the error code of RFC 6749 §5.2 and its extensions.
    TokenResult, else Other {
        Ok => "ok", InvalidRequest => "invalid_request", InvalidClient => "invalid_client",
        InvalidGrant => "invalid_grant", UnauthorizedClient => "unauthorized_client",
        UnsupportedGrantType => "unsupported_grant_type", InvalidScope => "invalid_scope",
        AccessDenied => "access_denied", AuthorizationPending => "authorization_pending",
        SlowDown => "slow_down", ExpiredToken => "expired_token", ServerError => "server_error",
        TemporarilyUnavailable => "temporarily_unavailable", Other => "other",
    }
);
labels!(
    /// Client authentication method, the names of OpenID Connect Core §9.
    AuthMethod, else Unknown {
        None => "none", Basic => "client_secret_basic", Post => "client_secret_post",
        PrivateKeyJwt => "private_key_jwt", Unknown => "unknown",
    }
);
labels!(
    /// Why client authentication failed.
    AuthFailure, else Malformed {
        Missing => "missing", Malformed => "malformed", UnknownClient => "unknown_client",
        WrongSecret => "wrong_secret", ExpiredSecret => "expired_secret", WrongMethod => "wrong_method",
        BadAssertion => "bad_assertion", ReplayedAssertion => "replayed_assertion", Overloaded => "overloaded",
    }
);
labels!(
    /// What kind of token was issued.
    TokenType, else AccessOpaque {
        AccessOpaque => "access_opaque", AccessJwt => "access_jwt", Refresh => "refresh", Id => "id",
    }
);
labels!(
    /// What came again after its use: a code or a refresh token, which ends its grant, or a refresh token within its
    /// grace, which gets its answer again.
    Reuse, else RefreshToken {
        Code => "authorization_code", RefreshToken => "refresh_token", Graceful => "refresh_token_in_grace",
    }
);
labels!(
    /// What an introspection answered, and for an inactive token why.
    Introspected, else Error {
        Active => "active", Expired => "inactive_expired", Revoked => "revoked", Unknown => "unknown",
        Scope => "scope", Malformed => "malformed", Error => "error",
    }
);
labels!(
    /// Where an introspection found its answer; `none` means that no store was asked (a forged or malformed token).
    Source, else None { None => "none", Local => "local", Redis => "redis", Db => "db" }
);
labels!(
    /// Classes of requests that leave each other room.
    Class, else Admin { Authorize => "authorize", Token => "token", Introspect => "introspect", Admin => "admin" }
);
labels!(
    /// What a lookup in the introspection cache brought. `bypassed`: the news of what ended are not heard; `old`: too
    /// old, or of a token that ended since.
    CacheAnswer, else Miss {
        Local => "local", Redis => "redis", Miss => "miss", Old => "old", Tombstone => "tombstone", Forged => "forged",
        Fault => "fault", Bypassed => "bypassed",
    }
);
labels!(
    /// Why Redis brought nothing: too late, no connection, an error, or spared by the breaker.
    CacheFault, else Refused { Late => "late", Away => "away", Refused => "refused", Open => "breaker_open" }
);
labels!(
    /// The way of a canary: back to its sender, or to a peer and back.
    NewsPath, else Own { Own => "own", Peer => "peer" }
);
labels!(
    /// The actors of this release.
    Actor, else ClientRegistry {
        ClientRegistry => "client_registry", FlowCoordinator => "flow_coordinator", TokenIssuer => "token_issuer",
        KeyManager => "key_manager",
        Janitor => "janitor",
    }
);
labels!(
    /// State of a pooled database connection.
    ConnectionState, else Used { Idle => "idle", Used => "used" }
);
labels!(
    /// Why a database transaction was run again.
    TxRetry, else Connection {
        Serialization => "serialization", Deadlock => "deadlock", Busy => "busy", Connection => "connection",
    }
);
labels!(
    /// The key sets the server signs with.
    KeySet, else IdToken { IdToken => "hydra.openid.id-token", AccessToken => "hydra.jwt.access-token" }
);
labels!(
    /// JWS algorithms, RFC 7518 §3.1 and RFC 8037.
    Alg, else Rs256 {
        Rs256 => "RS256", Rs384 => "RS384", Rs512 => "RS512", Ps256 => "PS256", Ps384 => "PS384", Ps512 => "PS512",
        Es256 => "ES256", Es384 => "ES384", Es512 => "ES512", EdDsa => "EdDSA", Hs256 => "HS256", Hs384 => "HS384",
        Hs512 => "HS512",
    }
);
labels!(
    /// The rotated secrets of the configuration.
    SecretKind, else System { System => "system", Cookies => "cookies", Pagination => "pagination" }
);
labels!(
    /// Outbound calls made while a request waits.
    Hook, else Token {
        Token => "token", RefreshToken => "refresh_token", JwksUri => "jwks_uri",
        BackchannelLogout => "backchannel_logout", IdentityProvider => "identity_provider",
    }
);
labels!(
    /// Why an audit event was lost: its writer was too slow, or could not write.
    AuditLoss, else QueueFull { QueueFull => "queue_full", WriteFailed => "write_failed" }
);
labels!(
    /// How a login or consent request ended.
    FlowOutcome, else Rejected { Accepted => "accepted", Rejected => "rejected" }
);
labels!(
    /// A step of a device's flow: its user code was accepted or was wrong, too many were wrong, the user decided.
    DeviceOutcome, else WrongUserCode {
        UserCodeAccepted => "user_code_accepted", WrongUserCode => "wrong_user_code", TooManyGuesses => "too_many_guesses",
        Granted => "granted", Denied => "denied",
    }
);
labels!(
    /// How an outbound call ended.
    HookOutcome, else Error { Ok => "ok", Denied => "denied", Error => "error", Timeout => "timeout" }
);
labels!(
    /// The checks behind the readiness answer.
    ReadyCheck, else Database {
        Database => "database", Migrations => "migrations", Keys => "keys", Actors => "actors",
    }
);
