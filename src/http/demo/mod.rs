//! The demo of `quickstart`: a login & consent app, and an application that signs people in with this server.
//!
//! Both are strangers to the rest of the house: they speak to the two listeners over HTTP, as an operator's own apps do,
//! and read no store and no key. Nothing here is mounted unless the command line asked for it, and only `quickstart`
//! does: there is one user, whose password stands on the page.

mod api;
mod browser;
mod consent;
mod device;
mod id_token;
mod login;
mod logout;
mod sessions;
mod start;
mod tokens;
mod views;

use super::App;
use super::pages::Page;
use crate::crypto::seal::MacRing;
use actix_web::web;
use sessions::Sessions;
use std::sync::Arc;

/// The client of the demo, made by `quickstart`: public, with PKCE.
pub const CLIENT_ID: &str = "signet-demo";
/// What the demo asks for.
pub const SCOPE: &str = "openid offline_access profile email";
/// Below the public URL: where codes go.
pub const CALLBACK: &str = "/demo/callback";
/// Below the public URL: where it begins, and where a logout ends.
pub const START: &str = "/demo";

/// Every method and pattern that [`routes`] mounts, for metrics that are there from the start.
pub const ROUTES: [(&str, &str); 16] = [
    ("GET", "/demo"),
    ("GET", "/demo/callback"),
    ("GET", "/demo/tokens"),
    ("POST", "/demo/tokens/refresh"),
    ("POST", "/demo/tokens/revoke"),
    ("POST", "/demo/tokens/logout"),
    ("GET", "/demo/login"),
    ("POST", "/demo/login"),
    ("GET", "/demo/consent"),
    ("POST", "/demo/consent"),
    ("GET", "/demo/logout"),
    ("POST", "/demo/logout"),
    ("GET", "/demo/device"),
    ("POST", "/demo/device"),
    ("GET", "/demo/device/done"),
    ("GET", "/demo/error"),
];

/// What the demo knows: where the two listeners answer, and the sessions of its own.
pub struct Demo {
    /// Outgoing calls, time, chance and the issuer.
    app: Arc<App>,
    /// Base of the public listener for calls from here, without a trailing slash.
    public: String,
    /// Base of the admin listener for calls from here, without a trailing slash.
    admin: String,
    /// Tags of forms and states.
    macs: MacRing,
    sessions: Sessions,
}

impl Demo {
    /// A demo of the server whose listeners answer at these URLs. `macs` must be of this use alone.
    pub fn new(app: Arc<App>, public: &str, admin: &str, macs: MacRing) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Self { app, public: base(public), admin: base(admin), macs, sessions: Sessions::default() }
    }

    /// An address of the public listener as browsers know it.
    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.app.rules.public_url)
    }
}

/// Mounts the demo.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/demo", web::get().to(start::page))
        .route("/demo/callback", web::get().to(start::callback))
        .route("/demo/tokens", web::get().to(tokens::page))
        .route("/demo/tokens/refresh", web::post().to(tokens::refresh))
        .route("/demo/tokens/revoke", web::post().to(tokens::revoke))
        .route("/demo/tokens/logout", web::post().to(tokens::logout))
        .service(web::resource("/demo/login").route(web::get().to(login::page)).route(web::post().to(login::submit)))
        .service(
            web::resource("/demo/consent").route(web::get().to(consent::page)).route(web::post().to(consent::submit)),
        )
        .service(web::resource("/demo/logout").route(web::get().to(logout::page)).route(web::post().to(logout::submit)))
        .service(web::resource("/demo/device").route(web::get().to(device::page)).route(web::post().to(device::submit)))
        .route("/demo/device/done", web::get().to(device::done))
        .route("/demo/error", web::get().to(views::error));
}

/// A page of the demo.
fn page(title: &str, body: String) -> Page {
    Page::new(title, body).footer("Demo of signet quickstart. For development only.")
}
