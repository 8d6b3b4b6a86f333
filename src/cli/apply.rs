//! `apply oauth2-clients`: clients are made to be as files declare them.
//!
//! Invariant: every file is judged, and every client of it looked at, before the first change; what is as declared already
//! is not written.

use std::cell::Cell;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};

use super::api::ApiFlags;
use super::apply_files::{self, Declared};
use super::apply_plan::{self, Action, Difference, Step};
use super::apply_server::{Server, refused};
use super::output::{Row, Show};

const HEADERS: [&str; 3] = ["CLIENT ID", "ACTION", "CHANGED"];
const ACTIONS: [Action; 4] = [Action::Create, Action::Update, Action::Keep, Action::Delete];

/// `apply oauth2-clients`.
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// Files of JSON or YAML with one client, a list, or several documents; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete the clients that an earlier apply of this set made and that the files do not name
    #[arg(long)]
    prune: bool,
    /// The name of all the clients in the files together; give every pipeline that applies files its own
    #[arg(long, default_value = "default", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    set: String,
    /// Base URL of the public listener, where secrets are tried; wanted when a file names one
    #[arg(long, env = "HYDRA_URL", value_name = "URL")]
    public: Option<String>,
    /// How long to go on trying while the server cannot be reached or is not ready
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = super::api::duration)]
    wait: Duration,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// A step, and why it was not done.
struct Outcome {
    step: Step,
    fault: Option<String>,
}

/// Reads, compares, and does what is left to do.
///
/// # Errors
/// A fault in a file or a client that cannot be as declared, before anything is changed; the server's refusals after the
/// report of what was done.
pub async fn run(args: Apply) -> anyhow::Result<()> {
    let declared = apply_files::read(&args.files)?;
    let server = Server::open(&args.api, public(&args, &declared)?, args.wait)?;
    let plan = planned(&server, &declared, &args.set).await?;
    let gone = if args.prune { abandoned(&server, &declared, &args.set).await? } else { Vec::new() };
    if args.dry_run {
        let steps = plan.into_iter().chain(gone);
        let outcomes: Vec<Outcome> = steps.map(|step| Outcome { step, fault: None }).collect();
        return report(&args, &outcomes);
    }
    let mut outcomes = done(&server, &declared, plan, &args.set).await;
    let left = declared.len() - outcomes.iter().filter(|one| one.fault.is_none()).count();
    if left == 0 {
        outcomes.extend(deleted(&server, gone).await);
    }
    report(&args, &outcomes)?;
    ensure!(left == 0, "{left} of {} clients are not as declared; what is above was done", declared.len());
    ensure!(outcomes.iter().all(|one| one.fault.is_none()), "not every client that is declared no more was deleted");
    Ok(())
}

fn public<'a>(args: &'a Apply, declared: &[Declared]) -> anyhow::Result<Option<&'a str>> {
    let url = args.public.as_deref().filter(|url| !url.is_empty());
    let secrets = declared.iter().filter(|one| one.secret.is_some()).count();
    ensure!(
        secrets == 0 || url.is_some(),
        "a secret is declared for {secrets} of the clients, and cannot be read back to compare it: give the public \
         listener, where it is tried, with --public http://127.0.0.1:4444 or HYDRA_URL"
    );
    Ok(url)
}

/// What has to be done, in the order of the files.
async fn planned(server: &Server, declared: &[Declared], set: &str) -> anyhow::Result<Vec<Step>> {
    let (mut steps, mut faults) = (Vec::new(), Vec::new());
    for one in declared {
        match server.patiently(async || decided(server, one, set).await).await {
            Ok(step) => steps.push(step),
            Err(error) if refused(&error).is_some() => return Err(error.context(one.at.clone())),
            Err(error) => faults.push(format!("{}: {error:#}", one.at)),
        }
    }
    ensure!(faults.is_empty(), "nothing was applied:\n  {}", faults.join("\n  "));
    Ok(steps)
}

async fn decided(server: &Server, one: &Declared, set: &str) -> anyhow::Result<Step> {
    let Some(shown) = server.client(&one.client.client_id).await? else {
        return apply_plan::creation(one, set);
    };
    if let Some(other) = apply_plan::set_of(&shown).filter(|other| *other != set) {
        bail!("the client belongs to the set {other:?}: apply it with --set {other:?}, or take it out here");
    }
    let secret_is_right = match &one.secret {
        Some(secret) => server.takes(&shown, secret).await?,
        None => true,
    };
    apply_plan::change(one, &shown, secret_is_right)
}

/// The clients that this set made and that are declared no more.
async fn abandoned(server: &Server, declared: &[Declared], set: &str) -> anyhow::Result<Vec<Step>> {
    let kept: HashSet<&str> = declared.iter().map(|one| one.client.client_id.as_str()).collect();
    let mut all = server.patiently(async || server.clients().await).await?;
    all.retain(|client| apply_plan::set_of(client) == Some(set) && !kept.contains(client.client_id.as_str()));
    Ok(all.into_iter().map(apply_plan::deletion).collect())
}

/// Goes on after a refusal, for the clients are independent of each other; stops when nobody answers.
async fn done(server: &Server, declared: &[Declared], plan: Vec<Step>, set: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (one, step) in declared.iter().zip(plan) {
        let (id, action) = (step.id.clone(), step.action);
        let error = match settled(server, one, step, set).await {
            Ok(step) => {
                outcomes.push(Outcome { step, fault: None });
                continue;
            }
            Err(error) => error,
        };
        let silent = refused(&error).is_some_and(|answer| answer.status.is_none());
        let fault = format!("{}: {error:#}", one.at);
        eprintln!("{fault}");
        let step = Step { id, action, differences: Vec::new(), body: Value::Null };
        outcomes.push(Outcome { step, fault: Some(fault) });
        if silent {
            break;
        }
    }
    outcomes
}

/// Writes what was planned; when that does not work at once, looks at the client again before each further try.
async fn settled(server: &Server, one: &Declared, planned: Step, set: &str) -> anyhow::Result<Step> {
    let first = Cell::new(Some(planned));
    server
        .patiently(async || {
            let step = match first.take() {
                Some(step) => step,
                None => decided(server, one, set).await?,
            };
            server.write(&step).await?;
            if let (Some(secret), Some(_)) = (&one.secret, step.body.get("client_secret")) {
                ensure!(
                    server.takes(&one.client, secret).await?,
                    "the secret was set, but is not taken at the public listener: does --public name the same server?"
                );
            }
            Ok(step)
        })
        .await
}

async fn deleted(server: &Server, gone: Vec<Step>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for step in gone {
        let done = server.patiently(async || server.write(&step).await).await;
        let fault = done.err().map(|error| format!("client {:?}: {error:#}", step.id));
        if let Some(fault) = &fault {
            eprintln!("{fault}");
        }
        outcomes.push(Outcome { step, fault });
    }
    outcomes
}

fn report(args: &Apply, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let rows: Vec<Row> = outcomes.iter().map(|one| row(one, args.dry_run)).collect();
    let items: Vec<Value> = outcomes.iter().map(|one| item(one, args.dry_run)).collect();
    let count =
        |action: &Action| outcomes.iter().filter(|one| one.fault.is_none() && one.step.action == *action).count();
    let counts = ACTIONS.iter().map(|action| (count(action), word(*action, args.dry_run)));
    let counts: Vec<String> = counts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let mood = if args.dry_run { "to do, nothing done: " } else { "" };
    let more = if counts.is_empty() { String::new() } else { format!("\n\n{mood}{}", counts.join(", ")) };
    args.show.list(&HEADERS, &rows, &json!({"items": items, "dry_run": args.dry_run}), &more)
}

fn row(one: &Outcome, dry_run: bool) -> Row {
    let changed: Vec<&str> = one.step.differences.iter().map(|each| each.member.as_str()).collect();
    Row {
        id: one.step.id.clone(),
        cells: vec![one.step.id.clone(), outcome(one, dry_run).to_owned(), changed.join(", ")],
    }
}

fn item(one: &Outcome, dry_run: bool) -> Value {
    let changed = |each: &Difference| json!({"member": each.member, "from": each.from, "to": each.to});
    json!({
        "client_id": one.step.id,
        "action": outcome(one, dry_run),
        "changed": one.step.differences.iter().map(changed).collect::<Vec<_>>(),
        "error": one.fault,
    })
}

fn outcome(one: &Outcome, dry_run: bool) -> &'static str {
    if one.fault.is_some() { "failed" } else { word(one.step.action, dry_run) }
}

const fn word(action: Action, dry_run: bool) -> &'static str {
    match (action, dry_run) {
        (Action::Create, true) => "create",
        (Action::Create, false) => "created",
        (Action::Update, true) => "update",
        (Action::Update, false) => "updated",
        (Action::Keep, _) => "unchanged",
        (Action::Delete, true) => "delete",
        (Action::Delete, false) => "deleted",
    }
}
