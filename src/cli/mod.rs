//! The command line: the tree of commands in both spellings, and their help.
//!
//! `main` calls [`run`]; nobody else does. Invariant: results go to standard output, everything else to standard
//! error, and a command that failed leaves with a code other than 0.

mod api;
mod apply;
mod apply_files;
mod apply_plan;
mod apply_server;
mod authorization_code;
mod callback_pages;
mod callback_server;
mod client_flags;
mod clients;
mod code_flow;
mod completion;
mod config;
mod device_code;
mod doctor;
mod healthcheck;
mod help;
mod import_hydra;
mod janitor;
mod keys;
mod metrics;
mod migrate;
mod output;
mod quickstart;
mod quickstart_demo;
mod quickstart_folder;
mod serve;
mod smoke;
mod smoke_calls;
mod token_record;
mod tokens;
mod version;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use api::Spelling;

/// A headless OAuth 2.0 server and OpenID Connect provider
#[derive(Debug, Parser)]
#[command(name = "signet", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// A configuration file, before the command as v1 allowed
    #[arg(long, hide = true, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Accept any TLS certificate, at any place as v1 allowed
    #[arg(long, hide = true, global = true)]
    skip_tls_verify: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A server for development, and the main steps shown on it
    #[command(after_help = help::QUICKSTART)]
    Quickstart(quickstart::Quickstart),
    /// Start the server
    #[command(after_help = help::SERVE)]
    Serve(serve::Serve),
    /// Bring a database to this release's schema
    #[command(subcommand, after_help = help::MIGRATE)]
    Migrate(migrate::Migrate),
    /// Delete what has expired from a database
    ///
    /// A running server does this by itself. Each row holds the time at which it is over, and whatever is over goes,
    /// whichever of --tokens, --requests and --grants is given.
    #[command(after_help = help::JANITOR)]
    Janitor(janitor::Janitor),
    /// Say what is wrong with a set-up, and what mends it
    ///
    /// Looks at the configuration, the database, Redis, and at the server that runs with them, by its listeners and as
    /// clients reach it by the issuer's URL. Works before the server is up too. Changes nothing. Each finding has a name
    /// that stays, for scripts; --list tells them all.
    #[command(after_help = help::DOCTOR)]
    Doctor(Box<doctor::Doctor>),
    /// Ask the server of this machine whether it is ready
    ///
    /// For HEALTHCHECK of an image, and for probes that run a command: ends with 0 when it is, with 1 and one line when it
    /// is not. Asks the admin listener as the configuration binds it, TLS and unix sockets included.
    #[command(after_help = help::HEALTHCHECK)]
    Healthcheck(healthcheck::Healthcheck),
    /// Try a running server out with a throw-away client
    ///
    /// Both listeners are ready, discovery names the issuer, a client is made, gets a token, the token is introspected,
    /// revoked and inactive, a signed one is verified by the public keys, and the clients are deleted, however it ends.
    #[command(after_help = help::SMOKE)]
    Smoke(Box<smoke::Smoke>),
    /// Create a client or a key
    #[command(subcommand, after_help = help::CREATE)]
    Create(Create),
    /// Show clients or keys
    #[command(subcommand, after_help = help::GET)]
    Get(Get),
    /// List clients
    #[command(subcommand, visible_alias = "ls", after_help = help::LIST)]
    List(List),
    /// Change a client
    #[command(subcommand, after_help = help::UPDATE)]
    Update(Update),
    /// Delete clients, keys or access tokens
    #[command(subcommand, after_help = help::DELETE)]
    Delete(Delete),
    /// Read clients or keys from files, or all that moves from Hydra's database
    #[command(subcommand, after_help = help::IMPORT)]
    Import(Import),
    /// Make clients be as files declare them
    #[command(subcommand, after_help = help::APPLY)]
    Apply(Apply),
    /// Get a token
    #[command(subcommand, after_help = help::PERFORM)]
    Perform(Perform),
    /// Ask whether a token is active
    #[command(subcommand, after_help = help::INTROSPECT)]
    Introspect(Introspect),
    /// Revoke a token
    #[command(subcommand, after_help = help::REVOKE)]
    Revoke(Revoke),
    /// Manage OAuth 2.0 clients (v1 spelling)
    #[command(subcommand, after_help = help::CLIENTS)]
    Clients(ClientsV1),
    /// Manage JSON Web Keys (v1 spelling)
    #[command(subcommand, after_help = help::KEYS)]
    Keys(KeysV1),
    /// Issue and manage tokens (v1 spelling)
    #[command(subcommand, after_help = help::TOKEN)]
    Token(TokenV1),
    /// Show or check the configuration
    #[command(subcommand, after_help = help::CONFIG)]
    Config(config::Config),
    /// Show what the server tells Prometheus
    #[command(subcommand, after_help = help::METRICS)]
    Metrics(metrics::Metrics),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETION)]
    Completion(completion::Completion),
    /// Print version, git hash and build time
    #[command(after_help = help::VERSION)]
    Version,
}

#[derive(Debug, Subcommand)]
enum Create {
    /// Create an OAuth 2.0 client
    #[command(name = "oauth2-client", visible_alias = "client", after_help = help::CREATE_CLIENT)]
    Client(Box<clients::Create>),
    /// Create a key in a set
    #[command(visible_alias = "jwks", after_help = help::CREATE_JWK)]
    Jwk(Box<keys::Create>),
}

#[derive(Debug, Subcommand)]
enum Get {
    /// Show one or more OAuth 2.0 clients
    #[command(name = "oauth2-client", visible_alias = "client", alias = "oauth2-clients", after_help = help::GET_CLIENT)]
    Client(clients::Ids),
    /// Show a key set, or one key of it
    #[command(visible_alias = "jwks", after_help = help::GET_JWK)]
    Jwk(keys::Get),
}

#[derive(Debug, Subcommand)]
enum List {
    /// List OAuth 2.0 clients
    #[command(name = "oauth2-clients", visible_alias = "clients", alias = "oauth2-client", after_help = help::LIST)]
    Clients(clients::List),
}

#[derive(Debug, Subcommand)]
enum Update {
    /// Change what the flags name, or replace the client by a file
    #[command(name = "oauth2-client", visible_alias = "client", after_help = help::UPDATE)]
    Client(Box<clients::Update>),
}

#[derive(Debug, Subcommand)]
enum Delete {
    /// Delete one or more OAuth 2.0 clients
    #[command(name = "oauth2-client", visible_alias = "client", alias = "oauth2-clients", after_help = help::DELETE_CLIENT)]
    Client(clients::Ids),
    /// Delete a key set, or one key of it
    #[command(visible_alias = "jwks", after_help = help::DELETE_JWK)]
    Jwk(keys::Delete),
    /// Delete all access tokens of a client
    #[command(name = "access-tokens", after_help = help::DELETE_TOKENS)]
    AccessTokens(tokens::Delete),
}

#[derive(Debug, Subcommand)]
enum Import {
    /// Create clients from JSON files
    #[command(name = "oauth2-client", visible_alias = "client", alias = "oauth2-clients", after_help = help::IMPORT_CLIENT)]
    Client(clients::Import),
    /// Put the keys of a file into a set
    #[command(visible_alias = "jwks", after_help = help::IMPORT_JWK)]
    Jwk(keys::Import),
    /// Move clients, keys and consents from a database of Hydra's
    ///
    /// Reads Hydra 2's database, changes nothing there, and writes into the database of these settings, beside running
    /// servers: clients with the hashes of their secrets, so that no client has to change; signing keys, of which Hydra's
    /// newest goes on signing; subjects' forced names; remembered consents. Run it as often as you like before the switch:
    /// each run brings what Hydra changed since. After the switch leave consents out (--only clients,keys): one that was
    /// revoked here would come back. Tokens, codes and logins do not move.
    #[command(after_help = help::IMPORT_HYDRA)]
    Hydra(Box<import_hydra::ImportHydra>),
}

#[derive(Debug, Subcommand)]
enum Apply {
    /// Create, change and, with --prune, delete clients until they are as the files say
    ///
    /// A file has the members of the admin API, and each client a client_id. What is there and differs is replaced: a
    /// member that the file does not name goes back to its default. What is as declared is not written. A secret is
    /// given as client_secret, or as client_secret_file or client_secret_env, which name a file (seen from this one) or a
    /// variable; it cannot be read back, so it is tried at the public listener, and set when it is not taken. A client
    /// without one keeps the secret that it has. All files are judged before anything is changed.
    #[command(name = "oauth2-clients", visible_alias = "clients", alias = "oauth2-client", after_help = help::APPLY_CLIENTS)]
    Clients(Box<apply::Apply>),
}

#[derive(Debug, Subcommand)]
enum Perform {
    /// Get a token for the client itself
    #[command(name = "client-credentials", after_help = help::PERFORM)]
    ClientCredentials(Box<tokens::ClientCredentials>),
    /// Get a user's tokens: serves a page that leads a browser through the flow
    ///
    /// Stands in for your app, to try a server and its login pages out: it sends the browser to the authorization
    /// server with a fresh state, nonce and PKCE challenge, takes the answer at the redirect URI, exchanges the code
    /// (by HTTP Basic, or as a public client when no secret is given) and prints the tokens.
    #[command(name = "authorization-code", visible_alias = "auth-code", after_help = help::PERFORM_CODE)]
    AuthorizationCode(Box<authorization_code::AuthorizationCode>),
    /// Get a user's tokens on a device without a browser
    ///
    /// Shows an address and a code for the user to enter there on another device, and asks the token endpoint, as
    /// often as the server allows, until the user has agreed, refused, or let the code run out (RFC 8628).
    #[command(name = "device-code", after_help = help::PERFORM_DEVICE)]
    DeviceCode(Box<device_code::DeviceCode>),
}

#[derive(Debug, Subcommand)]
enum Introspect {
    /// Ask whether a token is active, and what it stands for
    #[command(after_help = help::INTROSPECT)]
    Token(tokens::Introspect),
}

#[derive(Debug, Subcommand)]
enum Revoke {
    /// Revoke an access or refresh token
    #[command(after_help = help::REVOKE)]
    Token(tokens::Revoke),
}

#[derive(Debug, Subcommand)]
enum ClientsV1 {
    /// Create an OAuth 2.0 client
    #[command(after_help = help::CLIENTS)]
    Create(Box<clients::Create>),
    /// Change an OAuth 2.0 client
    #[command(after_help = help::CLIENTS_UPDATE)]
    Update(Box<clients::Update>),
    /// Show an OAuth 2.0 client
    #[command(after_help = help::CLIENTS_GET)]
    Get(clients::Ids),
    /// Delete OAuth 2.0 clients
    #[command(after_help = help::CLIENTS_DELETE)]
    Delete(clients::Ids),
    /// Create OAuth 2.0 clients from JSON files
    #[command(after_help = help::CLIENTS_IMPORT)]
    Import(clients::Import),
    /// List OAuth 2.0 clients
    #[command(after_help = help::CLIENTS_LIST)]
    List(clients::ListV1),
}

#[derive(Debug, Subcommand)]
enum KeysV1 {
    /// Create a key in a set
    #[command(after_help = help::KEYS)]
    Create(keys::Create),
    /// Show a key set
    #[command(after_help = help::KEYS_GET)]
    Get(keys::Get),
    /// Delete a key set
    #[command(after_help = help::KEYS_DELETE)]
    Delete(keys::Delete),
    /// Put the keys of a file into a set
    #[command(after_help = help::KEYS_IMPORT)]
    Import(keys::Import),
}

#[derive(Debug, Subcommand)]
enum TokenV1 {
    /// Get a token for the client itself; prints the access token alone
    #[command(after_help = help::TOKEN)]
    Client(tokens::ClientCredentials),
    /// Get a user's tokens: serves a page that leads a browser through the flow
    ///
    /// Stands in for your app, to try a server and its login pages out: it sends the browser to the authorization
    /// server with a fresh state, nonce and PKCE challenge, takes the answer at the redirect URI, exchanges the code
    /// (by HTTP Basic, or as a public client when no secret is given) and prints the tokens.
    #[command(after_help = help::TOKEN_USER)]
    User(Box<authorization_code::AuthorizationCode>),
    /// Ask whether a token is active
    #[command(after_help = help::TOKEN_INTROSPECT)]
    Introspect(tokens::Introspect),
    /// Revoke an access or refresh token
    #[command(after_help = help::TOKEN_REVOKE)]
    Revoke(tokens::Revoke),
    /// Delete all access tokens of a client
    #[command(after_help = help::TOKEN_DELETE)]
    Delete(tokens::Delete),
    /// Delete expired tokens from a database
    #[command(after_help = help::TOKEN_FLUSH)]
    Flush(janitor::Flush),
}

/// Runs one command. The first argument is the program's name; started as `hydra`, help speaks of `hydra`.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let name = program_name(arguments.first());
    let parsed = tree(name).try_get_matches_from(&arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that left early is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(with_files(cli.command, cli.config), name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", told(&error));
            ExitCode::FAILURE
        }
    }
}

fn told(error: &anyhow::Error) -> String {
    match error.downcast_ref::<api::Refused>() {
        Some(_) => format!("{error:#}"),
        None => format!("Error: {error:#}"),
    }
}

fn program_name(first: Option<&OsString>) -> &'static str {
    let stem = first.and_then(|path| Path::new(path).file_stem());
    if stem.is_some_and(|stem| stem == "hydra") { "hydra" } else { "signet" }
}

fn tree(name: &'static str) -> clap::Command {
    help::speaking_of(Cli::command().help_template(help::first_screen(name)), name).name(name).bin_name(name)
}

/// The files named before the command come first, so that those after it win.
fn with_files(mut command: Command, files: Vec<PathBuf>) -> Command {
    let own = match &mut command {
        Command::Serve(command) => command.files(),
        Command::Migrate(command) => command.files(),
        Command::Janitor(command) => command.files(),
        Command::Token(TokenV1::Flush(command)) => command.files(),
        Command::Config(command) => command.files(),
        Command::Doctor(command) => &mut command.files.config,
        Command::Healthcheck(command) => &mut command.files.config,
        Command::Smoke(command) => &mut command.files.config,
        Command::Import(Import::Hydra(command)) => &mut command.config,
        _ => return command,
    };
    own.splice(0..0, files);
    command
}

fn execute(command: Command, name: &'static str) -> anyhow::Result<()> {
    match command {
        Command::Completion(args) => args.print(tree(name), name),
        Command::Quickstart(args) => quickstart::run(&args, name),
        Command::Serve(command) => serve::run(command),
        Command::Migrate(command) => migrate::run(command),
        Command::Janitor(args) => janitor::run(&args),
        Command::Token(TokenV1::Flush(args)) => janitor::flush(&args),
        Command::Config(command) => config::run(command),
        Command::Metrics(command) => metrics::run(&command),
        Command::Version => version::print(),
        Command::Import(Import::Hydra(args)) => import_hydra::run(&args),
        remote => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(call(remote))
        }
    }
}

async fn call(command: Command) -> anyhow::Result<()> {
    use Spelling::{V1, V2};
    match command {
        Command::Doctor(args) => doctor::run(*args).await,
        Command::Healthcheck(args) => healthcheck::run(args).await,
        Command::Smoke(args) => smoke::run(*args).await,
        Command::Create(Create::Client(args)) => clients::create(*args, V2).await,
        Command::Create(Create::Jwk(args)) => keys::create(*args, V2).await,
        Command::Get(Get::Client(args)) => clients::get(args, V2).await,
        Command::Get(Get::Jwk(args)) => keys::get(args, V2).await,
        Command::List(List::Clients(args)) => clients::list(args).await,
        Command::Update(Update::Client(args)) => clients::update(*args, V2).await,
        Command::Delete(Delete::Client(args)) => clients::delete(args, V2).await,
        Command::Delete(Delete::Jwk(args)) => keys::delete(args, V2).await,
        Command::Delete(Delete::AccessTokens(args)) => tokens::delete(args, V2).await,
        Command::Import(Import::Client(args)) => clients::import(args, V2).await,
        Command::Import(Import::Jwk(args)) => keys::import(args, V2).await,
        Command::Apply(Apply::Clients(args)) => apply::run(*args).await,
        Command::Perform(Perform::ClientCredentials(args)) => tokens::client_credentials(*args, V2).await,
        Command::Perform(Perform::AuthorizationCode(args)) => authorization_code::run(*args, V2).await,
        Command::Perform(Perform::DeviceCode(args)) => device_code::run(*args, V2).await,
        Command::Introspect(Introspect::Token(args)) => tokens::introspect(args, V2).await,
        Command::Revoke(Revoke::Token(args)) => tokens::revoke(args, V2).await,
        Command::Clients(ClientsV1::Create(args)) => clients::create(*args, V1).await,
        Command::Clients(ClientsV1::Update(args)) => clients::update(*args, V1).await,
        Command::Clients(ClientsV1::Get(args)) => clients::get(args, V1).await,
        Command::Clients(ClientsV1::Delete(args)) => clients::delete(args, V1).await,
        Command::Clients(ClientsV1::Import(args)) => clients::import(args, V1).await,
        Command::Clients(ClientsV1::List(args)) => clients::list_v1(args).await,
        Command::Keys(KeysV1::Create(args)) => keys::create(args, V1).await,
        Command::Keys(KeysV1::Get(args)) => keys::get(args, V1).await,
        Command::Keys(KeysV1::Delete(args)) => keys::delete(args, V1).await,
        Command::Keys(KeysV1::Import(args)) => keys::import(args, V1).await,
        Command::Token(TokenV1::Client(args)) => tokens::client_credentials(args, V1).await,
        Command::Token(TokenV1::User(args)) => authorization_code::run(*args, V1).await,
        Command::Token(TokenV1::Introspect(args)) => tokens::introspect(args, V1).await,
        Command::Token(TokenV1::Revoke(args)) => tokens::revoke(args, V1).await,
        Command::Token(TokenV1::Delete(args)) => tokens::delete(args, V1).await,
        Command::Quickstart(_)
        | Command::Serve(_)
        | Command::Migrate(_)
        | Command::Janitor(_)
        | Command::Token(TokenV1::Flush(_))
        | Command::Config(_)
        | Command::Completion(_)
        | Command::Metrics(_)
        | Command::Import(Import::Hydra(_))
        | Command::Version => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn parses(line: &str) -> bool {
        tree("signet").try_get_matches_from(line.split(' ')).and_then(|m| Cli::from_arg_matches(&m)).is_ok()
    }

    #[test]
    fn the_tree_is_sound_and_the_first_screen_names_every_command() {
        tree("signet").debug_assert();
        for command in tree("signet").get_subcommands() {
            assert!(help::FIRST_SCREEN.contains(&format!("  {}", command.get_name())), "{}", command.get_name());
        }
    }

    #[test]
    fn every_command_teaches_with_an_example_in_the_name_it_was_started_by() {
        fn check(command: &clap::Command, path: &str) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("hydra ") && !after.contains("signet"), "{path}");
            // A line that a terminal of 80 columns breaks cannot be copied.
            assert!(after.lines().all(|line| line.chars().count() <= 80), "{path}: {after}");
            command
                .get_subcommands()
                .filter(|c| c.get_name() != "help")
                .for_each(|c| check(c, &format!("{path} {}", c.get_name())));
        }
        tree("hydra").get_subcommands().filter(|c| c.get_name() != "help").for_each(|c| check(c, c.get_name()));
        assert_eq!(program_name(Some(&"/usr/bin/hydra".into())), "hydra");
        assert_eq!(program_name(None), "signet");
    }

    fn read(line: &str) -> Command {
        let matches = tree("signet").try_get_matches_from(line.split(' ')).unwrap();
        let cli = Cli::from_arg_matches(&matches).unwrap();
        with_files(cli.command, cli.config)
    }

    #[test]
    fn flags_before_the_command_reach_it() {
        for (line, want) in [
            ("signet --config a serve all", &["a"][..]),
            ("signet --config a serve --config b all -c c --config d", &["a", "b", "c", "d"]),
            ("signet --config a migrate sql -e", &["a"]),
            ("signet --config a migrate sql -c b up -c c", &["a", "b", "c"]),
            ("signet --config a migrate sql status -c b", &["a", "b"]),
            ("signet --config a migrate status", &["a"]),
            ("signet --config a janitor --tokens -c b", &["a", "b"]),
            ("signet --config a token flush -c b", &["a", "b"]),
            ("signet --config a config validate -c b", &["a", "b"]),
            ("signet --config a config status", &["a"]),
            ("signet --config a doctor -c b", &["a", "b"]),
            ("signet --config a healthcheck", &["a"]),
            ("signet smoke -c a", &["a"]),
        ] {
            let mut command = read(line);
            let files = match &mut command {
                Command::Serve(command) => command.files(),
                Command::Migrate(command) => command.files(),
                Command::Janitor(command) => command.files(),
                Command::Token(TokenV1::Flush(command)) => command.files(),
                Command::Config(command) => command.files(),
                Command::Doctor(command) => &mut command.files.config,
                Command::Healthcheck(command) => &mut command.files.config,
                Command::Smoke(command) => &mut command.files.config,
                other => panic!("{other:?}"),
            };
            assert_eq!(*files, want.iter().map(PathBuf::from).collect::<Vec<_>>(), "{line}");
        }
        for line in [
            "signet --skip-tls-verify list clients",
            "signet list --skip-tls-verify clients",
            "signet list clients --skip-tls-verify",
        ] {
            assert!(format!("{:?}", read(line)).contains("skip_tls_verify: true"), "{line}");
        }
        assert!(format!("{:?}", read("signet list clients")).contains("skip_tls_verify: false"));
    }

    #[test]
    fn both_spellings_parse() {
        for line in [
            "signet clients create --endpoint http://h:4445 --id some-consumer --secret s --grant-types client_credentials --response-types token,code",
            "signet clients create -g authorization_code,refresh_token -r token,code,id_token -a openid,offline -c http://127.0.0.1:9010/callback -n x",
            "signet token client --client-id a --client-secret b --endpoint http://h:4444",
            "signet token introspect --client-id a --client-secret b --endpoint http://h:4445 -token",
            "signet token user --port 9010 --auth-url http://h:9000/oauth2/auth --token-url http://h:4444/oauth2/token --client-id a --client-secret b --scope openid,offline --redirect http://127.0.0.1:9010/callback",
            "signet token user --endpoint http://h:4444 --client-id a --max-age 0 --prompt login,consent --https --no-open --audience x",
            "signet perform auth-code -p 1 --max-age -1 --no-shutdown --skip --state s --response-mode form_post -e http://h:4444",
            "signet perform device-code -p -1 --client-id a --device-auth-url http://h/d --token-url http://h/t --scope a --scope b",
            "signet janitor postgres://h/d --tokens --requests --grants --limit 5 --batch-size 2 --keep-if-younger 1h",
            "signet janitor -e --tokens --access-lifespan 1h --refresh-lifespan 2h --consent-request-lifespan 3h",
            "signet token flush -e --min-age 1h",
            "signet create oauth2-client --skip-consent --skip-logout-consent=false --format jsonpath=$.client_id",
            "signet ls oauth2-clients -q --page-size 3",
            "signet migrate sql --yes postgres://u:p@h/d?sslmode=disable",
            "signet migrate sql -e -y",
            "signet migrate sql up postgres://h/d -y",
            "signet migrate sql status -e",
            "signet migrate sql down postgres://h/d --steps 1",
            "signet migrate status --block -e",
            "signet serve all --dangerous-force-http",
            "signet serve all -c a.yaml --config b.yaml --dev --sqa-opt-out",
            "signet serve public --dangerous-allow-insecure-redirect-urls=http://a,http://b --disable-telemetry",
            "signet quickstart --data-dir d --public-port 1 --admin-port 2 --exit",
            "signet keys create set key -a ES256 -u sig",
            "signet import jwk set file.json kid",
            "signet delete access-tokens id",
            "signet --config a.yaml --skip-tls-verify clients list --endpoint https://h:4445",
            "signet --skip-tls-verify token client --client-id a --client-secret b --endpoint https://h:4444",
            "signet --config a.yaml serve all",
            "signet serve --dangerous-force-http --config a.yaml all",
            "signet serve -c a.yaml --dev all -c b.yaml",
            "signet migrate sql -y up postgres://h/d",
            "signet migrate sql -e up",
            "signet version --skip-tls-verify",
            "signet doctor --public https://h --admin http://h:4445 --replicas 3 --strict --format json",
            "signet doctor --list",
            "signet healthcheck --alive --public --timeout 500ms",
            "signet healthcheck --url http://127.0.0.1:4445",
            "signet smoke --public http://h:4444 --admin http://h:4445 --issuer https://h/ --wait 1m --format json",
            "signet --skip-tls-verify smoke --staleness 5s",
            "signet apply clients a.yaml b.json --dry-run --prune --set a --public http://h:4444 --wait 1m -e http://h:4445",
            "signet apply oauth2-clients - --format json -q",
        ] {
            assert!(parses(line), "{line}");
        }
        for line in [
            "signet list oauth2-clients --no-such-flag",
            "signet no-such-command",
            "signet get oauth2-client",
            "signet list oauth2-clients --format xml",
            "signet janitor -e --tokens --limit 0",
            "signet perform auth-code --response-mode fragment",
            "signet healthcheck --public --url http://127.0.0.1:4445",
            "signet apply clients",
            "signet apply clients a.yaml --set=",
        ] {
            assert!(!parses(line), "{line}");
        }
        let name = tree("hydra").try_get_matches_from(["hydra", "clients"]).unwrap_err().to_string();
        assert!(name.contains("hydra clients"), "{name}");
    }
}
