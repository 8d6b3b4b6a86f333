use super::form_post::form_post;
use super::signing_out::frontchannel_logout;
use super::*;
use actix_web::body::to_bytes;

/// The head of the policy of every page, but for its hash.
const LOCKED: &str = "default-src 'none'; style-src 'sha256-";

/// Status, policy and body of an answer whose other headers are those of every page.
async fn read(answer: HttpResponse) -> (u16, String, String) {
    let headers = answer.headers().clone();
    let header = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    let status = answer.status().as_u16();
    let body = String::from_utf8(to_bytes(answer.into_body()).await.unwrap().to_vec()).unwrap();
    let policy = header("content-security-policy");
    assert!(policy.starts_with(LOCKED) && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    (status, policy, body)
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found).unwrap()
}

/// The policy names what the page has inside, by its hash.
fn hashed(policy: &str, directive: &str, text: &str) {
    let sum = STANDARD.encode(Sha256::digest(text.as_bytes()));
    assert_eq!(between(&format!("{policy};"), &format!("{directive} 'sha256-"), "'"), sum);
}

#[actix_web::test]
async fn the_policy_holds_the_hash_of_the_style_and_the_title_is_escaped() {
    let page = Page::new("<b>\"Title\"</b>", "<p>body</p>".to_owned()).wide().footer("a & b").status(418);
    let (status, policy, html) = read(page.response()).await;
    assert_eq!(status, 418);
    hashed(&policy, "style-src", between(&html, "<style>", "</style>"));
    assert!(policy.contains("form-action 'none'") && !policy.contains("script-src"), "{policy}");
    assert!(html.contains("<h1>&lt;b&gt;&quot;Title&quot;&lt;/b&gt;</h1>") && !html.contains("<b>"), "{html}");
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">") && html.contains("<footer>a &amp; b</footer>"));
    assert!(!html.contains(" style=") && !html.contains("<script"));
}

#[actix_web::test]
async fn a18_a_response_is_posted_byte_for_byte_and_to_the_redirect_uri_alone() {
    let uri = "https://rp.example:8443/cb?a=1&b=\"><script>alert(1)</script>";
    let state = "<script>\"'`\r\n&amp;</form>";
    let (status, policy, html) = read(form_post(uri, &[("code", "ory_ac_x"), ("state", state)])).await;
    assert_eq!(status, 200);
    assert!(policy.contains("form-action https://rp.example:8443 https:;"), "{policy}");
    let script = between(&html, "<script>", "</script>");
    hashed(&policy, "script-src", script);
    assert_eq!(html.matches("<script").count(), 1, "{html}");
    assert_eq!(html.matches("<form").count(), 1, "{html}");
    let field = "<input type=\"hidden\" name=\"state\" value=\"&lt;script&gt;&quot;&#39;&#96;&#13;&#10;&amp;amp;&lt;/form&gt;\">";
    assert!(html.contains(field), "{html}");
    let action = "action=\"https://rp.example:8443/cb?a=1&amp;b=&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\"";
    assert!(html.contains(action), "{html}");
    assert!(between(&html, "<form", "</form>").contains("<button type=\"submit\">Continue</button>"));
}

#[actix_web::test]
async fn a18_the_target_of_the_form_is_an_address_that_goes_somewhere() {
    for (uri, sources) in [
        ("http://127.0.0.1:9010/callback", "form-action http://127.0.0.1:9010 http: https:;"),
        ("com.example.app:/cb", "form-action com.example.app: https:;"),
        ("https://a;script-src/", "form-action https: https:;"),
    ] {
        let (_, policy, _) = read(form_post(uri, &[("code", "x")])).await;
        assert!(policy.contains(sources), "{policy}");
        assert_eq!(policy.matches("script-src").count(), 1, "{policy}");
    }
    for uri in ["javascript:alert(1)", "data:text/html,x", "/cb", "not an address"] {
        let (status, policy, html) = read(form_post(uri, &[("code", "a-code")])).await;
        assert_eq!(status, 400, "{uri}");
        assert!(!html.contains("<form") && !html.contains("a-code") && !html.contains("<script"), "{html}");
        assert!(policy.contains("form-action 'none'") && !policy.contains("script-src"), "{policy}");
    }
}

#[actix_web::test]
async fn sign_out_calls_each_frame_and_has_one_way_on() {
    let urls = [
        "https://a.example/out?iss=x&sid=\"'1",
        "https://a.example/other",
        "http://127.0.0.1:5/out",
        "javascript:alert(1)",
        "custom:/out",
    ];
    let urls = urls.map(str::to_owned);
    let next = "https://rp.example/after?state=<x>";
    let (status, policy, html) = read(frontchannel_logout(&urls, next)).await;
    assert_eq!(status, 200);
    assert!(policy.contains("frame-src https://a.example http://127.0.0.1:5") && !policy.contains("javascript"));
    assert_eq!(html.matches("<iframe ").count(), 3, "{html}");
    assert!(html.contains("src=\"https://a.example/out?iss=x&amp;sid=&quot;&#39;1\""), "{html}");
    let next = "https://rp.example/after?state=&lt;x&gt;";
    assert!(between(&html, "id=\"next\"", "</a>").contains(&format!("href=\"{next}\"")), "{html}");
    assert_eq!(html.matches("http-equiv=\"refresh\"").count(), 1, "{html}");
    let refresh = between(&html, "<noscript>", "</noscript>");
    assert_eq!(refresh, format!("<meta http-equiv=\"refresh\" content=\"7;url={next}\">"));
    let script = between(&html, "<script>", "</script>");
    hashed(&policy, "script-src", script);
    assert!(script.contains("7000") && script.contains("500"));
    assert!(html.contains("Signing you out"));
}

#[actix_web::test]
async fn sign_out_without_a_safe_way_on_stays_where_it_is() {
    let (_, policy, html) = read(frontchannel_logout(&[], "javascript:alert(1)")).await;
    assert!(!html.contains("javascript:") && !html.contains("<script") && !html.contains("refresh"), "{html}");
    assert!(!policy.contains("frame-src"), "{policy}");
}

#[actix_web::test]
async fn f09_the_error_page_shows_what_it_is_given_as_text() {
    let query = "error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=javascript:alert(1)%20%22%27%0d%0ax&error_hint=a\
                 &error_debug=%E2%80%AEb&error=another-one&other=%3Cb%3E";
    let (status, policy, html) = read(error::page(query).response()).await;
    assert_eq!(status, 200);
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !html.contains("<script"), "{html}");
    assert!(html.contains("<dd>javascript:alert(1) &quot;&#39;  x</dd>") && !html.contains("href=\"javascript"));
    assert!(html.contains("<dd>a</dd>") && html.contains("<dd>b</dd>"), "{html}");
    assert!(!html.contains("another-one") && !html.contains("<b>") && !policy.contains("script-src"));
    let long = format!("error={}&error_description={}", "e".repeat(5_000), "d".repeat(5_000));
    let (.., html) = read(error::page(&long).response()).await;
    assert!(html.len() < 12_000 && html.contains("ddd…"), "{} bytes", html.len());
    let (.., html) = read(error::page("error=&error_description=%20").response()).await;
    assert!(!html.contains("<dl"), "{html}");
}

/// The relative luminance of `#rrggbb` (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let c = f64::from(u8::from_str_radix(colour.get(at..at + 2).unwrap(), 16).unwrap()) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.0722f64.mul_add(part(5), 0.2126f64.mul_add(part(1), 0.7152 * part(3)))
}

#[test]
fn contrast_meets_wcag_aa_in_both_palettes() {
    let palettes: Vec<&str> = look::STYLE.split(":root{").skip(1).map(|p| p.split('}').next().unwrap()).collect();
    assert_eq!(palettes.len(), 2);
    for palette in palettes {
        let colour = |name: &str| luminance(between(&format!("{palette};"), &format!("--{name}:"), ";"));
        for (over, under, least) in [
            ("ink", "card", 7.0),
            ("ink", "page", 7.0),
            ("ink", "well", 7.0),
            ("soft", "card", 4.5),
            ("soft", "page", 4.5),
            ("soft", "well", 4.5),
            ("accent", "card", 4.5),
            ("accent", "well", 4.5),
            ("hover", "card", 4.5),
            ("on", "accent", 4.5),
            ("on", "hover", 4.5),
            ("bad", "badwell", 4.5),
            ("good", "goodwell", 4.5),
            ("edge", "card", 3.0), // the border of a field is how one sees it
        ] {
            let (a, b) = (colour(over), colour(under));
            let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(ratio >= least, "{over} on {under}: {ratio:.2} < {least}");
        }
    }
}
