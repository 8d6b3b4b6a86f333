//! Where Redis is: one server, a master that sentinels know, or a cluster.
//!
//! Invariant: no message from here holds a password.

use crate::store::OpenError;
use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, ConnectionInfo, IntoConnectionInfo, TlsMode};
use std::time::Duration;

/// What a `redis.url` may look like.
pub const FORMS: &str = "redis://[user:password@]host[:port][/db], rediss:// for TLS, \
redis+sentinel://[user:password@]host:port,host:port/master[/db] or redis+cluster://[user:password@]host:port,host:port \
(rediss+sentinel, rediss+cluster for TLS)";

/// Where Redis is.
pub(super) enum Address {
    /// One server.
    One(Box<ConnectionInfo>),
    /// The master of that name, as these sentinels know it.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<ConnectionInfo>,
        /// Its name.
        master: String,
        /// How to speak to it: TLS, user, password, database.
        node: Box<(ConnectionInfo, bool)>,
    },
    /// These, and those they know.
    Cluster(Vec<ConnectionInfo>),
}

fn bad(what: &str) -> OpenError {
    OpenError::new(format!("redis.url {what}"), format!("write {FORMS}"))
}

impl Address {
    /// Reads a `redis.url`.
    ///
    /// # Errors
    /// [`OpenError`] for anything but the [`FORMS`].
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| bad("is no URL"))?;
        let (plain, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !["redis", "rediss"].contains(&plain) {
            return Err(bad("has a scheme that is not known"));
        }
        let one = |text: String| text.into_connection_info().map_err(|_| bad("is not understood"));
        let (user, places) = rest.rsplit_once('@').map_or(("", rest), |(user, places)| (user, places));
        let (hosts, path) = places.split_once('/').unwrap_or((places, ""));
        let with_user = |host: &str, path: &str| {
            let at = if user.is_empty() { String::new() } else { format!("{user}@") };
            one(format!("{plain}://{at}{host}/{path}"))
        };
        match kind {
            "" => Ok(Self::One(Box::new(one(url.trim().to_owned())?))),
            "sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(bad("names no master"));
                }
                let sentinels =
                    hosts.split(',').map(|host| one(format!("{plain}://{host}"))).collect::<Result<_, _>>()?;
                let node = Box::new((with_user("master", db)?, plain == "rediss"));
                Ok(Self::Sentinel { sentinels, master: master.to_owned(), node })
            }
            "cluster" if path.is_empty() => {
                Ok(Self::Cluster(hosts.split(',').map(|host| with_user(host, "")).collect::<Result<_, _>>()?))
            }
            "cluster" => Err(bad("names a database, which a cluster does not have")),
            _ => Err(bad("has a scheme that is not known")),
        }
    }

    /// A client of the one server that takes writes and subscriptions now; of a cluster, of any member.
    pub(super) async fn client(&self, attempt: usize) -> redis::RedisResult<Client> {
        match self {
            Self::One(info) => Client::open((**info).clone()),
            Self::Cluster(members) => {
                let nobody = || redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::NotFound));
                Client::open(members.get(attempt % members.len().max(1)).cloned().ok_or_else(nobody)?)
            }
            Self::Sentinel { sentinels, master, node } => {
                let mut how =
                    SentinelNodeConnectionInfo::default().set_redis_connection_info(node.0.redis_settings().clone());
                if node.1 {
                    how = how.set_tls_mode(TlsMode::Secure);
                }
                let master = SentinelClient::build(sentinels.clone(), master, Some(how), SentinelServerType::Master);
                master?.async_get_client().await
            }
        }
    }

    /// Whether it is a cluster.
    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The client of a whole cluster, if it is one.
    pub(super) fn cluster(&self, timeout: Duration) -> Option<redis::RedisResult<ClusterClient>> {
        let Self::Cluster(members) = self else { return None };
        let builder = redis::cluster::ClusterClientBuilder::new(members.clone());
        Some(builder.connection_timeout(timeout).response_timeout(timeout).retries(1).build())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        for one in ["redis://localhost", "redis://u:p%40@h:1/2", "rediss://:p@h", " redis://h:7000 "] {
            assert!(matches!(Address::parse(one), Ok(Address::One(_))), "{one}");
        }
        let Address::Sentinel { sentinels, master, node } =
            Address::parse("rediss+sentinel://u:p@a:26379,b:26380/main/3").unwrap()
        else {
            panic!("no sentinels")
        };
        assert_eq!((sentinels.len(), master.as_str(), node.1), (2, "main", true));
        let settings = node.0.redis_settings();
        assert_eq!((settings.db(), settings.username(), settings.password()), (3, Some("u"), Some("p")));
        assert_eq!(sentinels[0].redis_settings().password(), None);
        let Address::Cluster(members) = Address::parse("redis+cluster://u:p@a:1,b:2").unwrap() else {
            panic!("no cluster")
        };
        assert_eq!(members.len(), 2);
        assert!(members.iter().all(|m| m.redis_settings().password() == Some("p")));
    }

    #[test]
    fn what_is_not_is_told_without_its_password() {
        for bad in [
            "localhost",
            "http://:secret@h",
            "redis+ring://:secret@h",
            "redis://:secret@h/not-a-number",
            "redis+sentinel://:secret@h:1",
            "redis+cluster://:secret@h:1/3",
            "redis+cluster://:secret@",
            "",
        ] {
            let Err(told) = Address::parse(bad) else { panic!("{bad} was taken") };
            let told = told.to_string();
            assert!(told.starts_with("redis.url") && !told.contains("secret"), "{told}");
        }
    }
}
