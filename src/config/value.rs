//! One value, checked against its key's kind. Text (environment, flags, defaults) and JSON (files) end up the same.
//! A refusal never quotes a secret.

use std::time::Duration;

use serde_json::{Map, Value as Json};
use url::Url;

use super::key::{Key, Kind};
use crate::domain::duration::{format_go, parse_go};

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Ratio(f64),
    Text(String),
    List(Vec<String>),
    Duration(Option<Duration>),
    Object(Map<String, Json>),
}

/// Why a value was refused: the problem and the fix.
pub(super) type Refusal = (String, String);

impl Value {
    /// Reads a value written as text. Empty text is the caller's to treat as "not set".
    pub(super) fn from_text(key: &Key, text: &str) -> Result<Self, Refusal> {
        let refuse = || refusal(key, &Json::String(text.to_owned()));
        match key.kind {
            Kind::Bool => match text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Self::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Self::Bool(false)),
                _ => Err(refuse()),
            },
            Kind::Int(..) => text.parse().ok().and_then(|number| integer(key, number)).ok_or_else(refuse),
            Kind::Ratio => text.parse().ok().and_then(ratio).ok_or_else(refuse),
            Kind::List | Kind::SecretList => list_text(text).map(Self::List).ok_or_else(refuse),
            Kind::Object => match serde_json::from_str(text) {
                Ok(Json::Object(map)) => Ok(Self::Object(map)),
                _ => Err(refuse()),
            },
            _ => plain(key, text).ok_or_else(refuse),
        }
    }

    /// Reads a value from a file, where types must be as the key wants them.
    pub(super) fn from_json(key: &Key, json: &Json) -> Result<Self, Refusal> {
        let value = match (key.kind, json) {
            (Kind::Bool, Json::Bool(yes)) => Some(Self::Bool(*yes)),
            (Kind::Int(..), Json::Number(number)) => number.as_i64().and_then(|number| integer(key, number)),
            (Kind::Ratio, Json::Number(number)) => number.as_f64().and_then(ratio),
            (Kind::List | Kind::SecretList, Json::Array(items)) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>().map(Self::List)
            }
            (Kind::Object, Json::Object(map)) => Some(Self::Object(map.clone())),
            (Kind::OneOf(_) | Kind::DurationOrNever, Json::Number(number)) => plain(key, &number.to_string()),
            (Kind::Bool | Kind::Int(..) | Kind::Ratio | Kind::List | Kind::SecretList | Kind::Object, _) => None,
            (_, Json::String(text)) => plain(key, text),
            _ => None,
        };
        value.ok_or_else(|| refusal(key, json))
    }

    /// How the value is shown to an operator. The caller hides secrets.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Bool(yes) => yes.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Ratio(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.join(","),
            Self::Duration(None) => "-1".to_owned(),
            Self::Duration(Some(duration)) => format_go(*duration),
            Self::Object(map) => Json::Object(map.clone()).to_string(),
        }
    }
}

/// The kinds that one piece of text makes up whole.
fn plain(key: &Key, text: &str) -> Option<Value> {
    let fits = match key.kind {
        Kind::OneOf(words) => words.contains(&text),
        Kind::Url => Url::parse(text).is_ok_and(|url| url.has_host()),
        Kind::UrlRef => is_reference(text),
        Kind::Duration => return parse_go(text).map(|duration| Value::Duration(Some(duration))),
        Kind::DurationOrNever if text == "-1" => return Some(Value::Duration(None)),
        Kind::DurationOrNever => {
            return parse_go(text).map(|duration| Value::Duration(Some(duration)));
        }
        _ => true,
    };
    fits.then(|| Value::Text(text.to_owned()))
}

fn is_reference(text: &str) -> bool {
    let base = Url::parse("http://host.invalid/").ok();
    !text.contains(char::is_whitespace) && Url::options().base_url(base.as_ref()).parse(text).is_ok()
}

fn integer(key: &Key, number: i64) -> Option<Value> {
    let Kind::Int(least, most) = key.kind else {
        return None;
    };
    (least..=most).contains(&number).then_some(Value::Int(number))
}

fn ratio(number: f64) -> Option<Value> {
    (0.0..=1.0).contains(&number).then_some(Value::Ratio(number))
}

/// A list as text: JSON when it begins with a bracket, else split at commas and line ends. Blanks inside an item stay.
fn list_text(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    Some(text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

fn refusal(key: &Key, json: &Json) -> Refusal {
    let given = match json {
        _ if key.kind.is_secret() => "the value".to_owned(),
        // A mistyped object or list may have a secret inside.
        Json::Object(_) => "an object".to_owned(),
        Json::Array(_) => "a list".to_owned(),
        Json::String(text) if matches!(key.kind, Kind::Object | Kind::Hook) || text.contains('@') => {
            "the text".to_owned()
        }
        other => other.to_string(),
    };
    let (problem, fix) = match key.kind {
        Kind::Bool => ("is not true or false".to_owned(), "write true or false".to_owned()),
        Kind::Int(least, most) => {
            ("is not a whole number in range".to_owned(), format!("write a number from {least} to {most}"))
        }
        Kind::Ratio => ("is not a number from 0 to 1".to_owned(), "write a number such as 0.1".to_owned()),
        Kind::OneOf(words) => ("is not a known word".to_owned(), format!("write one of {}", words.join(", "))),
        Kind::Duration => ("is not a duration".to_owned(), "write one such as 30s, 10m or 1h30m".to_owned()),
        Kind::DurationOrNever => {
            ("is not a duration".to_owned(), "write one such as 30s, 10m or 720h, or -1 for ever".to_owned())
        }
        Kind::List | Kind::SecretList => {
            ("is not a list of texts".to_owned(), "write a list: in a file [\"a\", \"b\"], elsewhere a,b".to_owned())
        }
        Kind::Url => ("is not an absolute URL".to_owned(), "write one such as https://host/path".to_owned()),
        Kind::UrlRef => ("is not a URL".to_owned(), "write one such as https://host/path or /path".to_owned()),
        Kind::Object => ("is not a JSON object".to_owned(), "write one such as {\"a\": \"b\"}".to_owned()),
        Kind::Hook => ("is not a hook".to_owned(), "write a URL, or an object with url and auth".to_owned()),
        Kind::Text | Kind::Secret => ("is not text".to_owned(), "write text; in a file, in quotes".to_owned()),
    };
    (format!("{given} {problem}"), fix)
}
