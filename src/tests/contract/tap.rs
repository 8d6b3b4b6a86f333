//! A proxy before PostgreSQL that listens to what it is asked (PostgreSQL's frontend protocol, version 3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Every statement that was run, in order.
pub type Heard = Arc<Mutex<Vec<String>>>;

/// Reads the front end's messages off the bytes of one connection.
#[derive(Default)]
struct Ear {
    bytes: Vec<u8>,
    began: bool,
    prepared: HashMap<Vec<u8>, String>,
}

impl Ear {
    fn listen(&mut self, bytes: &[u8], heard: &Heard) {
        self.bytes.extend(bytes);
        loop {
            // The first message of a connection has no type.
            let head = usize::from(self.began);
            let Some(length) = self.bytes.get(head..head + 4) else { return };
            let end = head + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.bytes.len() < end {
                return;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            if self.began {
                self.hear(message[0], &message[5..], heard);
            }
            self.began = true;
        }
    }

    fn hear(&mut self, kind: u8, body: &[u8], heard: &Heard) {
        let mut parts = body.split(|byte| *byte == 0);
        let mut next = || parts.next().unwrap_or_default().to_vec();
        match kind {
            b'Q' => heard.lock().unwrap().push(String::from_utf8(next()).unwrap()),
            b'P' => drop(self.prepared.insert(next(), String::from_utf8(next()).unwrap())),
            b'B' => {
                let (_portal, name) = (next(), next());
                heard.lock().unwrap().push(self.prepared[&name].clone());
            }
            _ => {}
        }
    }
}

/// A way to that database on which everything is heard: the DSN to use.
pub async fn tapped(dsn: &str, heard: &Heard) -> String {
    let mut url = url::Url::parse(dsn).unwrap();
    let server = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let heard = Arc::clone(heard);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            let heard = Arc::clone(&heard);
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let (mut ear, mut some) = (Ear::default(), vec![0; 65_536]);
                while let Ok(length @ 1..) = from_client.read(&mut some).await {
                    ear.listen(&some[..length], &heard);
                    if to_server.write_all(&some[..length]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url.to_string()
}
