//! A caller over kept connections that reuses its buffers, so that what is counted is the server's.

use super::served::Served;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};

/// Larger than anything sent or answered.
const ROOM: usize = 64 * 1024;

/// One connection.
pub struct Line {
    stream: TcpStream,
    request: String,
    answer: Vec<u8>,
    length: usize,
}

impl Line {
    fn to(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, request: String::with_capacity(ROOM), answer: vec![0; ROOM], length: 0 }
    }

    /// Sends one request; `headers` are whole lines, each with its end.
    pub fn ask(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Answer<'_> {
        self.request.clear();
        let length = body.len();
        write!(
            self.request,
            "{method} {target} HTTP/1.1\r\nHost: gates\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        self.stream.write_all(self.request.as_bytes()).unwrap();
        self.read();
        Answer(std::str::from_utf8(&self.answer[..self.length]).unwrap())
    }

    fn read(&mut self) {
        self.length = 0;
        loop {
            let more = self.stream.read(&mut self.answer[self.length..]).unwrap();
            assert!(more > 0, "the connection ended");
            self.length += more;
            let text = std::str::from_utf8(&self.answer[..self.length]).unwrap();
            if let Some(head) = text.find("\r\n\r\n")
                && self.length >= head + 4 + Answer(text).number("content-length: ")
            {
                return;
            }
        }
    }
}

/// An answer as it came.
#[derive(Clone, Copy)]
pub struct Answer<'a>(pub &'a str);

impl<'a> Answer<'a> {
    /// What stands between two texts.
    pub fn between(self, before: &str, after: &str) -> Option<&'a str> {
        let from = self.0.find(before)? + before.len();
        let rest = &self.0[from..];
        Some(&rest[..rest.find(after)?])
    }

    fn number(self, before: &str) -> usize {
        self.between(before, "\r").and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }

    /// Fails unless it has this status.
    pub fn expect(self, status: &str) -> Self {
        assert!(self.0[9..].starts_with(status), "{status} expected: {}", self.0);
        self
    }

    /// The text member of a JSON answer.
    pub fn member(self, name: &str) -> &'a str {
        let at = self.0.find(name).unwrap_or_else(|| panic!("no {name}: {}", self.0));
        let rest = self.0[at..].split_once(":\"").unwrap().1;
        &rest[..rest.find('"').unwrap()]
    }
}

/// A connection to each listener, and to the bare handler.
pub struct Caller {
    pub public: Line,
    pub admin: Line,
    pub bare: Line,
}

impl Caller {
    pub fn to(served: &Served) -> Self {
        Self { public: Line::to(served.public), admin: Line::to(served.admin), bare: Line::to(served.bare) }
    }
}
