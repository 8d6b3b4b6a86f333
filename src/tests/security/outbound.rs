//! Family G: calls to addresses that others chose, here those of a client's `jwks_uri` and `request_uri`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Answer, Browser, Case, Database, Peer, Server, World, cases, fresh, postgres, to_client};
use crate::jose::{Assertion, Key};

const FAMILY: [Case; 4] = cases! {
    "G01" "a request_uri that is not registered is never called" => unregistered,
    "G04" "redirects are not followed" => redirected,
    "G05" "long, slow and compressed answers are cut" => endless,
    "G06" "whether a port is open cannot be told from the answer" => oracle,
};
super::on_both!(FAMILY);

/// A server that somebody registered: it reads a request's head, then does what it likes with the connection.
struct Far {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Far {
    fn start(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (asked, serve) = (Arc::new(AtomicUsize::new(0)), Arc::new(serve));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || {
                    let mut line = String::new();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                        line.clear();
                    }
                    serve(&mut stream);
                });
            }
        });
        Self { url, asked }
    }

    /// One that answers with these bytes.
    fn says(answer: Vec<u8>) -> Self {
        Self::start(move |stream| drop(stream.write_all(&answer)))
    }

    /// One that has the key.
    fn with_key(key: &Key) -> Self {
        let set = json!({"keys": [key.public()]}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", set.len());
        Self::says((head + &set).into_bytes())
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// What a client whose keys are there is told when it signs with this one.
async fn signed(peer: &Peer, issuer: &str, jwks_uri: &str, key: &Key) -> Answer {
    let id = registered(peer, jwks_uri).await;
    present(peer, issuer, &id, key).await
}

async fn registered(peer: &Peer, jwks_uri: &str) -> String {
    let id = fresh("far");
    peer.create(json!({
        "client_id": id, "grant_types": ["client_credentials"], "jwks_uri": jwks_uri,
        "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
    }))
    .await;
    id
}

async fn present(peer: &Peer, issuer: &str, id: &str, key: &Key) -> Answer {
    let assertion = Assertion::new(id, issuer).sign(key);
    peer.form("/oauth2/token", &Assertion::form(&assertion), None).await
}

fn refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (401, "invalid_client"), "{what}: {}", answer.brief());
}

async fn unregistered(world: &World) {
    let far = Far::says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let web = world.web_with(json!({"request_uris": ["https://app.example/object"]})).await;
    let asked = [("request_uri", far.url.as_str())];
    to_client(&Browser::default().ask(&world.b, &web, &asked).await, "invalid_request_uri", "not registered");
    assert_eq!(far.asked(), 0);
    let registered = world.web_with(json!({"request_uris": [far.url]})).await;
    Browser::default().ask(&world.b, &registered, &asked).await;
    assert_eq!(far.asked(), 1, "one that is registered is");
}

async fn redirected(world: &World) {
    let key = Key::es256("k1");
    let inner = Far::with_key(&key);
    for status in ["301", "302", "303", "307", "308"] {
        let answer =
            format!("HTTP/1.1 {status} X\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", inner.url);
        let outer = Far::says(answer.into_bytes());
        refused(&signed(&world.a, &world.issuer(), &outer.url, &key).await, status);
        assert_eq!((outer.asked(), inner.asked()), (1, 0), "{status}");
    }
    let direct = signed(&world.b, &world.issuer(), &inner.url, &key).await;
    assert_eq!((direct.status, inner.asked()), (200, 1), "without a redirect it is good: {}", direct.brief());
}

async fn endless(world: &World) {
    let key = Key::es256("k1");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
    let long = Far::start(move |stream| {
        let part = [b' '; 64 * 1024];
        let mut open = stream.write_all(format!("{head}Content-Length: 1073741824\r\n\r\n").as_bytes()).is_ok();
        while open {
            open = stream.write_all(&part).is_ok();
        }
    });
    let slow = Far::start(move |stream| {
        let mut open = stream.write_all(format!("{head}Content-Length: 60\r\n\r\n").as_bytes()).is_ok();
        while open {
            open = stream.write_all(b" ").is_ok();
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    // A set of keys in gzip: if it were opened, it would be a right one.
    let set = json!({"keys": [key.public()]}).to_string();
    let plain = Far::with_key(&key);
    let mut packed = format!("{head}Content-Encoding: gzip\r\n\r\n").into_bytes();
    packed.extend(stored_gzip(set.as_bytes()));
    let packed = Far::says(packed);
    for (what, far) in [("long", &long), ("slow", &slow), ("compressed", &packed)] {
        let began = Instant::now();
        refused(&signed(&world.a, &world.issuer(), &far.url, &key).await, what);
        assert!(began.elapsed() < Duration::from_secs(9), "{what}: {:?}", began.elapsed());
        assert_eq!(far.asked(), 1, "{what}");
    }
    assert_eq!(signed(&world.b, &world.issuer(), &plain.url, &key).await.status, 200);
}

/// RFC 1952 around a block that is not compressed (RFC 1951 §3.2.4).
fn stored_gzip(plain: &[u8]) -> Vec<u8> {
    let crc = !plain
        .iter()
        .fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))));
    let length = u16::try_from(plain.len()).unwrap();
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(plain);
    out.extend(crc.to_le_bytes());
    out.extend(u32::from(length).to_le_bytes());
    out
}

async fn oracle(world: &World) {
    let key = Key::es256("k1");
    let closed = format!("http://{}/keys", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let open = [
        Far::says(Vec::new()),
        Far::says(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        Far::says(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".to_vec()),
        Far::says(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{}".to_vec()),
    ];
    let told = signed(&world.a, &world.issuer(), &closed, &key).await;
    refused(&told, "closed");
    for (n, far) in open.iter().enumerate() {
        let answer = signed(&world.a, &world.issuer(), &far.url, &key).await;
        assert_eq!((answer.status, &answer.text), (told.status, &told.text), "open, kind {n}");
        assert_eq!(far.asked(), 1, "kind {n}");
    }
}

/// A name that was another address when it was registered: what is dialled is what is checked, at every call.
async fn rebound(database: &Database) {
    let key = Key::es256("k1");
    let far = Far::with_key(&key);
    let by_name = far.url.replace("127.0.0.1", "localhost");
    Server::migrate(&database.dsn());
    let id = {
        let open = Server::start(&database.dsn(), None, &[]).await;
        let id = registered(&open.peer, &by_name).await;
        let answer = present(&open.peer, &format!("{}/", open.peer.public), &id, &key).await;
        assert_eq!((answer.status, far.asked()), (200, 1), "{}", answer.brief());
        id
    };
    let guarded = Server::start(&database.dsn(), None, &[("CLIENTS_HTTP_DISALLOW_PRIVATE_IP_RANGES", "true")]).await;
    refused(&present(&guarded.peer, &format!("{}/", guarded.peer.public), &id, &key).await, "private by now");
    assert_eq!(far.asked(), 1, "it was dialled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g03_a_name_is_checked_when_it_is_dialled() {
    rebound(&Database::sqlite()).await;
    if let Some(admin) = postgres() {
        rebound(&Database::postgres(&admin).await).await;
    }
}
