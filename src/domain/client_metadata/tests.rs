#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use super::*;
use serde_json::json;

fn rules() -> MetadataRules {
    MetadataRules {
        subject_types: vec!["public".to_owned(), "pairwise".to_owned()],
        default_scope: vec!["openid".to_owned(), "offline".to_owned()],
        disallow_private_ip_ranges: true,
    }
}

fn normal(mut body: Value) -> Result<Client, MetadataError> {
    let members = body.as_object_mut().unwrap();
    members.entry("client_id").or_insert(json!("c"));
    normalize(Client::from_members(members.clone()).unwrap(), &rules())
}

#[test]
fn what_is_left_out_is_filled_in() {
    let client = normal(json!({})).unwrap();
    assert_eq!(client.token_endpoint_auth_method, "client_secret_basic");
    assert_eq!(client.scope, "openid offline");
    assert_eq!((client.subject_type.as_str(), client.userinfo_signed_response_alg.as_str()), ("public", "none"));
    let none = MetadataRules { default_scope: Vec::new(), subject_types: vec!["pairwise".to_owned()], ..rules() };
    let client = normalize(Client { client_id: "c".to_owned(), ..Client::default() }, &none).unwrap();
    assert_eq!((client.scope.as_str(), client.subject_type.as_str()), ("offline_access offline openid", "pairwise"));
    assert_eq!(normal(json!({"access_token_strategy": "JWT"})).unwrap().access_token_strategy, "jwt");
}

#[test]
fn refusals_say_what_hydra_says() {
    for (body, hint) in [
        (json!({"redirect_uris": ["https://a.example/cb#f"]}), "Redirect URIs must not contain fragments (#)."),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            "When token_endpoint_auth_method is 'private_key_jwt', either jwks or jwks_uri must be set.",
        ),
        (
            json!({"jwks": {"keys": []}, "jwks_uri": "https://a.example/jwks"}),
            "Fields jwks and jwks_uri can not both be set, you must choose one.",
        ),
        (
            json!({"subject_type": "odd"}),
            "Subject type odd is not supported by server, only [public pairwise] are allowed.",
        ),
        (
            json!({"userinfo_signed_response_alg": "HS256"}),
            "Field userinfo_signed_response_alg can either be 'none' or 'RS256'.",
        ),
        (
            json!({"redirect_uris": ["https://a.example/cb"], "post_logout_redirect_uris": ["https://b.example/x"]}),
            "post_logout_redirect_uri 'https://b.example/x' must match the domain, port, scheme of at least one of the registered redirect URIs but did not",
        ),
        (
            json!({"allowed_cors_origins": ["https://a.example/path"]}),
            "Origin URL https://a.example/path must have an empty path, query, and fragment but one of the parts is not empty.",
        ),
        (
            json!({"access_token_strategy": "paseto"}),
            "invalid access token strategy: expected one of [jwt, opaque] but got paseto",
        ),
    ] {
        assert_eq!(normal(body.clone()).unwrap_err().hint, hint, "{body}");
    }
    assert_eq!(
        check_secret("12345").unwrap_err().hint,
        "Field client_secret must contain a secret that is at least 6 characters long."
    );
}

#[test]
fn a05_a09_redirect_uris_that_are_refused() {
    for uri in [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://a.example/x",
        "/cb",
        "cb",
        "",
        "//a.example/cb",
        "https:/a.example",
        "https:a.example",
        "https:///a.example",
        "https://",
        "https:\\\\a.example",
        "https://ex\u{e4}mple.com/",
        "https://a.example/\u{4e2d}",
        " https://a.example/",
        "https://a.example/ b",
        "java\tscript:x",
        "https://a.example/\0",
        "https://xn--example-.org/",
    ] {
        let refused = normal(json!({"redirect_uris": ["https://ok.example/", uri]})).unwrap_err();
        assert!(refused.redirect_uri || uri.contains(char::is_control), "{uri:?}: {refused:?}");
    }
}

#[test]
fn addresses_that_are_let_through() {
    for uri in [
        "https://a.example/cb?x=1&y=2",
        "http://127.0.0.1:9010/callback",
        "http://[::1]/",
        "com.example.app:/cb",
        "com.example.app://cb",
        "urn:ietf:wg:oauth:2.0:oob",
        "https://xn--exmple-cua.com/",
    ] {
        assert_eq!(normal(json!({"redirect_uris": [uri]})).unwrap().redirect_uris, [uri]);
    }
    for origin in ["https://a.example", "https://a.example/", "http://localhost:3000", "https://*.a.example"] {
        assert_eq!(normal(json!({"allowed_cors_origins": [origin]})).unwrap().allowed_cors_origins, [origin]);
    }
    normal(
        json!({"redirect_uris": ["https://a.example:443/cb"], "post_logout_redirect_uris": ["https://a.example/out"]}),
    )
    .unwrap();
}

#[test]
fn fields_that_are_refused() {
    for body in [
        json!({"client_id": ""}),
        json!({"client_id": "a\nb"}),
        json!({"client_id": "größe"}),
        json!({"client_id": "x".repeat(256)}),
        json!({"token_endpoint_auth_method": "nonsense"}),
        json!({"token_endpoint_auth_method": "client_secret_jwt"}),
        json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://a.example/", "token_endpoint_auth_signing_alg": "HS256"}),
        json!({"client_name": "a\u{0}b"}),
        json!({"owner": "a\rb"}),
        json!({"contacts": ["a\u{85}b"]}),
        json!({"metadata": {"a": [{"\u{0}": 1}]}}),
        json!({"jwks": {"a": "\u{0}"}}),
        json!({"logo_uri": "javascript:alert(1)"}),
        json!({"tos_uri": "/tos"}),
        json!({"policy_uri": "ftp://a.example/"}),
        json!({"client_uri": "data:text/html,x"}),
        json!({"frontchannel_logout_uri": "javascript:x"}),
        json!({"sector_identifier_uri": "http://a.example/"}),
        json!({"allowed_cors_origins": ["https://u@a.example"]}),
        json!({"allowed_cors_origins": ["*"]}),
        json!({"allowed_cors_origins": ["https://a.example?x"]}),
        json!({"jwks": {"a": 1}}),
        json!({"jwks": {"keys": ["x"]}}),
        json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
        json!({"post_logout_redirect_uris": ["javascript:x"]}),
        json!({"jwks": {"keys": [{"kty": "RSA", "e": "AQAB", "n": "AQAB"}]}}),
        json!({"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}]}}),
    ] {
        assert!(normal(body.clone()).is_err_and(|e| !e.redirect_uri), "{body}");
    }
}

#[test]
fn keys_and_free_json_that_are_let_through() {
    normal(json!({"jwks": {"keys": [{"kty": "future", "kid": "x"}]}, "metadata": {"text": "two\nlines"}})).unwrap();
    normal(json!({"jwks": {"keys": []}, "token_endpoint_auth_method": "private_key_jwt"})).unwrap();
    normal(json!({"jwks": {}, "jwks_uri": "https://a.example/jwks"})).unwrap();
}

#[test]
fn private_networks_are_not_called() {
    for host in [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "0x7f.1",
        "2130706433",
        "127.1",
        "localhost",
        "LOCALHOST",
        "x.localhost",
        "localhost.",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
        "[ff02::1]",
    ] {
        for body in
            [json!({"jwks_uri": format!("https://{host}/")}), json!({"request_uris": [format!("https://{host}/")]})]
        {
            assert!(normal(body.clone()).is_err(), "{body}");
        }
    }
    for host in ["8.8.8.8", "a.example", "[2606:4700::1111]", "[64:ff9b::808:808]"] {
        normal(json!({"jwks_uri": format!("https://{host}/"), "backchannel_logout_uri": format!("https://{host}/")}))
            .unwrap();
    }
    let open = MetadataRules { disallow_private_ip_ranges: false, ..rules() };
    let client = Client { client_id: "c".to_owned(), jwks_uri: "http://127.0.0.1/".to_owned(), ..Client::default() };
    normalize(client, &open).unwrap();
}

#[test]
fn secrets_are_printable_ascii() {
    check_secret("a:b c%+").unwrap();
    for bad in ["pässwörd", "abc\ndef", "abcde\0"] {
        assert!(check_secret(bad).is_err(), "{bad:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics_and_what_passes_is_ascii(uri in ".{0,60}") {
        if let Ok(client) = normal(json!({"redirect_uris": [uri]})) {
            proptest::prop_assert!(client.redirect_uris.concat().is_ascii());
        }
    }
}
