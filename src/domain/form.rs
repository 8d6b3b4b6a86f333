//! Names and values in `application/x-www-form-urlencoded` (WHATWG URL §5), the form of queries and bodies. Most of what we
//! write and read, challenges and tokens, is long and has nothing to escape: that is looked at once, not byte by byte.

use url::form_urlencoded::byte_serialize;

/// Appends `name=value`, after an `&` unless it is the first of `out`.
pub fn push_pair(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    push_encoded(out, name);
    out.push('=');
    push_encoded(out, value);
}

/// Names and values as a form.
pub fn encode<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        push_pair(&mut out, name.as_ref(), value.as_ref());
    }
    out
}

fn push_encoded(out: &mut String, text: &str) {
    if text.bytes().fold(true, |plain, b| plain & is_plain(b)) {
        out.push_str(text);
    } else {
        out.extend(byte_serialize(text.as_bytes()));
    }
}

/// Stands for itself.
const fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() | (b == b'-') | (b == b'.') | (b == b'_')
}

/// Strict decoding of one name or value: a broken escape, invalid UTF-8 or NUL is `None`.
pub fn decode(text: &str) -> Option<String> {
    if text.bytes().fold(true, |plain, b| plain & is_plain(b)) {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'+' => b' ',
            b'%' => {
                let hex = |b: Option<u8>| char::from(b?).to_digit(16);
                let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok().filter(|s| !s.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_what_the_url_crate_writes_and_is_read_again(
            pairs in prop::collection::vec(("[a-zA-Z0-9._*~ &=+%-]{0,9}|[^\0]{0,5}", "[a-zA-Z0-9._*~ &=+%-]{0,9}|[^\0]{0,5}"), 0..4)
        ) {
            let written = encode(pairs.iter().map(|(name, value)| (name, value)));
            let theirs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            prop_assert_eq!(&written, &theirs);
            let read: Option<Vec<_>> = written.split('&').filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').and_then(|(name, value)| Some((decode(name)?, decode(value)?))))
                .collect();
            prop_assert_eq!(read, Some(pairs));
        }
    }

    #[test]
    fn what_is_broken_is_nothing() {
        for broken in ["%", "%1", "%1g", "%ff", "a%00", "\0"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
        assert_eq!(decode("a+b%20c").as_deref(), Some("a b c"));
    }
}
