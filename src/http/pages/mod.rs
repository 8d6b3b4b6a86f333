//! What people see: one look for every page, one place that sets its headers, one function that escapes.
//!
//! Invariant: nothing from outside enters a page but through [`escape`], and a page may load, run and embed only what
//! its own Content-Security-Policy names by hash or origin. No page needs a script.

pub mod error;
pub mod fallbacks;
pub mod form_post;
mod look;
pub mod signing_out;
mod target;
mod text;

pub use target::Target;
pub use text::{escape, one_line};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// A page on its way out.
pub struct Page {
    status: u16,
    title: String,
    body: String,
    head: String,
    footer: String,
    wide: bool,
    script: Option<&'static str>,
    form_action: String,
    frames: Vec<String>,
}

impl Page {
    /// A page with this title, which is also its heading, and this body. The title is text; `body` is HTML in which
    /// everything from outside went through [`escape`]. Its forms may be sent nowhere until [`Page::form_action`].
    pub fn new(title: &str, body: String) -> Self {
        Self {
            status: 200,
            title: title.to_owned(),
            body,
            head: String::new(),
            footer: String::new(),
            wide: false,
            script: None,
            form_action: "'none'".to_owned(),
            frames: Vec::new(),
        }
    }

    /// Another status than 200.
    #[must_use]
    pub const fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// More HTML below the body, made as the body is.
    #[must_use]
    pub fn more(mut self, html: &str) -> Self {
        self.body.push_str(html);
        self
    }

    /// Wider, for pages that show long values.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    /// A line below the page, as text.
    #[must_use]
    pub fn footer(mut self, text: &str) -> Self {
        text.clone_into(&mut self.footer);
        self
    }

    /// Where forms may be sent, as CSP sources. Browsers hold the redirects that answer a form to the same list.
    #[must_use]
    pub fn form_action(mut self, sources: &str) -> Self {
        sources.clone_into(&mut self.form_action);
        self
    }

    /// The one script of the page, at the end of the body.
    #[must_use]
    const fn script(mut self, script: &'static str) -> Self {
        self.script = Some(script);
        self
    }

    /// Origins that frames may come from.
    #[must_use]
    fn frames(mut self, origins: Vec<String>) -> Self {
        self.frames = origins;
        self
    }

    /// More HTML for the head.
    #[must_use]
    fn head(mut self, html: String) -> Self {
        self.head = html;
        self
    }

    /// The answer.
    pub fn response(self) -> HttpResponse {
        let mut answer = HttpResponse::build(StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK));
        answer
            .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .insert_header((HeaderName::from_static("x-frame-options"), "DENY"));
        // The sources are ASCII without control characters; a policy that is not would end the page, not widen it.
        match HeaderValue::from_str(&self.policy()) {
            Ok(policy) => answer.insert_header((CONTENT_SECURITY_POLICY, policy)).body(self.html()),
            Err(_) => answer.insert_header((CONTENT_SECURITY_POLICY, "sandbox")).body(String::new()),
        }
    }

    fn policy(&self) -> String {
        let mut policy = format!(
            "default-src 'none'; style-src {}; img-src data:; form-action {}; frame-ancestors 'none'; base-uri 'none'",
            hash(look::STYLE),
            self.form_action
        );
        if let Some(script) = self.script {
            policy.push_str(&format!("; script-src {}", hash(script)));
        }
        if !self.frames.is_empty() {
            policy.push_str(&format!("; frame-src {}", self.frames.join(" ")));
        }
        policy
    }

    fn html(&self) -> String {
        let title = escape(&self.title);
        let (icon, mark, style) = (look::ICON, look::MARK, look::STYLE);
        let class = if self.wide { " class=\"wide\"" } else { "" };
        let script = self.script.map(|s| format!("<script>{s}</script>\n")).unwrap_or_default();
        let footer = match self.footer.as_str() {
            "" => String::new(),
            text => format!("<footer>{}</footer>\n", escape(text)),
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"{icon}\">\n<style>{style}</style>\n{head}</head>\n\
             <body>\n<main{class}>\n{mark}\n<h1>{title}</h1>\n{body}</main>\n{footer}{script}</body>\n</html>\n",
            head = self.head,
            body = self.body,
        )
    }
}

/// The CSP source of inline text (CSP Level 3 §2.3.1).
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

/// The page for a route that is not there, on the public listener.
pub fn not_found() -> HttpResponse {
    let body = "<p class=\"lead\">This is an OAuth 2.0 server. Its addresses are listed at \
                <a href=\"/.well-known/openid-configuration\">/.well-known/openid-configuration</a>.</p>\n";
    Page::new("404 - Route not found", body.to_owned()).status(404).response()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests;
