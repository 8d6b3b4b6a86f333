//! Writes lines to a file or a standard stream from a thread of its own, so that a slow reader or disk cannot stall a
//! request. Invariant: the queue is bounded; lines that do not fit are dropped and their number is written instead, and
//! dropped audit events are counted as well.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

use super::labels::AuditLoss;
use super::metrics::Metrics;

/// Lines waiting at most: some megabytes, and seconds of a busy server.
const QUEUE: usize = 8192;
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// Between attempts to get a word in when the queue is full.
const PAUSE: Duration = Duration::from_millis(5);

/// Where lines go.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    Stdout,
    File(File),
}

impl Sink {
    /// A file that lines are added to, made if it is not there, for its owner and group; `-` is standard output.
    pub(super) fn open(path: &str) -> io::Result<Self> {
        if path == "-" {
            return Ok(Self::Stdout);
        }
        OpenOptions::new().create(true).append(true).mode(0o640).open(path).map(Self::File)
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().write_all(line),
            Self::Stdout => io::stdout().lock().write_all(line),
            Self::File(file) => file.write_all(line),
        }
    }
}

enum Order {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Counts what is lost.
#[derive(Clone, Debug, Default)]
struct Losses {
    /// Since it was last written.
    dropped: Arc<AtomicU64>,
    /// Counts the loss of audit events.
    metrics: Option<Arc<Metrics>>,
}

impl Losses {
    fn count(&self, reason: AuditLoss) {
        if let Some(metrics) = &self.metrics {
            metrics.audit_lost(reason);
        }
    }

    /// The line that stands for those that are not there.
    fn told(&self) -> Option<String> {
        let lines = self.dropped.swap(0, Ordering::Relaxed);
        let audience = if self.metrics.is_some() { "audit" } else { "application" };
        let line = format!(
            "{{\"level\":\"warning\",\"audience\":\"{audience}\",\"msg\":\"lines dropped\",\"lines\":{lines}}}\n"
        );
        (lines > 0).then_some(line)
    }
}

/// Hands lines to the writing thread.
#[derive(Clone, Debug)]
pub(super) struct LogWriter {
    orders: SyncSender<Order>,
    losses: Losses,
}

impl LogWriter {
    /// Starts the thread of the log; it ends when the last handle is gone.
    pub(super) fn log() -> io::Result<Self> {
        Self::start("log", Sink::Stderr, Losses::default())
    }

    /// Starts the thread of the audit stream.
    pub(super) fn audit(sink: Sink, metrics: Arc<Metrics>) -> io::Result<Self> {
        Self::start("audit", sink, Losses { dropped: Arc::default(), metrics: Some(metrics) })
    }

    fn start(name: &str, sink: Sink, losses: Losses) -> io::Result<Self> {
        let (orders, queue) = sync_channel(QUEUE);
        let lost = losses.clone();
        std::thread::Builder::new().name(name.into()).spawn(move || write_lines(&queue, sink, &lost))?;
        Ok(Self { orders, losses })
    }

    /// Waits until every line handed over so far is written, or patience ends.
    pub(super) fn flush(&self) {
        let until = Instant::now() + FLUSH_PATIENCE;
        let (done, written) = sync_channel(1);
        while self.orders.try_send(Order::Flush(done.clone())).is_err() {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn write_lines(queue: &Receiver<Order>, mut sink: Sink, losses: &Losses) {
    let mut fails = false;
    while let Ok(order) = queue.recv() {
        match order {
            Order::Line(line) => {
                let written = sink.write(&line);
                if let Err(error) = &written {
                    losses.count(AuditLoss::WriteFailed);
                    // Of the log itself, standard error would be the report. Said once, until it works again.
                    if losses.metrics.is_some() && !fails {
                        tracing::error!(%error, "audit events cannot be written");
                    }
                }
                fails = written.is_err();
            }
            Order::Flush(done) => {
                let _ = done.send(());
            }
        }
        if let Some(line) = losses.told() {
            let _ = sink.write(line.as_bytes());
        }
    }
}

impl io::Write for LogWriter {
    /// The formatter hands over one whole line per call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.orders.try_send(Order::Line(line.to_vec())).is_err() {
            self.losses.dropped.fetch_add(1, Ordering::Relaxed);
            self.losses.count(AuditLoss::QueueFull);
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn lost(metrics: &Metrics, reason: &str) -> u64 {
        let series = format!("signet_audit_events_lost_total{{reason=\"{reason}\"}} ");
        let text = metrics.render();
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    }

    #[test]
    fn lines_are_there_after_a_flush_and_are_added_to_a_file() {
        let (dir, metrics) = (tempfile::tempdir().unwrap(), Metrics::new("test").unwrap());
        let path = dir.path().join("audit.log");
        std::fs::write(&path, "before\n").unwrap();
        let mut writer = LogWriter::audit(Sink::open(path.to_str().unwrap()).unwrap(), Arc::clone(&metrics)).unwrap();
        for n in 0..1000 {
            writer.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        LogWriter::flush(&writer);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!((text.lines().count(), text.lines().last()), (1001, Some("999")));
        assert_eq!(lost(&metrics, "queue_full") + lost(&metrics, "write_failed"), 0);
    }

    /// A pipe that nobody reads is full after 64 KiB: the thread hangs in it, and the queue fills.
    #[test]
    fn what_does_not_fit_is_counted_and_told() {
        let (metrics, (reader, pipe)) = (Metrics::new("test").unwrap(), io::pipe().unwrap());
        let sink = Sink::File(File::from(std::os::fd::OwnedFd::from(pipe)));
        let mut writer = LogWriter::audit(sink, Arc::clone(&metrics)).unwrap();
        let (line, mut sent) = ([&[b'x'; 1023][..], b"\n"].concat(), 0);
        while writer.losses.dropped.load(Ordering::Relaxed) < 3 {
            writer.write_all(&line).unwrap();
            sent += 1;
        }
        assert_eq!(lost(&metrics, "queue_full"), 3);
        drop(writer);
        let text = io::read_to_string(reader).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with('x')).count(), sent - 3);
        assert!(text.contains("\"audience\":\"audit\",\"msg\":\"lines dropped\",\"lines\":3"), "{}", sent);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let metrics = Metrics::new("test").unwrap();
        let Ok(full) = Sink::open("/dev/full") else { return };
        let mut writer = LogWriter::audit(full, Arc::clone(&metrics)).unwrap();
        writer.write_all(b"an event\n").unwrap();
        LogWriter::flush(&writer);
        assert_eq!(lost(&metrics, "write_failed"), 1);
    }
}
