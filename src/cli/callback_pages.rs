//! The pages of `perform authorization-code`: the way in, the tokens, and what went wrong.
//!
//! Plain HTML that needs no script. Invariant: whatever came from outside is escaped, and [`policy`] lets a browser
//! load nothing and run nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::code_flow::Trouble;
use super::output::text;

/// Pairs of what is asked for, and its value.
pub type Facts = Vec<(&'static str, String)>;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c1f24;--soft:#565d68;--paper:#fff;--ground:#f2f4f7;--line:#d5dae1;--act:#0b57d0;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#a3abb6;--paper:#1b1f25;--ground:#12151a;--line:#363d48;--act:#a8c7fa;--on:#0b2347}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:42rem;margin:0 auto;padding:1.5rem;background:var(--paper);border:1px solid var(--line)}
@media(min-width:46rem){main{margin:3rem auto;padding:2rem;border-radius:.75rem}}
h1{margin:0 0 .75rem;font-size:1.5rem;line-height:1.25}
p{margin:.75rem 0}
dl{margin:1.25rem 0 0}
dt{margin-top:.9rem;color:var(--soft);font-size:.875rem}
dd{margin:.15rem 0 0}
code{font:.875rem/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
dd code{display:block;padding:.5rem .65rem;background:var(--ground);border-radius:.4rem;user-select:all}
a{color:var(--act)}
a:focus-visible{outline:3px solid var(--act);outline-offset:3px}
.go{display:inline-block;padding:.65rem 1.2rem;border-radius:.5rem;background:var(--act);color:var(--on);font-weight:600;text-decoration:none}
";

/// The `Content-Security-Policy` of every page: this style and nothing else.
pub fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// The way in: what will be asked for, and the link that asks.
pub fn home(facts: &Facts) -> String {
    page(
        "Authorize application",
        &format!(
            "<p>This page stands in for your app: an OAuth 2.0 client that wants tokens. Go on, and the \
             authorization server asks you to sign in and to agree.</p>\
             <p><a class=\"go\" href=\"/perform-flow\">Authorize application</a></p>{}",
            list(facts)
        ),
    )
}

/// The tokens; `again` shows the way to the next flow.
pub fn tokens(token: &Value, again: bool) -> String {
    let fact = |(title, name)| (title, Some(text(token, name)).filter(|t| !t.is_empty()));
    let facts = [
        ("Access token", "access_token"),
        ("Refresh token", "refresh_token"),
        ("ID token", "id_token"),
        ("Expires at", "expiry"),
        ("Scope", "scope"),
    ];
    let facts: Facts =
        facts.map(fact).into_iter().map(|(title, value)| (title, value.unwrap_or_else(|| "none".to_owned()))).collect();
    let told = "<p>The application has its tokens; the terminal shows them too. Whoever holds them can use them.</p>";
    page("Authorized", &format!("{told}{}{}", list(&facts), onward(again)))
}

/// What went wrong; `again` shows the way to the next flow.
pub fn trouble(trouble: &Trouble, again: bool) -> String {
    let why: String = trouble.why.iter().map(|line| format!("<p>{}</p>", escaped(line))).collect();
    let what = format!("<p role=\"alert\"><strong><code>{}</code></strong></p>", escaped(&trouble.what));
    page("There is no token", &format!("{what}{why}{}", onward(again)))
}

/// A few words for a request that this server has no answer to.
pub fn plain(title: &str, words: &str) -> String {
    page(title, &format!("<p>{}</p><p><a href=\"/\">To the start</a></p>", escaped(words)))
}

fn onward(again: bool) -> &'static str {
    if again { "<p><a href=\"/\">To the start</a></p>" } else { "<p>You can close this page.</p>" }
}

fn list(facts: &Facts) -> String {
    let fact = |(title, value): &(&str, String)| {
        format!("<dt>{}</dt><dd><code>{}</code></dd>", escaped(title), escaped(value))
    };
    format!("<dl>{}</dl>", facts.iter().map(fact).collect::<String>())
}

fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let evil = "<script>alert('1')</script>\"&";
        let trouble = self::trouble(&Trouble { what: evil.to_owned(), why: vec![evil.to_owned()] }, false);
        let token = json!({"access_token": evil, "refresh_token": evil, "id_token": evil, "scope": evil});
        for page in [trouble, tokens(&token, true), home(&vec![("Client", evil.to_owned())]), plain("x", evil)] {
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;1&#39;)"), "{page}");
        }
    }

    #[test]
    fn a_page_asks_for_nothing_that_the_policy_forbids() {
        let page = home(&Vec::new());
        let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap_or_default();
        assert!(policy().contains(&STANDARD.encode(Sha256::digest(style))));
        for word in ["style=", "onclick", "src=", "<form", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
