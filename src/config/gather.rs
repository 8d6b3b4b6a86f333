//! Collects values from defaults, OpenTelemetry's variables, files, environment and flags, in that order; a later one
//! wins. Every value that is kept has been checked; every one that is not has left a fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use super::environment;
use super::fault::Fault;
use super::key::{self, Key, Kind};
use super::value::Value;

/// How strictly a server must be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Everything is asked for.
    #[default]
    Production,
    /// `--dev`: http issuers and a made-up system secret are taken.
    Dev,
    /// A throw-away server on loopback with a made-up secret and database.
    Quickstart,
}

/// Where settings are looked for.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Configuration files, in order; a later one wins.
    pub files: Vec<PathBuf>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Flags, each as a dotted key with its text.
    pub flags: Vec<(String, String)>,
    /// How strictly to look.
    pub mode: Mode,
}

impl Sources {
    /// Every file that a setting is read from: configuration files, and those of `<NAME>_FILE`.
    #[must_use]
    pub fn all_files(&self) -> Vec<PathBuf> {
        self.files.iter().cloned().chain(self.value_files().into_iter().map(|(_, path)| path.to_owned())).collect()
    }

    /// Every variable `<NAME>_FILE` that a value is taken from, with its file.
    #[must_use]
    pub fn value_files(&self) -> Vec<(&str, &Path)> {
        environment::files(&self.env)
    }
}

/// The values found, each with its source, and what was wrong on the way.
#[derive(Default)]
pub(super) struct Gathered {
    values: BTreeMap<&'static str, (Value, String)>,
    pub(super) faults: Vec<Fault>,
}

impl Gathered {
    pub(super) fn from(sources: &Sources) -> Self {
        let mut gathered = Self::default();
        for key in key::all().filter(|key| !key.default.is_empty() || key.kind == Kind::List) {
            gathered.put(key, Value::from_text(key, key.default), "default");
        }
        environment::read_otel(&mut gathered, &sources.env);
        for path in &sources.files {
            gathered.file(path);
        }
        environment::read(&mut gathered, &sources.env);
        for (name, text) in &sources.flags {
            gathered.flag(name, text);
        }
        gathered
    }

    fn flag(&mut self, name: &str, text: &str) {
        let source = format!("flag --{name}");
        match key::find(name) {
            Some(key) => self.text(key, text, &source),
            None => self.unknown(name, &source),
        }
    }

    /// Takes a value written as text; a hook may be a URL or a JSON object.
    pub(super) fn text(&mut self, key: &'static Key, text: &str, source: &str) {
        if key.kind != Kind::Hook {
            return self.put(key, Value::from_text(key, text), source);
        }
        match serde_json::from_str(text) {
            Ok(Json::Object(map)) => self.leaf(key, &Json::Object(map), source),
            _ => self.leaf(key, &Json::String(text.to_owned()), source),
        }
    }

    fn put(&mut self, key: &'static Key, value: Result<Value, (String, String)>, source: &str) {
        match value {
            Ok(value) => {
                self.values.insert(key.name, (value, source.to_owned()));
            }
            Err((problem, fix)) => self.faults.push(Fault::new(key.name, source, problem, fix)),
        }
    }

    fn file(&mut self, path: &Path) {
        let source = format!("file {}", path.display());
        match read_file(path) {
            Ok(map) => self.branch("", &map, &source),
            Err((problem, fix)) => self.faults.push(Fault::new("", &source, problem, fix)),
        }
    }

    /// Takes every key of an object that stands at the dotted name `at`.
    pub(super) fn branch(&mut self, at: &str, map: &Map<String, Json>, source: &str) {
        for (name, json) in map {
            let dotted = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            // "$schema" only tells an editor what the file is.
            if json.is_null() || name == "$schema" {
                continue;
            }
            match (key::find(&dotted), json) {
                (Some(key), _) => self.leaf(key, json, source),
                (None, Json::Object(inner)) if key::is_branch(&dotted) => self.branch(&dotted, inner, source),
                (None, _) if key::is_branch(&dotted) => {
                    self.faults.push(Fault::new(&dotted, source, "is not an object", "put its keys below it"));
                }
                (None, _) => self.unknown(&dotted, source),
            }
        }
    }

    fn leaf(&mut self, key: &'static Key, json: &Json, source: &str) {
        if key.kind != Kind::Hook {
            return self.put(key, Value::from_json(key, json), source);
        }
        // A hook replaces the whole of an earlier one, so that no old credential is sent to a new place.
        let below = format!("{}.", key.name);
        self.values.retain(|name, _| !name.starts_with(&below));
        match json {
            Json::Object(map) => self.branch(key.name, map, source),
            Json::String(text) => {
                if let Some(url) = key::find(&format!("{}.url", key.name)) {
                    self.put(url, Value::from_text(url, text), source);
                }
            }
            other => self.put(key, Value::from_json(key, other), source),
        }
    }

    fn unknown(&mut self, name: &str, source: &str) {
        let fix = match key::nearest(name) {
            Some(near) => format!("did you mean {near}?"),
            None => "take it out; `config status` lists every key".to_owned(),
        };
        self.faults.push(Fault::new(name, source, "is not a known key", fix));
    }

    pub(super) fn fault(&mut self, name: &str, problem: impl Into<String>, fix: impl Into<String>) {
        let source = self.source(name);
        self.faults.push(Fault::new(name, &source, problem, fix));
    }

    /// Where a key's value came from, or `not set`.
    pub(super) fn source(&self, name: &str) -> String {
        self.values.get(name).map_or_else(|| "not set".to_owned(), |(_, source)| source.clone())
    }

    /// Whether anything but the default was given.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|(_, source)| source != "default")
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        debug_assert!(key::find(name).is_some_and(|key| key.name == name), "{name} is not in the table");
        self.values.get(name).map(|(value, _)| value)
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    pub(super) fn int<N: TryFrom<i64> + Default>(&self, name: &str) -> N {
        self.opt_int(name).unwrap_or_default()
    }

    pub(super) fn opt_int<N: TryFrom<i64>>(&self, name: &str) -> Option<N> {
        match self.get(name) {
            Some(Value::Int(number)) => N::try_from(*number).ok(),
            _ => None,
        }
    }

    pub(super) fn ratio(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Value::Ratio(number)) => *number,
            _ => 1.0,
        }
    }

    pub(super) fn opt_text(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn text_of(&self, name: &str) -> String {
        self.opt_text(name).unwrap_or_default()
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        }
    }

    pub(super) fn duration(&self, name: &str) -> std::time::Duration {
        self.opt_duration(name).unwrap_or_default()
    }

    pub(super) fn opt_duration(&self, name: &str) -> Option<std::time::Duration> {
        match self.get(name) {
            Some(Value::Duration(duration)) => *duration,
            _ => None,
        }
    }
}

/// Reads a file as an object. A refusal gives the place, never the text there, which may be a secret.
fn read_file(path: &Path) -> Result<Map<String, Json>, (String, String)> {
    use config::FileFormat::{Json as JsonFormat, Toml, Yaml};
    let format = match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("yaml" | "yml") => Yaml,
        Some("json") => JsonFormat,
        Some("toml") => Toml,
        _ => {
            return Err(("has an unknown form".into(), "name it .yaml, .yml, .json or .toml".into()));
        }
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| (format!("cannot be read: {error}"), "check the path and its permissions".into()))?;
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    config::Config::builder()
        .add_source(config::File::from_str(&text, format))
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| {
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            (format!("cannot be parsed: {first}"), "mend it at that place".into())
        })
}
