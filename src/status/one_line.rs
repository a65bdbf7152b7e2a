//! Errors and texts of others on one line.

use text::terminal::escape;

use crate::run::error::Error;

/// Longest piece of an error that is shown, in characters.
const SHORT: usize = 200;

/// An error on one line, without the name of the host beside which it stands.
pub(super) fn one_line(error: &Error, host: &str) -> String {
    let text = error.to_string();
    let text = text.strip_prefix(&format!("{host}: ")).unwrap_or(&text);
    short(text)
}

/// The first line of a text, safe to print and not long.
pub(super) fn short(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let mut short: String = line.chars().take(SHORT).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    escape(&short).into_owned()
}
