//! The demo of `quickstart` in a browser's place: it is there, it is nowhere else, and it signs a person in.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use url::Url;

use crate::harness::{Peer, Scrape, World, free_port};

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
    let metrics = Scrape::of(&world.a).await.0;
    assert!(!metrics.contains("/demo"), "its routes are not even counted");
}

/// A browser: it keeps cookies, follows redirects and presses buttons.
struct Browser<'a> {
    peer: &'a Peer,
    cookies: Vec<(String, String)>,
}

/// Where it is, and what it shows.
struct Shown {
    url: Url,
    status: u16,
    text: String,
}

impl<'a> Browser<'a> {
    const fn new(peer: &'a Peer) -> Self {
        Self { peer, cookies: Vec::new() }
    }

    async fn open(&mut self, url: &str) -> Shown {
        self.go(Url::parse(&self.peer.public).unwrap().join(url).unwrap(), None).await
    }

    /// Follows the link that looks like a button.
    async fn follow(&mut self, page: &Shown) -> Shown {
        let link = page.text.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
        self.open(&link.replace("&amp;", "&")).await
    }

    /// Sends the form of a page that goes to `action`, with its hidden fields.
    async fn press(&mut self, page: &Shown, action: &str, more: &[(&str, &str)]) -> Shown {
        let form = page.text.split(&format!("action=\"{action}\"")).nth(1);
        let form = form.unwrap_or_else(|| panic!("no form {action}: {}", page.text)).split("</form>").next().unwrap();
        let of = |field: &str, name: &str| {
            field.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&")
        };
        let mut fields: Vec<(String, String)> =
            form.split("<input type=\"hidden\"").skip(1).map(|field| (of(field, "name"), of(field, "value"))).collect();
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.go(page.url.join(action).unwrap(), Some(fields)).await
    }

    async fn go(&mut self, mut url: Url, mut form: Option<Vec<(String, String)>>) -> Shown {
        for _ in 0..12 {
            let method = if form.is_some() { Method::POST } else { Method::GET };
            let path = &url[url::Position::BeforePath..];
            assert!(url.as_str().starts_with(&self.peer.public), "it leaves the server: {url}");
            let mut request = self.peer.to_public(method, path);
            if let Some(form) = form.take() {
                request = request.form(&form);
            }
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let answer = Peer::send(request.header("cookie", cookies.join("; "))).await;
            for set in answer.headers.get_all("set-cookie") {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.retain(|(known, _)| known != name);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
            if ![302, 303].contains(&answer.status) {
                return Shown { url, status: answer.status, text: answer.text };
            }
            url = url.join(&answer.header("location")).unwrap();
        }
        panic!("it goes round in circles: {url}");
    }
}

const USER: [(&str, &str); 3] = [("email", "demo@example.com"), ("password", "demo"), ("answer", "accept")];
const ALL: [(&str, &str); 5] = [
    ("scope openid", "yes"),
    ("scope offline_access", "yes"),
    ("scope profile", "yes"),
    ("scope email", "yes"),
    ("answer", "allow"),
];

/// The access token on the page.
fn access_token(page: &Shown) -> String {
    page.text.split("ory_at_").nth(1).unwrap().split('<').next().map(|rest| format!("ory_at_{rest}")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_and_sees_tokens_in_three_clicks() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Quickstart::start(dir.path(), &[]);
    let mut browser = Browser::new(&demo.peer);
    let start = browser.open("/demo").await;
    let login = browser.follow(&start).await;
    assert!(login.url.path() == "/demo/login" && login.text.contains("Signet demo"), "{}", login.text);
    let wrong = browser.press(&login, "/demo/login", &[("email", "demo@example.com"), ("password", "x")]).await;
    assert!(wrong.status == 400 && wrong.text.contains("role=\"alert\""), "{}", wrong.text);
    let consent = browser.press(&wrong, "/demo/login", &[&USER[..], &[("remember", "yes")]].concat()).await;
    assert!(consent.url.path() == "/demo/consent" && consent.text.contains("See your e-mail address"));
    let tokens = browser.press(&consent, "/demo/consent", &ALL).await;
    assert_eq!((tokens.status, tokens.url.path()), (200, "/demo/tokens"), "{}", tokens.text);
    for shown in ["ory_rt_", "&quot;email&quot;: &quot;demo@example.com&quot;", "&quot;active&quot;: true", "Dana Demo"]
    {
        assert!(tokens.text.contains(shown), "{shown}: {}", tokens.text);
    }
    let first = access_token(&tokens);
    assert!(demo.peer.is_active(&first).await);

    let again = browser.press(&tokens, "/demo/tokens/refresh", &[]).await;
    let second = access_token(&again);
    assert!(first != second && demo.peer.is_active(&second).await && !demo.peer.is_active(&first).await);
    let revoked = browser.press(&again, "/demo/tokens/revoke", &[]).await;
    assert!(revoked.text.contains(">not active<"), "{}", revoked.text);
    assert!(!demo.peer.is_active(&second).await);

    // The browser is remembered, so that the next sign-in asks for consent alone.
    let start = browser.open("/demo").await;
    let consent = browser.follow(&start).await;
    assert_eq!(consent.url.path(), "/demo/consent");
    let tokens = browser.press(&consent, "/demo/consent", &ALL).await;
    let sure = browser.press(&tokens, "/demo/tokens/logout", &[]).await;
    assert_eq!(sure.url.path(), "/demo/logout", "{}", sure.text);
    let out = browser.press(&sure, "/demo/logout", &[("answer", "yes")]).await;
    assert!(out.url.path() == "/demo" && out.text.contains("You are signed out"), "{}", out.text);
    assert_eq!(browser.follow(&out).await.url.path(), "/demo/login", "and has to sign in again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_no_comes_back_without_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Quickstart::start(dir.path(), &[]);
    let mut browser = Browser::new(&demo.peer);
    // Two tabs, begun before either is finished.
    let (one, two) = (browser.open("/demo").await, browser.open("/demo").await);
    let (one, two) = (browser.follow(&one).await, browser.follow(&two).await);
    let cancelled = browser.press(&one, "/demo/login", &[("answer", "cancel")]).await;
    assert!(cancelled.url.path() == "/demo/callback" && cancelled.text.contains("You did not sign in"));
    let consent = browser.press(&two, "/demo/login", &USER).await;
    let denied = browser.press(&consent, "/demo/consent", &[("answer", "deny")]).await;
    assert!(denied.url.path() == "/demo/callback" && denied.text.contains("access_denied"), "{}", denied.text);
    assert_eq!(browser.open("/demo/tokens").await.url.path(), "/demo");
    let unknown = browser.open("/oauth2/auth?client_id=nobody&response_type=code&state=12345678").await;
    assert!(unknown.url.path() == "/demo/error" && unknown.text.contains("invalid_client"), "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_connected_by_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Quickstart::start(dir.path(), &[]);
    let asked = [("client_id", "signet-demo"), ("scope", "openid profile")];
    let device = demo.peer.form("/oauth2/device/auth", &asked, None).await;
    assert_eq!(device.status, 200, "{}", device.brief());
    let mut browser = Browser::new(&demo.peer);
    let page = browser.open("/demo/device").await;
    assert!(page.url.query().unwrap_or_default().contains("device_challenge"), "{}", page.url);
    let wrong = browser.press(&page, "/demo/device", &[("user_code", "WRONGONE")]).await;
    assert!(wrong.status == 400 && wrong.text.contains("No device waits"), "{}", wrong.text);
    let page = browser.open(&device.get("verification_uri_complete")).await;
    let code = device.get("user_code");
    assert!(page.text.contains(&format!("value=\"{code}\"")), "the code is filled in: {}", page.text);
    let login = browser.press(&page, "/demo/device", &[("user_code", &code)]).await;
    let consent = browser.press(&login, "/demo/login", &USER).await;
    let done = browser.press(&consent, "/demo/consent", &ALL).await;
    assert_eq!(done.url.path(), "/demo/device/done", "{}", done.text);
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let device_code = device.get("device_code");
    let form = [("grant_type", grant), ("device_code", &device_code), ("client_id", "signet-demo")];
    let tokens = demo.peer.form("/oauth2/token", &form, None).await;
    assert_eq!(tokens.status, 200, "{}", tokens.brief());
    assert!(demo.peer.is_active(&tokens.get("access_token")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_may_lead_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Quickstart::start(dir.path(), &[("URLS_LOGIN", "http://127.0.0.1:9/mine")]);
    let start = demo.peer.get("/demo").await.text;
    let link = start.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let answer = demo.peer.get(link.strip_prefix(&demo.peer.public).unwrap()).await;
    let to = answer.header("location");
    assert!(to.starts_with("http://127.0.0.1:9/mine?login_challenge="), "{to}");
}
