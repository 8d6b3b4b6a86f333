//! Front-channel logout: the clients' pages in frames, then on to where the logout ends (OpenID Connect Front-Channel
//! Logout 1.0 §3).

use super::{Page, Target, escape};
use actix_web::HttpResponse;

/// On once all frames are loaded and half a second has passed, or after 7 seconds; once. The window's `load` comes after
/// that of every frame.
const GO_ON: &str = "(()=>{let gone;const go=()=>{if(!gone){gone=1;location.replace(document.getElementById('next').href)}};\
                     addEventListener('load',()=>setTimeout(go,500));setTimeout(go,7000)})()";

/// The page that calls each of `iframe_urls` in a hidden frame and goes on to `next_url`, where it went on only once: by
/// the script, or, without scripts, by a refresh, or by the link. Addresses that are no web addresses are left out.
pub fn frontchannel_logout(iframe_urls: &[String], next_url: &str) -> HttpResponse {
    let (mut frames, mut origins) = (String::new(), Vec::new());
    for url in iframe_urls {
        let Some(target) = Target::parse(url).filter(Target::is_web) else { continue };
        frames.push_str(&format!("<iframe hidden title=\"Sign-out\" src=\"{}\"></iframe>\n", escape(target.as_str())));
        let origin = target.source();
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    let Some(next) = Target::parse(next_url) else {
        let body = format!("<p class=\"lead\" role=\"status\">You can close this window.</p>\n{frames}");
        return Page::new("You are signed out", body).frames(origins).response();
    };
    let next = escape(next.as_str());
    let body = format!(
        "<p class=\"lead\" role=\"status\">The applications that you used are being told. This takes a moment.</p>\n\
         {frames}<p><a id=\"next\" class=\"button\" href=\"{next}\">Continue</a></p>\n"
    );
    let refresh = format!("<noscript><meta http-equiv=\"refresh\" content=\"7;url={next}\"></noscript>\n");
    Page::new("Signing you out…", body).head(refresh).frames(origins).script(GO_ON).response()
}
