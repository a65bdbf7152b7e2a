//! How an edit writes keys, strings and lists.

use crate::inventory::yaml::is_plain_string;

/// How an edit writes keys and strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// In double quotes, as JSON does.
    pub(super) quoted: bool,
}

impl Style {
    /// Without quotes wherever that is safe.
    pub(super) const PLAIN: Style = Style { quoted: false };

    /// A key, which needs no escaping.
    pub(super) fn key(self, key: &str) -> String {
        match self.quoted {
            true => format!("\"{key}\""),
            false => key.to_owned(),
        }
    }

    /// A string.
    pub(super) fn string(self, text: &str) -> String {
        // The words that YAML 1.1 takes for something else.
        const WORDS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
        let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let plain = !self.quoted
            && text.bytes().all(safe)
            && text
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric())
            && is_plain_string(text)
            && !WORDS.contains(&text.to_ascii_lowercase().as_str());
        match plain {
            true => text.to_owned(),
            // JSON's strings are YAML's in double quotes.
            false => serde_json::Value::from(text).to_string(),
        }
    }
}

/// `[a, b]`.
pub(super) fn flow_list(items: &[String], style: Style) -> String {
    let items: Vec<String> = items.iter().map(|item| style.string(item)).collect();
    format!("[{}]", items.join(", "))
}
