//! Passwords in URLs, as in those of proxies: `http://user:password@proxy:3128`.

use std::borrow::Cow;

/// What is shown instead.
const MASK: &str = "***";

/// Whether there is a URL with a password in a text.
pub fn has_password(text: &str) -> bool {
    matches!(mask_passwords(text), Cow::Owned(_))
}

/// Whether there is a URL in a text that says as whom to log in, with or without a password:
/// a name alone may be a token.
pub fn has_credentials(text: &str) -> bool {
    let mut urls = text.split("://").skip(1);
    urls.any(|rest| {
        let authority = rest.split(ends_authority).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// Whether a configuration holds credentials: in a URL, or under a name that is used for them.
pub fn holds_credentials(text: &str) -> bool {
    const NAMES: [&str; 6] = [
        "auth",
        "authorization",
        "password",
        "identitytoken",
        "identity_token",
        "registrytoken",
    ];
    let named = |line: &str| {
        // `name = value` and `"name": value`, several of them in a line of JSON.
        line.split([',', '{']).any(|part| {
            let Some((name, value)) = part.split_once(['=', ':']) else {
                return false;
            };
            let plain = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | '}');
            let name = name.trim_matches(plain).to_lowercase();
            NAMES.contains(&name.as_str()) && !value.trim_matches(plain).is_empty()
        })
    };
    has_credentials(text) || text.lines().any(named)
}

fn ends_authority(c: char) -> bool {
    c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '\\' | '?' | '#' | '<' | '>')
}

/// The text with a mask for the password of each URL in it. Names of users are kept.
pub fn mask_passwords(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let authority = after.split(ends_authority).next().unwrap_or_default();
        masked.push_str(before);
        rest = after;
        // A password may hold an `@`, or a `:`.
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, password)) = user.split_once(':')
            && !password.is_empty()
        {
            masked.push_str(name);
            masked.push(':');
            masked.push_str(MASK);
            rest = &after[user.len()..];
        }
    }
    if !masked.contains(MASK) || rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passwords_in_urls_are_masked() {
        for (text, masked) in [
            ("http://u:p@h:3128", "http://u:***@h:3128"),
            (
                "a=http://u:p:q@r@h/x b=https://v:w@i",
                "a=http://u:***@h/x b=https://v:***@i",
            ),
            (
                "Environment=\"HTTPS_PROXY=http://u:p%40x@h\"",
                "Environment=\"HTTPS_PROXY=http://u:***@h\"",
            ),
            ("socks5://:secret@h", "socks5://:***@h"),
        ] {
            assert_eq!(mask_passwords(text), masked);
            assert!(has_password(text) && has_credentials(text), "{text}");
            assert!(has_password(masked), "a mask is masked again: {masked}");
        }
        for plain in [
            "http://h:3128/a:b@c",
            "http://u@h",
            "u:p@h",
            "http://u:@h",
            "",
            "x://",
            "http://[::1]:80",
        ] {
            assert_eq!(mask_passwords(plain), plain);
            assert!(!has_password(plain), "{plain}");
            assert_eq!(has_credentials(plain), plain.contains("//u"), "{plain}");
        }
    }
}
