//! A server that Signet calls: the token hook, a client's key set. It keeps what it was asked.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::inbound::read_request;

/// One question: its head in lower case, and its body.
#[derive(Debug, Clone)]
pub struct Question {
    pub head: String,
    pub body: String,
}

pub struct Callee {
    pub url: String,
    seen: Arc<Mutex<Vec<Question>>>,
}

impl Callee {
    /// Answers every question with what `answer` says: a status and a JSON body.
    pub fn start(answer: impl Fn(&Question) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some((head, body)) = read_request(&stream) else { return };
                    let (head, body) = (head.to_lowercase(), String::from_utf8_lossy(&body).into_owned());
                    let question = Question { head, body };
                    seen.lock().unwrap().push(question.clone());
                    let (status, body) = answer(&question);
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = (&stream).write_all((head + &body).as_bytes());
                });
            }
        });
        Self { url, seen }
    }

    /// Everything it was asked so far.
    pub fn questions(&self) -> Vec<Question> {
        self.seen.lock().unwrap().clone()
    }
}
