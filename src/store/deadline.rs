//! How long the request that waits may still take. It travels with the request's own task: to the database, Redis,
//! actors and hooks, none of which works longer for somebody who is gone.

use std::time::{Duration, Instant};

tokio::task_local! {
    static UNTIL: Instant;
}

/// Does the work of a request, which has so much time for all of it.
pub async fn within<F: Future>(span: Duration, work: F) -> F::Output {
    UNTIL.scope(Instant::now() + span, work).await
}

/// What is left, at most `most`. Outside of a request that is `most`.
pub fn left(most: Duration) -> Duration {
    UNTIL.try_with(|until| until.saturating_duration_since(Instant::now()).min(most)).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_is_of_the_request_and_never_more_than_asked() {
        let second = Duration::from_secs(1);
        assert_eq!(left(second), second);
        within(second * 9, async { assert_eq!(left(second), second) }).await;
        within(second / 9, async { assert!(left(second) <= second / 9) }).await;
        within(Duration::ZERO, async { assert_eq!(left(second), Duration::ZERO) }).await;
    }
}
