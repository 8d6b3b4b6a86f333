//! Settings from environment variables. Names are looked up from the table of keys, so that an underscore inside a
//! name is never taken for a dot. An empty variable counts as not set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value as Json;

use super::fault::Fault;
use super::gather::Gathered;
use super::key::{self, Key, env_name};

type Env = BTreeMap<String, String>;

/// OpenTelemetry's own variables and the settings they stand for. A platform sets them for every process it runs, so
/// whatever is said to Signet itself is stronger. Of two for one setting, the later.
const OTEL: [(&str, &str); 3] = [
    ("OTEL_SERVICE_NAME", "tracing.service_name"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "tracing.providers.otlp.server_url"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "tracing.providers.otlp.server_url"),
];

/// Takes what OpenTelemetry's variables say. Those that the exporter reads by itself (`OTEL_EXPORTER_OTLP_HEADERS`,
/// `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*` and others) are not here.
pub(super) fn read_otel(into: &mut Gathered, env: &Env) {
    let mut take = |setting: &str, text: &str, name: &str| {
        if let Some(key) = key::find(setting) {
            into.text(key, text, &format!("environment {name}"));
        }
    };
    for (name, setting) in OTEL {
        if let Some(text) = set(env, name) {
            take(setting, text, name);
        }
    }
    let (name, ratio) = ("OTEL_TRACES_SAMPLER", "tracing.providers.otlp.sampling.sampling_ratio");
    match set(env, name) {
        Some("always_off" | "parentbased_always_off") => take(ratio, "0", name),
        Some("traceidratio" | "parentbased_traceidratio") => {
            take(ratio, set(env, "OTEL_TRACES_SAMPLER_ARG").unwrap_or("1"), "OTEL_TRACES_SAMPLER_ARG");
        }
        _ => {}
    }
    let off = set(env, "OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        || set(env, "OTEL_TRACES_EXPORTER") == Some("none");
    let named = OTEL.iter().map(|(name, _)| *name).find(|name| name.ends_with("ENDPOINT") && set(env, name).is_some());
    if let Some(name) = named.filter(|_| !off) {
        take("tracing.provider", "otel", name);
    }
}

/// Takes every setting that the variables hold.
pub(super) fn read(into: &mut Gathered, env: &Env) {
    branches(into, env);
    for (old, new) in key::ALIASES {
        if let (Some(key), Some(text)) = (key::find(new), set(env, &env_name(old))) {
            into.text(key, text, &format!("environment {}", env_name(old)));
        }
    }
    for key in key::all() {
        one(into, env, key);
    }
}

/// Every variable `<NAME>_FILE` that a value is taken from, with its file.
pub(super) fn files(env: &Env) -> Vec<(&str, &Path)> {
    let names: BTreeSet<String> = key::all().filter(|key| key.kind.may_hold_secret()).map(Key::env).collect();
    let of_item = |stem: &str| match stem.rsplit_once('_') {
        Some((list, index)) => names.contains(list) && index.parse::<usize>().is_ok(),
        None => false,
    };
    let is_known = |name: &str| name.strip_suffix("_FILE").is_some_and(|stem| names.contains(stem) || of_item(stem));
    let given = env.iter().filter(|(name, path)| is_known(name) && !path.is_empty());
    given.map(|(name, path)| (name.as_str(), Path::new(path))).collect()
}

fn set<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

/// A whole branch may be given as a JSON object: `SERVE_PUBLIC_CORS={"enabled": true}`. The shorter name comes first,
/// so that the nearer to a key a variable is, the stronger it is.
fn branches(into: &mut Gathered, env: &Env) {
    let mut names = BTreeSet::new();
    for key in key::all() {
        for (end, _) in key.name.match_indices('.') {
            names.extend(key.name.get(..end));
        }
    }
    for name in names.into_iter().filter(|name| key::find(name).is_none()) {
        let variable = env_name(name);
        let Some(text) = set(env, &variable).filter(|text| text.trim_start().starts_with('{')) else {
            continue;
        };
        let source = format!("environment {variable}");
        match serde_json::from_str(text) {
            Ok(Json::Object(map)) => into.branch(name, &map, &source),
            _ => {
                into.faults.push(Fault::new(name, &source, "is not a JSON object", "write one, or set its keys singly"))
            }
        }
    }
}

fn one(into: &mut Gathered, env: &Env, key: &'static Key) {
    let name = key.env();
    let source = format!("environment {name}");
    let items = if key.kind.is_list() { items(into, env, key) } else { Vec::new() };
    let whole = value(into, env, key, &name);
    match (whole, items.is_empty()) {
        (Some(_), false) => {
            let problem = format!("{name} and {name}_0 are both set");
            into.faults.push(Fault::new(key.name, &source, problem, "keep one of them"));
        }
        (Some((text, source)), true) => into.text(key, &text, &source),
        (None, false) => match serde_json::to_string(&items) {
            Ok(list) => into.text(key, &list, &format!("environment {name}_0")),
            Err(_) => into.faults.push(Fault::new(key.name, &source, "is not a list of texts", "write text")),
        },
        (None, true) => {}
    }
}

/// The items `NAME_0`, `NAME_1` and so on; a gap in the count is a fault.
fn items(into: &mut Gathered, env: &Env, key: &'static Key) -> Vec<String> {
    let name = key.env();
    let mut found = Vec::new();
    while let Some((text, _)) = value(into, env, key, &format!("{name}_{}", found.len())) {
        found.push(text);
    }
    let prefix = format!("{name}_");
    let beyond = env.keys().filter_map(|variable| variable.strip_prefix(&prefix)).filter_map(|rest| {
        rest.strip_suffix("_FILE").unwrap_or(rest).parse::<usize>().ok().filter(|index| *index > found.len())
    });
    if let Some(index) = beyond.min() {
        let source = format!("environment {name}_{index}");
        let problem = format!("{name}_{} is missing before it", found.len());
        into.faults.push(Fault::new(key.name, &source, problem, "count from 0 without a gap"));
    }
    found
}

/// The text of one variable, or of the file that `<NAME>_FILE` names when the key may hold a secret; and which it was.
fn value(into: &mut Gathered, env: &Env, key: &'static Key, name: &str) -> Option<(String, String)> {
    let direct = set(env, name).map(|text| (text.to_owned(), format!("environment {name}")));
    let file = format!("{name}_FILE");
    let Some(path) = set(env, &file).filter(|_| key.kind.may_hold_secret()) else {
        return direct;
    };
    let source = format!("environment {file}");
    if direct.is_some() {
        let problem = format!("{name} and {file} are both set");
        into.faults.push(Fault::new(key.name, &source, problem, "keep one of them"));
        return direct;
    }
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text).to_owned();
            if text.is_empty() {
                into.faults.push(Fault::new(key.name, &source, format!("{path} is empty"), "put the secret in it"));
            }
            Some((text, source)).filter(|(text, _)| !text.is_empty())
        }
        Err(error) => {
            let problem = format!("{path} cannot be read: {error}");
            into.faults.push(Fault::new(key.name, &source, problem, "check the path and its permissions"));
            None
        }
    }
}
