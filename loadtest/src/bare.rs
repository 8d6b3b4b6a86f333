//! The HTTP limit: actix-web handlers that do nothing but answer, in a process of its own so that its CPU time is not
//! mixed with the generator's. One takes a form and answers JSON of a token response's size, the other is asked with GET
//! and answers as many bytes as the document has that is held against it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, Result};
use bytes::Bytes;

use crate::http::{Call, Origin};
use crate::work::{Source, calls};

/// The hidden subcommand that becomes the handler's process.
pub const SUBCOMMAND: &str = "bare-server";

/// Where the document is.
const DOCUMENT: &str = "/document";
const JSON_TYPE: &str = "application/json";
const FORM: &str = "grant_type=client_credentials&scope=load";
const JSON: &str = r#"{"access_token":"ory_at_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB","expires_in":3599,"scope":"load","token_type":"bearer"}"#;

/// Serves on a free port, prints `port N` and runs until standard input ends.
pub fn serve(document: usize) -> Result<()> {
    // Whoever started us holds the other end; when it is gone there is nobody left to serve.
    std::thread::spawn(|| {
        drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        std::process::exit(0);
    });
    actix_web::rt::System::new().block_on(async {
        let bytes = Bytes::from(vec![b' '; document]);
        let app = move || {
            let bytes = bytes.clone();
            let document = move || std::future::ready(HttpResponse::Ok().content_type(JSON_TYPE).body(bytes.clone()));
            App::new().route("/oauth2/token", web::post().to(answer)).route(DOCUMENT, web::get().to(document))
        };
        let server = HttpServer::new(app).disable_signals().bind(("127.0.0.1", 0))?;
        let port = server.addrs().first().context("no port")?.port();
        println!("port {port}");
        server.run().await?;
        Ok(())
    })
}

async fn answer(form: Bytes) -> HttpResponse {
    if form.is_empty() {
        return HttpResponse::BadRequest().finish();
    }
    HttpResponse::Ok().content_type(JSON_TYPE).insert_header(("Cache-Control", "no-store")).body(JSON)
}

/// The running handler; it ends with this value.
pub struct BareServer {
    child: Child,
    origin: Origin,
}

impl BareServer {
    /// Starts it, with a document of so many bytes, and waits for its port.
    pub fn start(document: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([SUBCOMMAND, &document.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the bare handler")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let port = line.trim().strip_prefix("port ").context("the bare handler did not start")?;
        let origin = Origin::parse(&format!("http://127.0.0.1:{port}"))?;
        Ok(Self { child, origin })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The document, again and again.
    pub fn document(&self) -> Source {
        let call = Call::get(&self.origin, DOCUMENT);
        calls(move |_| Some(call.clone()))
    }

    /// The same form, again and again.
    pub fn source(&self) -> Source {
        let call =
            Call::form(&self.origin, "/oauth2/token", FORM).basic("client", "secret").expecting("\"access_token\"");
        calls(move |_| Some(call.clone()))
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
