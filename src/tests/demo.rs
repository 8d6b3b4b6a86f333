//! The demo of `quickstart` in a browser's place: it is there, it is nowhere else, and it signs a person in.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::harness::{Peer, World, free_port};

const START_WITHIN: Duration = Duration::from_secs(60);
const PAGES: [&str; 9] = [
    "/demo",
    "/demo/login",
    "/demo/consent",
    "/demo/logout",
    "/demo/device",
    "/demo/device/done",
    "/demo/error",
    "/demo/callback",
    "/demo/tokens",
];

/// A running `quickstart`; ended when dropped.
struct Quickstart {
    child: Child,
    peer: Peer,
    /// The last line that it printed.
    last: String,
    lines: Receiver<String>,
}

impl Quickstart {
    /// Starts it on free ports and waits for the line that says what to open.
    fn start(data: &std::path::Path, env: &[(&str, &str)]) -> Self {
        let (public, admin) = (free_port(), free_port());
        let mut command = Command::new(env!("CARGO_BIN_EXE_signet"));
        command.args(["quickstart", "--public-port", &public.to_string(), "--admin-port", &admin.to_string()]);
        command.arg("--data-dir").arg(data).env_clear().envs(env.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (told, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        let mut started = Self { child, peer: Peer::new(public, admin), last: String::new(), lines };
        while !started.last.starts_with("open ") {
            started.last = started.lines.recv_timeout(START_WITHIN).expect("quickstart says what to open");
        }
        started
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quickstart_says_what_to_open_and_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=2 {
        let demo = Quickstart::start(dir.path(), &[]);
        assert_eq!(demo.last, format!("open {}/demo", demo.peer.public));
        assert!(demo.lines.recv_timeout(Duration::from_millis(200)).is_err(), "nothing is printed after it");
        let page = demo.peer.get("/demo").await;
        assert_eq!(page.status, 200, "{}", page.brief());
        assert!(page.text.contains(&format!("href=\"{}/oauth2/auth?response_type=code", demo.peer.public)));
        let cookie = page.header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/demo"));
        // The ports are others at each start; the client follows.
        let client = demo.peer.admin(Method::GET, "/admin/clients/signet-demo", None).await.json();
        assert_eq!(client["redirect_uris"], json!([format!("{}/demo/callback", demo.peer.public)]), "round {round}");
        assert_eq!(client["token_endpoint_auth_method"], "none");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_server_has_the_demo() {
    let world = World::sqlite(&[]).await;
    for page in PAGES {
        assert_eq!(world.a.get(page).await.status, 404, "{page}");
        assert_eq!(world.a.form(page, &[("a", "b")], None).await.status, 404, "{page}");
        assert_eq!(world.a.admin(Method::GET, page, None).await.status, 404, "{page} on the admin listener");
    }
    let metrics = world.a.admin(Method::GET, "/metrics/prometheus", None).await.text;
    assert!(!metrics.contains("/demo"), "its routes are not even counted");
}
