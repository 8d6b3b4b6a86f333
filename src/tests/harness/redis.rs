//! A Redis of a test's own, which it may kill.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::server::{free_port, signal};

/// A running Redis; it ends with this value.
pub struct Redis {
    /// Where it listens.
    pub port: u16,
    args: Vec<String>,
    child: Option<Child>,
    _dir: tempfile::TempDir,
}

fn program() -> Option<&'static str> {
    ["redis-server", "valkey-server"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok())
}

impl Redis {
    /// Starts one, or says that there is none to test on.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with more arguments.
    pub fn with(more: &[&str]) -> Option<Self> {
        if std::env::var_os("SIGNET_TEST_REDIS").is_none() || program().is_none() {
            assert!(std::env::var_os("CI").is_none(), "no Redis to test on: CI must run `make test`");
            println!("SKIPPED: no Redis to test on; run `make test`");
            return None;
        }
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let own = port.to_string();
        let args = ["--port", &own, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"];
        let mut args: Vec<String> = args.map(str::to_owned).to_vec();
        args.push(dir.path().display().to_string());
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        let mut this = Self { port, args, child: None, _dir: dir };
        this.run();
        Some(this)
    }

    /// Starts it again where it was, empty.
    pub fn run(&mut self) {
        let mut command = Command::new(program().unwrap());
        self.child = Some(command.args(&self.args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "Redis did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it in its tracks, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        if let Some(child) = &self.child {
            signal(child.id(), if frozen { "STOP" } else { "CONT" });
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Asks it something.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query(&mut connection).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.freeze(false);
        self.kill();
    }
}
