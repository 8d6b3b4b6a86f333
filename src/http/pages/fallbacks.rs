//! Where the settings `urls.*` point until they are set (contract of the public routes): each page tells a person that
//! nothing is wrong with what they did, and the operator which setting is missing.

use super::{Page, error};
use actix_web::{HttpResponse, web};

/// One page: its path, its heading, what a person is told, the setting, and what that setting is.
struct Fallback {
    path: &'static str,
    title: &'static str,
    told: &'static str,
    key: &'static str,
    meaning: &'static str,
}

const TRY_LATER: &str = "Nothing is wrong with what you did. Please try again later, or tell the people who run this \
                         service.";

const FALLBACKS: [Fallback; 6] = [
    Fallback {
        path: "/oauth2/fallbacks/login",
        title: "Sign-in is not set up yet",
        told: TRY_LATER,
        key: "urls.login",
        meaning: "your sign-in page. It is opened with a <code>login_challenge</code>",
    },
    Fallback {
        path: "/oauth2/fallbacks/consent",
        title: "Consent is not set up yet",
        told: TRY_LATER,
        key: "urls.consent",
        meaning: "the page where people agree to what an application may do. It is opened with a \
                  <code>consent_challenge</code>",
    },
    Fallback {
        path: "/oauth2/fallbacks/logout",
        title: "Signing out is not set up yet",
        told: "You are still signed in. Please try again later, or tell the people who run this service.",
        key: "urls.logout",
        meaning: "the page that asks whether to sign out. It is opened with a <code>logout_challenge</code>",
    },
    Fallback {
        path: "/oauth2/fallbacks/logout/callback",
        title: "You are signed out",
        told: "This page is only shown because no other one was chosen to end on. Your log out request however \
               succeeded. You can close this window.",
        key: "urls.post_logout_redirect",
        meaning: "the page to end on when an application names none",
    },
    Fallback {
        path: "/oauth2/fallbacks/device",
        title: "Connecting devices is not set up yet",
        told: TRY_LATER,
        key: "urls.device.verification",
        meaning: "the page where people enter the code that their device shows. It is opened with a \
                  <code>device_challenge</code>",
    },
    Fallback {
        path: "/oauth2/fallbacks/device/done",
        title: "Your device is connected",
        told: "This page is only shown because no other one was chosen to end on. You can close this window and go \
               back to your device.",
        key: "urls.device.success",
        meaning: "the page to end on when a device was allowed",
    },
];

impl Fallback {
    fn response(&self) -> HttpResponse {
        let Self { title, told, key, meaning, .. } = self;
        let variable = key.to_uppercase().replace('.', "_");
        let body = format!(
            "<p class=\"lead\">{told}</p>\n<details><summary>For the operator</summary>\n<p>This page is not set up \
             yet: set <code>{key}</code> (<code>{variable}</code>) to the address of {meaning}.</p></details>\n"
        );
        Page::new(title, body).response()
    }
}

/// Mounts every fallback.
pub fn routes(cfg: &mut web::ServiceConfig) {
    for fallback in &FALLBACKS {
        cfg.route(fallback.path, web::get().to(move || async move { fallback.response() }));
    }
    cfg.route("/oauth2/fallbacks/error", web::get().to(error::fallback));
}
