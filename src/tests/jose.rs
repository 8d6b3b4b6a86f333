//! Keys and signed assertions of clients, right ones and wrong ones, made by hand so that nothing tidies them up.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A client's signing key.
pub enum Key {
    Es256 { kid: String, pair: EcdsaKeyPair },
    Rs256 { kid: String, pair: RsaKeyPair },
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
pub fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Key {
    pub fn es256(kid: &str) -> Self {
        Self::Es256 { kid: kid.to_owned(), pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    pub fn rs256(kid: &str) -> Self {
        Self::Rs256 { kid: kid.to_owned(), pair: RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap() }
    }

    /// The public half as a JWK.
    pub fn public(&self) -> Value {
        match self {
            Self::Es256 { kid, pair } => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
                       "x": b64(&point[1..33]), "y": b64(&point[33..65])})
            }
            Self::Rs256 { kid, pair } => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid,
                       "n": b64(n.big_endian_without_leading_zero()), "e": b64(e.big_endian_without_leading_zero())})
            }
        }
    }

    /// The bare signature of these bytes.
    pub fn sign_bytes(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Es256 { pair, .. } => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Self::Rs256 { pair, .. } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature).unwrap();
                signature
            }
        }
    }

    fn header(&self) -> Value {
        match self {
            Self::Es256 { kid, .. } => json!({"alg": "ES256", "kid": kid, "typ": "JWT"}),
            Self::Rs256 { kid, .. } => json!({"alg": "RS256", "kid": kid, "typ": "JWT"}),
        }
    }
}

/// A client assertion (RFC 7523 section 3) before it is signed.
#[derive(Clone)]
pub struct Assertion {
    header: Value,
    claims: Value,
}

impl Assertion {
    /// A right one for this client and audience, good for a minute.
    pub fn new(client: &str, audience: &str) -> Self {
        let claims = json!({"iss": client, "sub": client, "aud": audience, "jti": crate::harness::fresh("jti"),
                            "iat": now(), "exp": now() + 60});
        Self { header: json!({}), claims }
    }

    /// With another claim; null takes it away.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        let claims = self.claims.as_object_mut().unwrap();
        if value.is_null() {
            claims.remove(name)
        } else {
            claims.insert(name.to_owned(), value)
        };
        self
    }

    /// With another header member; null takes it away.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    /// The compact form, signed by this key.
    pub fn sign(&self, key: &Key) -> String {
        let mut header = key.header();
        for (name, value) in self.header.as_object().unwrap() {
            if value.is_null() {
                header.as_object_mut().unwrap().remove(name);
            } else {
                header[name] = value.clone();
            }
        }
        let claims = self.claims.to_string();
        Self::raw(&header.to_string(), &claims, |input| key.sign_bytes(input))
    }

    /// The compact form of any header and claims texts, with any signature.
    pub fn raw(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let input = format!("{}.{}", b64(header), b64(claims));
        let signature = sign(input.as_bytes());
        format!("{input}.{}", b64(signature))
    }

    /// The claims as text.
    pub fn claims(&self) -> String {
        self.claims.to_string()
    }

    /// The token request that carries it.
    pub fn form(assertion: &str) -> [(&str, &str); 3] {
        [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
        ]
    }
}
