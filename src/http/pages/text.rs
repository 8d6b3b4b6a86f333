//! Text from outside on its way into HTML.

use std::fmt::{self, Write as _};

/// Text as it may stand in HTML, between tags and inside quoted attributes alike.
pub struct Escaped<'a>(&'a str);

/// Makes text harmless in HTML without losing any of it: every character that means something to an HTML parser
/// becomes a reference. CR and LF do too, because a parser would fold them. NUL, which HTML cannot say, becomes U+FFFD.
pub const fn escape(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' | '`' | '\r' | '\n' => write!(out, "&#{};", u32::from(c))?,
                '\0' => out.write_char('\u{fffd}')?,
                c => out.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A text of strangers as one line to read: at most `most` characters, with an ellipsis where it was cut; control
/// characters and those that turn the direction of writing are spaces. Still to be escaped.
pub fn one_line(text: &str, most: usize) -> String {
    let tame = |c: char| if c.is_control() || turns(c) { ' ' } else { c };
    let mut line: String = text.chars().take(most).map(tame).collect();
    if text.chars().nth(most).is_some() {
        line.push('…');
    }
    line.trim().to_owned()
}

/// The bidirectional formatting characters and the line separators of Unicode: they make a text look like another.
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_an_html_parser_knows_is_left() {
        for (text, html) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("' `a`", "&#39; &#96;a&#96;"),
            ("a&amp;b &#60;", "a&amp;amp;b &amp;#60;"),
            ("a\r\nb\0c", "a&#13;&#10;b\u{fffd}c"),
            ("ü 漢 🙂", "ü 漢 🙂"),
        ] {
            assert_eq!(escape(text).to_string(), html);
        }
    }

    #[test]
    fn a_line_is_bounded_and_reads_one_way() {
        assert_eq!(one_line("  a\nb\u{202e}c\u{2066}\u{7f} ", 20), "a b c");
        assert_eq!(one_line("ääää", 3), "äää…");
        assert_eq!(one_line("äää", 3), "äää");
    }
}
