//! Lists page by page (RFC 8288): the size that was asked for, where a page begins, and the links to the first and the
//! next one.

use crate::domain::page_token::List;
use crate::http::{ApiError, App};
use crate::telemetry::labels::SecretKind;
use actix_web::http::header::HeaderValue;

const PAGE: usize = 100;
const LARGEST_PAGE: usize = 500;

/// A page of a list that was asked for.
pub struct Paging {
    path: &'static str,
    list: List,
    filters: Vec<(&'static str, Option<String>)>,
    token: Option<String>,
    /// At most so many on the page.
    pub size: usize,
}

fn bad(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::BadRequest(format!("Unable to parse pagination parameters: {why}"))
}

impl Paging {
    /// Reads the page out of a query. `list` names the list in its tokens, `filters` the parameters that narrow it.
    ///
    /// # Errors
    /// 400 for a `page_size` that is no number.
    pub fn read<const N: usize>(
        path: &'static str,
        list: &str,
        filters: [&'static str; N],
        query: &str,
    ) -> Result<Self, ApiError> {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let one = |name: &str| {
            pairs.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.to_string())
        };
        let size = match one("page_size") {
            None => PAGE,
            Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => match text.parse().unwrap_or(LARGEST_PAGE) {
                0 => PAGE,
                size => size.min(LARGEST_PAGE),
            },
            Some(_) => return Err(bad(&"page_size is not a number")),
        };
        let filters: Vec<_> = filters.into_iter().map(|name| (name, one(name))).collect();
        let values: Vec<_> = filters.iter().map(|(_, value)| value.as_deref()).collect();
        Ok(Self { path, list: List::new(list, &values), token: one("page_token"), filters, size })
    }

    /// The value of a filter.
    pub fn filter(&self, name: &str) -> Option<&str> {
        self.filters.iter().find(|(n, _)| *n == name).and_then(|(_, value)| value.as_deref())
    }

    /// What the page comes after; `None` for the first page.
    ///
    /// # Errors
    /// 400 for a token of another list, or one that is too old.
    pub fn after(&self, app: &App) -> Result<Option<String>, ApiError> {
        let Some(token) = &self.token else { return Ok(None) };
        let (after, generation) = self.list.after(&app.page_tokens, token, app.clock.now()).map_err(|e| bad(&e))?;
        app.metrics.opened_with(SecretKind::Pagination, generation);
        Ok(after)
    }

    /// The `Link` header: to the first page, and to what comes after `next` if there is more.
    ///
    /// # Errors
    /// 503 without randomness.
    pub fn links(&self, app: &App, next: Option<&str>) -> Result<HeaderValue, ApiError> {
        let mut links = vec![self.link(app, "", "first")?];
        if let Some(after) = next {
            links.push(self.link(app, after, "next")?);
        }
        HeaderValue::from_str(&links.join(",")).map_err(|e| ApiError::Internal(e.to_string()))
    }

    fn link(&self, app: &App, after: &str, rel: &str) -> Result<String, ApiError> {
        let token = self.list.token(&app.page_tokens, &app.entropy.bytes()?, after, app.clock.now());
        let token = token.map_err(|e| ApiError::Internal(e.to_string()))?;
        let size = self.size.to_string();
        let filters = self.filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        let mut query: Vec<_> = filters.chain([("page_size", size.as_str()), ("page_token", token.as_str())]).collect();
        // As Hydra: by name.
        query.sort_unstable();
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        Ok(format!("<{}?{query}>; rel=\"{rel}\"", self.path))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Paging, ApiError> {
        Paging::read("/admin/clients", "clients", ["client_name", "owner"], query)
    }

    #[test]
    fn h15_pages_have_a_size_between_one_and_the_cap() {
        for (query, size) in [
            ("", 100),
            ("page_size=0", 100),
            ("page_size=", 100),
            ("page_size=2", 2),
            ("page_size=501", 500),
            ("page_size=99999999999999999999999", 500),
        ] {
            assert_eq!(read(query).unwrap().size, size, "{query}");
        }
        for bad in ["page_size=-1", "page_size=x", "page_size=1.5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let asked = read("client_name=v1+path&owner=%C3%A4").unwrap();
        assert_eq!((asked.filter("client_name"), asked.filter("owner")), (Some("v1 path"), Some("\u{e4}")));
    }
}
