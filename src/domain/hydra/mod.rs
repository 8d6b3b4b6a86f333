//! Rows of Ory Hydra's tables (2.0 to 26.2), understood. For moving from there.
//!
//! A row comes as JSON by the names of its columns, so that a column that a release does not have is just not there, and
//! one that nobody here knows is seen. SQLite has text where PostgreSQL has JSON, and 0 and 1 where it has booleans.

mod client;
mod consent;

pub use client::{HydraClient, LATER_GRANTS};
pub use consent::HydraConsent;

use super::world::Timestamp;
use serde_json::{Map, Value};

/// A column that holds what is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {0} holds what is not understood")]
pub struct Odd(pub &'static str);

/// One row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(pub Map<String, Value>);

impl Row {
    fn get(&self, column: &str) -> &Value {
        self.0.get(column).unwrap_or(&Value::Null)
    }

    /// A text; empty when there is none.
    pub fn text(&self, column: &str) -> &str {
        self.get(column).as_str().unwrap_or_default()
    }

    /// A boolean, if there is one.
    fn flag(&self, column: &str) -> Option<bool> {
        match self.get(column) {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().map(|n| n != 0),
            _ => None,
        }
    }

    fn number(&self, column: &str) -> Option<i64> {
        self.get(column).as_i64()
    }

    /// JSON, as such or in a text; null for an empty text.
    fn json(&self, column: &'static str) -> Result<Value, Odd> {
        match self.get(column) {
            Value::String(text) if text.trim().is_empty() => Ok(Value::Null),
            Value::String(text) => serde_json::from_str(text).map_err(|_| Odd(column)),
            value => Ok(value.clone()),
        }
    }

    /// A list of texts; empty when there is none.
    fn list(&self, column: &'static str) -> Result<Vec<String>, Odd> {
        match self.json(column)? {
            Value::Null => Ok(Vec::new()),
            value => serde_json::from_value(value).map_err(|_| Odd(column)),
        }
    }

    /// An object; empty when there is none.
    fn object(&self, column: &'static str) -> Result<Map<String, Value>, Odd> {
        match self.json(column)? {
            Value::Null => Ok(Map::new()),
            Value::Object(members) => Ok(members),
            _ => Err(Odd(column)),
        }
    }

    /// A moment, written `2026-01-31T12:00:00.5` or `2026-01-31 12:00:00.5+00:00`; without a zone it is UTC.
    ///
    /// # Errors
    /// [`Odd`] for anything else.
    pub fn moment(&self, column: &'static str) -> Result<Option<Timestamp>, Odd> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        let (day, time) = text.split_once([' ', 'T']).ok_or(Odd(column))?;
        let zone = if time.contains(['Z', '+', '-']) { "" } else { "Z" };
        Timestamp::parse_rfc3339(&format!("{day}T{time}{zone}")).map(Some).ok_or(Odd(column))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    pub(super) fn row(columns: Value) -> Row {
        Row(columns.as_object().cloned().unwrap())
    }

    #[test]
    fn both_databases_read_alike() {
        let postgres = row(json!({"f": true, "l": ["a"], "o": {"x": 1}, "t": "2026-01-31T12:00:00.5", "n": 5}));
        let sqlite = row(json!({"f": 1, "l": "[\"a\"]", "o": "{\"x\":1}", "t": "2026-01-31 12:00:00.5+00:00", "n": 5}));
        for row in [postgres, sqlite] {
            assert_eq!((row.flag("f"), row.number("n")), (Some(true), Some(5)));
            assert_eq!(
                (row.list("l").unwrap(), row.object("o").unwrap()),
                (vec!["a".to_owned()], json!({"x": 1}).as_object().cloned().unwrap())
            );
            assert_eq!(row.moment("t").unwrap().unwrap().rfc3339(), "2026-01-31T12:00:00.5Z");
        }
    }

    #[test]
    fn what_is_not_there_is_empty_and_what_is_odd_is_told() {
        let row = row(json!({"empty": "", "null": null, "text": "x|y", "list": [1], "day": "2026-01-31"}));
        for column in ["empty", "null", "absent"] {
            assert_eq!((row.text(column), row.flag(column), row.number(column)), ("", None, None));
            assert_eq!(row.0.get(column).is_some(), column != "absent");
        }
        assert_eq!((row.list("empty"), row.list("null"), row.moment("null")), (Ok(vec![]), Ok(vec![]), Ok(None)));
        assert_eq!(
            (row.list("text"), row.list("list"), row.moment("day")),
            (Err(Odd("text")), Err(Odd("list")), Err(Odd("day")))
        );
        assert_eq!(row.object("list"), Err(Odd("list")));
    }
}
