//! Where things end in a YAML text, and how a value is written there.

use super::super::source::Span;
use super::super::spec::Role;
use super::super::tree::{Node, Value};
use super::super::yaml::is_plain_string;
use super::HostEntry;

/// How an edit writes keys and strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// In double quotes, as JSON does.
    pub(super) quoted: bool,
}

impl Style {
    /// Without quotes wherever that is safe.
    pub(super) const PLAIN: Style = Style { quoted: false };

    /// A key of ours.
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

impl HostEntry {
    /// Fields in the file's order, each with its value in flow style.
    fn fields(&self, style: Style) -> Vec<(String, String)> {
        let roles: Vec<String> = self.roles.iter().map(|role| word(*role).into()).collect();
        let mut fields = vec![
            (style.key("name"), style.string(&self.name)),
            (style.key("address"), style.string(&self.address)),
            (style.key("roles"), flow_list(&roles, style)),
        ];
        let user = self
            .user
            .as_ref()
            .map(|user| format!("{}: {}", style.key("user"), style.string(user)));
        let port = self
            .port
            .map(|port| format!("{}: {port}", style.key("port")));
        let ssh: Vec<String> = user.into_iter().chain(port).collect();
        if !ssh.is_empty() {
            fields.push((style.key("ssh"), format!("{{{}}}", ssh.join(", "))));
        }
        fields
    }

    /// `{name: …, address: …, roles: […]}`.
    pub(super) fn flow(&self, style: Style) -> String {
        let fields: Vec<String> = self
            .fields(style)
            .into_iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }

    /// One line for each field; all but the first start with `indent`.
    pub(super) fn block(&self, style: Style, indent: &str, newline: &str) -> String {
        let fields: Vec<String> = self
            .fields(style)
            .into_iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        fields.join(&format!("{newline}{indent}"))
    }

    /// What the entry means.
    pub(super) fn json(&self) -> serde_json::Value {
        let roles: Vec<&str> = self.roles.iter().map(|role| word(*role)).collect();
        let mut entry = serde_json::json!({
            "name": self.name, "address": self.address, "roles": roles,
        });
        if let Some(user) = &self.user {
            entry["ssh"]["user"] = user.as_str().into();
        }
        if let Some(port) = self.port {
            entry["ssh"]["port"] = port.into();
        }
        entry
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::ControlPlane => "control-plane",
        Role::Worker => "worker",
    }
}

/// Whether a collection is written in brackets or braces.
pub(super) fn in_flow(text: &str, node: &Node) -> bool {
    // The span of a list in block style may start at its first item, which may
    // be in braces.
    let opening = match node.value {
        Value::Sequence(_) => '[',
        _ => '{',
    };
    text[node.span.start..].starts_with(opening)
}

/// Whether a key or a value is written in double quotes.
pub(super) fn is_quoted(text: &str, span: &Span) -> bool {
    text[span.start..].starts_with('"')
}

/// Where the text of a node ends. The span of a block collection may reach over
/// the comments behind it; those are not its own.
pub(super) fn end_of(text: &str, node: &Node) -> usize {
    let last = match &node.value {
        _ if in_flow(text, node) => None,
        Value::Sequence(items) => items.iter().map(|item| end_of(text, item)).max(),
        Value::Mapping(entries) => entries
            .iter()
            .map(|entry| end_of(text, &entry.value).max(entry.key_span.end))
            .max(),
        // Nothing at all stands at the place of the next thing.
        Value::Null if text[node.span.clone()].trim().is_empty() => Some(0),
        _ => None,
    };
    last.unwrap_or(node.span.end)
}

/// What stands between the start of the line and `at`, if that is only space.
pub(super) fn indentation(text: &str, at: usize) -> Option<&str> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let indent = &text[start..at];
    indent.bytes().all(|b| b == b' ').then_some(indent)
}

/// Where the line that holds `at` ends, its line break included.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |to| at + to + 1)
}

/// The line break that the line at `at` ends with.
pub(super) fn newline(text: &str, at: usize) -> &'static str {
    let line = &text[..line_end(text, at)];
    match line.ends_with("\r\n") {
        true => "\r\n",
        false => "\n",
    }
}

/// Whether nothing but space and a comment stands on the line behind `at`.
pub(super) fn rest_is_idle(text: &str, at: usize) -> bool {
    let rest = &text[at..line_end(text, at)];
    let idle = rest.trim_start();
    idle.is_empty() || (idle.starts_with('#') && idle.len() < rest.len())
}
