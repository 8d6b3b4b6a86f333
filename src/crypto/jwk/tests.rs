//! Keys, good and bad.
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::sync::LazyLock;

use super::*;
use serde_json::json;

/// RSA is slow to make: one for every test.
pub static RSA: LazyLock<Jwk> = LazyLock::new(|| generate(Alg::RS256, 2048, "rsa".into(), "sig").unwrap());

/// The example key of RFC 7638 section 3.1.
const RFC7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

pub fn jwk(value: Value) -> Jwk {
    serde_json::from_value(value).unwrap()
}

pub fn with(key: &Jwk, name: &str, value: Value) -> Jwk {
    let mut key = key.clone();
    key.members_mut().insert(name.to_owned(), value);
    key
}

pub fn make(alg: Alg) -> Jwk {
    if alg.is_rsa() {
        return with(&RSA, "alg", json!(alg));
    }
    generate(alg, 0, "k1".into(), "sig").unwrap()
}

#[test]
fn thumbprints_of_the_rfcs() {
    let rsa = jwk(json!({"kty": "RSA", "n": RFC7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}));
    assert_eq!(rsa.thumbprint().unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    // RFC 8037, appendix A.3.
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let ed = jwk(json!({"kty": "OKP", "crv": "Ed25519", "x": x}));
    assert_eq!(ed.thumbprint().unwrap(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(jwk(json!({"kty": "XYZ"})).thumbprint(), None);
    assert!(jwk(json!({"kty": "oct", "k": "AA"})).thumbprint().is_some());
}

#[test]
fn made_keys_pass_and_show_nothing_private() {
    for alg in [Alg::RS256, Alg::ES256, Alg::ES384, Alg::ES512, Alg::EdDSA] {
        let key = make(alg);
        assert_eq!((key.check(), key.check_public()), (Ok(()), Err(JwkError::PrivatePart)), "{alg}");
        let public = key.public();
        assert_eq!((public.check_public(), public.is_private()), (Ok(()), false), "{alg}");
        let shown = serde_json::to_value(&public).unwrap();
        assert!(PRIVATE.iter().all(|name| shown.get(name).is_none()));
        assert_eq!((public.kty(), public.crv(), public.alg()), (alg.kty(), alg.crv(), Some(alg.as_str())));
        assert_eq!(key.thumbprint(), public.thumbprint());
        assert!(!format!("{key:?}").contains(key.text("d").unwrap()));
    }
    assert!(matches!(generate(Alg::RS256, 1024, String::new(), "sig"), Err(JwkError::Weak(_))));
}

#[test]
fn weak_rsa_is_refused() {
    let public = RSA.public();
    for e in ["AQ", "Ag", "AAAB", "AQAAAAAAAAAB"] {
        assert!(matches!(with(&public, "e", json!(e)).check_public(), Err(JwkError::Weak(_))), "{e}");
    }
    let short = with(&public, "n", json!(URL_SAFE_NO_PAD.encode([0xff; 128])));
    assert_eq!(short.check_public(), Err(JwkError::Weak("fewer than 2048 bits")));
    let long = with(&public, "n", json!(URL_SAFE_NO_PAD.encode([0xff; 2048])));
    assert_eq!(long.check_public(), Err(JwkError::Weak("more than 8192 bits")));
    assert_eq!(with(&public, "n", json!(7)).check_public(), Err(JwkError::Member("n")));
    assert_eq!(with(&public, "e", json!("")).check_public(), Err(JwkError::Member("e")));
}

#[test]
fn points_must_be_on_their_curve() {
    let (one, other) = (make(Alg::ES256).public(), make(Alg::ES256).public());
    let off = with(&one, "y", json!(other.text("y").unwrap()));
    assert_eq!(off.check_public(), Err(JwkError::Invalid));
    assert_eq!(with(&one, "x", json!("AA")).check_public(), Err(JwkError::Member("x")));
    assert_eq!(with(&one, "crv", json!("secp256k1")).check_public(), Err(JwkError::Unsupported));
    assert_eq!(with(&one, "crv", json!("Ed25519")).check_public(), Err(JwkError::Unsupported));
    let ed = make(Alg::EdDSA).public();
    assert_eq!(with(&ed, "x", json!("AAAA")).check_public(), Err(JwkError::Member("x")));
    assert_eq!(with(&ed, "crv", json!("X25519")).check_public(), Err(JwkError::Unsupported));
}

#[test]
fn a_private_part_must_belong_to_its_public_part() {
    for alg in [Alg::ES256, Alg::EdDSA] {
        let (one, other) = (make(alg), make(alg));
        assert_eq!(with(&one, "d", json!(other.text("d").unwrap())).check(), Err(JwkError::Invalid), "{alg}");
    }
    assert!(with(&RSA, "d", json!("Aw")).check().is_err());
    assert_eq!(jwk(json!({"kty": "oct", "k": "AAAA"})).check_public(), Err(JwkError::PrivatePart));
    assert_eq!(jwk(json!({"kty": "AKP"})).check_public(), Err(JwkError::Unsupported));
    assert_eq!(jwk(json!({})).check_public(), Err(JwkError::Member("kty")));
}

#[test]
fn an_odd_entry_never_costs_the_set() {
    let set = json!({"keys": [RSA.public(), {"kty": "AKP"}, 5, null, {"kty": "OKP", "crv": "X25519"}]});
    assert_eq!(parse_set(&set).len(), 3);
    for odd in [json!(null), json!([]), json!({"keys": 5}), json!({})] {
        assert!(parse_set(&odd).is_empty());
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

#[test]
fn keys_come_in_from_every_form() {
    use aws_lc_rs::{
        encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der, PublicKeyX509Der},
        signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
    };
    let pair = EcdsaKeyPair::generate(&als::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let sec1 = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&pair.private_key()).unwrap();
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    let text = [
        pem("EC PRIVATE KEY", sec1.as_ref()),
        pem("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref()),
        pem("PUBLIC KEY", spki.as_ref()),
    ]
    .concat();
    let keys = import(text.as_bytes()).unwrap();
    let prints: Vec<_> = keys.iter().map(Jwk::thumbprint).collect();
    assert!(prints.len() == 3 && prints.windows(2).all(|two| two.first() == two.last()));
    assert_eq!(keys.iter().map(Jwk::is_private).collect::<Vec<_>>(), [true, true, false]);
    assert!(keys.iter().all(|key| key.kid() == key.thumbprint().as_deref() && key.alg() == Some("ES384")));

    let ed = Ed25519KeyPair::generate().unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&ed).unwrap();
    assert_eq!(import(der.as_ref()).unwrap().first().and_then(Jwk::alg), Some("EdDSA"));

    let rsa = als::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
    let inner = pkcs8::PrivateKeyInfo::try_from(der.as_ref()).unwrap().private_key;
    let print = import(der.as_ref()).unwrap().first().and_then(Jwk::thumbprint);
    let public = rsa.public_key().as_ref();
    for form in [pem("RSA PRIVATE KEY", inner), pem("RSA PUBLIC KEY", public), pem("PRIVATE KEY", der.as_ref())] {
        assert_eq!(from_pem(&form).unwrap().first().and_then(Jwk::thumbprint), print);
    }
    let set = json!({"keys": [&*RSA, make(Alg::ES256)]}).to_string();
    assert_eq!(import(set.as_bytes()).unwrap().len(), 2);
    assert_eq!(import(serde_json::to_vec(&*RSA).unwrap().as_slice()).unwrap(), std::slice::from_ref(&*RSA));
}

#[test]
fn what_is_no_key_is_refused() {
    for bytes in ["", "{}", "[]", "5", "nonsense", "-----BEGIN ", "-----BEGIN X-----", r#"{"keys":[]}"#] {
        assert_eq!(import(bytes.as_bytes()), Err(JwkError::Format), "{bytes}");
    }
    assert_eq!(import(pem("CERTIFICATE", b"abc").as_bytes()), Err(JwkError::Unsupported));
    assert!(import(pem("PRIVATE KEY", b"abc").as_bytes()).is_err());
}

#[test]
fn algorithms_have_one_spelling() {
    for alg in Alg::ALL {
        assert_eq!(alg.to_string().parse(), Ok(alg));
        assert_eq!(serde_json::to_value(alg).unwrap(), json!(alg.as_str()));
    }
    for name in ["none", "None", "", "HS256", "rs256", "ES256K"] {
        assert_eq!(name.parse::<Alg>(), Err(UnknownAlg));
    }
}
