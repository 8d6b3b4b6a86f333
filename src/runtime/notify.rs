//! What a service manager is told (`sd_notify(3)`): that the listeners answer, that the process is alive, that it is
//! stopping. Without `NOTIFY_SOCKET` nothing is said, and a manager that cannot be told stops nobody.

use std::time::Duration;

use sd_notify::NotifyState;

/// The listeners answer: `systemctl start` returns.
pub fn ready() {
    say(NotifyState::Ready);
}

/// No more requests from now on.
pub fn stopping() {
    say(NotifyState::Stopping);
}

/// How often the watchdog wants to hear from this process: half of the time after which it would be ended.
pub fn heartbeat() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

/// Keeps the watchdog quiet for as long as the thread that runs this goes on working.
pub async fn beat(every: Duration) {
    let mut ticks = tokio::time::interval(every);
    loop {
        ticks.tick().await;
        say(NotifyState::Watchdog);
    }
}

fn say(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
