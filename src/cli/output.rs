//! How a result is shown: table, JSON, YAML, one value by path, or ids alone.
//!
//! Every command that prints a result goes through [`Show`]. Invariant: standard output carries results only;
//! scripts read it.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

/// The two flags that choose a form.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Show {
    /// table, json, json-pretty, yaml, jsonpath=$.a.b[0] or jsonpointer=/a/b/0
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = format)]
    pub format: Format,
    /// Print the ids alone
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

/// A form of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// One line.
    Json,
    /// Indented.
    JsonPretty,
    /// YAML 1.2.
    Yaml,
    /// The value at a path such as `$.items[0].client_id`.
    JsonPath(String),
    /// The value at an RFC 6901 pointer.
    JsonPointer(String),
}

/// One line of a table: the id first, then the cells under the table's headers.
#[derive(Debug)]
pub struct Row {
    /// What `--quiet` prints.
    pub id: String,
    /// As many as there are headers.
    pub cells: Vec<String>,
}

fn format(text: &str) -> Result<Format, String> {
    Ok(match text {
        "table" | "default" | "" => Format::Table,
        "json" => Format::Json,
        "json-pretty" => Format::JsonPretty,
        "yaml" => Format::Yaml,
        _ => match text.split_once('=') {
            Some(("jsonpath", path)) => Format::JsonPath(path.to_owned()),
            Some(("jsonpointer", pointer)) => Format::JsonPointer(pointer.to_owned()),
            _ => return Err("use table, json, json-pretty, yaml, jsonpath=$.a.b[0] or jsonpointer=/a/b".to_owned()),
        },
    })
}

impl Show {
    /// Prints one record.
    ///
    /// # Errors
    /// When a path leads nowhere.
    pub fn record(&self, headers: &[&str], row: &Row, json: &Value) -> anyhow::Result<()> {
        if self.quiet {
            return say(&row.id);
        }
        match shaped(&self.format, json)? {
            Some(text) => say(&text),
            None => say(&record_table(headers, row)),
        }
    }

    /// Prints several records; `more` is what stands below the table.
    ///
    /// # Errors
    /// When a path leads nowhere.
    pub fn list(&self, headers: &[&str], rows: &[Row], json: &Value, more: &str) -> anyhow::Result<()> {
        if self.quiet {
            return rows.iter().try_for_each(|row| say(&row.id));
        }
        match shaped(&self.format, json)? {
            Some(text) => say(&text),
            None => say(&format!("{}{more}", list_table(headers, rows))),
        }
    }

    /// The table alone, as text.
    pub fn table(headers: &[&str], rows: &[Row]) -> String {
        list_table(headers, rows)
    }

    /// Prints ids: a JSON string for one, an array for several, a line each otherwise.
    ///
    /// # Errors
    /// When a path leads nowhere.
    pub fn ids(&self, ids: &[String]) -> anyhow::Result<()> {
        let json = match ids {
            [one] => Value::from(one.as_str()),
            several => Value::from(several.to_vec()),
        };
        let text = if self.quiet { None } else { shaped(&self.format, &json)? };
        match text {
            Some(text) => say(&text),
            None => ids.iter().try_for_each(|id| say(id)),
        }
    }
}

/// Writes one text and a line end to standard output. A reader that left early (`| head`) is no error.
///
/// # Errors
/// When standard output cannot be written for another reason, such as a full disk.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

/// A line on standard error that is written over, on a terminal, once the work has taken a while.
pub struct Progress {
    begun: Instant,
    terminal: bool,
    written: bool,
}

impl Progress {
    /// The work begins.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), terminal: std::io::stderr().is_terminal(), written: false }
    }

    /// How far it is.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.terminal && self.begun.elapsed() > Duration::from_secs(1) {
            eprint!("\r{}", line());
            let _ = std::io::stderr().flush();
            self.written = true;
        }
    }

    /// It is over: the line goes.
    pub fn end(&self) {
        if self.written {
            eprint!("\r\x1b[K");
        }
    }
}

/// The value at `key` as text: strings bare, lists joined by ", ", nothing for what is absent.
pub fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::Array(items)) => items.iter().map(bare).collect::<Vec<_>>().join(", "),
        Some(other) => bare(other),
        None => String::new(),
    }
}

fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// `None` means: as a table.
fn shaped(format: &Format, json: &Value) -> anyhow::Result<Option<String>> {
    let found = match format {
        Format::Table => return Ok(None),
        Format::Json => return Ok(Some(json.to_string())),
        Format::JsonPretty => return Ok(Some(serde_json::to_string_pretty(json)?)),
        Format::Yaml => return Ok(Some(yaml(json))),
        Format::JsonPath(path) => walk(json, path)?,
        Format::JsonPointer(pointer) => {
            json.pointer(pointer).with_context(|| format!("nothing at the JSON pointer {pointer:?}"))?
        }
    };
    Ok(Some(bare(found)))
}

/// Follows `$.a.b[0]['c']`; the `$`, and braces around the whole, may be left out.
fn walk<'v>(json: &'v Value, path: &str) -> anyhow::Result<&'v Value> {
    let inner = path.trim();
    let inner = inner.strip_prefix('{').and_then(|p| p.strip_suffix('}')).unwrap_or(inner);
    let mut rest = inner.strip_prefix('$').unwrap_or(inner);
    let mut here = json;
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('[') {
            Some(bracket) => bracket.split_once(']').with_context(|| format!("{path:?}: a ] is missing"))?,
            None => {
                let name = rest.strip_prefix('.').unwrap_or(rest);
                name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
            }
        };
        let step = step.trim_matches(['\'', '"']);
        if step.is_empty() || step.contains(['*', '?', '@', ':']) {
            bail!(
                "{path:?}: only names and indices are understood, as in $.items[0].client_id; pipe json into jq for more"
            );
        }
        let next = match here {
            Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            other => other.get(step),
        };
        here = next.with_context(|| format!("{path:?}: there is no {step:?} in the result"))?;
        rest = after;
    }
    Ok(here)
}

fn record_table(headers: &[&str], row: &Row) -> String {
    let lines: Vec<Vec<&str>> = headers.iter().zip(&row.cells).map(|(h, cell)| vec![*h, cell.as_str()]).collect();
    aligned(&lines).trim_end_matches('\n').to_owned()
}

fn list_table(headers: &[&str], rows: &[Row]) -> String {
    let mut lines = vec![headers.to_vec()];
    lines.extend(rows.iter().map(|row| row.cells.iter().map(String::as_str).collect()));
    aligned(&lines).trim_end_matches('\n').to_owned()
}

/// Columns padded with tabs to the next multiple of eight, at least one tab between two: what existing scripts
/// split with `cut` or `awk`. The last column is not padded.
fn aligned(lines: &[Vec<&str>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let clean: Vec<Vec<String>> = lines.iter().map(|line| line.iter().map(|cell| one_line(cell)).collect()).collect();
    let stop = |column: usize| {
        let widest = clean.iter().filter_map(|line| line.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
        widest / 8 + 1
    };
    let stops: Vec<usize> = (0..columns).map(stop).collect();
    let mut out = String::new();
    for line in &clean {
        for (column, (cell, stop)) in line.iter().zip(&stops).enumerate() {
            out.push_str(cell);
            if column + 1 < line.len() {
                out.push_str(&"\t".repeat(stop.saturating_sub(cell.chars().count() / 8)));
            }
        }
        out.push('\n');
    }
    out
}

/// A name can hold anything; a terminal must not obey it.
pub fn one_line(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Block style; strings that YAML could read as something else are quoted as in JSON, which YAML 1.2 contains.
fn yaml(value: &Value) -> String {
    let mut out = String::new();
    yaml_into(value, 0, &mut out);
    out.trim_end_matches('\n').to_owned()
}

fn yaml_into(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, item) in map {
                out.push_str(&format!("{indent}{}:", yaml_text(key)));
                yaml_child(item, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                yaml_child(item, depth, out);
            }
        }
        Value::String(text) => out.push_str(&format!("{}\n", yaml_text(text))),
        other => out.push_str(&format!("{other}\n")),
    }
}

fn yaml_child(item: &Value, depth: usize, out: &mut String) {
    let nested = item.as_object().is_some_and(|map| !map.is_empty()) || item.as_array().is_some_and(|i| !i.is_empty());
    out.push(if nested { '\n' } else { ' ' });
    yaml_into(item, depth + 1, out);
}

fn yaml_text(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/'))
        && text.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_is_lines_and_a_list_has_a_header() {
        let row = Row { id: "a".into(), cells: vec!["a".into(), "x\ny".into()] };
        assert_eq!(record_table(&["CLIENT ID", "CLIENT SECRET"], &row), "CLIENT ID\ta\nCLIENT SECRET\tx y");
        assert_eq!(list_table(&["ID", "LONG HEADER"], &[row]), "ID\tLONG HEADER\na\tx y");
    }

    #[test]
    fn columns_line_up_on_stops_of_eight() {
        let lines = [vec!["12345678", "b"], vec!["1", "b"]];
        assert_eq!(aligned(&lines), "12345678\tb\n1\t\tb\n");
    }

    #[test]
    fn paths_find_values_or_say_why_not() {
        let json = json!({"items": [{"id": "x", "n": 1}], "a.b": true});
        let at = |f: &str| shaped(&format(f).unwrap(), &json).map(Option::unwrap);
        assert_eq!(at("jsonpath=$.items[0].id").unwrap(), "x");
        assert_eq!(at("jsonpath={.items[0].n}").unwrap(), "1");
        assert_eq!(at("jsonpath=items.0.id").unwrap(), "x");
        assert_eq!(at("jsonpath=$['a.b']").unwrap(), "true");
        assert_eq!(at("jsonpointer=/items/0/id").unwrap(), "x");
        for wrong in ["jsonpath=$.no", "jsonpath=$.items[*]", "jsonpath=$.items[0", "jsonpath=$..id", "jsonpointer=/x"]
        {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        assert!(format("xml").is_err());
    }

    #[test]
    fn yaml_quotes_what_it_must() {
        let json = json!({"a": ["x", "no", "1"], "b": {}, "c": {"d": null, "e": "two: words"}, "f": [{"g": 1}]});
        let expected = "a:\n  - x\n  - \"no\"\n  - \"1\"\nb: {}\nc:\n  d: null\n  e: \"two: words\"\nf:\n  -\n    g: 1";
        assert_eq!(yaml(&json), expected);
    }
}
