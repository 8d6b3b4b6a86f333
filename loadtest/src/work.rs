//! What a scenario is made of: workers that do one unit of work after another. A unit is one request, or several that
//! only make sense together.

use std::borrow::Cow;
use std::sync::Arc;

use anyhow::{Result, bail};
use async_trait::async_trait;

use crate::http::Call;
use crate::http::connection::{Answer, Wire};

/// How a unit of work ended.
#[derive(Debug)]
pub struct Unit {
    pub outcome: Cow<'static, str>,
    pub ok: bool,
    /// Whether the next unit had better wait a moment: the connection failed, or a flow broke off.
    pub lost: bool,
    /// Reported by itself under this name as well.
    pub kind: Option<&'static str>,
}

impl Unit {
    pub fn done(outcome: impl Into<Cow<'static, str>>) -> Self {
        Self { outcome: outcome.into(), ok: true, lost: false, kind: None }
    }

    pub fn failed(outcome: impl Into<Cow<'static, str>>) -> Self {
        Self { ok: false, ..Self::done(outcome) }
    }

    pub fn of_kind(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// A success, or what went wrong.
    pub fn of<T>(result: &Result<T>, success: &'static str) -> Self {
        match result {
            Ok(_) => Self::done(success),
            Err(error) => Self { lost: true, ..Self::failed(error.to_string()) },
        }
    }
}

/// One worker of a run, with material of its own.
#[async_trait]
pub trait Worker: Send {
    /// Does unit number `n` of the run; `None` when the material is used up.
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit>;
}

/// Makes the worker of that number.
pub type Source = Arc<dyn Fn(usize) -> Box<dyn Worker> + Send + Sync>;

/// Workers that send call number `n`; `None` ends the run.
pub fn calls(call: impl Fn(u64) -> Option<Call> + Send + Sync + 'static) -> Source {
    let call: Arc<Numbered> = Arc::new(call);
    Arc::new(move |_| Box::new(Caller(Arc::clone(&call))))
}

/// Workers that send these calls in turn, without end.
pub fn in_turn(calls_to_send: Vec<Call>) -> Result<Source> {
    if calls_to_send.is_empty() {
        bail!("nothing to send: at least one is needed");
    }
    Ok(calls(move |n| calls_to_send.get(usize::try_from(n).ok()? % calls_to_send.len()).cloned()))
}

/// Workers that send each of these calls once.
pub fn once_each(calls_to_send: Vec<Call>) -> Source {
    calls(move |n| calls_to_send.get(usize::try_from(n).ok()?).cloned())
}

type Numbered = dyn Fn(u64) -> Option<Call> + Send + Sync;

struct Caller(Arc<Numbered>);

#[async_trait]
impl Worker for Caller {
    async fn unit(&mut self, n: u64, wire: &mut Wire) -> Option<Unit> {
        let call = (self.0)(n)?;
        Some(sent(wire, &call).await)
    }
}

/// Sends one request as a unit of work: a success with the expected text in it, or a failure.
pub async fn sent(wire: &mut Wire, call: &Call) -> Unit {
    answered(wire, call).await.0
}

/// The same, with the answer of a success.
pub async fn answered(wire: &mut Wire, call: &Call) -> (Unit, Option<Answer>) {
    match wire.send(call).await {
        Ok(answer) if is_right(call, &answer) => (Unit::done(status(answer.status)), Some(answer)),
        Ok(answer) => {
            wire.complain(call, &answer);
            let what = if is_success(&answer) { " with an unexpected body" } else { "" };
            (Unit::failed(format!("{}{what}", answer.status)), None)
        }
        Err(error) => (Unit { lost: true, ..Unit::failed(error.to_string()) }, None),
    }
}

/// A success with the text in it that the call expects.
pub fn is_right(call: &Call, answer: &Answer) -> bool {
    is_success(answer) && call.expect.is_none_or(|text| contains(&answer.body, text))
}

pub fn is_success(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

pub fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

fn status(status: u16) -> Cow<'static, str> {
    match status {
        200 => Cow::Borrowed("200"),
        other => Cow::Owned(other.to_string()),
    }
}
