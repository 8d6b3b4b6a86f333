//! Many at once for what may happen once: tasks behind a barrier, round after round.

use super::made::{
    access, attempt, device, exchanged, flows_done, grant, granting, key, logout, redeem_code, redeeming, remember,
    rotate, rotating, session, valid,
};
use super::{created, earlier};
use signet::store::{
    Attempt, ClientRecord, ConsentFilter, FlowVerdict, FlowWrite, Grant, Login, Redeem, Revoke, Revoked, Rotate, Store,
    StoreError, UserCodeGuess, Verdict, Write,
};
use std::sync::Arc;
use tokio::sync::Barrier;
use uuid::Uuid;

const TASKS: usize = 50;
const ROUNDS: usize = 30;

/// What the tasks answer that all begin at once.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tasks: impl IntoIterator<Item = F>,
) -> Vec<T> {
    let tasks: Vec<F> = tasks.into_iter().collect();
    let barrier = Arc::new(Barrier::new(tasks.len()));
    let started: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                task.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in started {
        answers.push(task.await.unwrap());
    }
    answers
}

async fn write(store: Arc<dyn Store>, write: Write) -> Verdict {
    patiently!(store.write_tokens(std::slice::from_ref(&write)).await).unwrap()[0]
}

async fn write_flow(store: Arc<dyn Store>, write: FlowWrite) -> FlowVerdict {
    patiently!(store.write_flows(std::slice::from_ref(&write)).await).unwrap()[0]
}

fn count<T: PartialEq>(answers: &[T], wanted: &T) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}

pub async fn one_of_many_redeems_a_code(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        let given = grant(&record, "s");
        flows_done(store, &[granting(&given)]).await;
        let orders: Vec<Redeem> = (0..TASKS).map(|_| redeem_code(&record, &given)).collect();
        let verdicts = at_once(orders.iter().map(|o| write(Arc::clone(store), redeeming(o)))).await;
        assert_eq!((count(&verdicts, &Verdict::Done), count(&verdicts, &Verdict::Used)), (1, TASKS - 1));
        for (order, verdict) in orders.iter().zip(verdicts) {
            let refresh = store.refresh_token(&order.refresh.as_ref().unwrap().signature).await.unwrap();
            assert_eq!(refresh.is_some(), verdict == Verdict::Done);
            assert_eq!(valid(store, &order.access.signature).await, verdict == Verdict::Done);
        }
    }
}

pub async fn one_of_many_uses_a_refresh_token(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    let (given, first) = exchanged(store, &record, "s").await;
    let mut presented = first.refresh.unwrap().signature;
    for round in 0..ROUNDS {
        let strict = round % 2 == 0;
        let orders: Vec<Rotate> =
            (0..TASKS).map(|_| Rotate { strict, ..rotate(&record, &given.consent, presented) }).collect();
        let verdicts = at_once(orders.iter().map(|o| write(Arc::clone(store), rotating(o)))).await;
        assert_eq!((count(&verdicts, &Verdict::Done), count(&verdicts, &Verdict::Used)), (1, TASKS - 1));
        for (order, verdict) in orders.iter().zip(verdicts) {
            assert_eq!(valid(store, &order.access.signature).await, verdict == Verdict::Done);
            if verdict == Verdict::Done {
                presented = order.refresh.signature;
            }
        }
    }
}

/// Batches of the same exchanges in different orders: each is done in one of them, and none waits for another for ever.
pub async fn batches_of_the_same_exchanges_end(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        let grants: Vec<Grant> = (0..8).map(|_| grant(&record, "s")).collect();
        flows_done(store, &grants.iter().map(granting).collect::<Vec<_>>()).await;
        let batches = (0..12).map(|turn| {
            let mut batch: Vec<Write> = grants.iter().map(|g| redeeming(&redeem_code(&record, g))).collect();
            batch.rotate_left(turn % 8);
            if turn % 3 == 0 {
                batch.reverse();
            }
            if turn % 4 == 0 {
                batch.push(Write::RevokeFamily(Uuid::new_v4()));
            }
            let store = Arc::clone(store);
            async move { patiently!(store.write_tokens(&batch).await).unwrap()[..8].to_vec() }
        });
        let verdicts = at_once(batches).await.concat();
        assert_eq!(count(&verdicts, &Verdict::Done), 8);
    }
}

/// Ends something of the family in one of several ways, while its refresh token is used: nothing of it lives on.
async fn ends_it_all(store: &Arc<dyn Store>, end: impl Fn(&Grant, &Redeem) -> Ending) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        let (given, first) = exchanged(store, &record, "s").await;
        let presented = first.refresh.as_ref().unwrap().signature;
        let orders: Vec<Rotate> = (0..10).map(|_| rotate(&record, &given.consent, presented)).collect();
        let ending = end(&given, &first);
        let all = at_once((0..=orders.len()).map(|turn| {
            let (store, ending, order) = (Arc::clone(store), ending.clone(), orders.get(turn).cloned());
            async move {
                match order {
                    Some(order) => Some(write(store, rotating(&order)).await),
                    None => {
                        ending.run(&store).await;
                        None
                    }
                }
            }
        }));
        let verdicts: Vec<Verdict> = all.await.into_iter().flatten().collect();
        assert!(count(&verdicts, &Verdict::Done) <= 1, "{verdicts:?}");
        assert!(!valid(store, &first.access.signature).await);
        for order in orders {
            assert!(!valid(store, &order.access.signature).await);
            let next = store.refresh_token(&order.refresh.signature).await.unwrap();
            assert!(next.is_none_or(|found| found.revoked));
        }
    }
}

#[derive(Clone)]
enum Ending {
    Tokens(Write),
    Consent(Uuid),
    Flow(FlowWrite),
}

impl Ending {
    async fn run(self, store: &Arc<dyn Store>) {
        match self {
            Self::Tokens(order) => {
                let verdict = write(Arc::clone(store), order).await;
                assert!(matches!(verdict, Verdict::Done | Verdict::Revoked(Some(_))), "{verdict:?}");
            }
            Self::Consent(id) => {
                assert_eq!(patiently!(store.revoke_consents(&ConsentFilter::Id(id)).await), Ok(1));
            }
            Self::Flow(order) => assert_eq!(write_flow(Arc::clone(store), order).await, FlowVerdict::Done),
        }
    }
}

pub async fn a_revoked_refresh_token_has_no_living_successor(store: &Arc<dyn Store>) {
    let revoke = |token| Ending::Tokens(Write::Revoke(Revoke { token, client_id: "a".to_owned(), jti: None }));
    ends_it_all(store, |_, first| revoke(Revoked::Refresh(first.refresh.as_ref().unwrap().signature))).await;
}

pub async fn a_revoked_family_has_no_living_token(store: &Arc<dyn Store>) {
    ends_it_all(store, |given, _| Ending::Tokens(Write::RevokeFamily(given.consent.id))).await;
}

pub async fn a_revoked_consent_has_no_living_token(store: &Arc<dyn Store>) {
    ends_it_all(store, |given, _| Ending::Consent(given.consent.id)).await;
}

pub async fn a_logout_leaves_no_living_token(store: &Arc<dyn Store>) {
    ends_it_all(store, |given, _| {
        let order = logout(given.consent.session_id, "s");
        Ending::Flow(FlowWrite::Logout(signet::store::Logout { revoke_tokens: true, ..order }))
    })
    .await;
}

pub async fn one_of_many_grants_a_consent(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        let given = grant(&record, "s");
        let grants: Vec<Grant> = (0..TASKS)
            .map(|_| {
                let mut twin = given.clone();
                twin.code.as_mut().unwrap().signature = key();
                twin
            })
            .collect();
        let verdicts = at_once(grants.iter().map(|g| write_flow(Arc::clone(store), granting(g)))).await;
        assert_eq!((count(&verdicts, &FlowVerdict::Done), count(&verdicts, &FlowVerdict::Used)), (1, TASKS - 1));
        for (grant, verdict) in grants.iter().zip(verdicts) {
            let code = store.authorization_code(&grant.code.as_ref().unwrap().signature).await.unwrap();
            assert_eq!(code.is_some(), verdict == FlowVerdict::Done);
        }
    }
}

pub async fn no_grant_outlives_its_client(store: &Arc<dyn Store>) {
    for round in 0..ROUNDS {
        let id = format!("client-{round}");
        let record = created(store, &id).await;
        let grants: Vec<Grant> = (0..20)
            .map(|_| {
                let mut grant = grant(&record, &id);
                grant.access_token = Some(super::made::access(&record, &grant.consent));
                grant.consent.remember = true;
                grant
            })
            .collect();
        let all = at_once((0..=grants.len()).map(|turn| {
            let (store, order, id) = (Arc::clone(store), grants.get(turn).cloned(), id.clone());
            async move {
                match order {
                    Some(order) => {
                        let verdict = write_flow(store, granting(&order)).await;
                        assert!(matches!(verdict, FlowVerdict::Done | FlowVerdict::ClientChanged), "{verdict:?}");
                    }
                    None => assert_eq!(patiently!(store.delete_client(&id).await), Ok(true)),
                }
            }
        }));
        all.await;
        let rebuilt: ClientRecord = created(store, &id).await;
        assert_eq!(store.previous_consent(&id, &id).await.unwrap(), None);
        for given in grants {
            assert!(!valid(store, &given.access_token.as_ref().unwrap().signature).await);
            let verdict = write(Arc::clone(store), redeeming(&redeem_code(&rebuilt, &given))).await;
            assert_eq!(verdict, Verdict::Used);
        }
    }
}

/// Revoked while others grant on it without asking: what was granted goes with it.
pub async fn no_grant_outlives_the_consent_it_stands_on(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        let mut asked = grant(&record, "s");
        asked.consent.remember = true;
        flows_done(store, &[granting(&asked)]).await;
        let spared: Vec<Grant> = (0..20)
            .map(|_| {
                let mut grant = Grant { stands_on: Some(asked.consent.id), ..grant(&record, "s") };
                (grant.consent.skipped, grant.access_token) = (true, Some(access(&record, &grant.consent)));
                grant
            })
            .collect();
        let all = at_once((0..=spared.len()).map(|turn| {
            let (store, order) = (Arc::clone(store), spared.get(turn).cloned());
            async move {
                if let Some(order) = order {
                    let verdict = write_flow(store, granting(&order)).await;
                    assert!(matches!(verdict, FlowVerdict::Done | FlowVerdict::ConsentRevoked), "{verdict:?}");
                } else {
                    let filter = ConsentFilter::Client { subject: "s".to_owned(), client_id: "a".to_owned() };
                    patiently!(store.revoke_consents(&filter).await).unwrap();
                }
            }
        }));
        all.await;
        for given in spared {
            assert!(!valid(store, &given.access_token.as_ref().unwrap().signature).await);
        }
    }
}

pub async fn guesses_at_once_are_counted_one_by_one(store: &Arc<dyn Store>) {
    for _ in 0..ROUNDS {
        let challenge = Uuid::new_v4();
        let guesses = at_once((0..TASKS).map(|_| {
            let store = Arc::clone(store);
            async move {
                let attempt = Attempt { most: 5, ..attempt(challenge, &key(), Uuid::new_v4()) };
                patiently!(store.guess_user_code(&attempt).await).unwrap()
            }
        }))
        .await;
        let counted = (count(&guesses, &UserCodeGuess::Wrong), count(&guesses, &UserCodeGuess::TooMany));
        assert_eq!(counted, (5, TASKS - 5));
    }
}

pub async fn one_of_many_flows_gets_a_device(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for round in 0..ROUNDS {
        let asked = device(&record);
        store.create_device(&asked, 1).await.unwrap();
        let shared = Uuid::new_v4();
        let flows: Vec<Uuid> = (0..TASKS).map(|_| Uuid::new_v4()).collect();
        let guesses = at_once(flows.iter().map(|flow| {
            let (store, code, flow) = (Arc::clone(store), asked.user_code, *flow);
            let challenge = if round % 2 == 0 { shared } else { Uuid::new_v4() };
            let attempt = Attempt { most: 99, ..attempt(challenge, &code, flow) };
            async move { patiently!(store.guess_user_code(&attempt).await).unwrap() }
        }))
        .await;
        let accepted: Vec<&UserCodeGuess> = guesses.iter().filter(|g| **g != UserCodeGuess::Wrong).collect();
        let [UserCodeGuess::Accepted(device)] = accepted[..] else { panic!("{accepted:?}") };
        let flow = device.flow_id.unwrap();
        assert_eq!(flows.iter().position(|f| *f == flow), guesses.iter().position(|g| *g != UserCodeGuess::Wrong));
        // And one of many decisions on it counts.
        let decisions = (0..TASKS).map(|turn| {
            let device = Some((flow, vec![1]));
            let give = granting(&Grant { code: None, device, ..grant(&record, "s") });
            write_flow(Arc::clone(store), if turn % 2 == 0 { give } else { FlowWrite::DenyDevice(flow) })
        });
        assert_eq!(count(&at_once(decisions).await, &FlowVerdict::Done), 1);
    }
}

pub async fn one_of_many_asks_with_a_user_code(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        // An ended one has it.
        let mut over = device(&record);
        over.expires_at = earlier(1);
        store.create_device(&over, 1).await.unwrap();
        let answers = at_once((0..20).map(|_| {
            let (store, mut asked) = (Arc::clone(store), device(&record));
            asked.user_code = over.user_code;
            async move { patiently!(store.create_device(&asked, 1).await) }
        }))
        .await;
        assert_eq!(count(&answers, &Ok(())), 1);
        assert_eq!(count(&answers, &Err(StoreError::Conflict)), 19);
    }
}

pub async fn a_session_begins_once_and_ends_once(store: &Arc<dyn Store>) {
    for _ in 0..ROUNDS {
        let (former, one) = (session("s"), session("s"));
        flows_done(store, &[remember(&former)]).await;
        let login = FlowWrite::Login(Login { remember: Some(one.clone()), ends: Some(former.id), ..Login::default() });
        let begun = at_once((0..TASKS).map(|turn| {
            let (store, login) = (Arc::clone(store), login.clone());
            // Some come alone, some with another kind.
            let batch = if turn % 3 == 0 { vec![login, FlowWrite::DenyDevice(Uuid::new_v4())] } else { vec![login] };
            async move { patiently!(store.write_flows(&batch).await).unwrap()[0] }
        }))
        .await;
        assert_eq!(count(&begun, &FlowVerdict::Done), 1);
        assert_eq!(store.login_session(former.id).await.unwrap(), None);
        assert!(store.login_session(one.id).await.unwrap().is_some());
        for id in [one.id, Uuid::new_v4()] {
            let out = || FlowWrite::Logout(logout(id, "s"));
            let ended = at_once((0..20).map(|_| write_flow(Arc::clone(store), out()))).await;
            assert_eq!(count(&ended, &FlowVerdict::Done), 1);
        }
    }
}

pub async fn replays_at_once_are_counted_one_by_one(store: &Arc<dyn Store>) {
    let record = created(store, "a").await;
    for _ in 0..ROUNDS {
        let (given, first) = exchanged(store, &record, "s").await;
        let presented = first.refresh.unwrap().signature;
        let order = rotating(&rotate(&record, &given.consent, presented));
        assert_eq!(write(Arc::clone(store), order).await, Verdict::Done);
        let replays = (0..TASKS).map(|_| write(Arc::clone(store), super::made::replay(presented, 7)));
        assert_eq!(count(&at_once(replays).await, &Verdict::Done), 7);
        assert_eq!(store.refresh_token(&presented).await.unwrap().unwrap().replayed, 7);
    }
}
