//! A server beside the one that `--public` and `--admin` name: another replica, another product.

use anyhow::{Context, Result};

use crate::http::Origin;
use crate::target::Target;

/// Its name, its two URLs and, when it runs here, its process.
#[derive(Clone, Debug)]
pub struct Side {
    pub name: String,
    pub target: Target,
    pub pid: Option<u32>,
}

impl std::str::FromStr for Side {
    type Err = anyhow::Error;

    /// `NAME=PUBLIC,ADMIN[,PID]`.
    fn from_str(text: &str) -> Result<Self> {
        let (name, rest) = text.split_once('=').context("expected NAME=PUBLIC,ADMIN[,PID]")?;
        let mut parts = rest.split(',');
        let mut url = || Origin::parse(parts.next().context("expected NAME=PUBLIC,ADMIN[,PID]")?);
        let target = Target { public: url()?, admin: url()? };
        let pid = parts.next().map(str::parse).transpose().context("the pid is not a number")?;
        Ok(Self { name: name.to_owned(), target, pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_a_name_two_urls_and_perhaps_a_pid() {
        let pid = |text: &str| text.parse::<Side>().ok().map(|side| (side.name, side.pid));
        let both = "redis=http://127.0.0.1:1,http://127.0.0.1:2";
        assert_eq!(pid(both), Some(("redis".to_owned(), None)));
        assert_eq!(pid(&format!("{both},77")), Some(("redis".to_owned(), Some(77))));
        for wrong in ["redis", "redis=http://127.0.0.1:1", &format!("{both},x"), "a=ftp://b,http://c"] {
            assert!(wrong.parse::<Side>().is_err(), "{wrong}");
        }
    }
}
