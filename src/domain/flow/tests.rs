use super::login::{Accepted, LoginAcceptance, accept, usable};
use super::*;
use crate::crypto::seal::Secrets;
use crate::domain::authorize::{AuthorizeRequest, Prompt};
use crate::domain::error::ErrorCode;
use serde_json::{Value, json};

const PURPOSES: [Purpose; 8] = [
    Purpose::LoginChallenge,
    Purpose::LoginVerifier,
    Purpose::DeviceChallenge,
    Purpose::DeviceVerifier,
    Purpose::ConsentChallenge,
    Purpose::ConsentVerifier,
    Purpose::LogoutChallenge,
    Purpose::LogoutVerifier,
];

fn request(query: &str) -> Parameters {
    Parameters::parse(query).unwrap()
}

fn flow() -> Flow {
    Flow {
        id: Uuid::from_u128(7),
        client_id: "a".to_owned(),
        query: "client_id=a&state=12345678".to_owned(),
        digest: digest(&request("state=12345678&client_id=a")),
        effective: None,
        requested_at: 1000,
        session_id: Uuid::from_u128(8),
        remembered: None,
        ends: None,
        device: None,
        login: None,
        skip_consent: false,
        earlier_consent: None,
        consent: None,
    }
}

fn remembered(subject: &str, auth_time: i64) -> Remembered {
    Remembered { subject: subject.to_owned(), auth_time }
}

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

#[test]
fn f02_a_state_opens_for_its_purpose_and_its_issuer_alone() {
    let sealer = Secrets::new(&["a-system-secret-of-some-length".to_owned()]).unwrap().sealer("flow");
    for made in PURPOSES {
        let sealed = seal(&sealer, &[1; 32], made, "https://id.example", &flow()).unwrap();
        for used in PURPOSES {
            let opened: Option<Flow> = open(&sealer, used, "https://id.example", &sealed);
            assert_eq!(opened.is_some(), made == used, "{made:?} as {used:?}");
        }
        assert_eq!(open::<Flow>(&sealer, made, "https://other.example", &sealed), None);
        assert_eq!(open::<Flow>(&sealer, made, "https://id.example", sealed.get(1..).unwrap()), None);
    }
}

#[test]
fn a12_a_verifier_goes_with_its_own_request() {
    let verifier = flow().without_query();
    assert!(verifier.query.is_empty());
    assert_eq!(verifier.clone().with_request(&request("client_id=a&state=12345678")), Some(flow()));
    assert_eq!(verifier.with_request(&request("client_id=a&state=12345679")), None);
}

#[test]
fn a_consent_has_one_id_by_flow() {
    assert_eq!(flow().consent_id(), flow().consent_id());
    assert_ne!(flow().consent_id(), consent_id(Uuid::from_u128(9)));
    assert_ne!(flow().consent_id(), flow().id);
}

#[test]
fn an_acceptance_needs_a_subject_and_keeps_the_time_of_a_remembered_login() {
    let now = Timestamp::from_secs(2000);
    let body = |value: Value| read::<LoginAcceptance>(value);
    for wrong in
        [json!({}), json!({"subject": ""}), json!({"subject": "a", "remember_for": -1}), json!({"subject": "\0"})]
    {
        assert_eq!(accept(&flow(), body(wrong), now).unwrap_err().code, ErrorCode::InvalidRequest);
    }
    let Accepted::Login(new) =
        accept(&flow(), body(json!({"subject": "a", "extend_session_lifespan": true, "amr": null})), now).unwrap()
    else {
        panic!("accepted")
    };
    assert_eq!((new.auth_time, new.remember, new.extend), (2000, false, false));
    let known = Flow { remembered: Some(remembered("a", 500)), ..flow() };
    let Accepted::Login(again) =
        accept(&known, body(json!({"subject": "a", "extend_session_lifespan": true})), now).unwrap()
    else {
        panic!("accepted")
    };
    assert_eq!((again.auth_time, again.remember, again.extend), (500, true, true));
    // F16: somebody else must sign in for real.
    assert_eq!(accept(&known, body(json!({"subject": "b"})), now), Ok(Accepted::AskAgain));
}

#[test]
fn a19_a_remembered_login_will_do_or_not() {
    let now = Timestamp::from_secs(1000);
    let request = |prompt: &str, max_age| AuthorizeRequest {
        prompt: Prompt::parse(prompt).unwrap(),
        max_age,
        ..AuthorizeRequest::default()
    };
    let any = |_: &str| true;
    let known = || Some(remembered("a", 900));
    assert_eq!(usable(&request("", None), None, any, now), Ok(None));
    assert_eq!(usable(&request("", None), known(), any, now), Ok(known()));
    assert_eq!(usable(&request("none", Some(100)), known(), any, now), Ok(known()));
    assert_eq!(usable(&request("", Some(99)), known(), any, now), Ok(None));
    assert_eq!(usable(&request("", Some(0)), Some(remembered("a", 1000)), any, now), Ok(None));
    assert_eq!(usable(&request("", None), known(), |s| s == "b", now), Ok(None));
    for prompt in ["login", "select_account", "create"] {
        assert_eq!(usable(&request(prompt, None), known(), any, now), Ok(None), "{prompt}");
    }
    for refused in [
        usable(&request("none", None), None, any, now),
        usable(&request("none", Some(99)), known(), any, now),
        usable(&request("none", None), known(), |s| s == "b", now),
    ] {
        assert_eq!(refused.unwrap_err().code, ErrorCode::LoginRequired);
    }
}

#[test]
fn f17_nothing_is_granted_that_was_not_asked_for() {
    let (scope, audience) = (["openid".to_owned(), "mail".to_owned()], ["https://api.example".to_owned()]);
    let judge = |body: Value| consent::accept(&scope, &audience, read(body));
    let granted =
        judge(json!({"grant_scope": ["mail", "mail"], "session": {"id_token": {"a": 1}, "access_token": null}}))
            .unwrap();
    assert_eq!((granted.scope, granted.audience, granted.id_claims.len()), (vec!["mail".to_owned()], vec![], 1));
    assert!(judge(json!({"grant_scope": [null]})).unwrap().scope.is_empty());
    for wrong in [
        json!({"grant_scope": ["offline"]}),
        json!({"grant_access_token_audience": ["https://other.example"]}),
        json!({"remember_for": -1}),
    ] {
        assert_eq!(judge(wrong.clone()).unwrap_err().code, ErrorCode::InvalidRequest, "{wrong}");
    }
}

#[test]
fn f10_a_refusal_has_only_the_characters_of_the_rfc() {
    let no = Rejection {
        error: "bad\u{1b}".to_owned(),
        error_description: "say \"no\"".to_owned(),
        error_hint: "\\x".to_owned(),
    };
    assert_eq!((no.name("x"), no.description()), ("bad?".to_owned(), "say 'no' ?x".to_owned()));
    assert_eq!(Rejection::default().name("consent request denied"), "consent request denied");
}
