//! `perform device-code`: a device without a browser gets its token (RFC 8628).
//!
//! Invariant: it asks no more often than the server allows, and no longer than the code lives.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::Value;

use super::api::{Answer, Api, ApiFlags, Body, Refused, Spelling, public_url};
use super::output::{Show, one_line, text};
use super::token_record;
use super::tokens::Credentials;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// RFC 8628 §3.2: between two questions, where the server says nothing.
const INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 §3.5: what `slow_down` adds.
const SLOWER: Duration = Duration::from_secs(5);
/// The longest that a server which does not answer slows us to.
const SLOWEST: Duration = Duration::from_secs(60);
/// A code whose life is not told, which RFC 8628 does not allow.
const LIFE: u64 = 600;

/// `perform device-code`.
#[derive(Debug, clap::Args)]
pub struct DeviceCode {
    #[command(flatten)]
    who: Credentials,
    /// Scopes to ask for; repeats or takes commas
    #[arg(long, value_delimiter = ',', default_value = "offline,openid")]
    scope: Vec<String>,
    /// Audiences to ask for; repeats or takes commas
    #[arg(long, value_delimiter = ',')]
    audience: Vec<String>,
    /// The device authorization endpoint [default: /oauth2/device/auth below --endpoint]
    #[arg(long, value_name = "URL")]
    device_auth_url: Option<String>,
    /// The token endpoint [default: /oauth2/token below --endpoint]
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Accepted for older scripts: nothing is served on this machine
    #[arg(short, long, hide = true, allow_negative_numbers = true)]
    port: Option<i32>,
    #[command(flatten)]
    api: ApiFlags,
    #[command(flatten)]
    show: Show,
}

/// What the device authorization endpoint answered.
struct Codes {
    device_code: String,
    expires_in: Duration,
    interval: Duration,
}

/// What a refused question means.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Ask again after this interval.
    Again(Duration),
    /// There will be no token.
    Over(String),
}

/// Asks for codes, shows the user's, and asks for the token until there is one.
///
/// # Errors
/// No client or server named, the server's refusal, a user who refused or did not come.
pub async fn run(args: DeviceCode, spelling: Spelling) -> anyhow::Result<()> {
    let (id, at) = (args.who.id()?, (&args.api, spelling));
    let codes_url =
        public_url(args.device_auth_url.as_deref(), "--device-auth-url", &["oauth2", "device", "auth"], at)?;
    let token_url = public_url(args.token_url.as_deref(), "--token-url", &["oauth2", "token"], at)?;
    if args.port.is_some_and(|port| port >= 0) {
        eprintln!("--port has no effect: nothing is served on this machine.");
    }
    let (scope, audience) = (args.scope.join(" "), args.audience.join(" "));
    let form = [("scope", scope.as_str()), ("audience", audience.as_str())];
    let form: Vec<_> = form.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
    let ask = |api: Api, form| ask(api, form, id, args.who.secret());

    let begun = Instant::now();
    let answer = ask(Api::of(&codes_url, &args.api, spelling)?, form).await?.value;
    let mut codes = shown(&answer)?;
    let form = [("grant_type", GRANT), ("device_code", codes.device_code.as_str())];
    loop {
        if begun.elapsed() + codes.interval > codes.expires_in {
            bail!(ran_out());
        }
        tokio::time::sleep(codes.interval).await;
        let asked = token_record::now();
        match ask(Api::of(&token_url, &args.api, spelling)?, form.to_vec()).await {
            Ok(answer) => return token_record::show(&token_record::dated(answer.value, asked)?, &args.show),
            Err(error) => match error.downcast_ref::<Refused>().map(|refused| next(refused, codes.interval)) {
                Some(Next::Again(interval)) => codes.interval = interval,
                Some(Next::Over(why)) => bail!(why),
                None => return Err(error),
            },
        }
    }
}

async fn ask(api: Api, mut form: Vec<(&str, &str)>, id: &str, secret: Option<&str>) -> anyhow::Result<Answer> {
    let basic = secret.map(|secret| (id, secret));
    if basic.is_none() {
        form.push(("client_id", id));
    }
    api.call(Method::POST, &[], &[], Body::Form(&form, basic)).await
}

/// Tells the user where to go with which code. It is no result, so it goes to standard error.
fn shown(answer: &Value) -> anyhow::Result<Codes> {
    let of = |name| Some(one_line(&text(answer, name))).filter(|value| !value.is_empty());
    let missing = |name| format!("the server answered without a {name}; is the endpoint right?");
    let seconds = |name| answer.get(name).and_then(Value::as_u64);
    let device_code = of("device_code").with_context(|| missing("device_code"))?;
    let user_code = of("user_code").with_context(|| missing("user_code"))?;
    let page = of("verification_uri").with_context(|| missing("verification_uri"))?;
    let life = seconds("expires_in").unwrap_or(LIFE);

    eprintln!("To sign in, open this address and enter the code {user_code}:\n\n\t{page}\n");
    if let Some(complete) = of("verification_uri_complete") {
        eprintln!("Or open this one, which holds the code already:\n\n\t{complete}\n");
    }
    eprintln!("The code lives for {}. Press ctrl + c to give up.", long(life));
    let interval = seconds("interval").map_or(INTERVAL, |s| Duration::from_secs(s.max(1)));
    Ok(Codes { device_code, expires_in: Duration::from_secs(life), interval })
}

fn long(seconds: u64) -> String {
    match seconds {
        120.. => format!("{} minutes", seconds / 60),
        _ => format!("{seconds} seconds"),
    }
}

fn ran_out() -> String {
    "expired_token: nobody entered the code in time; run the command again for a new one".to_owned()
}

/// RFC 8628 §3.5. A server that is away is asked again too, more and more slowly.
fn next(refused: &Refused, interval: Duration) -> Next {
    match (refused.code().as_str(), refused.status) {
        ("authorization_pending", _) => Next::Again(interval),
        ("slow_down", _) => Next::Again(interval + SLOWER),
        ("access_denied", _) => Next::Over("access_denied: the request was refused by the user".to_owned()),
        ("expired_token", _) => Next::Over(ran_out()),
        (_, None | Some(500..)) => Next::Again((interval * 2).min(SLOWEST).max(interval)),
        ("", _) => Next::Over(one_line(&refused.why().join(" "))),
        (code, _) => Next::Over(one_line(&format!("{code}: {}", refused.why().join(" ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(status: Option<u16>, error: &str) -> Next {
        next(&Refused::new(status, json!({"error": error, "error_description": "Why."})), Duration::from_secs(5))
    }

    #[test]
    fn every_answer_slows_waits_or_ends() {
        let again = |seconds| Next::Again(Duration::from_secs(seconds));
        assert_eq!(of(Some(400), "authorization_pending"), again(5));
        assert_eq!(of(Some(400), "slow_down"), again(10));
        assert_eq!(of(Some(503), "temporarily_unavailable"), again(10));
        assert_eq!(of(None, "unreachable"), again(10));
        assert_eq!(of(Some(400), "invalid_grant"), Next::Over("invalid_grant: Why.".to_owned()));
        for code in ["access_denied", "expired_token"] {
            assert!(matches!(of(Some(400), code), Next::Over(why) if why.starts_with(code)), "{code}");
        }
    }

    #[test]
    fn a_server_that_stays_away_is_asked_once_a_minute_at_most() {
        let away = Refused::new(None, json!({"error": "unreachable"}));
        assert_eq!(next(&away, Duration::from_secs(45)), Next::Again(Duration::from_secs(60)));
        assert_eq!(next(&away, Duration::from_secs(90)), Next::Again(Duration::from_secs(90)));
    }
}
