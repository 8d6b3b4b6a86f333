//! Rules that keep a server from being set up unsafely: the DSN, the system secret, what is exposed where. Called by
//! [`super::build`] alone; every breach is a fault that names its fix.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use url::{Host, Url};

use super::gather::{Gathered, Mode};
use super::settings::{Audit, SecretLists, Serve};

const MAKE_SECRET: &str = "set SECRETS_SYSTEM to one made by `openssl rand -hex 32`";

/// Secrets that stand in public examples, in lower case.
const EXAMPLES: [&str; 6] = [
    "this_needs_to_be_the_same_always_and_also_very_$3cur3-._",
    "this_needs_to_be_the_same_always",
    "youreallyneedtochangethis",
    "this-is-a-system-secret-of-32-bytes-x",
    "this-is-a-cookie-secret-of-32-bytes",
    "this-is-the-primary-secret",
];

/// The DSN, when it is one this server can open; else a fault and empty text.
pub(super) fn dsn(from: &mut Gathered, mode: Mode) -> String {
    let Some(dsn) = from.opt_text("dsn") else {
        if mode == Mode::Quickstart {
            return "memory".to_owned();
        }
        let fix =
            "set DSN=postgres://user:password@host/database, DSN=sqlite:///path/file.db, or DSN=memory to try it out";
        from.fault("dsn", "is missing", fix);
        return String::new();
    };
    let scheme = dsn.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("postgres" | "postgresql" | "sqlite" | "sqlite3") => return dsn,
        None if dsn == "memory" => return dsn,
        Some("mysql" | "cockroach") => {
            let problem = format!("{} is not a database this server can use", scheme.unwrap_or_default());
            from.fault("dsn", problem, "use postgres:// or sqlite://");
        }
        _ => from.fault("dsn", "is not a known form", "write postgres://..., sqlite://... or memory"),
    }
    String::new()
}

/// `max_conns` in the DSN's query, which wins over `db.pool.max_conns`.
pub(super) fn dsn_max_conns(from: &mut Gathered, dsn: &str) -> Option<usize> {
    let (_, query) = dsn.split_once('?')?;
    let (_, text) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "max_conns")?;
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    if number.is_none() {
        from.fault("dsn", "has a max_conns that is not a number from 1 to 1000", "write one such as max_conns=8");
    }
    number
}

/// The secret lists. A missing system secret is made up in development and quickstart, and refused elsewhere.
pub(super) fn secrets(from: &mut Gathered, mode: Mode, warnings: &mut Vec<String>) -> SecretLists {
    let mut system = checked_list(from, "secrets.system", mode, warnings);
    if system.is_empty() && mode == Mode::Production {
        from.fault("secrets.system", "is missing", MAKE_SECRET);
    }
    let invented = system.is_empty() && mode != Mode::Production;
    if invented {
        system.extend(made_up(from));
        warnings.push(
            "secrets.system is not set: a secret was made up, and nothing written with it can be read after a restart"
                .into(),
        );
    }
    let mut other = |name| {
        let list = checked_list(from, name, mode, warnings);
        if list.is_empty() { system.clone() } else { list }
    };
    let (cookie, pagination) = (other("secrets.cookie"), other("secrets.pagination"));
    SecretLists { system, cookie, pagination, made_up: invented }
}

fn checked_list(from: &mut Gathered, name: &str, mode: Mode, warnings: &mut Vec<String>) -> Vec<String> {
    let list = from.list(name);
    for (index, secret) in list.iter().enumerate() {
        let nth = index + 1;
        if secret.chars().count() < 16 {
            from.fault(name, format!("secret {nth} is shorter than 16 characters"), MAKE_SECRET);
        } else if mode == Mode::Production && is_example(secret) {
            from.fault(name, format!("secret {nth} is an example's, which anyone knows"), MAKE_SECRET);
        } else if secret.chars().count() < 32 {
            warnings.push(format!("{name}: secret {nth} is shorter than 32 characters"));
        }
    }
    list
}

fn is_example(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let first = secret.chars().next();
    let one_character = secret.chars().all(|character| Some(character) == first);
    one_character || lower.starts_with("this_needs_to_be_the_same_always") || EXAMPLES.contains(&lower.as_str())
}

fn made_up(from: &mut Gathered) -> Option<String> {
    let mut bytes = [0_u8; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(hex::encode(bytes)),
        Err(error) => {
            from.fault("secrets.system", format!("none could be made up: {error}"), MAKE_SECRET);
            None
        }
    }
}

/// Networks of a key; text that is none leaves a fault. A bare address is a network of one.
pub(super) fn networks(from: &mut Gathered, name: &str) -> Vec<IpNet> {
    let mut found = Vec::new();
    for text in from.list(name) {
        match text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) {
            Some(network) => found.push(network),
            None => from.fault(name, format!("{text:?} is not a network"), "write one such as 10.0.0.0/8"),
        }
    }
    found
}

/// Where audit events go. Whether the file can be written is known at the start.
pub(super) fn audit(from: &mut Gathered) -> Option<Audit> {
    let (path, introspections) = (from.opt_text("log.audit.path"), from.bool("log.audit.introspections"));
    if path.is_none() && introspections {
        let fix = "set log.audit.path, to - for standard output";
        from.fault("log.audit.introspections", "is true though audit events go nowhere", fix);
    }
    if path.as_ref().is_some_and(|path| path.ends_with('/') || Path::new(path).is_dir()) {
        from.fault("log.audit.path", "is a folder", "name a file in it, such as audit.log");
    }
    path.map(|path| Audit { path, introspections })
}

/// What the issuer and the listeners may be in each mode.
pub(super) fn exposure(from: &mut Gathered, mode: Mode, serve: &Serve, issuer: &str) {
    let url = Url::parse(issuer).ok();
    let name = "urls.self.issuer";
    if let Some(url) = url.as_ref().filter(|url| url.query().is_some() || url.fragment().is_some()) {
        from.fault(name, format!("{url} has a query or a fragment"), "take it out");
    }
    match mode {
        Mode::Production if url.as_ref().is_none_or(|url| url.scheme() != "https") => {
            let problem = format!("{issuer} is not https");
            from.fault(name, problem, "set URLS_SELF_ISSUER=https://..., or start with --dev to try it out");
        }
        Mode::Quickstart => {
            if !url.is_some_and(|url| is_loopback_url(&url)) {
                let fix = "use a loopback issuer with quickstart, or `serve all` for a real server";
                from.fault(name, format!("{issuer} is not on loopback"), fix);
            }
            for (name, host) in [("serve.public.host", &serve.public.host), ("serve.admin.host", &serve.admin.host)] {
                if !is_loopback_host(host) {
                    let fix = "use 127.0.0.1 with quickstart, or `serve all` for a real server";
                    from.fault(name, format!("{host} is not on loopback"), fix);
                }
            }
        }
        _ => {}
    }
}

fn is_loopback_url(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.starts_with("unix:")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
