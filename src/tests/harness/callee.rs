//! A server that Signet calls: the token hook, a client's key set. It keeps what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
                    let Some(question) = read(&stream) else { return };
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

fn read(stream: &TcpStream) -> Option<Question> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1).map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Question { head, body: String::from_utf8_lossy(&body).into_owned() })
}
