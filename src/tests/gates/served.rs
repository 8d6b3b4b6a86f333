//! A server inside this process, and a bare handler beside it.

use signet::config::{self, Mode, Sources};
use signet::runtime::{self, Running, Which};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

/// What answers.
pub struct Served {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    pub bare: SocketAddr,
    running: Option<Running>,
    _dir: tempfile::TempDir,
    scratch: Option<(String, String)>,
}

/// What a token answer weighs.
const JSON: &str = r#"{"access_token":"ory_at_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB","expires_in":3599,"scope":"load","token_type":"bearer"}"#;

fn bare() -> SocketAddr {
    use actix_web::{App, HttpResponse, HttpServer, web};
    let (told, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let answer = |_: web::Bytes| async { HttpResponse::Ok().content_type("application/json").body(JSON) };
            let app = move || App::new().route("/oauth2/token", web::post().to(answer));
            let server = HttpServer::new(app)
                .workers(1)
                .keep_alive(Duration::from_secs(75))
                .disable_signals()
                .bind(("127.0.0.1", 0))
                .unwrap();
            told.send(server.addrs()[0]).unwrap();
            server.run().await.unwrap();
        });
    });
    port.recv().unwrap()
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn psql(dsn: &str, statement: &str) {
    let done = Command::new("psql").args(["-qX", dsn, "-c", statement]).status().unwrap();
    assert!(done.success(), "{statement}");
}

impl Served {
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let dsn = format!("sqlite://{}/signet.sqlite?_fk=true", dir.path().display());
        Self::start(&dsn, dir, None)
    }

    /// On a database of its own.
    pub fn postgres(admin: &str) -> Self {
        let name = format!("signet_gates_{}", std::process::id());
        psql(admin, &format!("CREATE DATABASE {name}"));
        let mut dsn = url::Url::parse(admin).unwrap();
        dsn.set_path(&name);
        Self::start(dsn.as_str(), tempfile::tempdir().unwrap(), Some((admin.to_owned(), name)))
    }

    fn start(dsn: &str, dir: tempfile::TempDir, scratch: Option<(String, String)>) -> Self {
        runtime::migrate(dsn, |_| true).unwrap();
        let (public, admin) = (free(), free());
        let flags = [
            ("dsn", dsn.to_owned()),
            ("secrets.system", "a-secret-of-the-gates-of-some-length".to_owned()),
            ("serve.public.host", "127.0.0.1".to_owned()),
            ("serve.admin.host", "127.0.0.1".to_owned()),
            ("serve.public.port", public.to_string()),
            ("serve.admin.port", admin.to_string()),
            ("urls.self.issuer", format!("http://127.0.0.1:{public}/")),
            ("urls.login", "http://127.0.0.1:9/login".to_owned()),
            ("urls.consent", "http://127.0.0.1:9/consent".to_owned()),
            ("keys.algorithm", "ES256".to_owned()),
            ("serve.shutdown.drain_delay", "0s".to_owned()),
            ("log.level", "error".to_owned()),
        ];
        let flags = flags.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let sources = Sources { flags, mode: Mode::Dev, ..Sources::default() };
        let settings = config::load(&sources).unwrap_or_else(|faults| panic!("{}", faults[0]));
        let running = runtime::start(settings, Which::All).unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { public: at(public), admin: at(admin), bare: bare(), running: Some(running), _dir: dir, scratch }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
        if let Some((admin, name)) = &self.scratch {
            psql(admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}
