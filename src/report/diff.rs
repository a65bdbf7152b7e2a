//! Unified diffs.

use console::style;
use similar::TextDiff;

/// A unified diff of two texts, three lines of context, without a header.
pub fn unified(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .to_string()
}

/// The same diff, indented, added lines green and removed ones red if `color`.
pub fn colored_diff(diff: &str, indent: &str, color: bool) -> String {
    diff.lines()
        .map(|line| {
            let line = match (color, line.as_bytes().first()) {
                (true, Some(b'+')) => style(line).green().force_styling(true).to_string(),
                (true, Some(b'-')) => style(line).red().force_styling(true).to_string(),
                (true, Some(b'@')) => style(line).cyan().force_styling(true).to_string(),
                _ => line.to_owned(),
            };
            format!("{indent}{line}")
        })
        .collect::<Vec<_>>()
        .join("\n")
}
