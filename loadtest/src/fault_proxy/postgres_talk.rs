//! What PostgreSQL is asked and answers on one connection, as far as it takes to know that a write was committed.

use std::collections::HashMap;

/// Longer than any message that is worth a look; what is longer is no PostgreSQL.
const LONGEST: usize = 64 << 20;
/// Length of a request for TLS or for the end of a statement, which comes before the first message of a connection.
const BEFORE_STARTUP: usize = 8;

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A write was asked for, and it is not yet known what became of it.
    Part,
    /// A write was committed.
    Committed,
    /// Anything else.
    All,
}

/// One connection's talk.
#[derive(Default)]
pub struct Talk {
    asked: Messages,
    answered: Messages,
    /// The prepared statements, and whether each of them writes.
    prepared: HashMap<Vec<u8>, bool>,
    /// Something was written since the last time that nothing was under way.
    wrote: bool,
    failed: bool,
    ready: bool,
}

impl Talk {
    /// Hears what passes; requests are of the client.
    pub fn hear(&mut self, request: bool, part: &[u8]) -> Said {
        if request {
            for (kind, body) in self.asked.cut(part, true) {
                self.ask(kind, &body);
            }
            return Said::All;
        }
        let mut committed = false;
        for (kind, body) in self.answered.cut(part, false) {
            committed |= self.answer(kind, &body);
        }
        match (committed, self.wrote && !(self.ready && self.answered.held.is_empty())) {
            (true, _) => Said::Committed,
            (false, true) => Said::Part,
            (false, false) => Said::All,
        }
    }

    fn ask(&mut self, kind: u8, body: &[u8]) {
        self.ready = false;
        let mut texts = body.split(|byte| *byte == 0);
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match kind {
            b'P' => drop(self.prepared.insert(first.to_vec(), writes(second))),
            b'B' => self.wrote |= self.prepared.get(second).is_some_and(|writes| *writes),
            b'Q' if first.starts_with(b"ROLLBACK") => self.wrote = false,
            b'Q' => self.wrote |= writes(first),
            _ => {}
        }
    }

    /// Whether this says that a write was committed.
    fn answer(&mut self, kind: u8, body: &[u8]) -> bool {
        match (kind, body) {
            (b'E', _) => self.failed = true,
            (b'Z', [state]) => {
                let (idle, failed) = (*state == b'I', std::mem::take(&mut self.failed));
                self.ready = true;
                let committed = idle && !failed && self.wrote;
                self.wrote &= !idle;
                return committed;
            }
            _ => {}
        }
        false
    }
}

/// Whether a statement changes a row.
fn writes(sql: &[u8]) -> bool {
    let sql = String::from_utf8_lossy(sql);
    sql.contains("INSERT INTO ") || sql.contains("DELETE FROM ") || (sql.contains("UPDATE ") && sql.contains(" SET "))
}

/// Cuts a stream into messages: a letter, a length, a body.
#[derive(Default)]
struct Messages {
    held: Vec<u8>,
    begun: bool,
    strange: bool,
}

impl Messages {
    fn cut(&mut self, part: &[u8], request: bool) -> Vec<(u8, Vec<u8>)> {
        if self.strange {
            return Vec::new();
        }
        self.held.extend_from_slice(part);
        // The answer to a request for TLS is one letter.
        if !request && !self.begun && matches!(self.held.as_slice(), [b'N' | b'S']) {
            self.held.clear();
        }
        let mut found = Vec::new();
        while let Some(message) = self.next(request) {
            found.push(message);
        }
        found
    }

    fn next(&mut self, request: bool) -> Option<(u8, Vec<u8>)> {
        // A client's first message has no letter.
        let letters = usize::from(!request || self.begun);
        let length = self.held.get(letters..letters + 4)?;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if !(4..LONGEST).contains(&length) {
            (self.strange, self.held) = (true, Vec::new());
            return None;
        }
        let body = self.held.get(letters + 4..letters + length)?.to_vec();
        let kind = self.held.first().copied().filter(|_| letters > 0).unwrap_or_default();
        self.begun |= letters > 0 || length != BEFORE_STARTUP;
        self.held.drain(..letters + length);
        Some((kind, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or_default().to_be_bytes();
        [&[kind], length.as_slice(), body].concat()
    }

    /// A connection that was let in and knows a statement that reads, `r`, and one that writes, `w`.
    fn begun() -> Talk {
        let mut talk = Talk::default();
        talk.hear(true, &[0, 0, 0, 8, 4, 210, 22, 47]); // TLS?
        talk.hear(false, b"N");
        talk.hear(true, &[0, 0, 0, 9, 0, 3, 0, 0, 0]);
        talk.hear(false, &message(b'R', &[0; 4]));
        assert_eq!(talk.hear(false, &message(b'Z', b"I")), Said::All);
        talk.hear(true, &message(b'P', b"r\0SELECT x FROM y FOR UPDATE\0\0\0"));
        talk.hear(true, &message(b'P', b"w\0WITH a AS (UPDATE x SET y = 1) SELECT 1\0\0\0"));
        assert_eq!(talk.hear(false, &[message(b'1', b""), message(b'Z', b"I")].concat()), Said::All);
        talk
    }

    fn bind(name: &str) -> Vec<u8> {
        message(b'B', format!("\0{name}\0\0\0").as_bytes())
    }

    #[test]
    fn a_write_by_itself_is_committed_when_the_server_is_ready_again() {
        let mut talk = begun();
        talk.hear(true, &bind("r"));
        assert_eq!(talk.hear(false, &message(b'C', b"SELECT 1\0")), Said::All);
        talk.hear(false, &message(b'Z', b"I"));
        talk.hear(true, &bind("w"));
        let answer = [message(b'2', b""), message(b'C', b"SELECT 1\0"), message(b'Z', b"I")].concat();
        for byte in answer.iter().take(answer.len() - 1) {
            assert_eq!(talk.hear(false, &[*byte]), Said::Part);
        }
        assert_eq!(talk.hear(false, b"I"), Said::Committed);
        talk.hear(true, &bind("r"));
        assert_eq!(talk.hear(false, &answer), Said::All);
    }

    #[test]
    fn a_transaction_is_committed_at_its_end_alone() {
        let mut talk = begun();
        let done = |state: &[u8]| [message(b'C', b"X\0"), message(b'Z', state)].concat();
        for end in ["COMMIT", "ROLLBACK"] {
            talk.hear(true, &message(b'Q', b"BEGIN\0"));
            assert_eq!(talk.hear(false, &done(b"T")), Said::All);
            talk.hear(true, &bind("w"));
            assert_eq!(talk.hear(false, &done(b"T")), Said::All);
            talk.hear(true, &message(b'Q', format!("{end}\0").as_bytes()));
            let expected = if end == "COMMIT" { Said::Committed } else { Said::All };
            assert_eq!(talk.hear(false, &done(b"I")), expected, "{end}");
        }
    }

    #[test]
    fn a_write_that_failed_is_not_committed() {
        let mut talk = begun();
        talk.hear(true, &bind("w"));
        let failed = [message(b'E', b"C40001\0\0"), message(b'Z', b"I")].concat();
        assert_eq!(talk.hear(false, &failed), Said::All);
    }

    #[test]
    fn what_is_no_postgresql_is_left_alone() {
        let mut talk = Talk::default();
        assert_eq!(talk.hear(true, b"*1\r\n$4\r\nPING\r\n"), Said::All);
        assert_eq!(talk.hear(false, b"+PONG\r\n"), Said::All);
    }
}
