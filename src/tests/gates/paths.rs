//! The hot paths, each a unit of work with its ceilings.

use super::caller::{Answer, Caller};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// What a unit may cost.
pub struct Limit {
    /// Heap allocations.
    pub allocations: f64,
    /// Requests that a bare handler could have answered one after the other. A debug build's figure.
    pub bare: f64,
}

/// A unit of work, ready to be done again and again.
type Work = Box<dyn FnMut(&mut Caller)>;

/// A hot path.
pub struct Path {
    pub name: &'static str,
    /// Makes what it needs.
    pub prepare: fn(&mut Caller) -> Work,
    pub on_sqlite: Limit,
    pub on_postgres: Limit,
}

const fn at_most(allocations: f64, bare: f64) -> Limit {
    Limit { allocations, bare }
}

pub const PATHS: &[Path] = &[
    Path {
        name: "keys",
        prepare: |_| get("/.well-known/jwks.json"),
        on_sqlite: at_most(22.0, 9.0),
        on_postgres: at_most(22.0, 9.0),
    },
    Path {
        name: "metadata",
        prepare: |_| get("/.well-known/openid-configuration"),
        on_sqlite: at_most(22.0, 10.0),
        on_postgres: at_most(22.0, 10.0),
    },
    Path {
        name: "client_credentials, opaque",
        prepare: |c| client_credentials(c, "opaque"),
        on_sqlite: at_most(87.0, 50.0),
        on_postgres: at_most(111.0, 55.0),
    },
    Path {
        name: "client_credentials, JWT",
        prepare: |c| client_credentials(c, "jwt"),
        on_sqlite: at_most(108.0, 55.0),
        on_postgres: at_most(132.0, 55.0),
    },
    Path {
        name: "introspection",
        prepare: introspection,
        on_sqlite: at_most(46.0, 28.0),
        on_postgres: at_most(60.0, 40.0),
    },
    Path { name: "revocation", prepare: revocation, on_sqlite: at_most(63.0, 42.0), on_postgres: at_most(79.0, 52.0) },
    Path {
        name: "code flow, eight requests",
        prepare: code_flow,
        on_sqlite: at_most(1340.0, 420.0),
        on_postgres: at_most(1420.0, 450.0),
    },
    Path { name: "refresh", prepare: refresh, on_sqlite: at_most(181.0, 95.0), on_postgres: at_most(222.0, 115.0) },
];

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const SECRET: &str = "a-secret-of-a-client";

/// A request to the bare handler.
pub fn bare(caller: &mut Caller) {
    caller.bare.ask("POST", "/oauth2/token", FORM, "grant_type=client_credentials&scope=load").expect("200");
}

fn get(path: &'static str) -> Work {
    Box::new(move |caller| {
        caller.public.ask("GET", path, "", "").expect("200");
    })
}

/// A new client's headers for a form with its credentials.
fn client(caller: &mut Caller, name: &str, strategy: &str) -> String {
    let body = format!(
        r#"{{"client_id":"{name}","client_secret":"{SECRET}","scope":"openid offline load","access_token_strategy":"{strategy}",
            "grant_types":["client_credentials","authorization_code","refresh_token"],"response_types":["code"],
            "redirect_uris":["http://127.0.0.1:9/callback"]}}"#
    );
    let answer = caller.admin.ask("POST", "/admin/clients", JSON, &body).0;
    assert!(answer[9..].starts_with("201") || answer[9..].starts_with("409"), "{answer}");
    format!("{FORM}Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{SECRET}")))
}

const CREDENTIALS: &str = "grant_type=client_credentials&scope=load";

fn client_credentials(caller: &mut Caller, strategy: &str) -> Work {
    let headers = client(caller, &format!("machine-{strategy}"), strategy);
    Box::new(move |caller| {
        caller.public.ask("POST", "/oauth2/token", &headers, CREDENTIALS).expect("200");
    })
}

/// A token of a machine.
fn token(caller: &mut Caller, headers: &str) -> String {
    caller.public.ask("POST", "/oauth2/token", headers, CREDENTIALS).expect("200").member("access_token").to_owned()
}

fn introspection(caller: &mut Caller) -> Work {
    let headers = client(caller, "machine-opaque", "opaque");
    let body = format!("token={}", token(caller, &headers));
    Box::new(move |caller| {
        let answer = caller.admin.ask("POST", "/admin/oauth2/introspect", FORM, &body);
        assert!(answer.0.contains("\"active\":true"), "{}", answer.0);
    })
}

fn revocation(caller: &mut Caller) -> Work {
    let headers = client(caller, "machine-opaque", "opaque");
    // Enough for warming, counting and timing.
    let mut bodies: Vec<String> = (0..800).map(|_| format!("token={}", token(caller, &headers))).collect();
    let mut spent = Vec::with_capacity(bodies.len());
    Box::new(move |caller| {
        let body = bodies.pop().unwrap();
        caller.public.ask("POST", "/oauth2/revoke", &headers, &body).expect("200");
        spent.push(body); // freed later
    })
}

/// What a browser and a client keep, each with room enough.
#[derive(Default)]
struct Kept {
    headers: String,
    cookies: String,
    target: String,
    text: String,
    refresh: String,
}

impl Kept {
    fn new(headers: String) -> Self {
        let room = || String::with_capacity(16 * 1024);
        Self { headers, cookies: room(), target: room(), text: room(), refresh: room() }
    }

    /// Keeps the cookies of an answer and goes where it leads.
    fn follow(&mut self, answer: Answer<'_>) {
        self.cookies.clear();
        self.cookies.push_str("Cookie: ");
        for line in answer.0.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let pair = line.split(';').next().unwrap();
            if !pair.ends_with('=') {
                write!(self.cookies, "{pair}; ").unwrap();
            }
        }
        self.cookies.push_str("\r\n");
        self.go(answer.between("location: ", "\r").unwrap_or_else(|| panic!("leads nowhere: {}", answer.0)));
    }

    fn go(&mut self, to: &str) {
        self.target.clear();
        self.target.push_str(to);
    }

    /// The path and query of where it is to go.
    fn path(&self) -> &str {
        let rest = &self.target["http://".len()..];
        &rest[rest.find('/').unwrap()..]
    }

    /// The app answers a challenge, after a look at it.
    fn accept(&mut self, caller: &mut Caller, what: &str, body: &str) {
        let at = self.target.find("_challenge=").unwrap() + "_challenge=".len();
        self.text.clear();
        write!(self.text, "/admin/oauth2/auth/requests/{what}?{what}_challenge={}", &self.target[at..]).unwrap();
        caller.admin.ask("GET", &self.text, "", "").expect("200");
        self.text.clear();
        write!(self.text, "/admin/oauth2/auth/requests/{what}/accept?{what}_challenge={}", &self.target[at..]).unwrap();
        let answer = caller.admin.ask("PUT", &self.text, JSON, body).expect("200");
        let to = answer.member("redirect_to");
        self.target.clear();
        self.target.push_str(to);
    }

    fn exchange(&mut self, caller: &mut Caller) {
        let answer = caller.public.ask("POST", "/oauth2/token", &self.headers, &self.text).expect("200");
        self.refresh.clear();
        self.refresh.push_str(answer.member("refresh_token"));
    }
}

const AUTHORIZE: &str = "/oauth2/auth?response_type=code&client_id=web&scope=openid+offline+load&state=a-state-of-some-length&\
    redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback&nonce=a-nonce-of-some-length&code_challenge_method=S256&\
    code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

fn one_flow(caller: &mut Caller, kept: &mut Kept) {
    kept.follow(caller.public.ask("GET", AUTHORIZE, "", "").expect("302"));
    kept.accept(caller, "login", r#"{"subject":"somebody"}"#);
    kept.follow(caller.public.ask("GET", kept.path(), &kept.cookies, "").expect("302"));
    kept.accept(caller, "consent", r#"{"grant_scope":["openid","offline","load"]}"#);
    let answer = caller.public.ask("GET", kept.path(), &kept.cookies, "").expect("303");
    let code = answer.between("code=", "&").unwrap();
    kept.text.clear();
    write!(kept.text, "grant_type=authorization_code&code={code}&code_verifier={VERIFIER}").unwrap();
    kept.text.push_str("&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcallback");
    kept.exchange(caller);
}

fn code_flow(caller: &mut Caller) -> Work {
    let mut kept = Kept::new(client(caller, "web", "opaque"));
    Box::new(move |caller| one_flow(caller, &mut kept))
}

fn refresh(caller: &mut Caller) -> Work {
    let mut kept = Kept::new(client(caller, "web", "opaque"));
    one_flow(caller, &mut kept);
    Box::new(move |caller| {
        kept.text.clear();
        write!(kept.text, "grant_type=refresh_token&scope=offline+load&refresh_token={}", kept.refresh).unwrap();
        kept.exchange(caller);
    })
}
