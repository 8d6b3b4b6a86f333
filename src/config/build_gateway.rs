//! Builds what gateways are told. Called by [`super::build`] alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::gather::Gathered;
use super::settings::Gateway;
use super::value::Value;
use crate::domain::gateway::{Policy, is_policy_name};

/// A gateway that keeps an answer longer would make revocation a formality.
const LONGEST: Duration = Duration::from_secs(3600);

pub(super) fn gateway(from: &mut Gathered) -> Gateway {
    let http_max_age = from.duration("introspection.http_max_age");
    if http_max_age > LONGEST {
        from.fault("introspection.http_max_age", "is longer than an hour", "write at most 1h, better some seconds");
    }
    Gateway {
        policies: policies(from),
        resource_servers: from.list("gateway.resource_servers"),
        base_url: from.opt_text("serve.gateway.base_url").map(|url| url.trim_end_matches('/').to_owned()),
        http_max_age,
    }
}

/// Every policy that makes sense; each other one leaves a fault that names it.
fn policies(from: &mut Gathered) -> BTreeMap<String, Policy> {
    const KEY: &str = "gateway.policies";
    let Some(Value::Object(all)) = from.get(KEY).cloned() else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (name, json) in all {
        let policy = serde_json::from_value::<Policy>(json).map_err(|e| e.to_string());
        match policy.and_then(|policy| policy.check().map(|()| policy)) {
            Ok(_) if !is_policy_name(&name) => {
                let fix = "name it with small letters, digits, - and _, at most 64";
                from.fault(KEY, format!("{name:?} is no name for a policy"), fix);
            }
            Ok(policy) => drop(found.insert(name, policy)),
            Err(problem) => {
                let fix = "see the policies in the README; each member is optional";
                from.fault(KEY, format!("policy {name}: {problem}"), fix);
            }
        }
    }
    found
}
