//! Stored forms, good and bad.
#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use super::*;
use argon2::PasswordHasher as _;

#[test]
fn pbkdf2_has_hydras_form() {
    let stored = Hasher::Pbkdf2 { iterations: 1000 }.hash("s3cret", b"0123456789abcdef").unwrap();
    assert!(stored.starts_with("$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$"), "{stored}");
    assert!(is_verifiable(&stored) && verify("s3cret", &stored));
    assert!(!verify("s3cres", &stored));
    assert!(!verify("", &stored));
}

#[test]
fn pbkdf2_rfc_6070_and_its_sha2_kin() {
    // RFC 6070, second vector: "password", "salt", 2 rounds, 20 bytes.
    let key = hex::decode("ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957").unwrap();
    let stored = format!("$pbkdf2-sha1$i=2,l=20$c2FsdA${}", STANDARD_NO_PAD.encode(key));
    assert!(verify("password", &stored));
    // Made by another implementation (Python's hashlib).
    let stored = "$pbkdf2-sha256$i=25000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$FU/Sg/ExEPWS8oCCcOh4UNhNXJ7DR8W436k9fUaMItU";
    assert!(verify("secret", stored) && !verify("Secret", stored));
    for (name, algorithm) in [("sha384", pbkdf2::PBKDF2_HMAC_SHA384), ("sha512", pbkdf2::PBKDF2_HMAC_SHA512)] {
        let mut key = [0; 32];
        pbkdf2::derive(algorithm, NonZeroU32::MIN, b"salt", b"password", &mut key);
        let stored = format!("$pbkdf2-{name}$i=1,l=32$c2FsdA${}", STANDARD_NO_PAD.encode(key));
        assert!(verify("password", &stored) && !verify("passwore", &stored));
    }
}

#[test]
fn bcrypt_in_all_its_prefixes_and_never_cut_in_silence() {
    let stored = Hasher::Bcrypt { cost: 4 }.hash("s3cret", &[9; 16]).unwrap();
    assert!(stored.starts_with("$2a$04$"));
    for prefix in ["$2a$", "$2b$", "$2y$"] {
        let stored = stored.replace("$2a$", prefix);
        assert!(is_verifiable(&stored) && verify("s3cret", &stored));
    }
    assert!(!verify("S3cret", &stored));
    let error = Hasher::Bcrypt { cost: 4 }.hash(&"x".repeat(73), &[9; 16]).unwrap_err();
    assert!(error.to_string().contains("72"));
    let full = Hasher::Bcrypt { cost: 4 }.hash(&"x".repeat(72), &[9; 16]).unwrap();
    assert!(verify(&"x".repeat(72), &full) && !verify(&"x".repeat(71), &full));
}

#[test]
fn argon2_within_bounds() {
    let params = argon2::Params::new(64, 1, 1, None).unwrap();
    for algorithm in [argon2::Algorithm::Argon2i, argon2::Algorithm::Argon2id] {
        let hasher = argon2::Argon2::new(algorithm, argon2::Version::V0x13, params.clone());
        let stored = hasher.hash_password_with_salt(b"s3cret", b"0123456789abcdef").unwrap().to_string();
        assert!(is_verifiable(&stored) && verify("s3cret", &stored) && !verify("other", &stored));
        assert!(!verify("s3cret", &stored.replace("m=64", "m=4000000000")));
        assert!(!verify("s3cret", &stored.replace("t=1", "t=4000000000")));
    }
}

#[test]
fn garbage_is_never_a_match() {
    let long = "$".repeat(100_000);
    for stored in [
        "",
        "$",
        "$$$$",
        "plain",
        "$pbkdf2-sha256$",
        "$pbkdf2-sha256$i=0,l=32$c2FsdA$AAAA",
        "$pbkdf2-sha256$i=1,l=0$c2FsdA$",
        "$pbkdf2-sha256$i=4294967295,l=32$c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$pbkdf2-md5$i=1,l=32$c2FsdA$AAAA",
        "$2a$",
        "$2a$99$",
        "$2a$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "$2a$é",
        "$argon2id$",
        "$argon2id$v=19$m=8,t=1,p=1$$",
        "ünï",
        long.as_str(),
    ] {
        assert!(!verify("secret", stored));
        assert!(!verify("", stored));
        assert!(!is_verifiable(stored), "{stored}");
    }
    assert_eq!(Hasher::Pbkdf2 { iterations: 0 }.hash("s", &[0; 16]), Err(HashError::Work(0)));
    assert_eq!(Hasher::Bcrypt { cost: 31 }.hash("s", &[0; 16]), Err(HashError::Work(31)));
}
