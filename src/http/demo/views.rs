//! Parts that several pages of the demo share.

use super::api::{Trouble, text};
use super::page;
use crate::http::pages::{Target, error as error_page, escape, one_line};
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

/// `GET /demo/error`: where the server sends what it can tell no client.
pub async fn error(request: HttpRequest) -> HttpResponse {
    error_page::page(request.query_string()).more(AGAIN).status(400).response()
}

/// The way out of a page that ends here.
const AGAIN: &str = "<p><a class=\"button\" href=\"/demo\">Back to the start</a></p>\n";

/// What is shown instead of a page.
pub fn trouble(trouble: &Trouble) -> HttpResponse {
    let (title, lead, facts) = match trouble {
        Trouble::Answered(to) => return go_on(to),
        Trouble::Refused { error, description, .. } => (
            "That did not work",
            "The server refused. A sign-in that was left alone for half an hour, or was finished in another tab, ends like \
             this: start again.",
            format!("{} {}", one_line(error, 100), one_line(description, 500)),
        ),
        Trouble::Stale(why) => ("That did not work", *why, String::new()),
        Trouble::Away(why) => {
            tracing::warn!(why, "the demo got no answer from its server");
            ("The server does not answer", "Wait a moment, then try again.", String::new())
        }
    };
    let facts = match facts.trim() {
        "" => String::new(),
        facts => format!("<p class=\"alert\" role=\"alert\">{}</p>\n", escape(facts)),
    };
    let status = if matches!(trouble, Trouble::Away(_)) { 503 } else { 400 };
    let lead = escape(lead);
    page(title, format!("<p class=\"lead\">{lead}</p>\n{facts}{AGAIN}")).status(status).response()
}

/// Sends the browser on after a `GET`, to where the server said.
pub fn go_on(to: &str) -> HttpResponse {
    HttpResponse::Found().insert_header((LOCATION, to)).finish()
}

/// Sends the browser on after a form.
pub fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, to)).finish()
}

/// The hidden fields of a form: what it is about, and its tag.
pub fn hidden(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| {
        format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
    };
    fields.iter().map(field).collect()
}

/// The first value of a parameter of the query; empty when there is none.
pub fn parameter(request: &HttpRequest, name: &str) -> String {
    let mut all = url::form_urlencoded::parse(request.query_string().as_bytes());
    all.find(|(n, _)| n == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What people call a client.
pub fn client_name(client: &Value) -> String {
    let name = text(client, "client_name").or_else(|| text(client, "client_id"));
    one_line(name.unwrap_or("an application"), 80)
}

/// Where a form may lead that ends at a client: browsers hold every redirect after it to this list, and the last one
/// goes to an address of the client.
pub fn sources(client: &Value) -> String {
    let mut sources = vec!["'self'".to_owned(), "http:".to_owned(), "https:".to_owned()];
    let lists = ["redirect_uris", "post_logout_redirect_uris"].iter().filter_map(|l| client.get(l)?.as_array());
    for target in lists.flatten().filter_map(|uri| Target::parse(uri.as_str()?)).filter(|target| !target.is_web()) {
        let source = target.source();
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources.join(" ")
}
