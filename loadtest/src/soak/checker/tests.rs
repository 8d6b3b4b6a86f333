//! Every rule holds on a good history and breaks on the same with one thing wrong.

use super::*;
use crate::soak::faults::On;
use crate::soak::history::{
    ACTIVE, FORBIDDEN, Given, Gives, INACTIVE, INVALID_GRANT, Outcome, RIGHT, SOMEBODY_ELSES, Session, Signed,
};

/// Seconds.
const S: Micros = 1_000_000;
const BOUND: Micros = 5 * S;
const FAMILY: Key = Key(1);
const CODE: Key = Key(10);
const KID: Key = Key(99);

/// The access and refresh token number `n`.
fn pair(n: u64) -> (Key, Key) {
    (Key(100 + n), Key(200 + n))
}

fn record(op: Op, key: Key, from: Micros, outcome: Outcome, what: &'static str) -> Record {
    let (to, status) = (from + S / 10, 200);
    Record { op, key, family: FAMILY, replica: Some(0), from, to, outcome, status, what, gives: None }
}

fn ok(op: Op, key: Key, from: Micros) -> Record {
    record(op, key, from, Outcome::Ok, "ok")
}

fn refused(op: Op, key: Key, from: Micros, what: &'static str) -> Record {
    record(op, key, from, Outcome::Fail, what)
}

fn unknown(op: Op, key: Key, from: Micros) -> Record {
    record(op, key, from, Outcome::Unknown, "no answer")
}

fn giving(record: Record, n: u64, lives: u32) -> Record {
    let (access, refresh) = pair(n);
    let gives = Gives {
        access: Some(Given { key: access, lives: Some(lives) }),
        refresh: Some(Given { key: refresh, lives: None }),
        signed: vec![Signed { kid: KID, verified: true }],
        session: None,
    };
    Record { gives: Some(Box::new(gives)), ..record }
}

fn asked(key: Key, from: Micros, what: &'static str) -> Record {
    record(Op::Introspect, key, from, Outcome::Ok, what)
}

/// A code is exchanged at 1 s, refreshed at 3 s; both pairs of tokens are looked at before and after.
fn life() -> Vec<Record> {
    let ((first, used), (second, newest)) = (pair(1), pair(2));
    vec![
        giving(ok(Op::Code, CODE, S), 1, 3600),
        asked(first, 2 * S, ACTIVE),
        giving(ok(Op::Refresh, used, 3 * S), 2, 3600),
        asked(second, 4 * S, ACTIVE),
        asked(newest, 4 * S, ACTIVE),
        asked(first, 20 * S, INACTIVE),
        asked(used, 20 * S, INACTIVE),
        asked(second, 20 * S, ACTIVE),
    ]
}

fn life_and(more: &[Record]) -> Vec<Record> {
    let mut records = life();
    records.extend_from_slice(more);
    records
}

/// What was seen besides the requests, all well.
struct Beside {
    windows: Vec<Window>,
    polls: Vec<Poll>,
    vitals: Vec<Vital>,
    connections: i64,
    rows: Rows,
    double_chains: i64,
    panics: Vec<String>,
    failures: Vec<String>,
}

impl Default for Beside {
    fn default() -> Self {
        let vital = |n: u64| Vital { at: n * 10 * S, replica: 0, life: 1, rss_kb: 50_000, fds: 60, threads: 12 };
        Self {
            windows: vec![Window { from: 30 * S, to: 32 * S, name: "a fault".to_owned(), excuses: Some(On::All) }],
            polls: vec![Poll { replica: 0, from: 0, kids: Vec::new() }, Poll { replica: 1, from: S, kids: vec![KID] }],
            vitals: (0..60).map(vital).collect(),
            connections: 16,
            rows: Rows::from([("access_token".to_owned(), 2), ("refresh_token".to_owned(), 2)]),
            double_chains: 0,
            panics: Vec::new(),
            failures: Vec::new(),
        }
    }
}

fn judged(records: &[Record], beside: &Beside) -> Vec<Verdict> {
    check(&Seen {
        records,
        windows: &beside.windows,
        polls: &beside.polls,
        vitals: &beside.vitals,
        connections: (beside.connections, 20),
        rows: &beside.rows,
        double_chains: beside.double_chains,
        lost_answers: 0,
        restarts: 2,
        panics: &beside.panics,
        failures: &beside.failures,
        bound: BOUND,
        strict: true,
        audit: 15 * S,
    })
}

/// The rules that are broken.
fn broken(records: &[Record]) -> Vec<&'static str> {
    broken_beside(records, &Beside::default())
}

fn broken_beside(records: &[Record], beside: &Beside) -> Vec<&'static str> {
    judged(records, beside).iter().filter(|verdict| !verdict.holds()).map(|verdict| verdict.name).collect()
}

/// On how many cases a rule was checked.
fn cases(records: &[Record], name: &str) -> usize {
    judged(records, &Beside::default()).iter().find(|verdict| verdict.name == name).map_or(0, |verdict| verdict.cases)
}

#[track_caller]
fn good(records: &[Record], name: &str) {
    let violations: Vec<_> = judged(records, &Beside::default()).into_iter().filter(|v| !v.holds()).collect();
    assert!(violations.is_empty(), "{violations:?}");
    assert!(cases(records, name) > 0, "{name} was not checked");
}

#[track_caller]
fn bad(records: &[Record], name: &str) {
    let broken = broken(records);
    assert!(broken.contains(&name), "{name} is not among {broken:?}");
}

#[test]
fn a_quiet_life_breaks_nothing() {
    for name in ["I-1", "I-2", "I-4", "I-7", "I-8", "I-12", "I-15", "nothing lost", "no errors", "flat", "rows"] {
        good(&life(), name);
    }
}

#[test]
fn i1_a_code_is_used_once_and_its_replay_ends_the_grant() {
    let ((second, _), again) = (pair(2), refused(Op::Code, CODE, 25 * S, INVALID_GRANT));
    good(&life_and(&[again.clone(), asked(second, 33 * S, INACTIVE)]), "I-1");
    bad(&life_and(&[again, asked(second, 33 * S, ACTIVE)]), "I-1");
    bad(&life_and(&[giving(ok(Op::Code, CODE, 25 * S), 3, 3600)]), "I-1");
}

#[test]
fn i2_a_refresh_token_has_one_successor() {
    let (_, used) = pair(1);
    bad(&life_and(&[giving(ok(Op::Refresh, used, 5 * S), 3, 3600)]), "I-2");
    // The same successor again is no second one.
    assert!(!broken(&life_and(&[giving(ok(Op::Refresh, used, 5 * S), 2, 3600)])).contains(&"I-2"));
}

#[test]
fn i3_a_reuse_ends_the_grant_after_the_bound() {
    let ((second, newest), (_, used)) = (pair(2), pair(1));
    let reuse = refused(Op::Refresh, used, 25 * S, INVALID_GRANT);
    let after = |at, what| life_and(&[reuse.clone(), asked(second, 27 * S, ACTIVE), asked(newest, at, what)]);
    good(&after(31 * S, INACTIVE), "I-3");
    good(&life_and(&[reuse.clone(), asked(second, 30 * S, ACTIVE), asked(newest, 31 * S, INACTIVE)]), "I-3");
    bad(&after(31 * S, ACTIVE), "I-3");
}

#[test]
fn i4_what_was_revoked_is_inactive_after_the_bound() {
    let (second, newest) = pair(2);
    let revoked = ok(Op::Revoke, newest, 25 * S);
    good(&life_and(&[revoked.clone(), asked(second, 30 * S, ACTIVE), asked(second, 31 * S, INACTIVE)]), "I-4");
    bad(&life_and(&[revoked, asked(second, 31 * S, ACTIVE)]), "I-4");
    // Nobody knows whether that revocation took place.
    let lost = Record { outcome: Outcome::Unknown, ..ok(Op::Revoke, newest, 31 * S) };
    for what in [ACTIVE, INACTIVE] {
        good(&life_and(&[lost.clone(), asked(second, 40 * S, what)]), "I-7");
    }
    // What a refresh has replaced.
    bad(&life_and(&[asked(pair(1).0, 22 * S, ACTIVE)]), "I-4");
    for op in [Op::EndConsent, Op::EndClient] {
        bad(&life_and(&[ok(op, FAMILY, 25 * S), asked(second, 31 * S, ACTIVE)]), "I-4");
        good(&life_and(&[ok(op, FAMILY, 25 * S), asked(second, 31 * S, INACTIVE)]), "I-4");
    }
}

#[test]
fn i5_nothing_comes_back_to_life() {
    let (first, _) = pair(1);
    good(&life_and(&[asked(first, 28 * S, INACTIVE)]), "I-5");
    bad(&life_and(&[asked(first, 28 * S, ACTIVE)]), "I-5");
}

#[test]
fn i6_nothing_is_born_of_a_grant_that_ends() {
    let ((_, newest), (third, _)) = (pair(2), pair(3));
    let race = [ok(Op::Revoke, newest, 25 * S), giving(ok(Op::Refresh, newest, 25 * S), 3, 3600)];
    let after = |what| life_and(&[race[0].clone(), race[1].clone(), asked(third, 31 * S, what)]);
    good(&after(INACTIVE), "I-6");
    bad(&after(ACTIVE), "I-6");
    bad(&life_and(&[ok(Op::Revoke, newest, 25 * S), giving(ok(Op::Refresh, newest, 26 * S), 3, 3600)]), "I-6");
}

#[test]
fn i7_nothing_acknowledged_is_lost() {
    let (second, newest) = pair(2);
    for key in [second, newest] {
        bad(&life_and(&[asked(key, 10 * S, INACTIVE)]), "I-7");
        bad(&life_and(&[asked(key, 20 * S, INACTIVE)]), "nothing lost");
    }
}

#[test]
fn i8_a_refusal_needs_a_reason() {
    let (_, newest) = pair(2);
    bad(&life_and(&[refused(Op::Refresh, newest, 21 * S, INVALID_GRANT)]), "I-8");
    let twice = [21 * S, 22 * S].map(|at| refused(Op::Refresh, newest, at, INVALID_GRANT));
    bad(&life_and(&twice), "I-8");
    let lost = unknown(Op::Refresh, newest, 31 * S);
    good(&life_and(&[lost, refused(Op::Refresh, newest, 33 * S, INVALID_GRANT)]), "I-8");
    let unsent = refused(Op::Refresh, newest, 31 * S, crate::soak::history::UNSENT);
    good(&life_and(&[unsent.clone(), giving(ok(Op::Refresh, newest, 33 * S), 3, 3600)]), "I-8");
    bad(&life_and(&[unsent, refused(Op::Refresh, newest, 33 * S, INVALID_GRANT)]), "I-8");
    // A wrong PKCE verifier spends nothing.
    let wrong = refused(Op::CodeWrong, Key(11), 21 * S, INVALID_GRANT);
    bad(&life_and(&[wrong, refused(Op::Code, Key(11), 22 * S, INVALID_GRANT)]), "I-8");
}

#[test]
fn i9_an_unknown_outcome_is_resolved() {
    let ((second, newest), (third, _)) = (pair(2), pair(3));
    let lost = unknown(Op::Refresh, newest, 31 * S);
    let refusal = refused(Op::Refresh, newest, 33 * S, INVALID_GRANT);
    good(&life_and(&[lost.clone(), giving(ok(Op::Refresh, newest, 33 * S), 3, 3600)]), "I-9");
    good(&life_and(&[lost.clone(), refusal.clone(), asked(second, 40 * S, INACTIVE)]), "I-9");
    bad(&life_and(&[lost.clone(), refusal, asked(second, 40 * S, ACTIVE)]), "I-9");
    let twice = [(33, 3), (34, 4)].map(|(at, n)| giving(ok(Op::Refresh, newest, at * S), n, 3600));
    bad(&life_and(&[lost, twice[0].clone(), twice[1].clone(), asked(third, 35 * S, ACTIVE)]), "I-9");
    let beside = Beside { double_chains: 1, ..Beside::default() };
    assert_eq!(broken_beside(&life(), &beside), ["I-9"]);
}

#[test]
fn i10_what_is_single_succeeds_once() {
    for op in [Op::Assertion, Op::Device, Op::Verifier] {
        let once = [ok(op, Key(12), 21 * S), refused(op, Key(12), 21 * S, "access_denied")];
        good(&life_and(&once), "I-10");
        bad(&life_and(&[ok(op, Key(12), 21 * S), ok(op, Key(12), 22 * S)]), "I-10");
    }
}

#[test]
fn i11_another_browser_consumes_nothing() {
    let elsewhere = |what| refused(Op::VerifierElsewhere, Key(13), 21 * S, what);
    good(&life_and(&[elsewhere(FORBIDDEN), ok(Op::Verifier, Key(13), 22 * S)]), "I-11");
    bad(&life_and(&[elsewhere("access_denied"), ok(Op::Verifier, Key(13), 22 * S)]), "I-11");
    bad(&life_and(&[ok(Op::VerifierElsewhere, Key(13), 21 * S)]), "I-11");
    bad(&life_and(&[elsewhere(FORBIDDEN), refused(Op::Verifier, Key(13), 22 * S, "access_denied")]), "I-11");
}

#[test]
fn i12_every_signature_verifies_everywhere() {
    let mut records = life();
    let gives = records.iter_mut().find_map(|record| record.gives.as_mut());
    gives.into_iter().flat_map(|gives| &mut gives.signed).for_each(|signed| signed.verified = false);
    bad(&records, "I-12");
    let mut beside = Beside::default();
    beside.polls.push(Poll { replica: 0, from: 5 * S, kids: vec![Key(98)] });
    assert_eq!(broken_beside(&life(), &beside), ["I-12"]);
}

#[test]
fn i13_what_one_secret_made_opens_under_another() {
    const OLD: Key = Key(50);
    const NEW: Key = Key(51);
    let starts = |replica, key, at| Record { replica: Some(replica), ..ok(Op::Secret, key, at) };
    let open = |replica, made, at| Record { family: made, replica: Some(replica), ..ok(Op::Open, Key(52), at) };
    let step = [starts(0, OLD, 20 * S), starts(1, OLD, 21 * S), starts(0, NEW, 22 * S), open(1, NEW, 23 * S)];
    good(&life_and(&step), "I-13");
    let verdicts = judged(&life_and(&step), &Beside::default());
    let note = verdicts.iter().find(|verdict| verdict.name == "I-13").map(|verdict| verdict.note.as_str());
    assert_eq!(note, Some("3 starts with another list, 1 opened under another newest secret"));
    // As it is when the new secret is put first at once: the other replica does not know it yet.
    let stranger = Record { outcome: Outcome::Fail, what: "login challenge", ..open(1, NEW, 23 * S) };
    bad(&life_and(&[starts(0, NEW, 22 * S), stranger]), "I-13");
    bad(&life_and(&[refused(Op::Step, Key(0), 23 * S, "access_denied")]), "I-13");
    let lost = Record { outcome: Outcome::Unknown, ..open(1, NEW, 31 * S) };
    good(&life_and(&[open(0, OLD, 21 * S), lost]), "I-13");
}

#[test]
fn i14_nothing_outlives_its_time() {
    let token = |what| {
        let issued = Record { family: Key::default(), ..giving(ok(Op::Token, Key(3), 21 * S), 5, 10) };
        life_and(&[issued, asked(pair(5).0, 25 * S, ACTIVE), asked(pair(5).0, 33 * S, what)])
    };
    good(&token(INACTIVE), "I-14");
    bad(&token(ACTIVE), "I-14");
}

#[test]
fn i15_no_answer_is_of_another_token() {
    bad(&life_and(&[asked(pair(2).0, 21 * S, SOMEBODY_ELSES)]), "I-15");
    let garbage = |what| record(Op::Garbage, Key(14), 21 * S, Outcome::Ok, what);
    good(&life_and(&[garbage(INACTIVE)]), "I-15");
    bad(&life_and(&[garbage(ACTIVE)]), "I-15");
}

const SID: Key = Key(60);
const SUBJECT: Key = Key(61);
const CLIENT: Key = Key(62);
const OTHER: Key = Key(63);

fn of_session(record: Record, client: Key) -> Record {
    let session = Some(Session { sid: SID, client, subject: SUBJECT });
    Record {
        gives: Some(Box::new(Gives { session, ..record.gives.map(|gives| *gives).unwrap_or_default() })),
        ..record
    }
}

fn told(client: Key, from: Micros, outcome: Outcome) -> Record {
    of_session(record(Op::Told, SID, from, outcome, RIGHT), client)
}

/// A user signs in at two clients at 1 s and 40 s and out at 50 s; the first client is told at 51 s.
fn session_and(more: &[Record]) -> Vec<Record> {
    let mut records = life();
    records.iter_mut().take(1).for_each(|record| *record = of_session(record.clone(), CLIENT));
    let other = of_session(Record { family: Key(2), ..giving(ok(Op::Code, Key(11), 40 * S), 3, 3600) }, OTHER);
    records.extend([other, ok(Op::Logout, SID, 50 * S), told(CLIENT, 51 * S, Outcome::Ok)]);
    records.extend_from_slice(more);
    records
}

#[test]
fn i16_every_client_of_a_session_that_ended_is_told() {
    let second = |at| told(OTHER, at, Outcome::Ok);
    good(&session_and(&[second(52 * S)]), "I-16");
    bad(&session_and(&[]), "I-16");
    bad(&session_and(&[second(61 * S)]), "I-16");
    // A fault delays it, and is no excuse for none at all.
    let while_fault = |excuses| Window { from: 53 * S, to: 54 * S, name: "a fault".to_owned(), excuses };
    let beside = Beside { windows: vec![while_fault(Some(On::All))], ..Beside::default() };
    assert_eq!(broken_beside(&session_and(&[second(115 * S)]), &beside), [""; 0]);
    assert_eq!(broken_beside(&session_and(&[]), &beside), ["I-16"]);
    let beside = Beside { windows: vec![while_fault(None)], ..Beside::default() };
    assert_eq!(broken_beside(&session_and(&[second(115 * S)]), &beside), ["I-16"]);
}

#[test]
fn i16_who_does_not_take_it_is_told_again() {
    let said_no = told(OTHER, 51 * S, Outcome::Fail);
    good(&session_and(&[said_no.clone(), told(OTHER, 54 * S, Outcome::Ok)]), "I-16");
    bad(&session_and(std::slice::from_ref(&said_no)), "I-16");
    bad(&session_and(&[said_no.clone(), told(OTHER, 64 * S, Outcome::Ok)]), "I-16");
    good(
        &session_and(&[said_no.clone(), told(OTHER, 54 * S, Outcome::Fail), told(OTHER, 70 * S, Outcome::Ok)]),
        "I-16",
    );
    bad(&session_and(&[said_no, told(OTHER, 54 * S, Outcome::Fail), told(OTHER, 90 * S, Outcome::Ok)]), "I-16");
}

#[test]
fn i16_nobody_else_is_told_and_nothing_wrong() {
    let rest = told(OTHER, 52 * S, Outcome::Ok);
    let with = |more| session_and(&[rest.clone(), more]);
    bad(&with(Record { what: "signature", ..told(CLIENT, 53 * S, Outcome::Fail) }), "I-16");
    bad(&with(told(Key(64), 53 * S, Outcome::Ok)), "I-16");
    bad(&with(told(CLIENT, 49 * S, Outcome::Ok)), "I-16");
    let mut elses = told(CLIENT, 53 * S, Outcome::Ok);
    elses
        .gives
        .iter_mut()
        .for_each(|gives| gives.session = Some(Session { sid: SID, client: CLIENT, subject: Key(65) }));
    bad(&with(elses), "I-16");
    // Nobody knows whether it was granted something.
    let lost = of_session(unknown(Op::Verifier, Key(66), 31 * S), Key(64));
    good(&session_and(&[rest.clone(), lost, told(Key(64), 53 * S, Outcome::Ok)]), "I-16");
    // Nobody signed out.
    let mut stays = with(told(CLIENT, 53 * S, Outcome::Ok));
    stays.retain(|record| record.op != Op::Logout);
    bad(&stays, "I-16");
}

#[test]
fn i16_the_user_does_not_wait_and_the_tokens_end() {
    let mut records = session_and(&[told(OTHER, 52 * S, Outcome::Ok)]);
    let (second, newest) = pair(2);
    good(&[records.clone(), vec![asked(second, 56 * S, INACTIVE), asked(newest, 56 * S, INACTIVE)]].concat(), "I-4");
    bad(&[records.clone(), vec![asked(second, 56 * S, ACTIVE)]].concat(), "I-4");
    records.iter_mut().filter(|record| record.op == Op::Logout).for_each(|record| record.to += 4 * S);
    bad(&records, "I-16");
}

#[test]
fn i16_a_long_history_in_which_nobody_signs_out_shows_nothing() {
    let many = |count| vec![asked(pair(2).0, 4 * S, ACTIVE); count];
    good(&[session_and(&[told(OTHER, 52 * S, Outcome::Ok)]), many(10_000)].concat(), "I-16");
    assert_eq!(broken(&life_and(&many(10_000))), ["I-16"]);
    assert_eq!(broken(&life_and(&many(9_000))), [""; 0]);
}

#[test]
fn i13_a_replica_that_makes_nothing_is_an_error_outside_of_faults() {
    let nothing = |at| life_and(&[Record { what: "not all was made", ..unknown(Op::Open, Key::default(), at) }]);
    assert_eq!(broken(&nothing(25 * S)), ["no errors"]);
    assert_eq!(broken(&nothing(31 * S)), [""; 0]);
}

#[test]
fn errors_are_excused_by_faults_alone() {
    let lost = |at: Micros| life_and(&[unknown(Op::Introspect, pair(2).0, at)]);
    good(&lost(36 * S), "no errors");
    bad(&lost(38 * S), "no errors");
    bad(&lost(28 * S), "no errors");
    bad(&life_and(&[refused(Op::Step, Key(0), 28 * S, crate::soak::history::UNSENT)]), "no errors");
}

#[test]
fn a_fault_that_hurts_nobody_excuses_nothing_and_one_of_a_replica_that_replica() {
    let errors = |excuses, replica| {
        let fault = Window { from: 30 * S, to: 32 * S, name: "a fault".to_owned(), excuses };
        let lost = Record { replica, ..unknown(Op::Introspect, pair(2).0, 31 * S) };
        broken_beside(&life_and(&[lost]), &Beside { windows: vec![fault], ..Beside::default() })
    };
    for replica in [None, Some(0)] {
        assert_eq!(errors(None, replica), ["no errors"]);
        assert_eq!(errors(Some(On::All), replica), [""; 0]);
        assert_eq!(errors(Some(On::One(0)), replica), [""; 0]);
    }
    assert_eq!(errors(Some(On::One(1)), Some(0)), ["no errors"]);
    // Nobody knows whose it was.
    assert_eq!(errors(Some(On::One(1)), None), [""; 0]);
}

#[test]
fn what_the_machines_do_is_watched() {
    let grown = |grow: fn(&mut Vital, u64)| {
        let mut beside = Beside::default();
        beside.vitals.iter_mut().zip(0..).for_each(|(vital, n)| grow(vital, n));
        broken_beside(&life(), &beside)
    };
    assert_eq!(grown(|vital, n| vital.rss_kb += n * 1000), ["flat"]);
    assert_eq!(grown(|vital, n| vital.fds += n * 2), ["flat"]);
    assert_eq!(grown(|vital, n| vital.threads += n), ["flat"]);
    let beside = Beside { connections: 21, ..Beside::default() };
    assert_eq!(broken_beside(&life(), &beside), ["connections"]);
    let rows = Rows::from([("access_token".to_owned(), 3)]);
    assert_eq!(broken_beside(&life(), &Beside { rows, ..Beside::default() }), ["rows"]);
    let panics = vec!["thread panicked at".to_owned()];
    assert_eq!(broken_beside(&life(), &Beside { panics, ..Beside::default() }), ["no panics"]);
    let failures = vec!["it does not start".to_owned()];
    assert_eq!(broken_beside(&life(), &Beside { failures, ..Beside::default() }), ["processes"]);
}
