//! Secrets and certificates that change under a running server, mounted as Kubernetes mounts them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::harness::{
    Browser, Database, Peer, Scrape, Server, accept, consented, param, postgres, run, sign_in, signal,
};

const OLD: &str = "Zk3vQ8xT1mW6bR9yL2pD5sH7jN4cF0aE";
const NEW: &str = "u8Bv2kQ0xWm5Zr7Tn4Ld9Hc3Pj6Ys1Ga";
const WITHIN: Duration = Duration::from_secs(20);

/// A mounted secret: its files are links into a folder that is changed as a whole, by moving one link.
struct Mount {
    dir: tempfile::TempDir,
    turn: usize,
}

impl Mount {
    fn with(files: &[(&str, &str)]) -> Self {
        let mut mount = Self { dir: tempfile::tempdir().unwrap(), turn: 0 };
        mount.swap(files);
        for (name, _) in files {
            symlink(Path::new("..data").join(name), mount.dir.path().join(name)).unwrap();
        }
        mount
    }

    fn swap(&mut self, files: &[(&str, &str)]) {
        self.turn += 1;
        let (at, name) = (self.dir.path(), format!("..turn_{}", self.turn));
        fs::create_dir(at.join(&name)).unwrap();
        for (file, text) in files {
            fs::write(at.join(&name).join(file), text).unwrap();
        }
        symlink(&name, at.join("..data_tmp")).unwrap();
        fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// One replica and its mount.
struct Replica {
    server: Server,
    mount: Mount,
}

impl Replica {
    async fn start(dsn: &str, issuer: Option<&str>, list: &str) -> Self {
        let mount = Mount::with(&[("system", list)]);
        let path = mount.file("system").display().to_string();
        let env = [("SECRETS_SYSTEM", ""), ("SECRETS_SYSTEM_FILE", path.as_str()), ("KEYS_ALGORITHM", "ES256")];
        let server = Server::start(dsn, issuer, &env).await;
        Self { server, mount }
    }

    async fn takes(&mut self, list: &[&str]) {
        let list = list.join("\n") + "\n";
        let change = || self.mount.swap(&[("system", &list)]);
        self.server.says("took over a new list of secrets.system", change).await;
    }
}

/// Clients that get, ask for and revoke tokens at either replica until they are told to stop.
struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    async fn start(a: &Peer, b: &Peer) -> Self {
        let (id, secret) = a.machine().await;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let one = |here: Peer, there: Peer| {
            let (stop, done, id, secret) = (Arc::clone(&stop), Arc::clone(&done), id.clone(), secret.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let token = here.token(&id, &secret).await;
                    assert!(there.is_active(&token).await, "a token of one replica is unknown to the other");
                    assert_eq!(there.revoke(&token, &id, &secret).await.status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let tasks = vec![one(a.clone(), b.clone()), one(b.clone(), a.clone())];
        Self { stop, done, tasks }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// What the doctor finds about secrets with this list.
fn found(dsn: &str, list: &[&str]) -> Vec<String> {
    let list = list.join(",");
    let env = [
        ("DSN", dsn),
        ("SECRETS_SYSTEM", &list),
        ("KEYS_ALGORITHM", "ES256"),
        ("SERVE_ADMIN_PORT", "9"),
        ("SERVE_PUBLIC_PORT", "9"),
    ];
    let done = run(&["doctor", "--dev", "-q"], &env);
    let names = String::from_utf8_lossy(&done.stdout).into_owned();
    names.lines().filter(|name| name.starts_with("secrets.")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_rotated_under_traffic_replica_by_replica() {
    let Some(admin) = postgres() else { return };
    let database = Database::postgres(&admin).await;
    let dsn = database.dsn();
    Server::migrate(&dsn);
    let mut a = Replica::start(&dsn, None, &format!("{OLD}\n")).await;
    let issuer = format!("{}/", a.server.peer.public);
    let mut b = Replica::start(&dsn, Some(&issuer), &format!("{OLD}\n")).await;
    let (one, other) = (a.server.peer.clone(), b.server.peer.clone());
    let traffic = Traffic::start(&one, &other).await;

    // What is under way while the secrets change: a token, a login, a set of keys of the operator's own.
    let web = one.web_with(json!({})).await;
    let code = param(&sign_in(&one, &web, &[], json!({})).await, "code");
    let tokens = other.exchange(&web, &code, &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    let mut browser = Browser::default();
    let login = browser.ask(&one, &web, &[]).await.location();
    let set =
        one.admin(Method::POST, "/admin/keys/mine", Some(json!({"alg": "ES256", "kid": "k", "use": "sig"}))).await;
    assert_eq!(set.status, 201, "{}", set.brief());

    a.takes(&[OLD, NEW]).await;
    b.takes(&[OLD, NEW]).await;
    a.takes(&[NEW, OLD]).await;
    // One seals under the new secret, the other under the old one; both know both.
    let back = accept(&other, "login", &login, json!({"subject": "a-user"})).await;
    let consent = browser.go(&one, &back).await.location();
    let mut late = Browser::default();
    let second = late.ask(&one, &web, &[]).await.location();
    b.takes(&[NEW, OLD]).await;
    let answer = consented(&other, &mut browser, &consent).await;
    let code = param(&answer.location(), "code");
    assert!(!code.is_empty(), "{}", answer.location());
    assert_eq!(one.exchange(&web, &code, &[]).await.status, 200);
    let refreshed = other.refresh(&web, &tokens.get("refresh_token"), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.brief());

    // The keys were sealed again, the operator's too; rows that live still need the old secret.
    let (began, mut now) = (Instant::now(), found(&dsn, &[NEW, OLD]));
    while now.contains(&"secrets.old-keys".to_owned()) {
        assert!(began.elapsed() < WITHIN, "{now:?}");
        now = found(&dsn, &[NEW, OLD]);
    }
    assert_eq!(now, ["secrets.old-in-use"]);

    let done = traffic.end().await;
    assert!(done > 20, "{done} rounds");
    a.takes(&[NEW]).await;
    b.takes(&[NEW]).await;
    let back = accept(&other, "login", &second, json!({"subject": "a-user"})).await;
    let page = late.go(&one, &back).await.location();
    assert!(page.contains("consent_challenge"), "what the new secret sealed goes on: {page}");
    assert!(one.is_active(&refreshed.get("access_token")).await);
    assert!(!one.is_active(&tokens.get("access_token")).await, "what the old one signed is over");
    assert_eq!(one.admin(Method::GET, "/admin/keys/mine", None).await.json()["keys"][0]["kid"], "k");
    assert_eq!(found(&dsn, &[NEW]), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_list_is_refused_and_the_old_one_stays() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let mut a = Replica::start(&database.dsn(), None, &format!("{OLD}\n")).await;
    let peer = a.server.peer.clone();
    let (id, secret) = peer.machine().await;
    let token = peer.token(&id, &secret).await;
    for (list, why) in [
        (&["short"][..], "shorter than 16 characters"),
        (&[][..], "is empty"),
        (&[NEW][..], "lacks the secret that signs now"),
    ] {
        a.server.says(why, || a.mount.swap(&[("system", &list.join("\n"))])).await;
        assert!(peer.is_active(&token).await && peer.is_active(&peer.token(&id, &secret).await).await, "{list:?}");
    }
    // The new one first at once is taken, for a server that is alone; and said to be unwise.
    a.takes(&[NEW, OLD]).await;
    assert!(peer.is_active(&token).await && a.server.said().contains("was not in the list before"));
    for secret in [OLD, NEW] {
        assert!(!a.server.said().contains(secret), "a secret is in the log");
    }
    a.server.says("SIGHUP: reading", || signal(a.server.pid(), "HUP")).await;
    assert!(peer.is_active(&token).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_secret_opens_is_counted_by_its_kind() {
    let database = Database::sqlite();
    Server::migrate(&database.dsn());
    let mut mount = Mount::with(&[("cookie", OLD), ("pagination", OLD)]);
    let [cookie, pagination] = ["cookie", "pagination"].map(|name| mount.file(name).display().to_string());
    let env = [("SECRETS_COOKIE_FILE", cookie.as_str()), ("SECRETS_PAGINATION_FILE", pagination.as_str())];
    let server = Server::start(&database.dsn(), None, &env).await;
    let peer = &server.peer;
    let counted = async |kind: &str| {
        let series = format!("signet_secret_generation_total{{kind=\"{kind}\"}}");
        Scrape::of(peer).await.series(&series) as u64
    };
    // A step of a flow, a remembered login and a page token, all of the old secrets.
    let web = peer.web_with(json!({})).await;
    let mut browser = Browser::default();
    let page = browser.ask(peer, &web, &[]).await.location();
    let login = json!({"subject": "a-user", "remember": true});
    let consent = browser.go(peer, &accept(peer, "login", &page, login).await).await.location();
    peer.web_with(json!({})).await;
    let first = peer.admin(Method::GET, "/admin/clients?page_size=1", None).await;
    let next = first.header("link").split(',').find(|link| link.contains("rel=\"next\"")).map(str::to_owned);
    let next = next.unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(peer.admin(Method::GET, &next, None).await.status, 200);
    assert_eq!((counted("cookies").await, counted("pagination").await), (0, 0), "the newest is not counted");

    let both = format!("{NEW}\n{OLD}\n");
    let change = || mount.swap(&[("cookie", &both), ("pagination", &both)]);
    server.says("took over a new list of secrets.pagination", change).await;
    assert_eq!(peer.admin(Method::GET, &next, None).await.status, 200);
    assert_eq!((counted("cookies").await, counted("pagination").await), (0, 1));
    let code = param(&consented(peer, &mut browser, &consent).await.location(), "code");
    assert!(!code.is_empty(), "the browser is known by a cookie of the old secret");
    let steps = counted("cookies").await;
    assert!(steps > 0);
    browser.ask(peer, &web, &[]).await;
    assert!(counted("cookies").await > steps, "the login is remembered by a cookie of the old secret");
    assert_eq!(counted("pagination").await, 1);
}

fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Whether the server shows this certificate.
async fn shows(server: &Server, cert: &str) -> bool {
    let root = reqwest::Certificate::from_pem(cert.as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
    let url = server.peer.public.replace("http://", "https://") + "/health/alive";
    client.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let ((old, old_key), (new, new_key)) = (certificate(), certificate());
    let mut mount = Mount::with(&[("tls.crt", &old), ("tls.key", &old_key)]);
    let (cert, key) = (mount.file("tls.crt"), mount.file("tls.key"));
    let env = [
        ("SERVE_PUBLIC_TLS_ENABLED", "true"),
        ("SERVE_PUBLIC_TLS_CERT_PATH", cert.to_str().unwrap()),
        ("SERVE_PUBLIC_TLS_KEY_PATH", key.to_str().unwrap()),
    ];
    let server = Server::launch("memory", None, &env);
    let until = async |cert: &str| {
        let began = Instant::now();
        while !shows(&server, cert).await {
            assert!(began.elapsed() < WITHIN, "{}", server.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until(&old).await;
    let change = || mount.swap(&[("tls.crt", &new), ("tls.key", &old_key)]);
    server.says("the new certificate is refused", change).await;
    assert!(shows(&server, &old).await, "of two that do not belong together neither is shown");
    mount.swap(&[("tls.crt", &new), ("tls.key", &new_key)]);
    until(&new).await;
    assert!(!shows(&server, &old).await);
}
