//! Unified diffs.

use console::style;
use similar::TextDiff;

use crate::terminal::sanitize;

/// A unified diff of two texts, three lines of context, without a header.
pub fn unified(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .to_string()
}

/// The same diff, safe to print, indented, added lines green and removed ones red if `color`.
pub fn colored(diff: &str, indent: &str, color: bool) -> String {
    diff.lines()
        .map(|line| {
            let line = sanitize(line).into_owned();
            let line = match (color, line.as_bytes().first()) {
                (true, Some(b'+')) => style(line).green().force_styling(true).to_string(),
                (true, Some(b'-')) => style(line).red().force_styling(true).to_string(),
                (true, Some(b'@')) => style(line).cyan().force_styling(true).to_string(),
                _ => line,
            };
            format!("{indent}{line}")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_changed_with_its_neighbours() {
        let diff = unified("a\nb\nc\n", "a\nB\nc\n");
        assert_eq!(diff, "@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
        assert_eq!(unified("a\n", "a\n"), "");
        let shown = colored(&diff, "  ", true);
        assert!(
            shown.contains("\u{1b}[31m-b") && shown.starts_with("  "),
            "{shown:?}"
        );
    }
}
