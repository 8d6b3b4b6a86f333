//! Family A, first part: whose address an answer goes to.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Browser, CALLBACK, Case, Web, World, cases, fresh, param, to_page};

const FAMILY: [Case; 10] = cases! {
    "A01" "an address or a client that nobody registered" => unknown,
    "A02" "addresses that look like the registered one" => near,
    "A03" "a registered address is no pattern" => pattern,
    "A04" "addresses that two parsers read differently" => confusing,
    "A05" "addresses that make a browser run something are not registered" => dangerous,
    "A06" "a native app on loopback chooses its port, and only there" => loopback,
    "A07" "loopback with another scheme or with a user" => loopback_abused,
    "A08" "a private-use scheme is taken as it is written" => private_use,
    "A09" "two spellings of one name are two addresses" => international,
    "A10" "without an address the only one counts, if it is not OpenID Connect" => none,
};
super::on_both!(FAMILY);

async fn with(world: &World, uris: &[&str]) -> Web {
    world.web_with(json!({"redirect_uris": uris})).await
}

async fn refused(world: &World, web: &Web, uri: &str) {
    let answer = Browser::default().ask(&world.b, web, &[("redirect_uri", uri)]).await;
    to_page(&answer, "invalid_request", uri);
    assert_eq!(answer.header("set-cookie"), "", "{uri}: no flow began");
}

async fn taken(world: &World, web: &Web, uri: &str) {
    let answer = Browser::default().ask(&world.b, web, &[("redirect_uri", uri)]).await;
    assert!(!param(&answer.location(), "login_challenge").is_empty(), "{uri}: {}", answer.location());
}

async fn unknown(world: &World) {
    let web = world.web().await;
    refused(world, &web, "https://evil.example/cb").await;
    for id in ["nobody", "", "a\0b", "' OR 1=1 --", &"a".repeat(2_000)] {
        let query = [("client_id", id), ("redirect_uri", CALLBACK), ("response_type", "code")];
        let answer = Browser::default().ask_raw(&world.a, &query).await;
        // A NUL makes the whole query unreadable, before anybody is looked up.
        let error = if id.contains('\0') { "invalid_request" } else { "invalid_client" };
        to_page(&answer, error, &format!("client {id:.20}"));
    }
}

async fn near(world: &World) {
    let uri = "https://app.example/cb?x=1";
    let web = with(world, &[uri]).await;
    taken(world, &web, uri).await;
    for near in [
        "https://app.example/cb",
        "https://app.example/cb/?x=1",
        "https://app.example/cb?x=1&y=2",
        "https://app.example/cb?x=%31",
        "HTTPS://app.example/cb?x=1",
        "https://APP.example/cb?x=1",
        "https://app.example/CB?x=1",
        "https://app.example:443/cb?x=1",
        "https://app.example./cb?x=1",
        "https://app.example/cb/../x?x=1",
        "https://app.example/%2e%2e/cb?x=1",
        "https://app.example/cb;p?x=1",
        "https://app.example/cb?x=1#f",
        " https://app.example/cb?x=1",
        "https://app.example/cb?x=1 ",
        "http://app.example/cb?x=1",
    ] {
        refused(world, &web, near).await;
    }
}

async fn pattern(world: &World) {
    for (registered, asked) in [
        ("https://*.app.example/cb", "https://a.app.example/cb"),
        ("https://app.example/.*", "https://app.example/evil"),
        ("https://app.example/*", "https://app.example/evil"),
        ("https://app.example/cb?", "https://app.example/c"),
        ("https://app.example/c+b", "https://app.example/ccb"),
    ] {
        let client = json!({"client_id": fresh("pattern"), "redirect_uris": [registered, "https://other.example/"]});
        let made = world.a.admin(Method::POST, "/admin/clients", Some(client)).await;
        assert_eq!(made.status, 201, "{registered}: {}", made.brief());
        let web = Web { id: made.get("client_id"), secret: String::new() };
        refused(world, &web, asked).await;
        taken_without_scope(world, &web, registered).await;
    }
}

async fn taken_without_scope(world: &World, web: &Web, uri: &str) {
    let answer = Browser::default().ask(&world.b, web, &[("redirect_uri", uri), ("scope", "")]).await;
    assert!(!param(&answer.location(), "login_challenge").is_empty(), "{uri}: {}", answer.location());
}

async fn confusing(world: &World) {
    let web = with(world, &["https://good.example/cb"]).await;
    for uri in [
        "https://good.example@evil.example/cb",
        "https://good.example\\@evil.example/cb",
        "https://evil.example\\good.example/cb",
        "//good.example/cb",
        "//evil.example/cb",
        "/cb",
        "https:/good.example/cb",
        "https:good.example/cb",
        "https://good.example/cb\t",
        "https://good.example/\rcb",
        "https://good.example/cb\r\nLocation: https://evil.example",
        "https://good.example/cb%00",
        "https://[::ffff:1.2.3.4]/cb",
        "https://good.example%2f@evil.example/cb",
        "javascript:alert(1)//https://good.example/cb",
    ] {
        refused(world, &web, uri).await;
    }
}

async fn dangerous(world: &World) {
    for scheme in
        ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "JavaScript:x"]
    {
        for field in [
            "redirect_uris",
            "post_logout_redirect_uris",
            "logo_uri",
            "tos_uri",
            "policy_uri",
            "client_uri",
            "frontchannel_logout_uri",
            "backchannel_logout_uri",
        ] {
            let value = if field.ends_with("uris") { json!([scheme]) } else { Value::from(scheme) };
            let mut client = json!({"client_id": fresh("dangerous"), "redirect_uris": [CALLBACK]});
            client[field] = value;
            let answer = world.a.admin(Method::POST, "/admin/clients", Some(client)).await;
            let error = answer.error();
            let told = ["invalid_redirect_uri", "invalid_client_metadata"].contains(&error.as_str());
            assert!(answer.status == 400 && told, "{field}={scheme}: {}", answer.brief());
        }
    }
}

async fn international(world: &World) {
    for uri in ["https://ex\u{e4}mple.com/cb", "https://app.example/\u{e4}", "https://app.example/cb#f"] {
        let client = json!({"client_id": fresh("idn"), "redirect_uris": [uri]});
        let answer = world.a.admin(Method::POST, "/admin/clients", Some(client)).await;
        assert_eq!((answer.status, answer.error().as_str()), (400, "invalid_redirect_uri"), "{uri}");
    }
    let web = with(world, &["https://xn--exmple-cua.com/cb"]).await;
    refused(world, &web, "https://ex\u{e4}mple.com/cb").await;
    taken(world, &web, "https://xn--exmple-cua.com/cb").await;
}

async fn loopback(world: &World) {
    let web = with(world, &["http://127.0.0.1/cb", "http://[::1]:4711/cb", "http://localhost/cb"]).await;
    for uri in ["http://127.0.0.1:51004/cb", "http://127.0.0.1/cb", "http://[::1]:1/cb", "http://[::1]/cb"] {
        taken(world, &web, uri).await;
    }
    taken(world, &web, "http://localhost/cb").await;
    for uri in [
        "http://localhost:9/cb",
        "http://0.0.0.0:9/cb",
        "http://127.1:9/cb",
        "http://2130706433:9/cb",
        "http://0x7f000001:9/cb",
        "http://127.0.0.2:9/cb",
        "http://[::ffff:127.0.0.1]:9/cb",
        "http://127.0.0.1:9/other",
        "http://127.0.0.1:9/cb?x=1",
        "http://127.0.0.1:99999/cb",
    ] {
        refused(world, &web, uri).await;
    }
}

async fn loopback_abused(world: &World) {
    let web = with(world, &["https://127.0.0.1/cb", "http://127.0.0.1/own"]).await;
    for uri in [
        "http://127.0.0.1:9/cb",
        "https://127.0.0.1:9/cb",
        "http://u:p@127.0.0.1:9/own",
        "http://127.0.0.1:9@evil.example/own",
        "http://127.0.0.1:9\\@evil.example/own",
        "https://127.0.0.1:9/own",
    ] {
        refused(world, &web, uri).await;
    }
}

async fn private_use(world: &World) {
    let web = with(world, &["com.example.app:/cb"]).await;
    taken(world, &web, "com.example.app:/cb").await;
    for uri in ["com.example.app:/cb/", "com.example.app://cb", "com.example.app:/cb?x=1", "COM.example.app:/cb"] {
        refused(world, &web, uri).await;
    }
}

async fn none(world: &World) {
    let (one, two) = (world.web().await, with(world, &[CALLBACK, "https://app.example/cb"]).await);
    refused(world, &one, "").await;
    let plain = [("redirect_uri", ""), ("scope", "offline")];
    to_page(&Browser::default().ask(&world.a, &two, &plain).await, "invalid_request", "two registered");
    let answer = Browser::default().ask(&world.a, &one, &plain).await;
    assert!(!param(&answer.location(), "login_challenge").is_empty(), "{}", answer.location());
    let answer = Browser::default().ask(&world.a, &one, &[("redirect_uri", ""), ("scope", "nothing")]).await;
    crate::harness::to_client(&answer, "invalid_scope", "to the only one");
}
