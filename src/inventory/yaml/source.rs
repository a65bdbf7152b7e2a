//! The text of an inventory, and the position of each offset in it.

use std::ops::Range;

/// Bytes from the first (inclusive) to the last (exclusive) of a text.
pub(crate) type Span = Range<usize>;

/// Keys whose values no message may show.
const SECRETS: [&str; 5] = [
    "token",
    "certificateKey",
    "password",
    "auth",
    "identitytoken",
];

/// An inventory's text with its name.
#[derive(Debug)]
pub(crate) struct Source {
    /// How messages call the file.
    name: String,
    text: String,
    /// The text as it may be shown: secrets are masked, lengths are kept.
    shown: String,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
}

impl Source {
    /// Takes the text of the file that messages call `name`.
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Source {
            name: name.into(),
            shown: mask_secrets(&text),
            text,
            lines,
        }
    }

    /// How messages call the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text as it may be shown.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Line and column (in characters) of an offset, both counted from 1.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    /// Offset of the first byte of a line, counted from 1.
    pub(crate) fn line_start(&self, line: usize) -> usize {
        let last = self.lines.len() - 1;
        self.lines[line.saturating_sub(1).min(last)]
    }

    /// Offset just after the last byte of a line, its line break included.
    pub(crate) fn line_end(&self, line: usize) -> usize {
        self.lines.get(line).copied().unwrap_or(self.text.len())
    }

    /// The character boundary at or before an offset.
    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}

/// Hides secrets, so that no message can show them. This goes by the text, not
/// by the tree, for there is no tree where the YAML itself is broken.
fn mask_secrets(text: &str) -> String {
    text.split_inclusive('\n').map(mask_line).collect()
}

fn mask_line(line: &str) -> String {
    let mut shown = line.to_owned();
    for key in SECRETS {
        for (at, _) in line.match_indices(key) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_')) {
                continue;
            }
            let rest = line[at + key.len()..].trim_start_matches(['"', '\'', ' ']);
            let Some(value) = rest.strip_prefix(':').map(str::trim_start) else {
                continue;
            };
            let start = line.len() - value.len();
            let end = start + value_length(value);
            // One for one in bytes, or offsets would move.
            let mask: String = line[start..end]
                .chars()
                .map(|c| match c.len_utf8() {
                    1 => '*',
                    2 => '·',
                    3 => '•',
                    _ => '🞄',
                })
                .collect();
            shown.replace_range(start..end, &mask);
        }
    }
    shown
}

/// Length of the scalar that the rest of a line starts with.
fn value_length(value: &str) -> usize {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let end = match quote {
        Some(quote) => value[1..].find(quote).map(|at| at + 2),
        None => value
            .find(" #")
            .into_iter()
            .chain(value.find([',', '}']))
            .min(),
    };
    let value = &value[..end.unwrap_or(value.len())];
    value.trim_end().len()
}

/// A piece of the file for use within a message, not endless.
pub(crate) fn shorten(text: &str) -> String {
    const MAX: usize = 64;
    let mut short: String = text.chars().take(MAX).collect();
    if text.chars().nth(MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source::new("x", "añb\nc\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(5), (2, 1));
        assert_eq!(source.position(999), (3, 1));
    }

    #[test]
    fn secrets_are_masked_and_offsets_kept() {
        let masked = |text: &str| {
            let source = Source::new("x", text);
            assert_eq!(source.shown().len(), text.len());
            source.shown().to_owned()
        };
        assert_eq!(masked("token: äöü🦀s # c\n"), "token: ···🞄* # c\n");
        assert_eq!(
            masked("- {token: abcdef.1, ttl: 1h}\r\n"),
            "- {token: ********, ttl: 1h}\r\n"
        );
        assert_eq!(masked("\"token\": \"a, b\" # c"), "\"token\": ****** # c");
        assert_eq!(masked("certificateKey: 00ff"), "certificateKey: ****");
        assert_eq!(masked("token:"), "token:");
        assert_eq!(masked("bootstrap-token: x"), "bootstrap-token: x");
        assert_eq!(masked("token: '"), "token: *");
    }
}
