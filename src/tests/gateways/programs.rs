//! Real gateways as child processes, with the configurations of `deploy/gateways` in which addresses, ports and paths are
//! replaced. Each ends with its value.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{free_port, signal};

/// What a configuration is told of the world.
pub struct Places {
    /// Where `scripts/drivers.sh` has installed what Debian has not.
    pub drivers: PathBuf,
    /// Ports of the API, of Signet's gateway listener, and of one with TLS.
    pub api: u16,
    pub signet: u16,
    pub signet_tls: u16,
    /// A file with the certificate of the latter.
    pub certificate: PathBuf,
    /// The resource server.
    pub rs: (String, String),
}

/// A running gateway.
pub struct Program {
    child: Child,
    dir: tempfile::TempDir,
    log: tempfile::NamedTempFile,
}

impl Program {
    /// Starts a program with a folder of its own. It is there when it takes connections.
    pub async fn start(mut command: Command, dir: tempfile::TempDir, ports: &[u16]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        command.stdin(Stdio::null()).stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let mut program = Self { child, dir, log };
        let began = Instant::now();
        while ports.iter().any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err()) {
            let ended = program.child.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < Duration::from_secs(60),
                "{command:?}: {ended:?}\n{}",
                program.said()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        program
    }

    /// What it has written.
    pub fn said(&self) -> String {
        let own = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        std::fs::read_to_string(self.log.path()).unwrap_or_default() + &own
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Apache takes its children along when it is asked to end, and not when it is killed.
        signal(self.child.id(), "TERM");
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of `deploy/gateways` with texts replaced, each of which must be there.
fn template(name: &str, swaps: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/gateways").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    swaps.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in {name}");
        text.replace(from, to)
    })
}

fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::Builder::new().prefix("signet-gateway").tempdir().unwrap();
    // A gateway that is started by root gives its rights away.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn at(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn write(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Places {
    /// nginx with `auth_request`, and where it listens.
    pub async fn nginx(&self) -> (Program, u16) {
        let (dir, port) = (folder(), free_port());
        let swaps = [("listen 8080", &format!("listen {}", at(port)))];
        let conf = self.nginx_conf("nginx/signet.conf", &dir, &swaps.map(|(from, to)| (from, to.as_str())));
        (nginx(dir, "", &conf, port).await, port)
    }

    /// nginx with njs.
    pub async fn nginx_njs(&self) -> (Program, u16) {
        use base64::Engine as _;
        let (dir, port) = (folder(), free_port());
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.rs.0, self.rs.1));
        let secret = format!("proxy_set_header Authorization \"Basic {pair}\";\n");
        let secret = write(&dir, "credentials.conf", &secret);
        let script = write(&dir, "signet.js", &template("nginx-njs/signet.js", &[]));
        let listen = format!("listen {}", at(port));
        let swaps = [
            ("listen 8080", listen.as_str()),
            ("/etc/nginx/signet.js", &script),
            ("/etc/nginx/signet-credentials.conf", &secret),
        ];
        let conf = self.nginx_conf("nginx-njs/signet.conf", &dir, &swaps);
        let module = "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;";
        (nginx(dir, module, &conf, port).await, port)
    }

    fn nginx_conf(&self, name: &str, dir: &tempfile::TempDir, swaps: &[(&str, &str)]) -> String {
        let (signet, api, cache) = (at(self.signet), at(self.api), format!("{}/cache", dir.path().display()));
        let own = [("signet:4446", signet.as_str()), ("api:8000", &api), ("/dev/shm/signet-cache", &cache)];
        template(name, &own.iter().chain(swaps).copied().collect::<Vec<_>>())
    }

    /// HAProxy: where it asks `/authz`, and where it introspects.
    pub async fn haproxy(&self) -> (Program, [u16; 2]) {
        let (dir, ports) = (folder(), [free_port(), free_port()]);
        let script = write(&dir, "signet.lua", &template("haproxy/signet.lua", &[]));
        let (signet, api, [one, two]) = (at(self.signet), at(self.api), ports.map(at));
        let swaps = [
            ("signet:4446", signet.as_str()),
            ("api:8000", &api),
            ("bind :8080", &format!("bind {one}")),
            ("bind :8081", &format!("bind {two}")),
            ("/etc/haproxy/signet.lua", &script),
        ];
        let conf = write(&dir, "haproxy.cfg", &template("haproxy/haproxy.cfg", &swaps));
        let mut command = Command::new("/usr/sbin/haproxy");
        command.args(["-db", "-f", &conf]).env("SIGNET_CLIENT_ID", &self.rs.0).env("SIGNET_CLIENT_SECRET", &self.rs.1);
        (Program::start(command, dir, &ports).await, ports)
    }

    /// Apache with `mod_oauth2`, whose answers are kept for two seconds.
    pub async fn mod_oauth2(&self) -> (Program, u16) {
        let signet = at(self.signet);
        self.apache("mod_oauth2", "oauth2", "", &[("expiry=5", "expiry=2"), ("signet:4446", &signet)]).await
    }

    /// Apache with `mod_auth_openidc`, whose answers are kept for two seconds.
    pub async fn mod_auth_openidc(&self) -> (Program, u16) {
        let signet = at(self.signet_tls);
        let swaps = [("IntrospectionInterval 5", "IntrospectionInterval 2"), ("signet:4446", signet.as_str())];
        let trust = format!("OIDCCABundlePath {}", self.certificate.display());
        self.apache("mod_auth_openidc", "auth_openidc", &trust, &swaps).await
    }

    async fn apache(&self, name: &str, module: &str, more: &str, swaps: &[(&str, &str)]) -> (Program, u16) {
        let (dir, port) = (folder(), free_port());
        let (api, listen, host) = (at(self.api), format!("Listen {}", at(port)), format!("<VirtualHost {}>", at(port)));
        let own = [("api:8000", api.as_str()), ("Listen 8080", &listen), ("<VirtualHost *:8080>", &host)];
        let conf = template(&format!("apache/{name}.conf"), &own.iter().chain(swaps).copied().collect::<Vec<_>>());
        let conf = write(&dir, "site.conf", &conf);
        let here = dir.path().display();
        let modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "headers", module];
        let modules: String = modules
            .iter()
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .collect();
        let whole = format!(
            "ServerRoot {here}\nServerName 127.0.0.1\nPidFile {here}/pid\nDefaultRuntimeDir {here}\nErrorLog {here}/log\n\
             LogLevel warn\nMutex sem\nStartServers 1\nServerLimit 1\nMaxRequestWorkers 25\n{modules}{}\n{more}\nInclude {conf}\n",
            if is_root() { "User www-data\nGroup www-data" } else { "" }
        );
        let whole = write(&dir, "apache.conf", &whole);
        let mut command = Command::new("/usr/sbin/apache2");
        command.args(["-DFOREGROUND", "-f", &whole]);
        command.env("SIGNET_CLIENT_ID", &self.rs.0).env("SIGNET_CLIENT_SECRET", &self.rs.1);
        (Program::start(command, dir, &[port]).await, port)
    }

    /// Envoy with `ext_authz`.
    pub async fn envoy(&self) -> (Program, u16) {
        let (dir, port) = (folder(), free_port());
        let address = |port: u16| format!("address: 127.0.0.1, port_value: {port}");
        let (signet, api) = (address(self.signet), address(self.api));
        let swaps = [
            ("address: signet, port_value: 4446", signet.as_str()),
            ("address: api, port_value: 8000", &api),
            ("address: 0.0.0.0, port_value: 8080", &address(port)),
        ];
        let conf = write(&dir, "envoy.yaml", &template("envoy/envoy.yaml", &swaps));
        let mut command = Command::new(self.drivers.join("envoy/bin/envoy"));
        command.args(["-c", &conf, "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]);
        (Program::start(command, dir, &[port]).await, port)
    }

    /// Caddy with `forward_auth`.
    pub async fn caddy(&self) -> (Program, u16) {
        let (dir, port) = (folder(), free_port());
        let (signet, api, site) = (at(self.signet), at(self.api), format!("http://{} {{", at(port)));
        let swaps = [("signet:4446", signet.as_str()), ("api:8000", &api), (":8080 {", &site)];
        let conf = write(&dir, "Caddyfile", &template("caddy/Caddyfile", &swaps));
        let mut command = Command::new("/usr/bin/caddy");
        command.args(["run", "--config", &conf, "--adapter", "caddyfile"]);
        command.env("HOME", dir.path()).env("XDG_DATA_HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
        (Program::start(command, dir, &[port]).await, port)
    }
}

async fn nginx(dir: tempfile::TempDir, module: &str, conf: &str, port: u16) -> Program {
    let here = dir.path().display().to_string();
    let conf = write(&dir, "signet.conf", conf);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {here}/{kind};\n"))
        .collect();
    let whole = format!(
        "{module}\ndaemon off;\nmaster_process off;\npid {here}/pid;\nerror_log {here}/log warn;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}include {conf};\n}}\n"
    );
    let whole = write(&dir, "nginx.conf", &whole);
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-p", &here, "-e", &format!("{here}/log"), "-c", &whole]);
    Program::start(command, dir, &[port]).await
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}
