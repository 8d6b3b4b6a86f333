//! The pages of the public listener, as a browser gets them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sha2::{Digest, Sha256};

use crate::harness::{Answer, Peer, World};

const FALLBACKS: [(&str, &str, &str); 6] = [
    ("login", "urls.login", "Sign-in is not set up yet"),
    ("consent", "urls.consent", "Consent is not set up yet"),
    ("logout", "urls.logout", "Signing out is not set up yet"),
    ("logout/callback", "urls.post_logout_redirect", "Your log out request however succeeded."),
    ("device", "urls.device.verification", "Connecting devices is not set up yet"),
    ("device/done", "urls.device.success", "Your device is connected"),
];

/// What every page of this server is: locked down, not kept, and readable by everybody.
fn is_a_page(path: &str, answer: &Answer) {
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.header(name), value, "{path}: {name}");
    }
    let style = answer.text.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
    let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = answer.header("content-security-policy");
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'none'; frame-ancestors 'none'; \
             base-uri 'none'"
        ),
        "{path}"
    );
    assert!(answer.text.contains("<html lang=\"en\">") && answer.text.matches("<h1>").count() == 1, "{path}");
    assert!(answer.text.contains("name=\"viewport\" content=\"width=device-width"), "{path}");
    for absent in ["<script", "javascript:", "style=", "onload"] {
        assert!(!answer.text.contains(absent), "{path}: {absent} in {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fallback_tells_the_person_and_the_operator() {
    let world = World::sqlite(&[]).await;
    for (page, key, told) in FALLBACKS {
        let path = format!("/oauth2/fallbacks/{page}");
        let answer = world.a.get(&format!("{path}?login_challenge=%3Cscript%3E")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.brief());
        is_a_page(&path, &answer);
        assert!(answer.text.contains(&format!("<code>{key}</code>")), "{path}: {}", answer.text);
        assert!(answer.text.contains(&key.to_uppercase().replace('.', "_")), "{path}: {}", answer.text);
        assert!(answer.text.contains(told), "{path}: {}", answer.text);
        assert_eq!(world.a.form(&path, &[("a", "b")], None).await.status, 404, "{path}: only GET");
        let head = Peer::send(world.a.to_public(Method::HEAD, &path)).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f09_f10_f11_the_error_fallback_is_text_and_has_status_500() {
    let world = World::sqlite(&[]).await;
    let path = "/oauth2/fallbacks/error";
    let plain = world.a.get(&format!("{path}?error=invalid_request&error_description=The+client+is+unknown.")).await;
    assert_eq!(plain.status, 500);
    is_a_page(path, &plain);
    assert!(plain.text.contains("<dd>invalid_request</dd>") && plain.text.contains("<dd>The client is unknown.</dd>"));
    for hostile in [
        "<script>alert(1)</script>",
        "\"><img src=x onload=alert(1)>",
        "javascript:alert(1)",
        "';alert(1)//",
        "</dd></dl><style>body{display:none}</style>",
        "a\r\nSet-Cookie: b=c\u{202e}",
        "\0",
        "&lt;script&gt;",
    ] {
        for name in ["error", "error_description", "error_hint", "error_debug"] {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, hostile).finish();
            let answer = world.a.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 500, "{name}={hostile:?}");
            assert_eq!(answer.header("set-cookie"), "", "{name}={hostile:?}");
            for tag in ["<script", "<img", "</dd></dl><style", "\u{202e}", "<body{"] {
                assert!(!answer.text.contains(tag), "{name}={hostile:?}: {}", answer.text);
            }
            assert_eq!(answer.text.matches("<style>").count(), 1, "{name}={hostile:?}");
        }
    }
    let twice = world.a.get(&format!("{path}?error=%26lt;b%26gt;&error_description=a%FFb")).await;
    assert!(twice.text.contains("<dd>&amp;lt;b&amp;gt;</dd>") && twice.text.contains("a\u{fffd}b"), "{}", twice.text);
    let long = world.a.get(&format!("{path}?error_description={}", "d".repeat(15_000))).await;
    assert!(long.text.matches('d').count() < 2_000, "{} bytes", long.text.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_a_page_of_the_same_kind() {
    let world = World::sqlite(&[]).await;
    for path in ["/", "/nothing/here", "/oauth2/fallbacks", "/oauth2//token", "/%3Cscript%3E"] {
        let answer = world.a.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        is_a_page(path, &answer);
    }
}
