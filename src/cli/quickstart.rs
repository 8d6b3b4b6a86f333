//! `quickstart`: a server on loopback with SQLite, and the main steps shown on it as commands with real answers.
//!
//! Invariant: what is shown was answered by the running server, and a step that shows the wrong thing fails the
//! command.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Answer, Api, Body, Refused};
use super::config::{environment, refused};
use super::output::{say, text};
use super::quickstart_demo as demo;
use super::quickstart_folder::Folder;
use crate::config::{self, Mode, Settings, Sources};
use crate::runtime::{self, Running};

const CLIENT: &str = "quickstart";
const CLIENT_SECRET_FILE: &str = "client-secret";

/// `quickstart`.
#[derive(Debug, clap::Args)]
pub struct Quickstart {
    /// Where database and secrets are kept; made when absent, used again when not
    #[arg(long, default_value = "./signet-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Port for applications and users
    #[arg(long, default_value_t = 4444, value_name = "PORT")]
    public_port: u16,
    /// Port for administration
    #[arg(long, default_value_t = 4445, value_name = "PORT")]
    admin_port: u16,
    /// Leave when the steps are through: with 0, or with 1 when one showed the wrong thing
    #[arg(long)]
    exit: bool,
}

/// What the steps need.
struct Tour<'a> {
    program: &'a str,
    public: Api,
    admin: Api,
    running: &'a Running,
    secret: String,
    secret_is_new: bool,
    secret_file: String,
}

/// Starts, shows, and serves on until a signal unless told to leave.
///
/// # Errors
/// A folder or port that cannot be used, faults of the configuration, a step that showed the wrong thing.
pub fn run(args: &Quickstart, name: &'static str) -> anyhow::Result<()> {
    let program = typed(std::env::args_os().next(), name);
    let folder = Folder::open(&args.data_dir)?;
    let (public, admin) = free_ports(args)?;
    let settings = settings(&folder, public, admin)?;
    say(&format!(
        "FOR DEVELOPMENT ONLY: plain HTTP on loopback, secrets in {}.\nFor a real server: {program} serve --help\n",
        folder.file("").display()
    ))?;
    runtime::migrate(&settings.dsn, |_| true).context("the data folder's database cannot be prepared")?;
    let start_page = demo::start_page(&settings);
    let running = runtime::start_with_demo(settings)?;
    let shown = tour(&folder, &running, &program, &start_page);
    if args.exit || shown.is_err() {
        running.stop();
        return shown;
    }
    say(&format!("\nserving on {} (admin: {}), Ctrl-C stops", running.public_url, running.admin_url))?;
    say("to sign in with a browser, as the users of your applications will:")?;
    say(&format!("open {start_page}"))?;
    running.wait()
}

/// Both ports are held at once, so that one number given twice is noticed too; 0 becomes a free port.
fn free_ports(args: &Quickstart) -> anyhow::Result<(u16, u16)> {
    let hold = |port: u16, flag: &str| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("port {port} is in use; stop what listens there or choose another with {flag}")
            }
            _ => anyhow::anyhow!("port {port} cannot be opened ({error}); choose another with {flag}"),
        })
    };
    let public = hold(args.public_port, "--public-port")?;
    let admin = hold(args.admin_port, "--admin-port")?;
    Ok((public.local_addr()?.port(), admin.local_addr()?.port()))
}

fn settings(folder: &Folder, public: u16, admin: u16) -> anyhow::Result<Settings> {
    let env = environment();
    let said = |key: &str| env.get(&config::key::env_name(key)).filter(|text| !text.is_empty()).cloned();
    let issuer = format!("http://127.0.0.1:{public}/");
    let base = said("urls.self.public").or_else(|| said("urls.self.issuer")).unwrap_or_else(|| issuer.clone());
    let (secret, _) = folder.secret("system-secret")?;
    let mut flags = vec![
        ("dsn".to_owned(), folder.dsn()?),
        ("secrets.system".to_owned(), secret),
        ("serve.public.port".to_owned(), public.to_string()),
        ("serve.admin.port".to_owned(), admin.to_string()),
    ];
    // What the environment says about these is left to be judged, not silently replaced: quickstart refuses
    // everything but loopback.
    let mut unless_said = vec![
        ("urls.self.issuer", issuer),
        ("serve.public.host", "127.0.0.1".to_owned()),
        ("serve.admin.host", "127.0.0.1".to_owned()),
        ("log.level", "warn".to_owned()),
        // Nobody balances load to a laptop.
        ("serve.shutdown.drain_delay", "0s".to_owned()),
    ];
    unless_said.extend(demo::urls(&base));
    flags
        .extend(unless_said.into_iter().filter(|(key, _)| said(key).is_none()).map(|(k, value)| (k.to_owned(), value)));
    let sources = Sources { files: Vec::new(), env, flags, mode: Mode::Quickstart };
    config::load(&sources).map_err(|faults| refused(&faults))
}

/// The program as it was started, so that the commands shown can be typed where it is not on the path.
fn typed(first: Option<std::ffi::OsString>, name: &str) -> String {
    let path = first.and_then(|path| path.into_string().ok());
    path.filter(|path| path.contains('/') && !path.contains(char::is_whitespace)).unwrap_or_else(|| name.to_owned())
}

fn tour(folder: &Folder, running: &Running, program: &str, start_page: &str) -> anyhow::Result<()> {
    let (secret, secret_is_new) = folder.secret(CLIENT_SECRET_FILE)?;
    let tour = Tour {
        program,
        public: Api::at(&running.public_url)?,
        admin: Api::at(&running.admin_url)?,
        running,
        secret,
        secret_is_new,
        secret_file: folder.file(CLIENT_SECRET_FILE).display().to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tour.walk().await?;
        demo::register(&tour.admin, start_page).await
    })
}

impl Tour<'_> {
    async fn walk(&self) -> anyhow::Result<()> {
        self.client().await?;
        let token = self.token().await?;
        self.introspect("3. Is the token active?", &token, true).await?;
        self.revoke(&token).await?;
        self.introspect("5. Is it still active?", &token, false).await
    }

    async fn client(&self) -> anyhow::Result<()> {
        let path = ["admin", "clients", CLIENT];
        let admin = self.running.admin_url.trim_end_matches('/');
        let answer = match self.admin.call(Method::GET, &path, &[], Body::Empty).await {
            Ok(_) if self.secret_is_new => {
                say("1. The client exists; it gets the folder's new secret")?;
                self.command(&format!(
                    "update oauth2-client {CLIENT} --secret \"$(cat '{}')\" --format json-pretty -e {admin}",
                    self.secret_file
                ))?;
                let patch = json!([{"op": "add", "path": "/client_secret", "value": self.secret}]);
                self.admin.call(Method::PATCH, &path, &[], Body::Json(&patch)).await?
            }
            Ok(found) => {
                say("1. The client exists from an earlier start")?;
                self.command(&format!("get oauth2-client {CLIENT} --format json-pretty -e {admin}"))?;
                found
            }
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == Some(404)) => {
                say("1. Create a client")?;
                self.command(&format!(
                    "create oauth2-client --id {CLIENT} --secret \"$(cat '{}')\" \\\n      \
                     --grant-type client_credentials --scope read --format json-pretty -e {admin}",
                    self.secret_file
                ))?;
                let client = json!({
                    "client_id": CLIENT, "client_secret": self.secret, "scope": "read",
                    "grant_types": ["client_credentials"], "response_types": ["code"],
                    "token_endpoint_auth_method": "client_secret_basic",
                });
                self.admin.call(Method::POST, &["admin", "clients"], &[], Body::Json(&client)).await?
            }
            Err(error) => return Err(error),
        };
        shown(&answer, text(&answer.value, "client_id") == CLIENT, "the client")
    }

    async fn token(&self) -> anyhow::Result<String> {
        let public = self.running.public_url.trim_end_matches('/');
        say("2. Get a token")?;
        say(&format!(
            "$ curl -s -u \"{CLIENT}:$(cat '{}')\" -d grant_type=client_credentials -d scope=read {public}/oauth2/token",
            self.secret_file
        ))?;
        let form = [("grant_type", "client_credentials"), ("scope", "read")];
        let body = Body::Form(&form, Some((CLIENT, &self.secret)));
        let answer = self.public.call(Method::POST, &["oauth2", "token"], &[], body).await?;
        let token = text(&answer.value, "access_token");
        shown(&answer, !token.is_empty(), "an access token")?;
        Ok(token)
    }

    async fn introspect(&self, title: &str, token: &str, active: bool) -> anyhow::Result<()> {
        let admin = self.running.admin_url.trim_end_matches('/');
        say(title)?;
        say(&format!("$ curl -s -d token={token} {admin}/admin/oauth2/introspect"))?;
        let form = [("token", token)];
        let path = ["admin", "oauth2", "introspect"];
        let answer = self.admin.call(Method::POST, &path, &[], Body::Form(&form, None)).await?;
        let right = answer.value.get("active") == Some(&Value::Bool(active));
        shown(&answer, right, if active { "an active token" } else { "a token that is not active any more" })
    }

    async fn revoke(&self, token: &str) -> anyhow::Result<()> {
        let public = self.running.public_url.trim_end_matches('/');
        say("4. Revoke it")?;
        say(&format!(
            "$ curl -s -u \"{CLIENT}:$(cat '{}')\" -d token={token} {public}/oauth2/revoke",
            self.secret_file
        ))?;
        let form = [("token", token)];
        let body = Body::Form(&form, Some((CLIENT, &self.secret)));
        let answer = self.public.call(Method::POST, &["oauth2", "revoke"], &[], body).await?;
        shown(&answer, true, "revoked")
    }

    fn command(&self, line: &str) -> anyhow::Result<()> {
        say(&format!("$ {} {line}", self.program))
    }
}

fn shown(answer: &Answer, right: bool, what: &str) -> anyhow::Result<()> {
    match &answer.value {
        Value::Null => say("(200, no content)")?,
        value => say(&serde_json::to_string_pretty(value)?)?,
    }
    if !right {
        bail!("this step should have shown {what}");
    }
    say(&format!("✓ {what}\n"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_told_with_the_flag_that_mends_it() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let public_port = held.local_addr().unwrap().port();
        let args = Quickstart { data_dir: PathBuf::new(), public_port, admin_port: 0, exit: true };
        let told = free_ports(&args).unwrap_err().to_string();
        assert!(told.contains("--public-port") && told.contains(&public_port.to_string()), "{told}");
    }

    #[test]
    fn the_commands_shown_name_the_program_as_it_was_started() {
        assert_eq!(typed(Some("target/debug/signet".into()), "signet"), "target/debug/signet");
        for bare in ["signet", "/a folder/signet"] {
            assert_eq!(typed(Some(bare.into()), "signet"), "signet");
        }
        assert_eq!(typed(None, "hydra"), "hydra");
    }

    #[test]
    fn settings_of_a_folder_are_on_loopback_and_in_the_folder() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path()).unwrap();
        let settings = settings(&folder, 5444, 5445).unwrap();
        assert_eq!(settings.urls.issuer, "http://127.0.0.1:5444/");
        assert_eq!((settings.serve.public.port, settings.serve.admin.port), (5444, 5445));
        assert!(settings.dsn.starts_with("sqlite:///") && settings.dsn.ends_with("/signet.sqlite"));
    }
}
