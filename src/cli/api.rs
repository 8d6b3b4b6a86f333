//! The HTTP client of the command line: which server, with which headers, and how a refusal is told.
//!
//! Only the commands of this room call it. Invariant: a path segment is percent-encoded here and nowhere else, and
//! an answer outside 2xx is always an error, so no command can print a failure as if it were a result.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use url::Url;

use super::output::text;
use crate::runtime::probe::root_cause;

/// How to reach the server; shared by every command that talks to one.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Reaching the server")]
pub struct ApiFlags {
    /// Base URL of the API: the admin listener, or the public one for `perform`, `revoke` and `token client`.
    /// Environment: ORY_SDK_URL; HYDRA_ADMIN_URL (admin) and HYDRA_URL (public) work as well
    #[arg(short = 'e', long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Accept any TLS certificate. Only for tests
    #[arg(long)]
    pub skip_tls_verify: bool,
    /// One more HTTP header, such as 'Authorization: Bearer …'; may be repeated
    #[arg(short = 'H', long = "http-header", value_name = "NAME: VALUE")]
    pub http_header: Vec<String>,
    /// Send this access token as `Authorization: Bearer …`
    #[arg(long, env = "OAUTH2_ACCESS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub access_token: Option<String>,
    /// Tell the server that TLS ended before it (`X-Forwarded-Proto: https`)
    #[arg(long)]
    pub fake_tls_termination: bool,
    /// Keep trying this long when nothing answers, as in 30s or 1m [default: do not try again; v1 commands: 1m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub fail_after: Option<Duration>,
    /// Accepted for older scripts; commands that call the API read no configuration
    #[arg(long, hide = true)]
    pub config: Vec<PathBuf>,
}

/// Which of the two listeners a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Clients, keys, introspection.
    Admin,
    /// Token and revocation endpoint.
    Public,
}

/// Which generation of command names was typed; it decides texts, environment names and patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// `clients create`, `token client`, …
    V1,
    /// `create oauth2-client`, `perform client-credentials`, …
    V2,
}

/// A body to send.
pub enum Body<'a> {
    /// None.
    Empty,
    /// `application/json`.
    Json(&'a Value),
    /// `application/x-www-form-urlencoded`, with the client's id and secret when it has to authenticate.
    Form(&'a [(&'a str, &'a str)], Option<(&'a str, &'a str)>),
}

/// An answer with a status of 2xx.
#[derive(Debug)]
pub struct Answer {
    /// The JSON body; `Null` when there was none.
    pub value: Value,
    /// The `page_token` of the `Link` header with `rel="next"`.
    pub next_page: Option<String>,
}

/// What the server refused, with its own words.
#[derive(Debug, thiserror::Error)]
#[error("{told}\nFailed to execute API request, see error above.")]
pub struct Refused {
    /// The status; `None` when nothing answered.
    pub status: Option<u16>,
    /// The JSON that was answered, or what stands in for it as a text.
    answer: Value,
    told: String,
}

impl Refused {
    /// From what was answered, or from a text that says what happened.
    pub fn new(status: Option<u16>, answer: Value) -> Self {
        let told = match &answer {
            Value::String(text) => text.clone(),
            json => pretty(json),
        };
        Self { status, answer, told }
    }

    /// The `error` of an OAuth answer (RFC 6749 §5.2); empty when it was none.
    pub fn code(&self) -> String {
        text(&self.answer, "error")
    }

    /// What else the answer says: its description and its hint, or the whole of an answer that is no OAuth error.
    pub fn why(&self) -> Vec<String> {
        let said = ["error_description", "error_hint"].map(|name| text(&self.answer, name));
        if self.code().is_empty() {
            return vec![self.told.clone()];
        }
        said.into_iter().filter(|part| !part.is_empty()).collect()
    }
}

/// A server and the way to it.
pub struct Api {
    http: reqwest::Client,
    base: String,
    patience: Duration,
}

impl Api {
    /// Finds the endpoint and builds the client.
    ///
    /// # Errors
    /// When no endpoint is given, or a flag does not parse.
    pub fn open(flags: &ApiFlags, side: Side, spelling: Spelling) -> anyhow::Result<Self> {
        Self::with_base(endpoint_of(flags, side, spelling)?, flags, spelling)
    }

    /// One URL of a server, which is called with no segments.
    ///
    /// # Errors
    /// When a flag does not parse.
    pub fn of(url: &Url, flags: &ApiFlags, spelling: Spelling) -> anyhow::Result<Self> {
        Self::with_base(url.as_str().to_owned(), flags, spelling)
    }

    fn with_base(base: String, flags: &ApiFlags, spelling: Spelling) -> anyhow::Result<Self> {
        let http =
            client().default_headers(headers(flags)?).tls_danger_accept_invalid_certs(flags.skip_tls_verify).build()?;
        let unasked = if spelling == Spelling::V1 { Duration::from_secs(60) } else { Duration::ZERO };
        Ok(Self { http, base, patience: flags.fail_after.unwrap_or(unasked) })
    }

    /// A server in this process, at a base URL.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn at(base: &str) -> anyhow::Result<Self> {
        // A proxy that the environment names must not see what stays on loopback.
        let http = client().no_proxy().build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), patience: Duration::ZERO })
    }

    /// Calls `base/segments…?query`.
    ///
    /// # Errors
    /// When the server cannot be reached or answers outside 2xx.
    pub async fn call(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Body<'_>,
    ) -> anyhow::Result<Answer> {
        let url = address(&self.base, segments, query)?;
        let mut request = self.http.request(method, url).header("accept", "application/json");
        request = match body {
            Body::Empty => request,
            Body::Json(value) => request.json(value),
            Body::Form(fields, None) => request.form(fields),
            Body::Form(fields, Some((id, secret))) => {
                request.form(fields).basic_auth(form_encoded(id), Some(form_encoded(secret)))
            }
        };
        read(self.patiently(request).await?).await
    }

    async fn patiently(&self, request: reqwest::RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let again = request.try_clone().context("the request cannot be repeated")?;
            match again.send().await {
                Ok(response) => return Ok(response),
                Err(error) if error.is_connect() && begun.elapsed() < self.patience => {
                    if !std::mem::replace(&mut told, true) {
                        eprintln!("Nothing answers at {} yet; trying for {:?}.", self.base, self.patience);
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) => {
                    let told = serde_json::json!({
                        "error": "unreachable",
                        "error_description": format!("No answer from {}: {}", self.base, root_cause(&error)),
                        "error_hint": "Is the server running, and is this its address? Give it with --endpoint.",
                    });
                    return Err(Refused::new(None, told).into());
                }
            }
        }
    }
}

/// An endpoint of the public listener: the URL that `flag` gave, or the path below `--endpoint`.
///
/// # Errors
/// When neither is given, or what is given is no URL.
pub fn public_url(
    given: Option<&str>,
    flag: &str,
    path: &[&str],
    (flags, spelling): (&ApiFlags, Spelling),
) -> anyhow::Result<Url> {
    match given {
        Some(given) => web_url(given, flag),
        None => address(&endpoint_of(flags, Side::Public, spelling)?, path, &[]),
    }
}

/// What a flag gives as an `http` or `https` URL.
///
/// # Errors
/// When it is none.
pub fn web_url(given: &str, flag: &str) -> anyhow::Result<Url> {
    let url = Url::parse(given).with_context(|| format!("{flag} {given:?} is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("{flag} {given:?} should begin with http:// or https://");
    }
    Ok(url)
}

fn endpoint_of(flags: &ApiFlags, side: Side, spelling: Spelling) -> anyhow::Result<String> {
    endpoint(flags.endpoint.as_deref(), side, spelling, |name| std::env::var(name).ok())
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(60))
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
}

async fn read(response: reqwest::Response) -> anyhow::Result<Answer> {
    let status = response.status();
    let next_page = response.headers().get("link").and_then(|h| h.to_str().ok()).and_then(next_page_token);
    let bytes = response.bytes().await.context("the answer broke off")?;
    if !status.is_success() {
        let answer = match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) => value,
            Err(_) => Value::from(format!("HTTP {status}: {}", String::from_utf8_lossy(&bytes).trim())),
        };
        return Err(Refused::new(Some(status.as_u16()), answer).into());
    }
    let value = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).context("the server's answer is not JSON; is the endpoint right?")?
    };
    Ok(Answer { value, next_page })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn endpoint(
    flag: Option<&str>,
    side: Side,
    spelling: Spelling,
    env: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<String> {
    let own = if side == Side::Admin { "HYDRA_ADMIN_URL" } else { "HYDRA_URL" };
    let names = if spelling == Spelling::V1 { [own, "ORY_SDK_URL"] } else { ["ORY_SDK_URL", own] };
    let from_env = || names.iter().filter_map(|name| env(name)).find(|value| !value.trim().is_empty());
    let (listener, port) = if side == Side::Admin { ("admin", 4445) } else { ("public", 4444) };
    let Some(given) = flag.map(str::to_owned).or_else(from_env) else {
        bail!(
            "no server named: give its {listener} URL with --endpoint http://127.0.0.1:{port} or set {}",
            names.join(" or ")
        );
    };
    let url = Url::parse(given.trim())
        .with_context(|| format!("--endpoint {given:?} is not a URL; it should look like http://127.0.0.1:{port}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("--endpoint {given:?} should begin with http:// or https://");
    }
    Ok(given.trim().trim_end_matches('/').to_owned())
}

fn headers(flags: &ApiFlags) -> anyhow::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    if flags.fake_tls_termination {
        map.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    }
    if let Some(token) = flags.access_token.as_deref().filter(|t| !t.is_empty()) {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).context("--access-token")?;
        value.set_sensitive(true);
        map.insert("authorization", value);
    }
    for line in &flags.http_header {
        let (name, value) = line.split_once(':').with_context(
            || "--http-header is written 'Name: value', for example -H 'Authorization: Bearer some-token'",
        )?;
        map.append(
            HeaderName::from_bytes(name.trim().as_bytes()).context("--http-header: not a header name")?,
            HeaderValue::from_str(value.trim()).context("--http-header: not a header value")?,
        );
    }
    Ok(map)
}

fn address(base: &str, segments: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Url> {
    let mut text = base.to_owned();
    for segment in segments {
        // URL parsers resolve these, percent-encoded or not, and would reach another resource.
        if matches!(*segment, "" | "." | "..") {
            bail!("{segment:?} cannot be used as an id in a URL");
        }
        text.push('/');
        text.push_str(&segment_encoded(segment));
    }
    let mut url = Url::parse(&text)?;
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn segment_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they go into HTTP Basic.
fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn next_page_token(link: &str) -> Option<String> {
    let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let target = part.split_once('<')?.1.split_once('>')?.0;
    let query = target.split_once('?')?.1;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == "page_token" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// Go's way to write a duration: `90s`, `1m30s`, `500ms`, `1.5h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 500ms, 30s, 1m or 2h");
    let (mut rest, mut seconds) = (text, 0.0);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" if number == "0" => 0.0,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn ids_are_encoded_as_one_segment() {
        let url = address("http://h:1/base", &["admin", "clients", "a/b c?ü#%2F"], &[("q", "a b")]).unwrap();
        assert_eq!(url.as_str(), "http://h:1/base/admin/clients/a%2Fb%20c%3F%C3%BC%23%252F?q=a+b");
        for id in ["", ".", ".."] {
            assert!(address("http://h:1", &["admin", "clients", id], &[]).is_err());
        }
    }

    #[test]
    fn endpoint_takes_flag_then_environment() {
        let env = |name: &str| match name {
            "ORY_SDK_URL" => Some("http://sdk/".to_owned()),
            "HYDRA_ADMIN_URL" => Some("http://admin:1//".to_owned()),
            _ => None,
        };
        let admin = |flag, spelling| endpoint(flag, Side::Admin, spelling, env).unwrap();
        assert_eq!(admin(Some("https://flag/x/"), Spelling::V2), "https://flag/x");
        assert_eq!(admin(None, Spelling::V2), "http://sdk");
        assert_eq!(admin(None, Spelling::V1), "http://admin:1");
        assert!(endpoint(None, Side::Public, Spelling::V2, |_| None).is_err());
        assert!(endpoint(Some("localhost:4445"), Side::Admin, Spelling::V2, |_| None).is_err());
    }

    #[test]
    fn the_next_page_comes_from_the_link_header() {
        let link = r#"</admin/clients?page_size=2&page_token=>; rel="first",</admin/clients?page_size=2&page_token=ab%3D>; rel="next""#;
        assert_eq!(next_page_token(link).as_deref(), Some("ab="));
        assert_eq!(next_page_token(r#"</admin/clients?page_size=2>; rel="first""#), None);
    }

    #[test]
    fn durations_are_go_text() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("5").is_err() && duration("").is_err() && duration("x").is_err());
    }
}
