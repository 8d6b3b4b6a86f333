//! `perform device-code` before a fake authorization server: what it asks, how often, and how it ends.

use std::process::Output;
use std::sync::Mutex;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Callee, Question, basic, run};

const PENDING: &str = "authorization_pending";

/// A server that hands out codes and answers the questions for a token one after the other; the last one for ever.
/// The moments of the questions are kept.
fn server(codes: Value, answers: Vec<(u16, Value)>) -> (Callee, std::sync::Arc<Mutex<Vec<Instant>>>) {
    let times = std::sync::Arc::new(Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&times);
    let callee = Callee::start(move |question| {
        if question.head.starts_with("post /oauth2/device/auth ") {
            return (200, codes.to_string());
        }
        let mut times = kept.lock().unwrap();
        let (status, answer) = answers.get(times.len()).unwrap_or(&answers[answers.len() - 1]);
        times.push(Instant::now());
        (*status, answer.to_string())
    });
    (callee, times)
}

fn codes(more: Value) -> Value {
    let mut codes = json!({
        "device_code": "a-device-code", "user_code": "WDJB-MJHT", "verification_uri": "https://issuer.example/device",
        "verification_uri_complete": "https://issuer.example/device?user_code=WDJB-MJHT", "expires_in": 600,
        "interval": 1,
    });
    codes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    codes
}

fn refusal(error: &str) -> (u16, Value) {
    (400, json!({"error": error, "error_description": "Not\u{1b} now."}))
}

fn token() -> (u16, Value) {
    (200, json!({"access_token": "an-access-token", "refresh_token": "a-refresh-token", "expires_in": 60}))
}

async fn perform(callee: &Callee, more: &[&str]) -> Output {
    let mut args = vec!["perform", "device-code", "--client-id", "a tv", "-e", &callee.url];
    args.extend(more);
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let done = move || run(&args.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    tokio::task::spawn_blocking(done).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn field(question: &Question, name: &str) -> Option<String> {
    let mut all = url::form_urlencoded::parse(question.body.as_bytes());
    all.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn it_waits_slows_down_and_prints_the_tokens() {
    let (callee, times) = server(codes(json!({})), vec![refusal(PENDING), refusal("slow_down"), token()]);
    let done = perform(&callee, &["--client-secret", "s:1", "--scope", "openid", "--audience", "https://api"]).await;
    let (said, told) = (text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{told}");
    assert!(said.starts_with("ACCESS TOKEN\tan-access-token\nREFRESH TOKEN\ta-refresh-token\n"), "{said}");
    for expected in ["code WDJB-MJHT:\n\n\thttps://issuer.example/device\n", "?user_code=WDJB-MJHT\n", "10 minutes"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let questions = callee.questions();
    assert_eq!(field(&questions[0], "scope").as_deref(), Some("openid"));
    assert_eq!(field(&questions[0], "audience").as_deref(), Some("https://api"));
    let header = format!("authorization: {}\r\n", basic("a tv", "s:1")).to_lowercase();
    assert!(questions.len() == 4 && questions.iter().all(|question| question.head.contains(&header)), "{questions:?}");
    for question in &questions[1..] {
        assert!(question.head.starts_with("post /oauth2/token "), "{question:?}");
        let grant = field(question, "grant_type");
        assert_eq!(grant.as_deref(), Some("urn:ietf:params:oauth:grant-type:device_code"));
        assert_eq!(field(question, "device_code").as_deref(), Some("a-device-code"));
    }
    let times = times.lock().unwrap();
    let pause = |at: usize| (times[at] - times[at - 1]).as_secs_f64();
    assert!(pause(1) > 0.9 && pause(1) < 5.0, "the interval of the server: {}", pause(1));
    assert!(pause(2) > 5.9, "five seconds more after slow_down: {}", pause(2));
}

#[tokio::test]
async fn every_end_but_a_token_is_told_in_one_line() {
    for (answers, told) in [
        (vec![refusal(PENDING), refusal("access_denied")], "access_denied: the request was refused by the user"),
        (vec![refusal("expired_token")], "expired_token: nobody entered the code in time"),
        (vec![refusal("invalid_client")], "invalid_client: Not  now."),
        (vec![(400, json!("no"))], "no"),
    ] {
        let (callee, times) = server(codes(json!({})), answers.clone());
        let done = perform(&callee, &[]).await;
        let (said, wrote) = (text(&done.stdout), text(&done.stderr));
        assert_eq!((done.status.code(), said.as_str()), (Some(1), ""), "{told}");
        assert!(wrote.lines().last().unwrap().starts_with(&format!("Error: {told}")), "{wrote}");
        assert_eq!(times.lock().unwrap().len(), answers.len(), "{told}: it asks no more");
        let question = &callee.questions()[0];
        assert!(!question.head.contains("authorization:"), "{question:?}");
        assert_eq!(
            (field(question, "client_id").as_deref(), field(question, "scope").as_deref()),
            (Some("a tv"), Some("offline openid"))
        );
    }
}

#[tokio::test]
async fn it_asks_no_longer_than_the_code_lives() {
    let (callee, times) = server(codes(json!({"expires_in": 2})), vec![refusal(PENDING)]);
    let done = perform(&callee, &["--port", "4446"]).await;
    assert_eq!(done.status.code(), Some(1));
    let told = text(&done.stderr);
    assert!(told.starts_with("--port has no effect"), "{told}");
    assert!(
        told.ends_with("Error: expired_token: nobody entered the code in time; run the command again for a new one\n")
    );
    assert_eq!(times.lock().unwrap().len(), 1, "{told}");
}

#[tokio::test]
async fn a_server_that_knows_no_devices_is_told_at_once() {
    let callee = Callee::start(|_| (404, json!({"error": "not_found"}).to_string()));
    let done = perform(&callee, &[]).await;
    assert_eq!((done.status.code(), callee.questions().len()), (Some(1), 1));
    assert!(
        text(&done.stderr).ends_with("Failed to execute API request, see error above.\n"),
        "{}",
        text(&done.stderr)
    );
    let (callee, _) = server(codes(json!({"user_code": ""})), vec![token()]);
    let done = perform(&callee, &[]).await;
    assert!(text(&done.stderr).contains("without a user_code"), "{}", text(&done.stderr));
}
