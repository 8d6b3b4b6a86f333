//! The admin listener: for operators and for the login & consent app. It has no authentication of its own, so it binds
//! to loopback unless a host is configured.

pub mod client_json;
pub mod client_secret;
pub mod clients;
pub mod device;
pub mod flow_json;
pub mod keys;
pub mod login;
pub mod logout;
pub mod paging;
pub mod sector;
pub mod sessions;
pub mod tokens;

use super::{health, reply};
use actix_web::web;

/// Every method and pattern that [`routes`] mounts, for metrics that are there from the start.
pub const ROUTES: [(&str, &str); 36] = [
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
    ("POST", "/admin/oauth2/introspect/batch"),
    ("DELETE", "/admin/oauth2/tokens"),
    ("GET", "/admin/oauth2/auth/requests/login"),
    ("PUT", "/admin/oauth2/auth/requests/login/accept"),
    ("PUT", "/admin/oauth2/auth/requests/login/reject"),
    ("GET", "/admin/oauth2/auth/requests/consent"),
    ("PUT", "/admin/oauth2/auth/requests/consent/accept"),
    ("PUT", "/admin/oauth2/auth/requests/consent/reject"),
    ("GET", "/admin/oauth2/auth/requests/logout"),
    ("PUT", "/admin/oauth2/auth/requests/logout/accept"),
    ("PUT", "/admin/oauth2/auth/requests/logout/reject"),
    ("PUT", "/admin/oauth2/auth/requests/device/accept"),
    ("GET", "/admin/oauth2/auth/sessions/consent"),
    ("DELETE", "/admin/oauth2/auth/sessions/consent"),
    ("DELETE", "/admin/oauth2/auth/sessions/login"),
    ("GET", "/admin/health/alive"),
    ("GET", "/admin/health/ready"),
    ("GET", "/admin/version"),
    ("GET", "/admin/metrics/prometheus"),
];

/// Mounts every admin route. The middleware has put `/admin` before paths that lack it.
pub fn routes(cfg: &mut web::ServiceConfig) {
    // The router asks in this order: what is asked most comes first, and patterns after words.
    cfg.configure(tokens::routes)
        .configure(login::routes)
        .configure(logout::routes)
        .configure(device::routes)
        .configure(sessions::routes)
        .configure(clients::routes)
        .configure(keys::routes)
        .route("/admin/health/alive", web::get().to(health::alive))
        .route("/admin/health/ready", web::get().to(health::ready_admin))
        .route("/admin/version", web::get().to(health::version))
        .route("/admin/metrics/prometheus", web::get().to(health::metrics))
        .default_service(web::to(reply::not_found_text));
}
