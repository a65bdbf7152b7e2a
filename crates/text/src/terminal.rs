//! Makes text from hosts safe to print.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::password::mask_passwords;

/// One line of a host's text as a terminal may see it: control characters
/// (C0, C1, escape sequences), bidirectional overrides and other characters
/// that draw nothing are written out, such as `\u{1b}`; newlines and tabs too.
pub fn escape(text: &str) -> Cow<'_, str> {
    filter(text, |_| false)
}

/// Several lines of a host's text as a terminal may see them: as [`escape`],
/// but newlines and tabs stay, and a carriage return before a newline goes. Passwords in URLs
/// are masked: whatever is printed may hold the address of a proxy.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    match mask_passwords(text) {
        Cow::Borrowed(text) => sanitize_plain(text),
        Cow::Owned(masked) => Cow::Owned(sanitize_plain(&masked).into_owned()),
    }
}

fn sanitize_plain(text: &str) -> Cow<'_, str> {
    match filter(text, |c| c == '\n' || c == '\t') {
        Cow::Owned(escaped) if text.contains("\r\n") => Cow::Owned(escaped.replace("\\r\n", "\n")),
        other => other,
    }
}

/// The same, but our own colours stay: `ESC [ … m`. What is not ours has to be escaped before
/// it is coloured.
pub fn sanitize_coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        let (before, code) = rest.split_at(at);
        out.push_str(&sanitize(before));
        let end = colour_length(code).unwrap_or(1);
        match colour_length(code) {
            Some(end) => out.push_str(&code[..end]),
            None => out.push_str(&escape("\x1b")),
        }
        rest = &code[end..];
    }
    out.push_str(&sanitize(rest));
    out
}

/// How long the code is that `text` starts with, if it only sets colours.
fn colour_length(text: &str) -> Option<usize> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    numbers[end..].starts_with('m').then_some(end + 3)
}

/// JSON as a terminal may see it: what is hidden, and JSON lets through, is written as JSON
/// escapes it. It means the same, but for passwords in URLs, which are masked.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    match mask_passwords(json) {
        Cow::Borrowed(json) => escape_hidden(json),
        Cow::Owned(masked) => Cow::Owned(escape_hidden(&masked).into_owned()),
    }
}

fn escape_hidden(json: &str) -> Cow<'_, str> {
    let is_bare = |c: char| hidden(c) && c != '\n' && c != '\t';
    if !json.chars().any(is_bare) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_bare(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// At most `limit` bytes of a host's output as one or more printable lines:
/// lossy UTF-8, blank edges cut, sanitized. What is cut off is said.
pub fn excerpt(output: &[u8], limit: usize) -> String {
    let cut = output.len() > limit;
    let text = String::from_utf8_lossy(&output[..output.len().min(limit)]);
    let mut text = sanitize(text.trim()).into_owned();
    if cut {
        let _ = write!(text, " […, {} bytes in all]", output.len());
    }
    text
}

fn filter(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| hidden(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) && !keep(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Characters that steer a terminal or change how the others are read.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_what_steers_a_terminal() {
        assert_eq!(escape("\x1b[31mred\x07"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(escape("a\nb"), "a\\nb");
        assert_eq!(escape("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(escape("user\u{202e}txt"), "user\\u{202e}txt");
        assert_eq!(escape("Grüße, 世界"), "Grüße, 世界");
    }

    #[test]
    fn passwords_in_urls_are_not_printed() {
        let text = "HTTPS_PROXY=http://u:p%40ss@proxy:3128\n";
        assert_eq!(sanitize(text), "HTTPS_PROXY=http://u:***@proxy:3128\n");
        assert_eq!(
            sanitize_coloured(text),
            "HTTPS_PROXY=http://u:***@proxy:3128\n"
        );
        let json = r#"{"a":"http://u:p@h","b":"x\n-http://v:w@i\n"}"#;
        assert_eq!(
            escape_json(json),
            r#"{"a":"http://u:***@h","b":"x\n-http://v:***@i\n"}"#
        );
    }

    #[test]
    fn keeps_the_shape_of_several_lines() {
        assert_eq!(sanitize("a\r\n\tb\x1bc\rd\n"), "a\n\tb\\u{1b}c\\rd\n");
    }

    #[test]
    fn our_colours_stay() {
        let text = "\x1b[1;31mred\x1b[0m \x1b[2Jgone \x1b]0;title\x07 \x1b";
        assert_eq!(
            sanitize_coloured(text),
            "\x1b[1;31mred\x1b[0m \\u{1b}[2Jgone \\u{1b}]0;title\\u{7} \\u{1b}"
        );
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "a\u{9b}2J\u{202e}\u{e0041}\n\x1b";
        let json = serde_json::to_string(text).unwrap();
        let escaped = escape_json(&json);
        assert_eq!(escaped, r#""a\u009b2J\u202e\udb40\udc41\n\u001b""#);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert_eq!(escape_json("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
    }

    #[test]
    fn says_what_it_cut() {
        assert_eq!(excerpt(b" ab\xff\n", 100), "ab\u{fffd}");
        assert_eq!(excerpt(b"abcdef", 3), "abc […, 6 bytes in all]");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in "\\PC*|[\\x00-\\x20\\x7f-\\u{a0}\\u{2000}-\\u{2070}]*") {
            prop_assert!(!escape(&text).chars().any(hidden));
            prop_assert!(!sanitize(&text).chars().any(|c| hidden(c) && c != '\n' && c != '\t'));
        }
    }
}
