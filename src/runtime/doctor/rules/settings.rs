//! What the settings and this machine alone tell.

use super::is_loopback;
use crate::config::Effect;
use crate::config::settings::Cors;
use crate::runtime::doctor::facts::{Facts, words};
use crate::runtime::doctor::{Check, Finding, Severity};
use crate::runtime::reach::{self, Reach};
use std::time::Duration;
use url::Url;

/// Fewer open files than this are few: each client, each connection of the pool and each hook is one.
const FEW_FILES: u64 = 4096;
/// A certificate should have been renewed by then.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

pub fn faults(facts: &Facts, out: &mut Vec<Finding>) {
    for fault in &facts.faults {
        let place = if fault.key.is_empty() { fault.source.clone() } else { fault.key.clone() };
        let what = format!("{} ({})", fault.problem, fault.source);
        out.push(Finding::of(Check::ConfigFault, place, what, fault.fix.clone()));
    }
}

pub fn warnings(facts: &Facts, out: &mut Vec<Finding>) {
    for warning in &facts.settings.warnings {
        let (place, what) = warning.split_once(": ").unwrap_or(("", warning));
        out.push(Finding::of(Check::ConfigWarning, place, what, "see the README under Configuration"));
    }
}

pub fn dev(facts: &Facts, out: &mut Vec<Finding>) {
    let issuer = &facts.settings.urls.issuer;
    let host = Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if facts.settings.dev && !is_loopback(&host) {
        let what = format!("development mode is on, and the issuer {issuer} is for others than this machine");
        out.push(Finding::of(Check::ConfigDev, "dev", what, "take out --dev, DEV and dev; give an https issuer"));
    }
}

pub fn no_effect(facts: &Facts, out: &mut Vec<Finding>) {
    let given = |source: &str| ["file ", "environment ", "flag "].iter().any(|from| source.starts_with(from));
    for row in facts.rows.iter().filter(|row| row.effect != Effect::Acts && given(&row.source)) {
        let what = format!("{} ({})", row.effect, row.source);
        out.push(Finding::of(Check::ConfigNoEffect, row.key, what, "take it out, or do not count on it"));
    }
}

pub fn files(facts: &Facts, out: &mut Vec<Finding>) {
    for (setting, path, mode) in &facts.host.secret_files {
        let may = match mode & 0o006 {
            0 => continue,
            4 => "read",
            _ => "change",
        };
        let what = format!("{path} has mode {:04o}: everybody on this machine may {may} it", mode & 0o7777);
        let finding = Finding::of(
            Check::FilesPermissions,
            setting,
            what,
            format!("chmod o-rwx {path} (in Kubernetes: defaultMode 0440)"),
        );
        out.push(if may == "change" { finding.only(Severity::Error) } else { finding });
    }
    if let Some(files) = facts.host.files.filter(|files| *files < FEW_FILES) {
        let what = format!("a process may have {files} files open");
        out.push(Finding::of(Check::HostFiles, "ulimit -n", what, "raise it to 65536 (LimitNOFILE, --ulimit nofile)"));
    }
}

pub fn cookies(facts: &Facts, out: &mut Vec<Finding>) {
    let (settings, cookies) = (&facts.settings, &facts.settings.cookies);
    let Ok(issuer) = Url::parse(&settings.urls.issuer) else { return };
    let https = issuer.scheme() == "https";
    if !https && (!settings.dev || cookies.secure) {
        let what = format!("cookies are Secure, and the issuer {issuer} is not https");
        out.push(Finding::of(
            Check::CookiesSecure,
            "serve.cookies.secure",
            what,
            "make the issuer https, or take serve.cookies.secure out",
        ));
    }
    let mode = cookies.same_site_mode.as_str();
    let given = facts.rows.iter().any(|row| row.key == "serve.cookies.same_site_mode" && row.source != "default");
    if mode == "Strict" {
        let what = "Strict: a login that begins on another site finds no session, so nobody stays signed in";
        out.push(Finding::of(
            Check::CookiesSameSite,
            "serve.cookies.same_site_mode",
            what,
            "use Lax, or None where logins run in frames",
        ));
    } else if mode == "None" && given && !https {
        let what = "None needs Secure, which an http issuer cannot have; the cookies are Lax";
        out.push(Finding::of(
            Check::CookiesSameSite,
            "serve.cookies.same_site_mode",
            what,
            "use Lax, or make the issuer https",
        ));
    }
    let host = issuer.host_str().unwrap_or_default();
    if let Some(domain) = cookies.domain.as_deref().map(|domain| domain.trim_start_matches('.'))
        && host != domain
        && !host.ends_with(&format!(".{domain}"))
    {
        let what = format!("{domain} is neither {host} nor above it: browsers refuse the cookies");
        out.push(Finding::of(
            Check::CookiesDomain,
            "serve.cookies.domain",
            what,
            "take it out, or write the issuer's host",
        ));
    }
    let authorize =
        Url::parse(&settings.urls.public).map(|url| format!("{}/oauth2/auth", url.path().trim_end_matches('/')));
    let (path, authorize) = (cookies.session_path.trim_end_matches('/'), authorize.unwrap_or_default());
    if authorize != path && !authorize.starts_with(&format!("{path}/")) {
        let what = format!("{} is not above {authorize}", cookies.session_path);
        out.push(Finding::of(
            Check::CookiesPath,
            "serve.cookies.paths.session",
            what,
            "write / or the path of the issuer",
        ));
    }
}

pub fn cors(facts: &Facts, out: &mut Vec<Finding>) {
    let serve = &facts.settings.serve;
    let any = |cors: &Cors| {
        cors.enabled
            && (cors.allowed_origins.is_empty() || cors.allowed_origins.iter().any(|o| o == "*" || o.ends_with("://*")))
    };
    let credentials = |cors: &Cors| {
        if cors.allow_credentials { "with credentials, which are left out then" } else { "without credentials" }
    };
    if any(&serve.public.cors) && serve.public.cors.allow_credentials {
        let what = format!("every web page may call, {}", credentials(&serve.public.cors));
        out.push(Finding::of(
            Check::CorsAnyOrigin,
            "serve.public.cors.allowed_origins",
            what,
            "name the origins, or set allow_credentials to false; a client can name its own",
        ));
    }
    if any(&serve.admin.cors) {
        let what = format!(
            "every web page that somebody inside opens may call the admin API, {}",
            credentials(&serve.admin.cors)
        );
        out.push(
            Finding::of(Check::CorsAnyOrigin, "serve.admin.cors.allowed_origins", what, "name the origins")
                .only(Severity::Error),
        );
    }
}

pub fn admin_reach(facts: &Facts, out: &mut Vec<Finding>) {
    let admin = &facts.settings.serve.admin;
    if reach::of(admin) == Reach::Everywhere {
        let what = format!("{}: open to {}", admin.host, reach::told(admin));
        let fix = "bind one inner address or a unix socket; where that cannot be (a pod), let a NetworkPolicy or firewall \
                   say who may come";
        let finding = Finding::of(Check::AdminEverywhere, "serve.admin.host", what, fix);
        // A pod is reached by its one address, whatever is bound.
        out.push(if facts.host.kubernetes { finding.only(Severity::Info) } else { finding });
    }
}

pub fn certificates(facts: &Facts, out: &mut Vec<Finding>) {
    for (place, found) in &facts.certificates {
        let certificate = match found {
            Ok(certificate) => certificate,
            Err(why) => {
                out.push(Finding::of(
                    Check::TlsUnreadable,
                    place,
                    why.clone(),
                    "give a PEM chain and the key that belongs to it",
                ));
                continue;
            }
        };
        let (now, renew) = (facts.now, "renew it; a running server takes the new files over by itself");
        if certificate.ends <= now {
            let what = format!("over since {}", certificate.ends.rfc3339());
            out.push(Finding::of(Check::TlsExpiry, place, what, renew));
        } else if certificate.begins > now {
            let what = format!("begins {}", certificate.begins.rfc3339());
            out.push(Finding::of(Check::TlsExpiry, place, what, "look at this machine's clock"));
        } else if certificate.ends < now.plus(SOON) {
            let what = format!("over in {}", words(certificate.ends.since(now)));
            out.push(Finding::of(Check::TlsExpiry, place, what, renew).only(Severity::Warning));
        }
        if !certificate.fits_issuer && *place == "serve.public.tls" {
            let what = format!("it is not for the host of {}", facts.settings.urls.issuer);
            out.push(Finding::of(Check::TlsName, place, what, "issue one with that host as a subjectAltName"));
        }
    }
}
