//! Writes log lines to standard error from a thread of its own, so that a slow reader of the pipe cannot stall a
//! request. Invariant: the queue is bounded; lines that do not fit are dropped and their number is written instead.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines waiting at most: some megabytes, and seconds of a busy server.
const QUEUE: usize = 8192;
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

enum Order {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Hands lines to the writing thread.
#[derive(Clone, Debug)]
pub(super) struct LogWriter {
    orders: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

impl LogWriter {
    /// Starts the thread; it ends when the last handle is gone.
    pub(super) fn start() -> io::Result<Self> {
        let (orders, queue) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new().name("log".into()).spawn(move || write_lines(&queue, &lost))?;
        Ok(Self { orders, dropped })
    }

    /// Waits until every line handed over so far is written, or patience ends.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH_PATIENCE);
        }
    }
}

// A failed write has nowhere to be reported: standard error is the report.
fn write_lines(queue: &Receiver<Order>, lost: &AtomicU64) {
    while let Ok(order) = queue.recv() {
        match order {
            Order::Line(line) => {
                let _ = io::stderr().write_all(&line);
            }
            Order::Flush(done) => {
                let _ = done.send(());
            }
        }
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let _ = writeln!(io::stderr(), "{{\"level\":\"warn\",\"msg\":\"log lines dropped\",\"lines\":{lines}}}");
        }
    }
}

impl io::Write for LogWriter {
    /// The formatter hands over one whole line per call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.orders.try_send(Order::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
