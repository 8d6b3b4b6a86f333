//! `GET /oauth2/fallbacks/error`: what is shown when an error cannot be sent to the client and `urls.error` is not set.

use super::{Page, escape, one_line};
use actix_web::{HttpRequest, HttpResponse};

/// The parameters shown, the words before each, and how many characters of it.
const SHOWN: [(&str, &str, usize); 4] = [
    ("error", "Error", 100),
    ("error_description", "What happened", 1_000),
    ("error_hint", "Hint", 500),
    ("error_debug", "For debugging", 500),
];

/// The page, from the query of a request.
pub fn page(query: &str) -> Page {
    let mut facts = String::new();
    for (name, words, most) in SHOWN {
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(n, v)| n == name && !v.trim().is_empty());
        if let Some((_, value)) = found {
            facts.push_str(&format!("<div><dt>{words}</dt><dd>{}</dd></div>\n", escape(&one_line(&value, most))));
        }
    }
    if !facts.is_empty() {
        facts = format!("<div role=\"alert\"><dl class=\"facts\">\n{facts}</dl></div>\n");
    }
    let lead = "<p class=\"lead\">Your request could not be completed. Go back to the application you \
                came from and try again. If it happens once more, tell its makers what is written \
                here.</p>\n";
    Page::new("Something went wrong", format!("{lead}{facts}"))
}

/// What is shown when nobody can say, by the answer's status: try again for 503, else it is our fault or the request's.
pub fn trouble(status: u16) -> Page {
    let (title, text) = match status {
        503 | 429 => (
            "Please try again in a moment",
            "The server is busy or being looked after. Nothing was shared and nothing is lost: reload this page.",
        ),
        400..=499 => ("This request cannot be read", "Go back to the application you came from and try again."),
        _ => (
            "Something went wrong",
            "The fault is on our side, and nothing was shared. Go back to the application you came from and try again.",
        ),
    };
    Page::new(title, format!("<p class=\"lead\" role=\"alert\">{text}</p>\n")).status(status)
}

/// The fallback's answer: status 500, as Hydra has it.
pub async fn fallback(request: HttpRequest) -> HttpResponse {
    page(request.query_string()).more(OPERATOR).status(500).response()
}

const OPERATOR: &str = "<details><summary>For the operator</summary>\n<p>Set <code>urls.error</code> (<code>URLS_ERROR</code>) to \
     the address of an error page of your own. It is opened with <code>error</code> and \
     <code>error_description</code> in its query.</p></details>\n";
