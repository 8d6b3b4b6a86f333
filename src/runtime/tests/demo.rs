//! The demo against a server that is not ours: what it shows, what it sends, whom it believes.

use super::fake::Fake;
use super::*;
use crate::http::demo::{self, Demo};
use actix_web::cookie::Cookie;
use actix_web::dev::ServiceResponse;

/// One browser before the demo's pages.
struct Visitor<F> {
    pages: F,
    cookies: Vec<Cookie<'static>>,
}

/// An answer, read to its end.
struct Shown {
    status: u16,
    location: String,
    policy: String,
    html: String,
}

impl<F: AsyncFn(TestRequest) -> ServiceResponse> Visitor<F> {
    async fn get(&mut self, path: &str) -> Shown {
        self.send(TestRequest::get().uri(path)).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Shown {
        self.send(TestRequest::post().uri(path).set_form(form)).await
    }

    /// Posts the form of a page as its button does.
    async fn press(&mut self, path: &str, page: &Shown, more: &[(&str, &str)]) -> Shown {
        let mut form: Vec<(String, String)> = Vec::new();
        for field in page.html.split("<input type=\"hidden\" ").skip(1) {
            let of =
                |name: &str| field.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
            form.push((of("name"), of("value")));
        }
        form.dedup();
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let form: Vec<(String, String)> = form.into_iter().chain(more).collect();
        self.send(TestRequest::post().uri(path).set_form(form)).await
    }

    async fn send(&mut self, mut request: TestRequest) -> Shown {
        for cookie in &self.cookies {
            request = request.cookie(cookie.clone());
        }
        let answer = (self.pages)(request).await;
        let new: Vec<Cookie<'static>> = answer.response().cookies().map(Cookie::into_owned).collect();
        self.cookies.retain(|cookie| new.iter().all(|n| n.name() != cookie.name()));
        self.cookies.extend(new);
        let header =
            |name: &str| answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        let (status, location, policy) =
            (answer.status().as_u16(), header("location"), header("content-security-policy"));
        Shown { status, location, policy, html: String::from_utf8(read_body(answer).await.to_vec()).unwrap() }
    }
}

/// A demo of a fake server, and a browser before it.
macro_rules! visit {
    ($up:ident, $fake:ident, $visitor:ident) => {
        let $up = up().await;
        let $fake = Fake::start(&$up.app);
        let macs = Secrets::new(&["a-system-secret-of-enough-length".to_owned()]).unwrap().mac_ring("demo");
        let demo = web::Data::new(Demo::new(Arc::clone(&$up.app), &$fake.url, &$fake.url, macs));
        let pages = init_service(App::new().app_data(demo).configure(demo::routes)).await;
        let pages = async |request: TestRequest| call_service(&pages, request.to_request()).await;
        let mut $visitor = Visitor { pages, cookies: Vec::new() };
    };
}

#[actix_web::test]
async fn sign_in_is_by_the_browser_that_was_asked_and_by_the_password() {
    visit!(up, fake, visitor);
    let page = visitor.get("/demo/login?login_challenge=one").await;
    assert_eq!(page.status, 200);
    assert!(page.html.contains("&lt;b&gt;Shop&lt;/b&gt;") && !page.html.contains("<b>"), "{}", page.html);
    assert!(page.policy.contains("form-action 'self' http: https: com.shop.app:;"), "{}", page.policy);
    let right = [("email", "demo@example.com"), ("password", "demo"), ("remember", "yes"), ("answer", "accept")];
    let untagged = visitor.post("/demo/login", &[&[("login_challenge", "one")][..], &right].concat()).await;
    assert_eq!(untagged.status, 400, "{}", untagged.html);
    let mine = std::mem::take(&mut visitor.cookies);
    assert_eq!(visitor.press("/demo/login", &page, &right).await.status, 400, "another browser");
    visitor.cookies = mine;
    let other = visitor.get("/demo/login?login_challenge=two").await;
    let swapped = other.html.replace("value=\"two\"", "value=\"one\"");
    let swapped = visitor.press("/demo/login", &Shown { html: swapped, ..other }, &right).await;
    assert_eq!(swapped.status, 400, "the tag of another challenge");
    assert_eq!(fake.count(), 0);
    for (email, password) in [("demo@example.com", "wrong"), ("<else>@example.com", "demo"), ("demo@example.com", "")] {
        let page = visitor.press("/demo/login", &page, &[("email", email), ("password", password)]).await;
        assert!(page.status == 400 && page.html.contains("role=\"alert\""), "{email} {password}: {}", page.html);
        assert!(!page.html.contains("<else>"));
    }
    let on = visitor.press("/demo/login", &page, &right).await;
    assert_eq!((on.status, on.location.as_str()), (303, "http://next.example/login/accept"));
    let (path, body) = fake.last();
    assert_eq!(path, "/admin/oauth2/auth/requests/login/accept?login_challenge=one");
    assert_eq!(body, json!({"subject": "demo-user", "remember": true, "remember_for": 3600, "amr": ["pwd"]}));
    let on = visitor.press("/demo/login", &page, &[("answer", "cancel")]).await;
    assert_eq!((on.status, on.location.as_str()), (303, "http://next.example/login/reject"));
    assert_eq!(fake.last().1["error"], "access_denied");
    fake.stop().await;
    up.down().await;
}

#[actix_web::test]
async fn what_needs_no_question_is_not_asked() {
    visit!(up, fake, visitor);
    for (path, on, body) in [
        ("login?login_challenge=skip", "login/accept", json!({"subject": "them"})),
        ("logout?logout_challenge=trusted", "logout/accept", json!({})),
        ("login?login_challenge=used", "used", Value::Null),
        ("consent?consent_challenge=used", "used", Value::Null),
        ("logout?logout_challenge=used", "used", Value::Null),
    ] {
        let answer = visitor.get(&format!("/demo/{path}")).await;
        assert_eq!((answer.status, answer.location), (302, format!("http://next.example/{on}")), "{path}");
        assert!(body.is_null() || fake.last().1 == body, "{path}: {:?}", fake.last());
    }
    for challenge in ["skip", "trusted"] {
        let answer = visitor.get(&format!("/demo/consent?consent_challenge={challenge}")).await;
        assert_eq!((answer.status, answer.location.as_str()), (302, "http://next.example/consent/accept"));
        assert_eq!(fake.last().1["grant_scope"], json!(["openid", "profile", "email", "<x>"]), "{challenge}");
        assert_eq!(fake.last().1["grant_access_token_audience"], json!(["https://api.example"]));
    }
    for path in ["login?login_challenge=old", "consent?consent_challenge=old", "login", "consent", "logout"] {
        let answer = visitor.get(&format!("/demo/{path}")).await;
        assert!(answer.status == 400 && answer.html.contains("href=\"/demo\""), "{path}: {}", answer.html);
    }
    let hinted = visitor.get("/demo/login?login_challenge=hinted").await;
    assert!(hinted.html.contains("value=\"&quot;&gt;&lt;i&gt;\""), "{}", hinted.html);
    fake.stop().await;
    up.down().await;
}

#[actix_web::test]
async fn consent_grants_what_is_ticked_and_tells_what_goes_with_it() {
    visit!(up, fake, visitor);
    let page = visitor.get("/demo/consent?consent_challenge=one").await;
    assert!(page.html.contains("<h1>Allow &lt;b&gt;Shop&lt;/b&gt;?</h1>") && page.html.contains("Use “&lt;x&gt;”"));
    let ticked = [("scope openid", "yes"), ("scope email", "yes"), ("scope admin", "yes"), ("answer", "allow")];
    let on = visitor.press("/demo/consent", &page, &ticked).await;
    assert_eq!((on.status, on.location.as_str()), (303, "http://next.example/consent/accept"));
    let expected = json!({
        "grant_scope": ["openid", "email"], "grant_access_token_audience": ["https://api.example"],
        "remember": false, "remember_for": 3600,
        "session": {"id_token": {"email": "demo@example.com", "email_verified": true}, "access_token": {}},
    });
    assert_eq!(fake.last(), ("/admin/oauth2/auth/requests/consent/accept?consent_challenge=one".to_owned(), expected));
    let all = [("scope profile", "yes"), ("remember", "yes"), ("answer", "allow")];
    visitor.press("/demo/consent", &page, &all).await;
    assert_eq!(fake.last().1["session"]["id_token"]["name"], "Dana Demo");
    assert_eq!(fake.last().1["remember"], true);
    let on = visitor.press("/demo/consent", &page, &[("scope openid", "yes"), ("answer", "deny")]).await;
    assert_eq!(on.location, "http://next.example/consent/reject");
    let count = fake.count();
    visitor.cookies.clear();
    assert_eq!(visitor.press("/demo/consent", &page, &all).await.status, 400);
    assert_eq!(fake.count(), count);
    fake.stop().await;
    up.down().await;
}

#[actix_web::test]
async fn logout_and_devices_are_decided_by_form() {
    visit!(up, fake, visitor);
    let page = visitor.get("/demo/logout?logout_challenge=one").await;
    let no = visitor.press("/demo/logout", &page, &[("answer", "no")]).await;
    assert_eq!((no.status, no.location), (303, format!("{}/demo", up.app.rules.public_url)));
    assert_eq!(fake.last().0, "/admin/oauth2/auth/requests/logout/reject?logout_challenge=one");
    let yes = visitor.press("/demo/logout", &page, &[("answer", "yes")]).await;
    assert_eq!((yes.status, yes.location.as_str()), (303, "http://next.example/logout/accept"));

    let begin = visitor.get("/demo/device").await;
    assert_eq!((begin.status, begin.location), (302, format!("{}/oauth2/device/verify", up.app.rules.public_url)));
    let page = visitor.get("/demo/device?device_challenge=one&user_code=%3Cx%3E").await;
    assert!(page.html.contains("value=\"&lt;x&gt;\""), "{}", page.html);
    let wrong = visitor.press("/demo/device", &page, &[("user_code", "BAD\"")]).await;
    assert!(wrong.status == 400 && wrong.html.contains("role=\"alert\"") && wrong.html.contains("BAD&quot;"));
    let right = visitor.press("/demo/device", &page, &[("user_code", " GOOD ")]).await;
    assert_eq!((right.status, right.location.as_str()), (303, "http://next.example/device/accept"));
    assert_eq!(fake.last().0, "/admin/oauth2/auth/requests/device/accept?device_challenge=one");
    assert_eq!(visitor.get("/demo/device/done").await.status, 200);
    fake.stop().await;
    up.down().await;
}

/// A parameter of the link on the start page.
fn asked(page: &Shown, name: &str) -> String {
    let link = page.html.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let query = link.replace("&amp;", "&");
    let mut all = url::form_urlencoded::parse(query.split_once('?').unwrap().1.as_bytes());
    all.find(|(n, _)| n == name).unwrap().1.into_owned()
}

#[actix_web::test]
async fn the_application_believes_only_the_answer_to_its_own_question() {
    visit!(up, fake, visitor);
    let page = visitor.get("/demo").await;
    let state = asked(&page, "state");
    *fake.nonce.lock().unwrap() = asked(&page, "nonce");
    for query in [
        "code=good".to_owned(),
        format!("code=good&state=x{state}"),
        format!("code=good&state={state}x"),
        format!("code=good&state={state}&iss=https://other.example/"),
        format!("code=bad&state={state}"),
    ] {
        let answer = visitor.get(&format!("/demo/callback?{query}")).await;
        assert!(answer.status == 400 && !answer.html.contains("<no>"), "{query}: {}", answer.html);
    }
    let mine = std::mem::take(&mut visitor.cookies);
    assert_eq!(visitor.get(&format!("/demo/callback?code=good&state={state}")).await.status, 400, "another browser");
    visitor.cookies = mine;
    let other = visitor.get("/demo").await;
    let replayed = visitor.get(&format!("/demo/callback?code=good&state={}", asked(&other, "state"))).await;
    assert!(replayed.status == 400 && replayed.html.contains("nonce"), "{}", replayed.html);
    let denied =
        visitor.get(&format!("/demo/callback?error=access_denied&error_description=%3Cb%3E&state={state}")).await;
    assert!(denied.html.contains("You did not sign in") && denied.html.contains("&lt;b&gt;"), "{}", denied.html);
    assert_eq!(visitor.get("/demo/tokens").await.location, "/demo");
    fake.stop().await;
    up.down().await;
}

#[actix_web::test]
async fn its_buttons_do_what_they_say() {
    visit!(up, fake, visitor);
    let page = visitor.get("/demo").await;
    *fake.nonce.lock().unwrap() = asked(&page, "nonce");
    let iss = url::form_urlencoded::byte_serialize(up.app.rules.issuer.as_bytes()).collect::<String>();
    let on = visitor.get(&format!("/demo/callback?code=good&iss={iss}&state={}", asked(&page, "state"))).await;
    assert_eq!((on.status, on.location.as_str()), (303, "/demo/tokens"));
    let page = visitor.get("/demo/tokens").await;
    assert!(
        page.html.contains("at-1") && page.html.contains("rt-1") && page.html.contains(">active<"),
        "{}",
        page.html
    );
    assert!(page.html.contains("&lt;i&gt;Dana&lt;/i&gt;") && !page.html.contains("<i>"), "{}", page.html);
    for action in ["refresh", "revoke", "logout"] {
        let answer = visitor.post(&format!("/demo/tokens/{action}"), &[("tag", "x")]).await;
        assert_eq!(answer.status, 400, "{action} without the tag of its page");
    }
    assert_eq!(visitor.press("/demo/tokens/refresh", &page, &[]).await.location, "/demo/tokens");
    let page = visitor.get("/demo/tokens").await;
    assert!(page.html.contains("at-2") && page.html.contains("rt-2") && page.html.contains("class=\"done\""));
    assert!(!visitor.get("/demo/tokens").await.html.contains("class=\"done\""), "told once");
    visitor.press("/demo/tokens/revoke", &page, &[]).await;
    let page = visitor.get("/demo/tokens").await;
    assert!(page.html.contains(">not active<") && page.html.contains("request_unauthorized"), "{}", page.html);
    visitor.press("/demo/tokens/refresh", &page, &[]).await;
    let page = visitor.get("/demo/tokens").await;
    assert!(page.html.contains("role=\"alert\"") && page.html.contains("invalid_grant: &lt;no&gt;"), "{}", page.html);
    let out = visitor.press("/demo/tokens/logout", &page, &[]).await;
    let to = url::Url::parse(&out.location).unwrap();
    let query: std::collections::HashMap<_, _> = to.query_pairs().into_owned().collect();
    assert_eq!((out.status, to.path()), (303, "/oauth2/sessions/logout"));
    assert_eq!(query["post_logout_redirect_uri"], format!("{}/demo", up.app.rules.public_url));
    assert_eq!(query["id_token_hint"].split('.').count(), 3);
    assert_eq!(visitor.get("/demo/tokens").await.location, "/demo", "forgotten");
    let back = visitor.get(&format!("/demo?state={}", query["state"])).await;
    assert!(back.html.contains("You are signed out"), "{}", back.html);
    assert!(!visitor.get("/demo?state=x").await.html.contains("You are signed out"));
    fake.stop().await;
    up.down().await;
}
