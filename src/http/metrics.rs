//! The metrics listener: what Prometheus and the kubelet ask for and nothing else, so that the admin listener can stay
//! closed to them. Off unless it is configured; plain HTTP.

use super::{health, reply};
use actix_web::web;

/// Every method and pattern that [`routes`] mounts.
pub const ROUTES: [(&str, &str); 3] = [("GET", "/metrics"), ("GET", "/health/alive"), ("GET", "/health/ready")];

/// Mounts every route.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/metrics", web::get().to(health::metrics))
        .route("/health/alive", web::get().to(health::alive))
        .route("/health/ready", web::get().to(health::ready_public))
        .default_service(web::to(reply::not_found_text));
}
