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
