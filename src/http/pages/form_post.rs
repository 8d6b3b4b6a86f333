//! An authorization response as a form that the browser posts (OAuth 2.0 Form Post Response Mode §2).

use super::{Page, Target, error, escape};
use actix_web::HttpResponse;

/// The one script: a parameter called `submit` must not hide the method of that name.
const SUBMIT: &str = "HTMLFormElement.prototype.submit.call(document.forms[0])";

/// The page that posts `params` to a redirect URI that was checked before; without a script, by its button.
///
/// An address that a page must not lead to (`javascript:` and the like) gets an error page and no form.
pub fn form_post(redirect_uri: &str, params: &[(&str, &str)]) -> HttpResponse {
    let Some(target) = Target::parse(redirect_uri) else {
        tracing::warn!("a response is not posted: its redirect URI is not one that a page may lead to");
        return error::page("error=invalid_request").status(400).response();
    };
    let fields: String = params
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value)))
        .collect();
    let body = format!(
        "<p class=\"lead\" role=\"status\">Taking you back to {}.</p>\n<form method=\"post\" action=\"{}\">\n\
         {fields}<button type=\"submit\">Continue</button>\n</form>\n",
        escape(target.place()),
        escape(target.as_str())
    );
    Page::new("One moment", body).script(SUBMIT).form_action(&sources(&target)).response()
}

/// The redirect URI's origin, and what the client may redirect to in its turn: Chromium holds the whole chain of
/// redirects after a form to `form-action`, so the origin alone would break clients that answer with a redirect to
/// another host of theirs.
fn sources(target: &Target) -> String {
    match target.source() {
        source if source.starts_with("http:") => format!("{source} http: https:"),
        source => format!("{source} https:"),
    }
}
