//! `perform authorization-code` and v1's `token user`: an OAuth 2.0 client on this machine, which takes a browser
//! through the authorization code flow and prints the tokens.
//!
//! Invariant: it leaves with 0 only after tokens were printed.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};

use anyhow::{anyhow, bail, ensure};
use serde_json::Value;
use tokio::sync::mpsc;
use url::Url;

use super::api::{Api, ApiFlags, Spelling, public_url, web_url};
use super::callback_pages::{self, Facts};
use super::callback_server::{self, Site, Visit};
use super::code_flow::{CodeFlow, Request, Trouble};
use super::output::{Format, Show};
use super::token_record;
use super::tokens::Credentials;

/// `perform authorization-code` and `token user`.
#[derive(Debug, clap::Args)]
pub struct AuthorizationCode {
    #[command(flatten)]
    who: Credentials,
    /// Scopes to ask for; repeats or takes commas
    #[arg(long, value_delimiter = ',', default_value = "offline,openid")]
    scope: Vec<String>,
    /// Audiences to ask for; repeats or takes commas
    #[arg(long, value_delimiter = ',')]
    audience: Vec<String>,
    /// OpenID Connect `prompt`: none, login, consent, …; repeats or takes commas
    #[arg(long, value_delimiter = ',')]
    prompt: Vec<String>,
    /// OpenID Connect `max_age` in seconds; -1 sends none, and so does 0 in `token user` [default: none sent]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    max_age: Option<i64>,
    /// How the answer comes back
    #[arg(long, value_name = "MODE", value_parser = ["query", "form_post"])]
    response_mode: Option<String>,
    /// Send this `state` with every request, not a fresh one. Only for tests
    #[arg(long)]
    state: Option<String>,
    /// The authorization endpoint [default: /oauth2/auth below --endpoint]
    #[arg(long, value_name = "URL")]
    auth_url: Option<String>,
    /// The token endpoint [default: /oauth2/token below --endpoint]
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    #[command(flatten)]
    local: Local,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// The web server on this machine.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The page on this machine")]
struct Local {
    /// Port of the local web server; 0 takes a free one
    #[arg(short, long, default_value_t = 4446)]
    port: u16,
    /// Address it listens on; 0.0.0.0 in a container whose port is published
    #[arg(long, env = "SIGNET_CALLBACK_HOST", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    host: IpAddr,
    /// The redirect URI, as the client has it registered; its path is served [default: /callback on this server]
    #[arg(long, value_name = "URL")]
    redirect: Option<String>,
    /// Serve HTTPS with a self-signed certificate, made anew at every start
    #[arg(long)]
    https: bool,
    /// Skip the first page: go to the authorization server at once
    #[arg(long)]
    skip: bool,
    /// Do not open a browser
    #[arg(long)]
    no_open: bool,
    /// Go on serving after the tokens, or an error, for the next flow
    #[arg(long)]
    no_shutdown: bool,
}

/// Serves, waits for a browser to come back with a code, and prints the tokens that it is worth.
///
/// # Errors
/// No client or server named, a port in use, the server's refusal.
pub async fn run(args: AuthorizationCode, spelling: Spelling) -> anyhow::Result<()> {
    args.who.id()?;
    let at = (&args.api, spelling);
    let auth_url = public_url(args.auth_url.as_deref(), "--auth-url", &["oauth2", "auth"], at)?;
    let token_url = public_url(args.token_url.as_deref(), "--token-url", &["oauth2", "token"], at)?;
    let (listener, address) = callback_server::bind(args.local.host, args.local.port)?;
    let home = format!("{}://{address}/", if args.local.https { "https" } else { "http" });
    let redirect_uri = args.local.redirect.clone().unwrap_or_else(|| format!("{home}callback"));
    let callback = web_url(&redirect_uri, "--redirect")?.path().to_owned();
    ensure!(callback != "/perform-flow", "--redirect may not lead to /perform-flow, which starts the flow");

    let request = request(&args, spelling, auth_url, redirect_uri.clone())?;
    let (visits, coming) = mpsc::channel(16);
    let first = (!args.local.skip).then(|| callback_pages::home(&facts(&request)));
    let discovery = discovery(&token_url).map(|url| patient_for_nothing(&url, &args.api)).transpose()?;
    let flow = CodeFlow::new(request, Api::of(&token_url, &args.api, spelling)?, discovery);
    let server = callback_server::serve(listener, args.local.https, Site { home: first, callback, visits })?;

    announce(&home, &redirect_uri, args.local.https);
    if !args.local.no_open {
        open_browser(&home);
    }
    let ended = attend(flow, coming, &args, spelling).await;
    // The page is under way to the browser.
    server.stop(true).await;
    ended
}

async fn attend(
    mut flow: CodeFlow,
    mut coming: mpsc::Receiver<Visit>,
    args: &AuthorizationCode,
    spelling: Spelling,
) -> anyhow::Result<()> {
    let again = args.local.no_shutdown;
    while let Some(visit) = coming.recv().await {
        let (answer, reply) = match visit {
            Visit::Begin(reply) => {
                let _ = reply.send(flow.begin()?.into());
                continue;
            }
            Visit::Answer(answer, reply) => (answer, reply),
        };
        let done = flow.finish(&answer).await;
        let shown = (done.is_ok(), page(&done, again));
        // The terminal first: who sees the page may end this process.
        let told = match done {
            Ok(token) => tell(&token, args, spelling),
            Err(trouble) if again => {
                eprintln!("Error: {trouble}");
                Ok(())
            }
            Err(trouble) => Err(anyhow!("{trouble}")),
        };
        let _ = reply.send(shown);
        told?;
        if !again {
            return Ok(());
        }
    }
    bail!("the local web server has ended")
}

fn page(done: &Result<Value, Trouble>, again: bool) -> String {
    match done {
        Ok(token) => callback_pages::tokens(token, again),
        Err(trouble) => callback_pages::trouble(trouble, again),
    }
}

fn tell(token: &Value, args: &AuthorizationCode, spelling: Spelling) -> anyhow::Result<()> {
    let unasked = args.show.format == Format::Table && !args.show.quiet;
    if spelling == Spelling::V1 && unasked {
        return token_record::show_v1(token);
    }
    token_record::show(token, &args.show)
}

fn request(
    args: &AuthorizationCode,
    spelling: Spelling,
    auth_url: Url,
    redirect_uri: String,
) -> anyhow::Result<Request> {
    let least = if spelling == Spelling::V1 { 1 } else { 0 };
    let more = [
        ("scope", args.scope.join(" ")),
        ("audience", args.audience.join(" ")),
        ("prompt", args.prompt.join(" ")),
        ("max_age", args.max_age.filter(|age| *age >= least).map(|age| age.to_string()).unwrap_or_default()),
        ("response_mode", args.response_mode.clone().unwrap_or_default()),
    ];
    Ok(Request {
        auth_url,
        client_id: args.who.id()?.to_owned(),
        client_secret: args.who.secret().map(str::to_owned),
        redirect_uri,
        state: args.state.clone().filter(|state| !state.is_empty()),
        more: more.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect(),
    })
}

fn facts(request: &Request) -> Facts {
    let mut facts = vec![("Client", request.client_id.clone())];
    let titles = [("scope", "Scope"), ("audience", "Audience"), ("prompt", "Prompt")];
    facts.extend(titles.iter().filter_map(|(name, title)| {
        request.more.iter().find(|(asked, _)| asked == name).map(|(_, value)| (*title, value.clone()))
    }));
    facts.push(("Authorization server", request.auth_url.to_string()));
    facts.push(("Redirect URI", request.redirect_uri.clone()));
    facts
}

/// The discovery document of the server that has this token endpoint, where that is Hydra's path.
fn discovery(token_url: &Url) -> Option<Url> {
    let base = token_url.as_str().strip_suffix("/oauth2/token")?;
    Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()
}

/// The browser waits meanwhile, and the token endpoint is asked with patience after this.
fn patient_for_nothing(url: &Url, flags: &ApiFlags) -> anyhow::Result<Api> {
    let flags = ApiFlags { fail_after: Some(std::time::Duration::ZERO), ..flags.clone() };
    Api::of(url, &flags, Spelling::V2)
}

fn announce(home: &str, redirect_uri: &str, https: bool) {
    eprintln!("Setting up home route on {home}");
    eprintln!("Setting up callback listener on {redirect_uri}");
    if https {
        eprintln!("Its certificate is self-signed: your browser will warn you once.");
    }
    eprintln!("Press ctrl + c to end the process.");
    eprintln!("If your browser does not open automatically, navigate to:\n\n\t{home}\n");
}

/// Opens it where there is a desktop; elsewhere the address above is enough, and so it is when this fails.
fn open_browser(url: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"];
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if desktop.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        "xdg-open"
    } else {
        return;
    };
    let quiet = Stdio::null;
    let _ = Command::new(program).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}
