use super::answer::{Answer, Mode};
use super::*;
use crate::domain::error::ErrorCode;

const RULES: Rules =
    Rules { scope_strategy: ScopeStrategy::Wildcard, pkce_for_all: false, pkce_for_public: true, plain_http: false };
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const GOOD: &str = "client_id=a&response_type=code&redirect_uri=https://a.example/cb&scope=openid&state=12345678";

fn client() -> Client {
    Client {
        client_id: "a".to_owned(),
        redirect_uris: vec!["https://a.example/cb".to_owned()],
        response_types: ["code", "id_token", "code id_token", "token"].map(str::to_owned).to_vec(),
        grant_types: ["authorization_code", "implicit"].map(str::to_owned).to_vec(),
        scope: "openid offline photos.*".to_owned(),
        audience: vec!["https://api.example/".to_owned()],
        ..Client::default()
    }
}

fn ask(query: &str) -> Result<AuthorizeRequest, Refused> {
    check(&Parameters::parse(query).unwrap(), &client(), &RULES)
}

/// The code, and whether the client hears it.
fn refusal(query: &str) -> (&'static str, bool) {
    let refused = ask(query).unwrap_err();
    (refused.error.code.as_str(), refused.to.is_some())
}

fn with(change: &str) -> String {
    let mut p = Parameters::parse(GOOD).unwrap();
    let (name, value) = change.split_once('=').unwrap();
    p.set(name, value);
    p.to_query()
}

#[test]
fn a_good_request_is_read() {
    let request = ask(&format!("{GOOD}&max_age=5&prompt=login+consent&claims=%7B%22id_token%22%3A%7B%22acr%22%3A%7B%22essential%22%3Atrue%2C%22values%22%3A%5B%222%22%5D%7D%7D%7D")).unwrap();
    assert_eq!((request.max_age, request.prompt.login, request.prompt.consent), (Some(5), true, true));
    assert_eq!((request.acr_values.clone(), request.essential_acr()), (vec!["2".to_owned()], vec!["2".to_owned()]));
    assert_eq!(request.target.unwrap().mode, Mode::Query);
}

#[test]
fn until_the_address_is_certain_nothing_is_sent_there() {
    for (query, code) in [
        (with("redirect_uri=https://evil.example/"), "invalid_request"),
        (format!("{GOOD}&redirect_uri=https://evil.example/"), "invalid_request"),
        (format!("{GOOD}&client_id=b"), "invalid_request"),
        ("client_id=a&response_type=code&scope=openid&state=12345678".to_owned(), "invalid_request"),
    ] {
        assert_eq!(refusal(&query), (code, false), "{query}");
    }
    // A10: one registered, no OpenID Connect.
    let only = ask("client_id=a&response_type=code&state=12345678").unwrap();
    assert_eq!((only.sent_redirect_uri, only.target.unwrap().redirect_uri), (None, "https://a.example/cb".to_owned()));
}

#[test]
fn every_check_has_its_error_and_the_client_hears_it() {
    for (query, code) in [
        (format!("{GOOD}&state=12345678"), "invalid_request"),
        (with("response_mode=pigeon"), "unsupported_response_mode"),
        (with("scope=admin"), "invalid_scope"),
        (with("scope=openid photos.a\"b"), "invalid_scope"),
        (with("audience=https://other.example"), "invalid_request"),
        (with("registration={}"), "registration_not_supported"),
        (with("response_type=code token"), "unsupported_response_type"),
        (with("response_type="), "unsupported_response_type"),
        (with("response_type=odd"), "unsupported_response_type"),
        (with("response_type=id_token"), "invalid_request"),
        (with("state="), "invalid_state"),
        (with("state=1234567"), "invalid_state"),
        (with("nonce=1234567"), "insufficient_entropy"),
        (with("code_challenge_method=S256"), "invalid_request"),
        (with("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), "invalid_request"),
        (format!("{GOOD}&code_challenge={CHALLENGE}&code_challenge_method=plain"), "invalid_request"),
        (format!("{GOOD}&code_challenge={CHALLENGE}x&code_challenge_method=S256"), "invalid_request"),
        (with("prompt=none login"), "invalid_request"),
        (with("prompt=odd"), "invalid_request"),
        (with("max_age=-1"), "invalid_request"),
        (with("max_age=1e99"), "invalid_request"),
        (with("max_age=abc"), "invalid_request"),
        (with("claims=[]"), "invalid_request"),
        (with("display=poster"), "invalid_request"),
    ] {
        assert_eq!(refusal(&query), (code, true), "{query}");
    }
}

#[test]
fn tokens_never_travel_in_a_query() {
    let nonce = "nonce=12345678&client_id=a&redirect_uri=https://a.example/cb&scope=openid&state=12345678";
    let fragment = ask(&format!("{nonce}&response_type=id_token+code")).unwrap();
    assert_eq!(fragment.target.unwrap().mode, Mode::Fragment);
    let refused = ask(&format!("{nonce}&response_type=id_token&response_mode=query")).unwrap_err();
    assert_eq!((refused.error.code, refused.to.unwrap().mode), (ErrorCode::UnsupportedResponseMode, Mode::Fragment));
    let form = ask(&format!("{nonce}&response_type=token&response_mode=form_post")).unwrap();
    assert_eq!(form.target.unwrap().mode, Mode::FormPost);
}

#[test]
fn b07_clients_without_a_secret_use_pkce_and_a_switch_asks_all() {
    let p = Parameters::parse(GOOD).unwrap();
    let public = Client { token_endpoint_auth_method: "none".to_owned(), ..client() };
    assert_eq!(check(&p, &public, &RULES).unwrap_err().error.code, ErrorCode::InvalidRequest);
    assert!(check(&p, &public, &Rules { pkce_for_public: false, ..RULES }).is_ok());
    assert!(check(&p, &client(), &Rules { pkce_for_all: true, ..RULES }).is_err());
    let good = Parameters::parse(&format!("{GOOD}&code_challenge={CHALLENGE}&code_challenge_method=S256")).unwrap();
    assert!(check(&good, &public, &Rules { pkce_for_all: true, ..RULES }).is_ok());
}

#[test]
fn plain_http_to_another_machine_is_for_development() {
    let client = Client { redirect_uris: vec!["http://a.example/cb".to_owned()], ..client() };
    let p = Parameters::parse(&with("redirect_uri=http://a.example/cb")).unwrap();
    assert_eq!(check(&p, &client, &RULES).unwrap_err().error.code, ErrorCode::InvalidRequest);
    assert!(check(&p, &client, &Rules { plain_http: true, ..RULES }).is_ok());
}

#[test]
fn a13_a16_answers_carry_state_and_issuer_as_they_are() {
    let to = |uri: &str, mode| Target { redirect_uri: uri.to_owned(), mode, state: "\"<>\r\n&=".to_owned() };
    let fields = || vec![("code", "c".to_owned())];
    let tail = "code=c&state=%22%3C%3E%0D%0A%26%3D&iss=https%3A%2F%2Fid.example%2F";
    for (uri, mode, expected) in [
        ("https://a.example/cb", Mode::Query, "https://a.example/cb?"),
        ("https://a.example/cb?x=1", Mode::Query, "https://a.example/cb?x=1&"),
        ("https://a.example/cb?", Mode::Query, "https://a.example/cb?"),
        ("https://a.example/cb?x=1", Mode::Fragment, "https://a.example/cb?x=1#"),
    ] {
        let answer = to(uri, mode).answer("https://id.example/", fields());
        assert_eq!(answer, Answer::Redirect(format!("{expected}{tail}")));
    }
    let Answer::Form { action, fields } = to("com.a:/cb", Mode::FormPost).answer("i", fields()) else {
        panic!("a form")
    };
    assert_eq!((action.as_str(), fields.len()), ("com.a:/cb", 3));
}
