//! Every fault that `doctor` knows, by its name. Names are for scripts: they stay.

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Will hurt one day, or hurts some.
    Warning,
    /// Does not work, or is not safe.
    Error,
}

impl Severity {
    /// The name, as printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! checks {
    ($($name:ident $id:literal $severity:ident $meaning:literal;)+) => {
        /// A fault that is looked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is told by its meaning")]
        pub enum Check { $($name),+ }

        /// All of them, in the order they are told.
        pub const CHECKS: &[Check] = &[$(Check::$name),+];

        impl Check {
            /// Its name for scripts: the group, a dot, the fault.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// How much it matters.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning),+ }
            }
        }
    };
}

checks! {
    ConfigFault "config.fault" Error "a setting is missing, unknown or wrong: the server would not start";
    ConfigWarning "config.warning" Warning "a setting is allowed and unwise";
    ConfigDev "config.dev" Error "development mode, and an issuer that is not on this machine";
    ConfigNoEffect "config.no-effect" Info "a setting is given that does nothing in this release";
    FilesPermissions "files.permissions" Warning "everybody on this machine may read a secret's file";
    HostFiles "host.files" Warning "few files may be open at once, and each connection is one";

    DatabaseUnreachable "database.unreachable" Error "the database cannot be reached or used";
    DatabaseMemory "database.memory" Warning "the database ends with the process";
    DatabaseVersion "database.version" Warning "a PostgreSQL that its makers do not mend any more";
    DatabaseReadOnly "database.read-only" Error "the database takes no writes: a standby, or set so";
    DatabaseOwner "database.owner" Error "the role does not own the tables, which making and dropping partitions needs";
    DatabaseFsync "database.fsync" Error "a crash of the database's machine destroys data (fsync, full_page_writes)";
    DatabaseCommit "database.synchronous-commit" Warning "a crash loses what was acknowledged, revocations among it";
    DatabaseTls "database.tls" Warning "the connection to the database is not encrypted";
    DatabaseTlsUnverified "database.tls-unverified" Warning "encrypted, and nobody looks at who answers";
    DatabaseConnections "database.connections" Error "the replicas' pools want more connections than there are";
    DatabaseLatency "database.latency" Warning "the database is far away";
    DatabaseClock "database.clock" Error "the clocks of the database and of this machine differ";
    SchemaPending "schema.pending" Error "migrations are pending: the server is not ready";
    SchemaAltered "schema.altered" Error "the schema was made from other scripts than this program's";
    SchemaNewer "schema.newer" Info "the database was migrated by a newer release";
    JanitorBehind "janitor.behind" Warning "expired rows are not swept";

    RedisUnreachable "redis.unreachable" Error "Redis cannot be reached: every introspection asks the database";
    RedisReadOnly "redis.read-only" Error "Redis takes no writes: a replica";
    RedisRights "redis.rights" Error "Redis refuses a command that the cache needs";
    RedisLatency "redis.latency" Warning "Redis takes longer than redis.timeout allows, or nearly";
    RedisEviction "redis.eviction" Warning "a full Redis refuses writes in the place of dropping old answers";
    RedisVersion "redis.version" Warning "an old Redis without users of its own (ACL)";

    SecretsWeak "secrets.weak" Warning "a secret has too few different characters to be random";
    SecretsUndecryptable "secrets.undecryptable" Error "a stored key opens with none of the secrets";
    SecretsOldKeys "secrets.old-keys" Warning "keys are sealed under an older secret";
    SecretsOldInUse "secrets.old-in-use" Info "living rows are sealed under an older secret: keep it";
    SecretsOldUnused "secrets.old-unused" Info "nothing stored is sealed under an older secret: it can go";
    KeysNone "keys.none" Error "there are no signing keys, though the schema is there and a server runs";
    KeysAge "keys.age" Warning "the signing key is older than rotation would let it be";
    KeysCount "keys.count" Warning "many keys are published, and every client reads them all";
    KeysAlgorithm "keys.algorithm" Info "keys.algorithm is not yet that of the signing key";

    ServerDown "server.down" Info "no server answers, so only configuration and stores were looked at";
    ServerNotReady "server.not-ready" Error "a listener answers that it is not ready";
    ServerUnreachable "server.unreachable" Error "a listener that was named does not answer";
    ServerVersion "server.version" Warning "the server that runs is of another release than this program";
    ServerClock "server.clock" Warning "the server's clock differs from this machine's";

    IssuerUnreachable "issuer.unreachable" Error "nothing answers at the issuer's URL";
    IssuerCertificate "issuer.certificate" Error "the certificate shown at the issuer's URL is not good";
    IssuerNotServed "issuer.not-served" Error "what answers at the issuer's URL is not this server's discovery";
    IssuerRedirected "issuer.redirected" Error "the issuer's URL leads elsewhere, where no client follows";
    IssuerScheme "issuer.scheme" Error "the issuer and the URL that is served differ in http and https";
    IssuerSlash "issuer.trailing-slash" Error "the issuer and the one that is served differ by the last slash alone";
    IssuerMismatch "issuer.mismatch" Error "discovery at the issuer's URL names another issuer";
    ProxyUntrusted "proxy.untrusted" Error "TLS ends at a proxy that is not trusted, or that does not say so";
    DiscoveryRewritten "discovery.rewritten" Warning "discovery is another one through the issuer's URL than from the server";
    DiscoveryStale "discovery.stale" Warning "the server that runs was started with other settings";
    DiscoveryEndpoint "discovery.endpoint" Error "an endpoint that discovery names does not answer as it should";
    DiscoveryPlain "discovery.plain-http" Error "discovery of an https issuer names an endpoint with http";
    JwksMissing "jwks.missing-key" Error "a key that signs or will sign is not among the public keys";
    JwksUnknown "jwks.unknown-key" Error "a public key is served that the database does not have";

    AdminPublic "admin.public" Error "the admin API answers at the issuer's host, to everybody";
    AdminEverywhere "admin.every-interface" Warning "the admin listener is open on every interface";
    CookiesSecure "cookies.secure" Error "Secure cookies with an http issuer: browsers keep none";
    CookiesSameSite "cookies.same-site" Warning "SameSite that breaks logins, or that cannot be had";
    CookiesDomain "cookies.domain" Error "the cookies' domain is not one of the issuer's host";
    CookiesPath "cookies.path" Error "the session cookie is not sent to the authorization endpoint";
    CorsAnyOrigin "cors.any-origin" Warning "every web page may call, with credentials as the settings say";
    TlsUnreadable "tls.unreadable" Error "a certificate cannot be read, or is not of its key";
    TlsExpiry "tls.expiry" Error "a certificate is over, soon over, or not yet begun";
    TlsName "tls.name" Error "the public listener's certificate is not for the issuer's host";
    PagesMissing "pages.missing" Warning "there is no login or no consent page";
    PagesUnreachable "pages.unreachable" Warning "a page does not answer";
    PagesPlain "pages.plain-http" Error "a page is reached by http though the issuer is https";
    PagesOnServer "pages.on-server" Error "a page's URL is one of the server's own routes";
    HooksUnreachable "hooks.unreachable" Error "a hook does not answer: no token is issued";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_of_a_group_and_once() {
        let ids: BTreeSet<&str> = CHECKS.iter().map(|check| check.id()).collect();
        assert_eq!(ids.len(), CHECKS.len());
        assert!(ids.iter().all(|id| id.split('.').count() == 2 && !id.contains(' ')));
        assert!(CHECKS.iter().all(|check| !check.meaning().is_empty()));
    }
}
