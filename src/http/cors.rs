//! Cross-origin requests (Fetch standard §3.2). Off unless `serve.*.cors.enabled`. The global origins are tried first;
//! on the public OAuth endpoints the origins of the client that asks come next.

use super::reply;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use actix_web::{HttpRequest, HttpResponse};

/// The settings of one listener.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// Whether anything is allowed at all.
    pub enabled: bool,
    /// Origins, `*` for one label or a part of one.
    pub origins: Vec<String>,
    /// Methods.
    pub methods: Vec<String>,
    /// Request headers.
    pub headers: Vec<String>,
    /// Readable response headers.
    pub exposed: Vec<String>,
    /// Cookies and the like.
    pub credentials: bool,
    /// Seconds that a preflight is remembered; 0 sends none.
    pub max_age: u32,
}

impl Cors {
    /// Whether the operator allows this origin. `null` is never allowed.
    pub fn allows(&self, origin: &str) -> bool {
        self.enabled
            && origin != "null"
            && (self.origins.is_empty() || self.origins.iter().any(|o| origin_matches(o, origin)))
    }

    /// The headers of an answer to an allowed origin. An answer that just anybody may read, because no pattern says
    /// more than "any", never comes with credentials (Fetch standard §3.2.5).
    pub fn allow(&self, headers: &mut HeaderMap, origin: &HeaderValue, preflight: bool) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if self.credentials && !self.origins.is_empty() && !self.origins.iter().any(|o| is_any(o)) {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let mut list = |name: HeaderName, items: &[String]| {
            if let (false, Ok(value)) = (items.is_empty(), HeaderValue::from_str(&items.join(", "))) {
                headers.insert(name, value);
            }
        };
        if preflight {
            list(ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
            list(ACCESS_CONTROL_ALLOW_HEADERS, &self.headers);
            if self.max_age > 0 {
                headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age));
            }
        } else {
            list(ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed);
        }
    }
}

/// Whether a pattern lets everybody in.
fn is_any(pattern: &str) -> bool {
    pattern == "*" || pattern.ends_with("://*")
}

/// Whether a pattern names the origin. `*` alone means anything; elsewhere it stands for one whole label of the host,
/// which must have two more labels after it, so that nobody allows a whole top-level domain.
pub fn origin_matches(pattern: &str, origin: &str) -> bool {
    if pattern == "*" || pattern == origin {
        return true;
    }
    let (Some((scheme, wild)), Some((asked_scheme, asked))) = (pattern.split_once("://"), origin.split_once("://"))
    else {
        return false;
    };
    if scheme != asked_scheme {
        return false;
    }
    if wild == "*" {
        return true;
    }
    let (wild, asked): (Vec<_>, Vec<_>) = (wild.split('.').collect(), asked.split('.').collect());
    wild.len() > 2
        && wild.len() == asked.len()
        && wild.iter().zip(&asked).enumerate().all(|(i, (w, a))| w == a || (i == 0 && *w == "*" && !a.is_empty()))
}

/// The origin of a request that has one.
pub fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ORIGIN)
}

/// For methods that a public OAuth route does not have: an `OPTIONS` passes, whatever else is not there.
pub async fn preflight_or_not_found(request: HttpRequest) -> HttpResponse {
    if request.method() == Method::OPTIONS { HttpResponse::NoContent().finish() } else { reply::not_found_page().await }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h10_wildcards_stay_inside_a_label_of_a_registrable_domain() {
        for (pattern, origin, ok) in [
            ("https://a.example", "https://a.example", true),
            ("https://*.a.example", "https://x.a.example", true),
            ("https://*.a.example", "https://x.y.a.example", false),
            ("https://*.a.example", "http://x.a.example", false),
            ("https://*.com", "https://evil.com", false),
            ("https://*foo.com", "https://evilfoo.com", false),
            ("https://*foo.a.com", "https://evilfoo.a.com", false),
            ("*", "https://any.example", true),
        ] {
            assert_eq!(origin_matches(pattern, origin), ok, "{pattern} {origin}");
        }
        let cors = Cors { enabled: true, origins: vec!["*".to_owned()], ..Cors::default() };
        assert!(!cors.allows("null"));
    }

    #[test]
    fn h10_credentials_need_a_named_origin() {
        let with = |origins: &[&str]| {
            let origins = origins.iter().map(|o| (*o).to_owned()).collect();
            let cors = Cors { enabled: true, origins, credentials: true, ..Cors::default() };
            let mut headers = HeaderMap::new();
            cors.allow(&mut headers, &HeaderValue::from_static("https://x.a.example"), false);
            headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS)
        };
        assert!(with(&["https://*.a.example"]) && with(&["https://x.a.example"]));
        assert!(!with(&[]) && !with(&["*"]) && !with(&["https://x.a.example", "https://*"]));
    }
}
