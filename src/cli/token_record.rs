//! A token as the commands print it: the four columns, JSON with its expiry, and the lines of v1's `token user`.
//!
//! Every command that gets a token prints it from here, except `token client`, which prints less.

use anyhow::bail;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::output::{Row, Show, one_line, say, text};

const HEADERS: [&str; 4] = ["ACCESS TOKEN", "REFRESH TOKEN", "ID TOKEN", "EXPIRY"];

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "the command line tells its user the time of the answer")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A token endpoint's answer with its `expiry`, counted from the moment it was asked.
///
/// # Errors
/// When the answer holds no access token.
pub fn dated(mut answer: Value, asked: OffsetDateTime) -> anyhow::Result<Value> {
    if text(&answer, "access_token").is_empty() {
        bail!("the server answered without an access token; is the endpoint right?");
    }
    let expiry = answer.get("expires_in").and_then(Value::as_i64).and_then(|seconds| after(asked, seconds));
    if let (Some(members), Some(expiry)) = (answer.as_object_mut(), expiry) {
        members.insert("expiry".to_owned(), Value::from(expiry));
    }
    Ok(answer)
}

/// Prints it as the flags say.
///
/// # Errors
/// When a path leads nowhere.
pub fn show(token: &Value, show: &Show) -> anyhow::Result<()> {
    show.record(&HEADERS, &row(token), token)
}

/// Prints it as v1's `token user` did.
///
/// # Errors
/// When standard output cannot be written.
pub fn show_v1(token: &Value) -> anyhow::Result<()> {
    let value = |name| one_line(&text(token, name));
    let expiry = OffsetDateTime::parse(&value("expiry"), &Rfc3339).ok().and_then(rfc_1123).unwrap_or_default();
    say(&format!(
        "Access Token:\n\t{}\nRefresh Token:\n\t{}\nExpires in:\n\t{expiry}\nID Token:\n\t{}\n",
        value("access_token"),
        value("refresh_token"),
        value("id_token"),
    ))
}

fn row(token: &Value) -> Row {
    let cell = |name| Some(text(token, name)).filter(|t| !t.is_empty()).unwrap_or_else(|| "<empty>".to_owned());
    let cells = ["access_token", "refresh_token", "id_token", "expiry"].map(cell);
    Row { id: text(token, "access_token"), cells: cells.to_vec() }
}

/// So many seconds after a moment, as RFC 3339 in whole seconds.
pub fn after(start: OffsetDateTime, seconds: i64) -> Option<String> {
    let whole = start.replace_nanosecond(0).ok()?;
    whole.checked_add(time::Duration::seconds(seconds))?.format(&Rfc3339).ok()
}

fn rfc_1123(moment: OffsetDateTime) -> Option<String> {
    let form =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] UTC");
    moment.to_offset(time::UtcOffset::UTC).format(form).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_token_lacks_is_shown_as_empty() {
        let row = row(&json!({"access_token": "a", "expiry": "soon"}));
        assert_eq!(row.cells, ["a", "<empty>", "<empty>", "soon"]);
    }

    #[test]
    fn expiry_is_rfc_3339_and_rfc_1123_in_v1() {
        assert_eq!(after(OffsetDateTime::UNIX_EPOCH, 3600).as_deref(), Some("1970-01-01T01:00:00Z"));
        assert_eq!(rfc_1123(OffsetDateTime::UNIX_EPOCH).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 UTC"));
        let token = dated(json!({"access_token": "a", "expires_in": 60}), OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(token["expiry"], "1970-01-01T00:01:00Z");
        assert!(dated(json!({"token": "a"}), OffsetDateTime::UNIX_EPOCH).is_err());
    }
}
