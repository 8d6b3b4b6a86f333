//! Commands about OAuth 2.0 clients: create, get, list, update, delete, import; `clients …` as in v1.
//!
//! Each function is one command. Invariant: files and flags are read and checked before the first request.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::api::{Api, ApiFlags, Body, Refused, Side, Spelling};
use super::client_flags::ClientFlags;
use super::output::{Row, Show, say, text};

const HEADERS: [&str; 7] =
    ["CLIENT ID", "CLIENT SECRET", "GRANT TYPES", "RESPONSE TYPES", "SCOPE", "AUDIENCE", "REDIRECT URIS"];
/// The path of all clients.
pub const CLIENTS: [&str; 2] = ["admin", "clients"];

/// `create oauth2-client`.
#[derive(Debug, clap::Args)]
pub struct Create {
    #[command(flatten)]
    client: ClientFlags,
    /// A JSON file with the client; flags go over it. `-` reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `update oauth2-client`.
#[derive(Debug, clap::Args)]
pub struct Update {
    /// The client to change
    #[arg(value_name = "ID")]
    target: String,
    #[command(flatten)]
    client: ClientFlags,
    /// Replace the whole client by this JSON file; flags go over it. `-` reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// Commands that take ids: `get` and `delete`.
#[derive(Debug, clap::Args)]
pub struct Ids {
    /// Client ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `list oauth2-clients`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Clients per page
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    page_size: u32,
    /// Where to go on: `next_page_token` of the page before
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TOKEN")]
    page_token: String,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `clients list`, which counts pages.
#[derive(Debug, clap::Args)]
pub struct ListV1 {
    /// Clients per page
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Which page, from 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// `import oauth2-client`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// JSON files with one client, an array of them, or what `list` printed; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// Creates one client and prints it, secret included.
///
/// # Errors
/// Bad flags or file; the server's refusal.
pub async fn create(args: Create, spelling: Spelling) -> anyhow::Result<()> {
    let body = match &args.file {
        None => args.client.new_client()?,
        Some(file) => over(one_of(file)?, args.client.members()?),
    };
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let made = api.call(Method::POST, &CLIENTS, &[], Body::Json(&Value::Object(body))).await?.value;
    if spelling == Spelling::V2 {
        return args.show.record(&HEADERS, &row(&made), &made);
    }
    say(&format!("OAuth 2.0 Client ID: {}", text(&made, "client_id")))?;
    match text(&made, "client_secret") {
        none if none.is_empty() => say("This OAuth 2.0 Client has no secret"),
        secret => say(&format!("OAuth 2.0 Client Secret: {secret}")),
    }
}

/// Prints one client, or several as a list.
///
/// # Errors
/// The server's refusal of any of them.
pub async fn get(args: Ids, spelling: Spelling) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let mut found = Vec::new();
    for id in &args.ids {
        found.push(api.call(Method::GET, &["admin", "clients", id], &[], Body::Empty).await?.value);
    }
    if let (Spelling::V1, [one]) = (spelling, found.as_slice()) {
        return say(&serde_json::to_string_pretty(one)?);
    }
    several(&args.show, &found)
}

/// Prints one page.
///
/// # Errors
/// The server's refusal.
pub async fn list(args: List) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, Spelling::V2)?;
    let (items, next) = page(&api, args.page_size, &args.page_token).await?;
    show_page(&args.show, &items, next)
}

/// Prints the page with that number. The API goes from token to token, so the pages before are read too.
///
/// # Errors
/// The server's refusal.
pub async fn list_v1(args: ListV1) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, Spelling::V1)?;
    let mut token = String::new();
    for number in 1..=args.page {
        let (items, next) = page(&api, args.limit, &token).await?;
        if number == args.page {
            return show_page(&args.show, &items, next);
        }
        match next {
            Some(next) => token = next,
            None => break,
        }
    }
    show_page(&args.show, &[], None)
}

/// One page of clients, and where the next one begins.
///
/// # Errors
/// The server's refusal.
pub async fn page(api: &Api, size: u32, token: &str) -> anyhow::Result<(Vec<Value>, Option<String>)> {
    let size = size.to_string();
    let mut query = vec![("page_size", size.as_str())];
    if !token.is_empty() {
        query.push(("page_token", token));
    }
    let answer = api.call(Method::GET, &CLIENTS, &query, Body::Empty).await?;
    match answer.value {
        Value::Array(items) => Ok((items, answer.next_page)),
        _ => bail!("the server's answer is not a list of clients; is the endpoint right?"),
    }
}

fn show_page(show: &Show, items: &[Value], next: Option<String>) -> anyhow::Result<()> {
    let last = next.is_none();
    let token = next.unwrap_or_default();
    let json = json!({"items": items, "next_page_token": token, "is_last_page": last});
    let rows: Vec<Row> = items.iter().map(row).collect();
    let more = format!("\n\nNEXT PAGE TOKEN\t{token}\nIS LAST PAGE\t{last}");
    show.list(&HEADERS, &rows, &json, &more)
}

/// Changes what the flags name (JSON Patch), or replaces the client by a file.
///
/// # Errors
/// Bad flags or file, no change named; the server's refusal.
pub async fn update(args: Update, spelling: Spelling) -> anyhow::Result<()> {
    let members = args.client.members()?;
    let path = ["admin", "clients", args.target.as_str()];
    let changed = match &args.file {
        Some(file) => {
            let whole = Value::Object(over(one_of(file)?, members));
            let api = Api::open(&args.api, Side::Admin, spelling)?;
            api.call(Method::PUT, &path, &[], Body::Json(&whole)).await?.value
        }
        None => {
            let patch = patch(members, &args.target)?;
            let api = Api::open(&args.api, Side::Admin, spelling)?;
            api.call(Method::PATCH, &path, &[], Body::Json(&patch)).await?.value
        }
    };
    match spelling {
        Spelling::V1 => say(&format!("{} OAuth 2.0 Client updated", args.target)),
        Spelling::V2 => args.show.record(&HEADERS, &row(&changed), &changed),
    }
}

/// `add` on a member replaces it and, unlike `replace`, also sets one that was absent (RFC 6902 §4.1).
fn patch(mut members: Map<String, Value>, id: &str) -> anyhow::Result<Value> {
    if let Some(other) = members.remove("client_id")
        && other != id
    {
        bail!("a client's id cannot be changed; create another client instead");
    }
    if members.is_empty() {
        bail!("nothing to change: name at least one flag, for example --name, or a whole client with --file");
    }
    let operation = |(name, value)| json!({"op": "add", "path": format!("/{name}"), "value": value});
    Ok(members.into_iter().map(operation).collect())
}

/// Deletes clients and prints the ids that are gone.
///
/// # Errors
/// The first refusal; those deleted before it are printed.
pub async fn delete(args: Ids, spelling: Spelling) -> anyhow::Result<()> {
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let mut gone = Vec::new();
    let mut refusal = None;
    for id in &args.ids {
        match api.call(Method::DELETE, &["admin", "clients", id], &[], Body::Empty).await {
            Ok(_) => gone.push(id.clone()),
            Err(error) => {
                refusal = Some(error);
                break;
            }
        }
    }
    match (spelling, gone.is_empty(), &refusal) {
        (_, true, _) => {}
        (Spelling::V1, _, None) => say("OAuth 2.0 Client(s) deleted")?,
        _ => args.show.ids(&gone)?,
    }
    refusal.map_or(Ok(()), Err)
}

/// Creates every client of the files and prints them, secrets included. A refusal keeps no other client from being made.
///
/// # Errors
/// A file that is not JSON stops before the first request; the server's refusals after printing what was made.
pub async fn import(args: Import, spelling: Spelling) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    for file in &args.files {
        wanted.extend(all_of(file)?.into_iter().map(|client| (file, client)));
    }
    let api = Api::open(&args.api, Side::Admin, spelling)?;
    let (mut made, mut refusals) = (Vec::new(), Vec::new());
    for (file, client) in &wanted {
        match api.call(Method::POST, &CLIENTS, &[], Body::Json(client)).await {
            Ok(answer) => made.push((file, answer.value)),
            Err(error) => {
                let silent = error.downcast_ref::<Refused>().is_none_or(|answer| answer.status.is_none());
                refusals.push(error.context(format!("{}: client {:?}", file.display(), text(client, "client_id"))));
                if silent {
                    break;
                }
            }
        }
    }
    if spelling == Spelling::V1 {
        for (file, client) in &made {
            let (id, secret) = (text(client, "client_id"), text(client, "client_secret"));
            say(&format!("Imported OAuth 2.0 Client {id}:{secret} from: {}", file.display()))?;
        }
    } else if !made.is_empty() {
        let clients: Vec<Value> = made.into_iter().map(|(_, client)| client).collect();
        several(&args.show, &clients)?;
    }
    let last = refusals.pop();
    refusals.iter().for_each(|refusal| eprintln!("{refusal:#}"));
    last.map_or(Ok(()), Err)
}

fn several(show: &Show, clients: &[Value]) -> anyhow::Result<()> {
    match clients {
        [one] => show.record(&HEADERS, &row(one), one),
        all => show_list(show, all),
    }
}

fn show_list(show: &Show, all: &[Value]) -> anyhow::Result<()> {
    let rows: Vec<Row> = all.iter().map(row).collect();
    show.list(&HEADERS, &rows, &json!({"items": all, "next_page_token": "", "is_last_page": true}), "")
}

fn row(client: &Value) -> Row {
    let fields = ["client_id", "client_secret", "grant_types", "response_types", "scope", "audience", "redirect_uris"];
    Row { id: text(client, "client_id"), cells: fields.iter().map(|field| text(client, field)).collect() }
}

fn over(mut base: Map<String, Value>, mut flags: Map<String, Value>) -> Map<String, Value> {
    base.append(&mut flags);
    base
}

fn one_of(file: &Path) -> anyhow::Result<Map<String, Value>> {
    match all_of(file)?.as_mut_slice() {
        [Value::Object(one)] => Ok(std::mem::take(one)),
        _ => bail!("{}: exactly one client is wanted here; use import for several", file.display()),
    }
}

fn all_of(file: &Path) -> anyhow::Result<Vec<Value>> {
    let clients = match serde_json::from_slice(&bytes_of(file)?).map(list_in) {
        Ok(Value::Array(many)) => many,
        Ok(one) => vec![one],
        Err(error) => bail!("{} is not JSON: {error}", file.display()),
    };
    if !clients.iter().all(Value::is_object) {
        bail!("{}: a client is a JSON object", file.display());
    }
    Ok(clients)
}

/// A page as `list oauth2-clients --format json` prints it stands for the list in it.
pub fn list_in(mut document: Value) -> Value {
    let page = document.get_mut("items").filter(|items| items.is_array()).map(Value::take);
    page.unwrap_or(document)
}

/// The content of a file, or of standard input for `-`.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_of(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).context("standard input")?;
        return Ok(bytes);
    }
    std::fs::read(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_update_patches_only_what_was_named() {
        let members = json!({"client_name": "x", "client_id": "a"}).as_object().unwrap().clone();
        let wanted = json!([{"op": "add", "path": "/client_name", "value": "x"}]);
        assert_eq!(patch(members.clone(), "a").unwrap(), wanted);
        assert!(patch(members, "b").is_err());
        assert!(patch(Map::new(), "a").is_err());
    }
}
