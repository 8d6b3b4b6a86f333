//! A clock that is wrong, for one process: Debian's libfaketime, preloaded. Timers and the file system keep the right one.

use std::path::Path;

/// What a process must have in its environment so that its clock is off.
pub struct WrongClock {
    library: String,
    offset: String,
}

impl WrongClock {
    /// Ahead by so many seconds, or behind; or a line that says why this test does nothing.
    pub fn by(seconds: i64) -> Option<Self> {
        let found = std::env::var("SIGNET_TEST_FAKETIME").ok().filter(|library| Path::new(library).exists());
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "SIGNET_TEST_FAKETIME is not set: CI must run `make test`");
            println!("SKIPPED: there is no libfaketime; `make test` installs it on Debian");
        }
        Some(Self { library: found?, offset: format!("{seconds:+}") })
    }

    pub fn env(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME", &self.offset),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
    }
}

/// The library leaves something in memory for each process that was killed.
impl Drop for WrongClock {
    fn drop(&mut self) {
        for file in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let pid = name.rsplit_once('_').filter(|(kind, _)| kind.contains("faketime_s")).map(|(_, pid)| pid);
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }
}
