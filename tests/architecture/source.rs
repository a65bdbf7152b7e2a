//! The program's source files, and as much of Rust's syntax as the checks need.

use std::fs;
use std::path::Path;

/// A file of the program; tests are cut off.
pub(crate) struct SourceFile {
    /// From the repository's root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A function as it is written.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) lines: usize,
    /// Whether a comment says why it is long.
    pub(crate) has_reason: bool,
}

/// Every source file of the program and its crates.
pub(crate) fn read_sources() -> Vec<SourceFile> {
    let mut files = Vec::new();
    walk(Path::new("src"), &mut files);
    for entry in fs::read_dir("crates").unwrap() {
        walk(&entry.unwrap().path().join("src"), &mut files);
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 100, "only {} files were found", files.len());
    files
}

fn walk(dir: &Path, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What only tests are built with.
        let for_tests = ["tests.rs", "testing.rs", "samples.rs"];
        if name.ends_with(".rs") && !for_tests.contains(&name.as_str()) {
            files.push(SourceFile {
                path: path.display().to_string(),
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

impl SourceFile {
    /// The code without its tests, comments and the contents of strings.
    fn code(&self) -> String {
        let text = match self.text.find("#[cfg(test)]\nmod tests {") {
            Some(at) => &self.text[..at],
            None => self
                .text
                .find("#[cfg(test)]\n#[allow(clippy::unwrap_used)]\nmod tests {")
                .map_or(self.text.as_str(), |at| &self.text[..at]),
        };
        strip(text)
    }

    /// Paths that begin with `crate::`, `super::` or `self::`, groups taken apart.
    pub(crate) fn paths(&self) -> Vec<String> {
        let code = self.code();
        let mut paths = Vec::new();
        for root in ["crate::", "super::", "self::"] {
            for (at, _) in code.match_indices(root) {
                let before = code[..at].chars().next_back();
                // `pub(in crate::x)` and `pub(super)` are no imports; `a::super::` is none.
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                // A face hands on what it holds: that is no arrow.
                let statement = code[..at].rsplit(['\n', ';']).next().unwrap_or_default();
                if statement.trim_start().starts_with("pub use") {
                    continue;
                }
                expand(root, &code[at + root.len()..], &mut paths);
            }
        }
        paths.sort();
        paths.dedup();
        paths
    }

    /// What a `mod.rs` hands on: the name and where it is from.
    pub(crate) fn re_exports(&self) -> Vec<String> {
        let code = self.code();
        let mut paths = Vec::new();
        for keyword in ["pub use ", "pub(crate) use ", "pub(super) use "] {
            for (at, _) in code.match_indices(keyword) {
                expand("", &code[at + keyword.len()..], &mut paths);
            }
        }
        paths
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let code = self.code();
        let mut functions = Vec::new();
        for (at, _) in code.match_indices("fn ") {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + 3..];
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(open) = rest.find(['{', ';']) else {
                continue;
            };
            if name.is_empty() || rest.as_bytes()[open] == b';' {
                continue;
            }
            let body = &rest[open..][..length_of_block(&rest[open..])];
            let lines = body.lines().count();
            // Stripping keeps the lines where they are.
            let first_line = code[..at].lines().count().saturating_sub(1);
            let above: Vec<&str> = self.text.lines().take(first_line).collect();
            let has_reason = above
                .iter()
                .rev()
                .take_while(|line| {
                    let line = line.trim_start();
                    line.starts_with("//") || line.starts_with('#')
                })
                .any(|line| line.contains("// Long:"));
            functions.push(Function {
                name,
                lines,
                has_reason,
            });
        }
        functions
    }
}

/// The length of a text's first block in braces.
fn length_of_block(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// Takes a path apart at its groups: `a::{b, c::d}` is two.
fn expand(prefix: &str, text: &str, paths: &mut Vec<String>) {
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '*'))
        .unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..end]);
    if !text[end..].starts_with('{') {
        let path = path.trim_end_matches(':');
        paths.push(path.trim_end_matches("::self").to_owned());
        return;
    }
    let block = &text[end..][..length_of_block(&text[end..])];
    let (mut depth, mut start) = (0_usize, 1);
    for (at, c) in block.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || (c == '}' && depth == 0) {
            let item = block[start..at].trim();
            if !item.is_empty() {
                expand(&path, item, paths);
            }
            start = at + 1;
        }
    }
}

/// Blanks out comments and the contents of strings; lines stay where they are.
fn strip(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = rest.find('"').unwrap() + 1;
            rest[open..]
                .find(&end)
                .map_or(rest.len(), |at| open + at + end.len())
        } else if c == '"' {
            length_of_string(rest)
        } else if c == '\'' {
            length_of_char(rest)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        rest = &rest[skipped..];
    }
    out
}

/// How many `#` a raw string at the start of `text` has, if it is one.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal, or only the quote of a lifetime.
fn length_of_char(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => text[2..].find('\'').map_or(1, |at| {
            // `'\''` ends at the second quote.
            if at == 0 {
                text[3..].find('\'').map_or(1, |at| at + 4)
            } else {
                at + 3
            }
        }),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}
