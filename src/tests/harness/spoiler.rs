//! A proxy before a listener that spoils what passes it, as one that is set up wrongly does.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::inbound::read_request;
use super::wire::raw;

/// What a proxy makes of a request: the whole answer as it goes over the wire.
pub type Spoil = Box<dyn Fn(&Passing) -> String + Send + Sync>;

/// One request on its way.
pub struct Passing {
    /// Method and path, such as `GET /health/ready`.
    pub line: String,
    head: String,
    body: String,
}

impl Passing {
    /// Passes it on to a listener, with more headers; the whole answer.
    pub fn on_to(&self, base: &str, headers: &str) -> String {
        let kept: String = self
            .head
            .lines()
            .skip(1)
            .filter(|l| !l.to_lowercase().starts_with("connection:"))
            .map(|l| format!("{l}\r\n"))
            .collect();
        let kept = kept.trim_end().to_owned();
        let whole = format!("{} HTTP/1.1\r\n{kept}\r\n{headers}Connection: close\r\n\r\n{}", self.line, self.body);
        raw(base, whole.as_bytes(), Duration::from_secs(10))
    }
}

/// An answer of the proxy's own.
pub fn says(status: u16, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{header}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// An answer with another body; its status stays.
pub fn with_body(answer: &str, change: impl FnOnce(&str) -> String) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(502);
    says(status, "Content-Type: application/json\r\n", &change(body))
}

/// The proxy.
pub struct Spoiler {
    pub url: String,
    spoil: Arc<Mutex<Arc<Spoil>>>,
}

impl Spoiler {
    pub fn start(spoil: Spoil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spoil = Arc::new(Mutex::new(Arc::new(spoil)));
        let shared = Arc::clone(&spoil);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let spoil = Arc::clone(&shared.lock().unwrap());
                std::thread::spawn(move || {
                    let Some((head, body)) = read_request(&stream) else { return };
                    let line = head.lines().next().and_then(|line| line.rsplit_once(' ')).map_or("", |(line, _)| line);
                    let body = String::from_utf8_lossy(&body).into_owned();
                    let passing = Passing { line: line.to_owned(), head, body };
                    let _ = (&stream).write_all(spoil(&passing).as_bytes());
                });
            }
        });
        Self { url, spoil }
    }

    /// Spoils in another way from now on.
    pub fn set(&self, spoil: Spoil) {
        *self.spoil.lock().unwrap() = Arc::new(spoil);
    }
}
