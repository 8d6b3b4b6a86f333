//! The admin listener: for operators and for the login & consent app. It has no authentication of its own, so it binds
//! to loopback unless a host is configured.

pub mod client_json;
pub mod client_secret;
pub mod clients;
pub mod keys;
pub mod sector;
pub mod tokens;

use super::{health, reply};
use actix_web::web;

/// Every method and pattern that [`routes`] mounts, for metrics that are there from the start.
pub const ROUTES: [(&str, &str); 22] = [
    ("POST", "/admin/clients"),
    ("GET", "/admin/clients"),
    ("GET", "/admin/clients/{id}"),
    ("PUT", "/admin/clients/{id}"),
    ("PATCH", "/admin/clients/{id}"),
    ("DELETE", "/admin/clients/{id}"),
    ("PUT", "/admin/clients/{id}/lifespans"),
    ("POST", "/admin/clients/{id}/secrets/rotate"),
    ("DELETE", "/admin/clients/{id}/secrets/rotate"),
    ("GET", "/admin/keys/{set}"),
    ("POST", "/admin/keys/{set}"),
    ("PUT", "/admin/keys/{set}"),
    ("DELETE", "/admin/keys/{set}"),
    ("GET", "/admin/keys/{set}/{kid}"),
    ("PUT", "/admin/keys/{set}/{kid}"),
    ("DELETE", "/admin/keys/{set}/{kid}"),
    ("POST", "/admin/oauth2/introspect"),
    ("DELETE", "/admin/oauth2/tokens"),
    ("GET", "/admin/health/alive"),
    ("GET", "/admin/health/ready"),
    ("GET", "/admin/version"),
    ("GET", "/admin/metrics/prometheus"),
];

/// Mounts every admin route. The middleware has put `/admin` before paths that lack it.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.configure(clients::routes)
        .configure(keys::routes)
        .configure(tokens::routes)
        .route("/admin/health/alive", web::get().to(health::alive))
        .route("/admin/health/ready", web::get().to(health::ready_admin))
        .route("/admin/version", web::get().to(health::version))
        .route("/admin/metrics/prometheus", web::get().to(health::metrics))
        .default_service(web::to(reply::not_found_text));
}
