//! Who reaches the admin API, and what the server needs of others: the operator's pages and hooks.

use crate::http::public::ROUTES;
use crate::runtime::doctor::facts::Facts;
use crate::runtime::doctor::{Check, Finding};
use crate::runtime::probe::Heard;
use url::Url;

pub fn admin(facts: &Facts, out: &mut Vec<Finding>) {
    let lists = |answer: &Heard| answer.status == 200 && answer.json().is_array();
    let open = facts.server.admin_outside.iter().find(|(_, answer)| answer.as_ref().is_ok_and(lists));
    if let Some((url, _)) = open {
        let what = "whoever reaches this URL rules the server: the admin API has no login of its own";
        let fix = "take the route /admin to the admin listener out of the proxy, and let only your services reach it";
        out.push(Finding::of(Check::AdminPublic, url, what, fix));
    }
}

pub fn pages(facts: &Facts, out: &mut Vec<Finding>) {
    let urls = &facts.settings.urls;
    for (name, page) in [("urls.login", &urls.login), ("urls.consent", &urls.consent)] {
        if page.is_none() {
            out.push(Finding::of(
                Check::PagesMissing,
                name,
                "it is not set: users see a page that says so",
                format!("set {name} to your app's page"),
            ));
        }
    }
    let https = urls.issuer.starts_with("https:");
    for (name, url, answer) in &facts.server.pages {
        if https && !facts.settings.dev && url.starts_with("http:") {
            let what = format!("{url}: who sees the network sees the challenge, and can log in with it");
            out.push(Finding::of(Check::PagesPlain, *name, what, "serve it with https"));
        }
        let own = Url::parse(url).is_ok_and(|page| is_own(&page, &urls.public));
        if own {
            let what = format!("{url} is answered by Signet itself");
            out.push(Finding::of(Check::PagesOnServer, *name, what, "give your page a path that is not Signet's"));
            continue;
        }
        let what = match answer {
            Ok(answer) if answer.status < 500 && answer.status != 404 => continue,
            Ok(answer) => format!("{url} says {}", answer.status),
            Err(why) => format!("{url}: {why}"),
        };
        out.push(Finding::of(
            Check::PagesUnreachable,
            *name,
            what,
            "start your app, or correct the URL; browsers must reach it",
        ));
    }
}

/// Whether a page's URL is one of our routes. The fallbacks are pages, if not good ones.
fn is_own(page: &Url, public: &str) -> bool {
    let Ok(base) = Url::parse(public) else { return false };
    let Some(path) = page.path().strip_prefix(base.path().trim_end_matches('/')) else { return false };
    page.origin() == base.origin()
        && ROUTES.iter().any(|(_, route)| *route == path && !route.starts_with("/oauth2/fallbacks"))
}

pub fn hooks(facts: &Facts, out: &mut Vec<Finding>) {
    for (name, url, answer) in &facts.server.hooks {
        let what = match answer {
            Ok(answer) if !matches!(answer.status, 502..=504) => continue,
            Ok(answer) => format!("{url} says {}", answer.brief()),
            Err(why) => format!("{url}: {why}"),
        };
        out.push(Finding::of(
            Check::HooksUnreachable,
            *name,
            what,
            "start it, or correct the URL: while it is away no token is issued",
        ));
    }
}
