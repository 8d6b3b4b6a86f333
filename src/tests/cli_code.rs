//! `perform authorization-code` and `token user`, played by a browser on one side and a fake authorization server on
//! the other.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Response};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::harness::{Callee, Question, basic, free_port, run, signal};

type Query = BTreeMap<String, String>;

/// Spaces and a colon: RFC 6749 §2.3.1 encodes them before they go into Basic.
const SECRET: &str = "s3cr:t &+%";
const ISSUER: &str = "https://issuer.example/";
const WAYS: [&str; 6] = ["--scope", "openid,offline", "--audience", "https://api.example.com", "--prompt", "login"];

/// An authorization server whose token endpoint answers `{}` with what is put here.
#[derive(Clone)]
struct Fake {
    nonce: Arc<Mutex<String>>,
    callee: Arc<Callee>,
}

impl Fake {
    fn start() -> Self {
        Self::answering(|nonce| {
            let claims = serde_json::json!({"sub": "alice", "nonce": nonce}).to_string();
            let id_token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            let token = serde_json::json!({
                "access_token": "an-access-token", "refresh_token": "a-refresh-token", "id_token": id_token,
                "expires_in": 3599, "token_type": "bearer", "scope": "openid offline",
            });
            (200, token.to_string())
        })
    }

    fn answering(token: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let nonce = Arc::new(Mutex::new(String::new()));
        let known = Arc::clone(&nonce);
        let callee = Callee::start(move |question| {
            if question.head.starts_with("post /oauth2/token ") {
                return token(&known.lock().unwrap());
            }
            if question.head.starts_with("get /.well-known/openid-configuration ") {
                return (200, serde_json::json!({"issuer": ISSUER}).to_string());
            }
            (404, "{}".to_owned())
        });
        Self { nonce, callee: Arc::new(callee) }
    }

    /// What the token endpoint was asked: the head, and the form.
    fn exchanges(&self) -> Vec<(String, Query)> {
        let asked = |question: &Question| question.head.starts_with("post /oauth2/token ");
        let all = self.callee.questions().into_iter().filter(asked);
        all.map(|question| (question.head, fields(question.body.as_bytes()))).collect()
    }
}

fn fields(encoded: &[u8]) -> Query {
    url::form_urlencoded::parse(encoded).into_owned().collect()
}

/// The command, serving.
struct Served {
    child: Child,
    errors: BufReader<ChildStderr>,
    home: String,
    browser: Client,
}

/// How it ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Served {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_signet"))
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("/\n\n") {
            assert!(errors.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        let home = said.lines().rev().nth(1).unwrap().trim().to_owned();
        assert!(said.contains(&format!("Setting up home route on {home}\n")), "{said}");
        assert!(said.contains("Setting up callback listener on http"), "{said}");
        assert!(said.contains(&format!("If your browser does not open automatically, navigate to:\n\n\t{home}\n\n")));
        let browser = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        Self { child, errors, home, browser }
    }

    /// `perform authorization-code` for a confidential client of this server.
    fn v2(fake: &Fake, more: &[&str]) -> Self {
        let mut args = vec!["perform", "authorization-code", "--client-id", "an app", "-e", &fake.callee.url];
        args.extend(["--client-secret", SECRET]);
        args.extend(more);
        if !more.contains(&"--port") {
            args.extend(["--port", "0"]);
        }
        Self::start(&args, &[])
    }

    async fn get(&self, path: &str) -> Response {
        self.browser.get(format!("{}{path}", self.home.trim_end_matches('/'))).send().await.unwrap()
    }

    /// Goes to the authorization server, as far as its address; the fake learns the nonce.
    async fn begin(&self, fake: &Fake) -> Query {
        let sent = self.get("/perform-flow").await;
        assert_eq!(sent.status(), 302);
        let location = Url::parse(sent.headers()["location"].to_str().unwrap()).unwrap();
        assert!(location.as_str().starts_with(&format!("{}/oauth2/auth?", fake.callee.url)), "{location}");
        let query = fields(location.query().unwrap().as_bytes());
        query["nonce"].clone_into(&mut fake.nonce.lock().unwrap());
        query
    }

    /// Comes back from there.
    async fn back(&self, answer: &[(&str, &str)]) -> (u16, String) {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
        page(self.get(&format!("/callback?{query}")).await).await
    }

    fn end(mut self) -> Ended {
        let mut ended = Ended { code: None, stdout: String::new(), stderr: String::new() };
        self.child.stdout.take().unwrap().read_to_string(&mut ended.stdout).unwrap();
        self.errors.read_to_string(&mut ended.stderr).unwrap();
        ended.code = self.child.wait().unwrap().code();
        ended
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page's status and text; every page forbids what it does not need.
async fn page(response: Response) -> (u16, String) {
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"));
    assert_eq!((header("cache-control"), header("referrer-policy")), ("no-store".into(), "no-referrer".into()));
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert!(text.contains("<html lang=\"en\">") && !text.contains("<script"), "{text}");
    (status, text)
}

#[tokio::test]
async fn a_browser_brings_the_code_and_the_terminal_shows_the_tokens() {
    let fake = Fake::start();
    let served = Served::v2(&fake, &WAYS);
    let (status, home) = page(served.get("/").await).await;
    assert_eq!(status, 200);
    assert!(home.contains(r#"href="/perform-flow">Authorize application</a>"#) && home.contains("an app"), "{home}");

    let sent = served.begin(&fake).await;
    let redirect = format!("{}callback", served.home);
    for (name, value) in [
        ("client_id", "an app"),
        ("redirect_uri", &redirect),
        ("response_type", "code"),
        ("scope", "openid offline"),
        ("audience", "https://api.example.com"),
        ("prompt", "login"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    assert!(!sent.contains_key("max_age") && !sent.contains_key("response_mode"), "{sent:?}");

    let answer = [("code", "a-code"), ("state", sent["state"].as_str()), ("iss", ISSUER)];
    let (status, tokens) = served.back(&answer).await;
    assert_eq!(status, 200, "{tokens}");
    assert!(tokens.contains("an-access-token") && tokens.contains("a-refresh-token"), "{tokens}");

    let exchanges = fake.exchanges();
    let [(head, form)] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert!(head.contains(&format!("authorization: {}\r\n", basic("an app", SECRET)).to_lowercase()), "{head}");
    for (name, value) in [("grant_type", "authorization_code"), ("code", "a-code"), ("redirect_uri", &redirect)] {
        assert_eq!(form[name], value, "{name}");
    }
    assert!(!form.contains_key("client_id") && !form.contains_key("client_secret"), "{form:?}");
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])), sent["code_challenge"]);

    let ended = served.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let lines: Vec<(&str, &str)> = ended.stdout.lines().map(|line| line.split_once('\t').unwrap()).collect();
    assert_eq!(lines[..2], [("ACCESS TOKEN", "an-access-token"), ("REFRESH TOKEN", "a-refresh-token")]);
    assert!(lines[2].0 == "ID TOKEN" && lines[2].1.starts_with("e30."), "{}", ended.stdout);
    assert!(lines[3].0 == "EXPIRY" && lines[3].1.trim().ends_with('Z') && lines.len() == 4, "{}", ended.stdout);
}

#[tokio::test]
async fn a_public_client_has_no_secret_and_json_holds_the_expiry() {
    let fake = Fake::start();
    let more = ["perform", "auth-code", "-p", "0", "--client-id", "spa", "-e", &fake.callee.url, "--format", "json"];
    let served = Served::start(&more, &[]);
    let sent = served.begin(&fake).await;
    assert_eq!(sent["scope"], "offline openid");
    assert_eq!(served.back(&[("code", "c"), ("state", &sent["state"])]).await.0, 200);
    let (head, form) = fake.exchanges().remove(0);
    assert!(!head.contains("authorization:") && form["client_id"] == "spa", "{head}{form:?}");
    let ended = served.end();
    let token: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, token["access_token"].as_str()), (Some(0), Some("an-access-token")));
    assert!(token["expiry"].as_str().unwrap().ends_with('Z') && token["token_type"] == "bearer", "{token}");
}

#[tokio::test]
async fn token_user_works_as_in_the_guide() {
    let fake = Fake::start();
    let port = free_port().to_string();
    let (auth, token) = (format!("{}/oauth2/auth", fake.callee.url), format!("{}/oauth2/token", fake.callee.url));
    let redirect = format!("http://127.0.0.1:{port}/callback");
    let served = Served::start(
        &[
            "token",
            "user",
            "--port",
            &port,
            "--auth-url",
            &auth,
            "--token-url",
            &token,
            "--client-id",
            "another-consumer",
            "--client-secret",
            "consumer-secret",
            "--scope",
            "openid,offline",
            "--redirect",
            &redirect,
            "--max-age",
            "0",
        ],
        &[],
    );
    assert_eq!(served.home, format!("http://127.0.0.1:{port}/"));
    let sent = served.begin(&fake).await;
    assert_eq!((sent["redirect_uri"].as_str(), sent.contains_key("max_age")), (redirect.as_str(), false));
    served.back(&[("code", "c"), ("state", &sent["state"])]).await;
    let ended = served.end();
    let expected = "Access Token:\n\tan-access-token\nRefresh Token:\n\ta-refresh-token\nExpires in:\n\t";
    let rest = ended.stdout.strip_prefix(expected).unwrap_or_else(|| panic!("{}", ended.stdout));
    let (expiry, id_token) = rest.split_once("\nID Token:\n\t").unwrap();
    assert!(expiry.ends_with(" UTC") && expiry.contains(", "), "{expiry}");
    assert!(id_token.starts_with("e30.") && id_token.ends_with(".c2ln\n\n"), "{id_token}");
    assert_eq!(ended.code, Some(0));
}

#[tokio::test]
async fn what_goes_wrong_is_told_in_one_line_and_escaped_in_the_page() {
    let evil = "No \u{1b}[31m<b>way</b>";
    for (answer, exchanges, told) in [
        (&[("code", "c"), ("state", "another")][..], 0, "states do not match: "),
        (&[("code", "c")], 0, "states do not match: "),
        (&[("error", "access_denied"), ("error_description", evil), ("state", "another")], 0, "states do not match: "),
        (&[("error", "access_denied"), ("error_description", evil), ("state", "")], 0, "access_denied: No  [31m<b>way"),
        (&[("code", "c"), ("state", ""), ("iss", "https://other.example/")], 0, "another issuer: "),
        (&[("code", ""), ("state", "")], 0, "no code: "),
    ] {
        let fake = Fake::start();
        let served = Served::v2(&fake, &[]);
        let state = served.begin(&fake).await["state"].clone();
        let filled = answer.iter().map(|(name, value)| match (*name, *value) {
            ("state", "") => ("state", state.as_str()),
            other => other,
        });
        let (status, page) = served.back(&filled.collect::<Vec<_>>()).await;
        assert_eq!(status, 400, "{page}");
        assert!(!page.contains("<b>"), "{page}");
        let ended = served.end();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (Some(1), "", 1), "{told}");
        assert!(ended.stderr.starts_with(&format!("Error: {told}")), "{}", ended.stderr);
        assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
        assert_eq!(fake.exchanges().len(), exchanges, "{told}");
    }
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_or_errs_is_told_in_its_words() {
    type Answer = fn(&str) -> (u16, String);
    let refused: Answer = |_| {
        let hint = r#"{"error":"invalid_grant","error_description":"The code was used.","error_hint":"Ask <again>."}"#;
        (400, hint.to_owned())
    };
    let other_nonce: Answer = |_| {
        let id_token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"nonce":"of another request"}"#));
        (200, serde_json::json!({"access_token": "a", "id_token": id_token}).to_string())
    };
    let empty: Answer = |_| (200, "{}".to_owned());
    let gateway: Answer = |_| (502, "<h1>Bad gateway</h1>".to_owned());
    for (answer, told) in [
        (refused, "invalid_grant: The code was used. Ask <again>."),
        (other_nonce, "nonces do not match: "),
        (empty, "the code could not be exchanged: the server answered without an access token"),
        (gateway, "the code was refused: HTTP 502"),
    ] {
        let fake = Fake::answering(answer);
        let served = Served::v2(&fake, &[]);
        let state = served.begin(&fake).await["state"].clone();
        let (status, page) = served.back(&[("code", "c"), ("state", &state)]).await;
        assert!(status == 400 && !page.contains("<again>") && !page.contains("<h1>Bad"), "{page}");
        let ended = served.end();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.lines().count()), (Some(1), "", 1), "{told}");
        assert!(ended.stderr.starts_with(&format!("Error: {told}")), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn form_post_and_the_other_parameters() {
    let fake = Fake::start();
    let more = ["--response-mode", "form_post", "--max-age", "0", "--state", "a-state-of-my-own", "--skip", "-q"];
    let served = Served::v2(&fake, &more);
    let skipped = served.get("/").await;
    assert_eq!((skipped.status().as_u16(), skipped.headers()["location"].to_str().unwrap()), (302, "/perform-flow"));
    let sent = served.begin(&fake).await;
    assert_eq!(sent["response_mode"], "form_post");
    assert_eq!((sent["max_age"].as_str(), sent["state"].as_str()), ("0", "a-state-of-my-own"));
    let callback = format!("{}callback", served.home);
    let (status, bare) = page(served.browser.get(&callback).send().await.unwrap()).await;
    assert!(status == 400 && bare.contains("carries none"), "an address that is opened by hand ends nothing: {bare}");
    let form = [("code", "c"), ("state", "a-state-of-my-own")];
    assert_eq!(served.browser.post(&callback).form(&form).send().await.unwrap().status(), 200);
    let ended = served.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "an-access-token\n"));
}

#[tokio::test]
async fn no_shutdown_serves_one_flow_after_the_other_until_a_signal() {
    let fake = Fake::start();
    let served = Served::v2(&fake, &["--no-shutdown", "-q"]);
    let first = served.begin(&fake).await["state"].clone();
    assert_eq!(served.back(&[("error", "access_denied"), ("state", &first)]).await.0, 400);
    let again = served.begin(&fake).await["state"].clone();
    assert_ne!(first, again);
    let (status, page) = served.back(&[("code", "c"), ("state", &again)]).await;
    assert!(status == 200 && page.contains(r#"<a href="/">"#), "{page}");
    assert_eq!(served.back(&[("code", "c"), ("state", &again)]).await.0, 400, "an answer is used once");
    let third = served.begin(&fake).await["state"].clone();
    assert_eq!(served.back(&[("code", "c"), ("state", &third)]).await.0, 200);
    assert_eq!(fake.exchanges().len(), 2);
    // Not INT: whoever runs the tests in the background has it ignored, and children inherit that.
    signal(served.child.id(), "TERM");
    let ended = served.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (None, "an-access-token\nan-access-token\n"));
    let told: Vec<&str> = ended.stderr.lines().collect();
    assert!(told.len() == 2 && told[0] == "Error: access_denied", "{}", ended.stderr);
}

#[tokio::test]
async fn the_redirect_uri_says_which_path_is_the_callback() {
    for path in ["/", "/in/my-app"] {
        let fake = Fake::start();
        let port = free_port().to_string();
        let redirect = format!("http://localhost:{port}{path}");
        let served = Served::v2(&fake, &["--port", &port, "--redirect", &redirect]);
        assert_eq!(page(served.get("/").await).await.0, 200);
        assert_eq!(page(served.get("/no-such-page").await).await.0, 404);
        let sent = served.begin(&fake).await;
        assert_eq!(sent["redirect_uri"], redirect);
        let answer = served.get(&format!("{path}?code=c&state={}", sent["state"])).await;
        assert_eq!(page(answer).await.0, 200, "{path}");
        assert_eq!(served.end().code, Some(0), "{path}");
    }
}

#[tokio::test]
async fn https_has_a_certificate_of_its_own() {
    let fake = Fake::start();
    let served = Served::v2(&fake, &["--https"]);
    assert!(served.home.starts_with("https://127.0.0.1:"), "{}", served.home);
    let sent = served.begin(&fake).await;
    assert!(sent["redirect_uri"].starts_with("https://127.0.0.1:"));
    assert_eq!(served.back(&[("code", "c"), ("state", &sent["state"])]).await.0, 200);
    assert_eq!(served.end().code, Some(0));
}

#[tokio::test]
async fn a_browser_is_opened_where_there_is_one_and_missed_by_nobody() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (opener, opened) = (dir.path().join("xdg-open"), dir.path().join("opened"));
    std::fs::write(&opener, format!("#!/bin/sh\necho \"$1\" > '{}.new'\nmv '{0}.new' '{0}'\n", opened.display()))
        .unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let nothing = tempfile::tempdir().unwrap();
    let args = ["token", "user", "--port", "0", "--client-id", "a", "--endpoint", "http://127.0.0.1:9"];

    let served = Served::start(&args, &[("DISPLAY", ":99"), ("PATH", &path)]);
    let began = std::time::Instant::now();
    while !opened.exists() {
        assert!(began.elapsed().as_secs() < 20, "the browser was not opened");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read_to_string(&opened).unwrap().trim(), served.home);
    std::fs::remove_file(&opened).unwrap();

    let missing = nothing.path().to_str().unwrap();
    for (more, env) in [
        (&["--no-open"][..], ["DISPLAY", ":99", &path]),
        (&[], ["DISPLAY", ":99", missing]),
        (&[], ["LANG", "C", &path]),
    ] {
        let served = Served::start(&[&args[..], more].concat(), &[(env[0], env[1]), ("PATH", env[2])]);
        assert_eq!(served.get("/").await.status(), 200);
    }
    assert!(!opened.exists());
}

#[test]
fn what_cannot_start_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let to = ["--client-id", "a", "-e", "http://127.0.0.1:9", "--port", &port];
    for (more, told) in [
        (&to[..], &*format!("port {port} is in use; stop what listens there or choose another with --port")),
        (&to[2..], "no client named: give --client-id or set OAUTH2_CLIENT_ID"),
        (&to[..2], "no server named: give its public URL with --endpoint"),
        (&["--client-id", "a", "--auth-url", "http://h/a"], "no server named: "),
        (&["--client-id", "a", "--auth-url", "h", "-e", "http://h"], "--auth-url \"h\" is not a URL"),
        (&[&to[..4], &["--port", "0", "--redirect", "app:/callback"]].concat(), "--redirect \"app:/callback\" should"),
    ] {
        let done = run(&[&["perform", "authorization-code"], more].concat(), &[]);
        let wrote = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), wrote.lines().count()), (Some(1), 1), "{wrote}");
        assert!(wrote.starts_with(&format!("Error: {told}")), "{wrote}");
    }
}
