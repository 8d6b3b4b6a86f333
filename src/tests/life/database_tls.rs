//! `sslmode` in a DSN means what libpq says it means, against a real server with a certificate for an address only.

use crate::harness::{postgres, run};

/// Whether a connection with these DSN parameters works, and what was said.
fn connects(host: &str, parameters: &str) -> (bool, String) {
    let admin = postgres().expect("asked for before");
    let dsn = admin.replace("127.0.0.1", host).replace("sslmode=disable", parameters);
    let done = run(&["migrate", "sql", "status", &dsn], &[]);
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn sslmode_means_what_libpq_says() {
    let (Some(_), Ok(ca)) = (postgres(), std::env::var("SIGNET_TEST_POSTGRES_CA")) else {
        assert!(std::env::var_os("CI").is_none(), "needs a PostgreSQL with a certificate");
        println!("SKIPPED: no PostgreSQL with a certificate");
        return;
    };
    let with_root = |mode: &str| format!("sslmode={mode}&sslrootcert={ca}");
    for (host, parameters, works) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), true),
        ("127.0.0.1", "sslmode=allow".to_owned(), true),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", "sslmode=verify-ca".to_owned(), false), // the system's roots do not know it
        ("127.0.0.1", with_root("verify-ca"), true),
        ("127.0.0.1", with_root("verify-full"), true),
        ("localhost", with_root("verify-ca"), true),
        ("localhost", with_root("verify-full"), false), // the certificate has no name
        ("127.0.0.1", "sslmode=nonsense".to_owned(), false),
    ] {
        let (connected, said) = connects(host, &parameters);
        assert_eq!(connected, works, "{host} {parameters}: {said}");
        assert!(works || said.trim().lines().count() <= 2, "one clear line, not\n{said}");
    }
}
