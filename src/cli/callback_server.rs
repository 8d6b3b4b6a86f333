//! The local web server of `perform authorization-code`: it takes visits and hands them to the command.
//!
//! Invariant: it holds nothing of a flow; whoever reads its [`Visit`]s does, one at a time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::{Method, StatusCode};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::sync::{mpsc, oneshot};

use super::callback_pages;
use super::code_flow::{Parameters, parameters};

/// A callback by POST carries a code, a state and a few words.
const MOST_BYTES: usize = 64 * 1024;

/// What a browser came for.
pub enum Visit {
    /// To start: the address that it is sent on to.
    Begin(oneshot::Sender<String>),
    /// With the server's answer: the page that it is shown, and whether that is a success.
    Answer(Parameters, oneshot::Sender<(bool, String)>),
}

/// What the server knows.
#[derive(Clone)]
pub struct Site {
    /// The page at `/`; `None` sends on to the flow at once.
    pub home: Option<String>,
    /// The path of the redirect URI.
    pub callback: String,
    /// Where visits go.
    pub visits: mpsc::Sender<Visit>,
}

/// Takes the port.
///
/// # Errors
/// One line with the fix.
pub fn bind(host: IpAddr, port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((host, port)).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is in use; stop what listens there or choose another with --port")
        }
        _ => anyhow::anyhow!("cannot listen on {host}, port {port} ({error}); choose others with --host and --port"),
    })?;
    listener.set_nonblocking(true)?;
    let mut at = listener.local_addr()?;
    // What listens everywhere is reached here.
    if at.ip().is_unspecified() {
        at.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    Ok((listener, at))
}

/// Serves until it is stopped.
///
/// # Errors
/// When it cannot start.
pub fn serve(listener: TcpListener, https: bool, site: Site) -> anyhow::Result<ServerHandle> {
    let site = web::Data::new(site);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::clone(&site))
            .app_data(web::PayloadConfig::new(MOST_BYTES))
            .default_service(web::to(visit))
    })
    .workers(1)
    .disable_signals()
    // An open connection would keep the command from ending.
    .keep_alive(actix_web::http::KeepAlive::Disabled)
    .client_request_timeout(Duration::from_secs(5))
    .shutdown_timeout(2);
    let server =
        if https { server.listen_rustls_0_23(listener, self_signed()?)? } else { server.listen(listener)? }.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}

/// A certificate that nobody vouches for, made anew at every start.
fn self_signed() -> anyhow::Result<rustls::ServerConfig> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let names = ["127.0.0.1", "localhost", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    Ok(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key)?)
}

async fn visit(request: HttpRequest, body: web::Bytes, site: web::Data<Site>) -> HttpResponse {
    let brought = match *request.method() {
        Method::GET | Method::HEAD => parameters(request.query_string().as_bytes()),
        Method::POST => parameters(&body),
        _ => return shown(StatusCode::METHOD_NOT_ALLOWED, callback_pages::plain("Not here", "Use GET or POST.")),
    };
    let is_answer = ["state", "code", "error"].iter().any(|name| brought.contains_key(*name));
    let reads = *request.method() != Method::POST;
    match request.path() {
        path if path == site.callback && is_answer && *request.method() != Method::HEAD => answer(&site, brought).await,
        "/" if reads => match &site.home {
            Some(home) => shown(StatusCode::OK, home.clone()),
            None => sent_to("/perform-flow"),
        },
        "/perform-flow" if reads => begin(&site).await,
        path if path == site.callback => {
            let words = "The authorization server's answer is expected at this address, and this request carries none.";
            shown(StatusCode::BAD_REQUEST, callback_pages::plain("No answer", words))
        }
        _ => shown(StatusCode::NOT_FOUND, callback_pages::plain("Not here", "There is nothing at this address.")),
    }
}

async fn begin(site: &Site) -> HttpResponse {
    let (reply, url) = oneshot::channel();
    let _ = site.visits.send(Visit::Begin(reply)).await;
    url.await.map_or_else(|_| over(), |url| sent_to(&url))
}

async fn answer(site: &Site, brought: Parameters) -> HttpResponse {
    let (reply, page) = oneshot::channel();
    let _ = site.visits.send(Visit::Answer(brought, reply)).await;
    match page.await {
        Ok((true, page)) => shown(StatusCode::OK, page),
        Ok((false, page)) => shown(StatusCode::BAD_REQUEST, page),
        Err(_) => over(),
    }
}

fn over() -> HttpResponse {
    shown(StatusCode::SERVICE_UNAVAILABLE, callback_pages::plain("Over", "The command has ended; start it again."))
}

fn sent_to(url: &str) -> HttpResponse {
    HttpResponse::Found().insert_header(("location", url)).insert_header(("cache-control", "no-store")).finish()
}

fn shown(status: StatusCode, page: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("content-security-policy", callback_pages::policy()))
        .insert_header(("cache-control", "no-store"))
        // The address of a callback holds the code.
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(page)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_told_with_the_flag_that_mends_it() {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let told = bind(Ipv4Addr::LOCALHOST.into(), port).unwrap_err().to_string();
        assert!(told.contains("--port") && told.contains(&port.to_string()), "{told}");
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        let (_listener, at) = bind(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
        assert!(at.ip().is_loopback() && at.port() > 0, "{at}");
    }
}
