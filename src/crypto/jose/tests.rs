//! Signing, verifying, and the attacks on it.
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::crypto::jwk::{
    Alg, Jwk,
    tests::{RSA, jwk, make, with},
};

fn token(header: &str, claims: &str, signature: &[u8]) -> String {
    format!("{}.{}.{}", B64.encode(header), B64.encode(claims), B64.encode(signature))
}

fn verify(token: &str, key: &Jwk, allowed: &[Alg]) -> Result<Claims, JoseError> {
    Unverified::parse(token)?.verify(std::slice::from_ref(key), allowed)
}

fn sign(key: &Jwk, claims: &Value) -> String {
    SigningKey::from_jwk(key).unwrap().sign_jwt("at+jwt", claims).unwrap()
}

#[test]
fn every_algorithm_goes_round_and_notices_a_change() {
    for alg in Alg::ALL {
        let key = make(alg);
        let signer = SigningKey::from_jwk(&key).unwrap();
        let token = signer.sign_jwt("at+jwt", &json!({"sub": "alice"})).unwrap();
        let public = signer.public_jwk();
        let read = Unverified::parse(&token).unwrap();
        let want = Header { alg: alg.to_string(), kid: Some(signer.kid().to_owned()), typ: Some("at+jwt".into()) };
        assert_eq!(read.header, want);
        assert_eq!(verify(&token, &public, &[alg]).unwrap().str("sub"), Some("alice"), "{alg}");
        let kept = VerifyingKey::from_jwk(&public).unwrap();
        assert!(read.verify_with(&kept).is_ok());
        let (head, _) = token.rsplit_once('.').unwrap();
        let other = format!("{head}.{}", B64.encode(signer.sign(b"other").unwrap()));
        assert_eq!(verify(&other, &public, &[alg]), Err(JoseError::Signature), "{alg}");
        assert_eq!(Unverified::parse(&other).unwrap().verify_with(&kept), Err(JoseError::Signature));
    }
}

#[test]
fn the_header_stands_in_its_order() {
    let token = sign(&make(Alg::ES256), &json!({}));
    let header = B64.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(header, br#"{"alg":"ES256","kid":"k1","typ":"at+jwt"}"#);
}

#[test]
fn none_and_hmac_are_never_possible() {
    let public = RSA.public();
    for name in ["none", "None", "nOnE", "", "HS256", "HS512"] {
        let header = json!({"alg": name, "kid": "rsa"}).to_string();
        assert_eq!(verify(&token(&header, "{}", b""), &public, &Alg::ALL), Err(JoseError::Algorithm), "{name}");
    }
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public.text_n().as_bytes());
    let unsigned = token(r#"{"alg":"HS256","kid":"rsa"}"#, "{}", b"");
    let input = unsigned.trim_end_matches('.');
    let forged = format!("{input}.{}", B64.encode(aws_lc_rs::hmac::sign(&mac, input.as_bytes())));
    assert_eq!(verify(&forged, &public, &Alg::ALL), Err(JoseError::Algorithm));
    assert_eq!(Unverified::parse(&token("{}", "{}", b"")).unwrap_err(), JoseError::Header("alg"));
}

impl Jwk {
    fn text_n(&self) -> String {
        self.members().get("n").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

#[test]
fn headers_that_change_the_meaning_are_refused() {
    for (name, value) in [("crit", json!(["b64"])), ("b64", json!(false)), ("zip", json!("DEF")), ("enc", json!("A"))] {
        let header = json!({"alg": "RS256", name: value}).to_string();
        assert_eq!(Unverified::parse(&token(&header, "{}", b"s")).unwrap_err(), JoseError::Header(name));
    }
    for header in [r#"{"alg":5}"#, r#"{"alg":"RS256","kid":5}"#, r#"{"alg":"RS256","typ":[]}"#] {
        assert!(matches!(Unverified::parse(&token(header, "{}", b"s")), Err(JoseError::Header(_))));
    }
}

#[test]
fn shapes_that_are_no_token_are_refused() {
    let doubled = [
        (r#"{"alg":"RS256","alg":"none"}"#, "{}"),
        (r#"{"alg":"RS256"}"#, r#"{"iss":"a","iss":"b"}"#),
        (r#"{"alg":"RS256"}"#, r#"{"a":[{"b":1,"\u0062":2}]}"#),
        (r#"{"alg":"RS256"}"#, "[]"),
        (r#"{"alg":"RS256"}"#, "{} {}"),
        (r#"{"alg":"RS256"}"#, r#"{"exp":1e999}"#),
        ("5", "{}"),
    ];
    for (header, claims) in doubled {
        assert_eq!(Unverified::parse(&token(header, claims, b"s")).unwrap_err(), JoseError::Json, "{claims}");
    }
    let good = sign(&make(Alg::ES256), &json!({}));
    let bad = [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        &format!("{good}.."),
        &format!("{good}="),
        &format!("{good}\n"),
        &format!(" {good}"),
        "é.é.é",
        &good.replace('.', "+."),
    ]
    .map(|text| Unverified::parse(text).is_err());
    assert!(bad.into_iter().all(|refused| refused), "{bad:?}");
    assert_eq!(Unverified::parse(&".".repeat(1 << 20)).unwrap_err(), JoseError::TooLong);
    let deep = format!(r#"{{"a":{}"#, "[".repeat(5000));
    assert_eq!(Unverified::parse(&token(r#"{"alg":"RS256"}"#, &deep, b"s")).unwrap_err(), JoseError::Json);
}

#[test]
fn trailing_bits_make_no_second_spelling() {
    let good = sign(&make(Alg::ES256), &json!({}));
    // 64 bytes end in a character with four spare bits.
    let last = good.chars().last().unwrap();
    let next = char::from(last as u8 + 1);
    let twin = format!("{}{next}", good.strip_suffix(last).unwrap());
    assert_eq!(Unverified::parse(&twin).unwrap_err(), JoseError::Malformed);
}

#[test]
fn ecdsa_signatures_have_one_form() {
    let key = make(Alg::ES256);
    let signer = SigningKey::from_jwk(&key).unwrap();
    let unsigned = token(r#"{"alg":"ES256"}"#, "{}", b"");
    let input = unsigned.trim_end_matches('.');
    let check = |signature: &[u8]| verify(&format!("{input}.{}", B64.encode(signature)), &key.public(), &[Alg::ES256]);
    let good = signer.sign(input.as_bytes()).unwrap();
    assert!(check(&good).is_ok());
    let (r, s) = good.split_at(32);
    let number = |n: &[u8]| [&[2, 33, 0], n].concat();
    let der = [vec![0x30, 70], number(r), number(s)].concat();
    let long = [good.as_slice(), &[0]].concat();
    for bad in [&[0; 64][..], &der, good.split_at(63).0, &long, b"", &[0xff; 64]] {
        assert_eq!(check(bad), Err(JoseError::Signature));
    }
}

#[test]
fn keys_are_chosen_by_kid_alg_use_and_kind() {
    let key = make(Alg::ES256);
    let token = sign(&key, &json!({}));
    let public = key.public();
    let allowed = [Alg::ES256];
    for (name, value) in [
        ("kid", json!("k2")),
        ("kid", json!(5)),
        ("use", json!("enc")),
        ("use", json!(5)),
        ("alg", json!("ES384")),
        ("alg", json!("none")),
        ("kty", json!("RSA")),
    ] {
        assert_eq!(verify(&token, &with(&public, name, value), &allowed), Err(JoseError::NoKey), "{name}");
    }
    assert_eq!(verify(&token, &public, &[Alg::RS256]), Err(JoseError::Algorithm));
    assert_eq!(verify(&token, &public, &[]), Err(JoseError::Algorithm));
    let strangers = [RSA.public(), make(Alg::ES256).public(), jwk(json!({"kty": "AKP"})), public];
    assert!(Unverified::parse(&token).unwrap().verify(&strangers, &allowed).is_ok());
    // A mix of kinds: an RSA key that names no algorithm, and a token that says ES256.
    let mut bare = RSA.public();
    bare.members_mut().remove("alg");
    assert_eq!(verify(&token, &with(&bare, "kid", json!("k1")), &allowed), Err(JoseError::NoKey));
    assert!(!VerifyingKey::from_jwk(&bare).unwrap().verify(Alg::ES256, b"", &[0; 64]));
    assert!(VerifyingKey::from_jwk(&with(&bare, "alg", json!("RSA-OAEP"))).is_err());
}

#[test]
fn weak_keys_do_not_verify() {
    let token = sign(&RSA, &json!({}));
    for (name, value) in [("e", json!("AQ")), ("n", json!(B64.encode([0xff; 128])))] {
        let weak = with(&RSA.public(), name, value);
        assert_eq!(verify(&token, &weak, &[Alg::RS256]), Err(JoseError::Signature));
        assert!(VerifyingKey::from_jwk(&weak).is_err());
    }
    assert!(SigningKey::from_jwk(&RSA.public()).is_err());
    assert!(SigningKey::from_jwk(&with(&RSA, "alg", json!("ES256"))).is_err());
    assert!(SigningKey::from_jwk(&with(&make(Alg::ES256), "alg", json!("ES384"))).is_err());
}

#[test]
fn a_bad_date_is_never_an_absent_one() {
    let claims = |value: Value| Claims(serde_json::Map::from_iter([("exp".to_owned(), value)]));
    for (value, want) in
        [(json!(0), 0), (json!(1_700_000_000.9), 1_700_000_000), (json!(1.7e9), 1_700_000_000), (json!(-5), -5)]
    {
        assert_eq!(claims(value).time("exp"), Ok(Some(want)));
    }
    let bad = [json!("1"), json!(true), json!(null), json!([]), json!({}), json!(i64::MAX), json!(i64::MIN)];
    for value in bad.into_iter().chain([json!(u64::MAX), json!(1e308), json!(-1e308), json!(9_007_199_254_740_992_i64)])
    {
        assert_eq!(claims(value).time("exp"), Err(JoseError::Claim("exp".into())));
    }
    assert_eq!(claims(json!(1)).time("nbf"), Ok(None));
}

#[test]
fn audiences() {
    let claims = |value: Value| Claims(serde_json::Map::from_iter([("aud".to_owned(), value)])).audience();
    assert_eq!(claims(json!("a")), Ok(vec!["a".to_owned()]));
    assert_eq!(claims(json!(["a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(Claims(serde_json::Map::new()).audience(), Ok(vec![]));
    for bad in [json!(null), json!(5), json!([5]), json!({})] {
        assert!(claims(bad).is_err());
    }
}

proptest! {
    #[test]
    fn no_token_makes_it_panic(text in "[ -~é.]{0,200}", header: String, claims: String) {
        let _ = Unverified::parse(&text);
        let _ = Unverified::parse(&token(&header, &claims, b"s"));
    }
}
