//! What scripts and their answers have in common.
//!
//! An answer is lines: a header, `@@section NAME` before each part, `@@end` at
//! the end. Whatever a host sends is untrusted: it is bounded by the runner,
//! cleaned here, and a missing end marker is an error.

use text::terminal::escape;

use super::error::HostError;

/// Longest piece of free text that is kept, in characters.
const MAX_TEXT: usize = 1024;

/// Parts of an answer: name and lines, in order.
pub(super) struct Sections<'a>(Vec<(&'a str, Vec<&'a [u8]>)>);

impl<'a> Sections<'a> {
    /// Takes an answer to pieces. `script` is the name in the header.
    pub(super) fn parse(raw: &'a [u8], script: &'static str) -> Result<Self, HostError> {
        let mut lines = raw.split(|&b| b == b'\n');
        let header = format!("@@clusterctl {script} 1");
        if lines.next() != Some(header.as_bytes()) {
            return Err(HostError::NoHeader {
                script,
                start: clean(&raw[..raw.len().min(80)]),
            });
        }
        let mut sections: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        for line in lines {
            if line == b"@@end" {
                return Ok(Sections(sections));
            }
            let name = line
                .strip_prefix(b"@@section ")
                .and_then(|name| std::str::from_utf8(name).ok());
            if let Some(name) = name {
                sections.push((name, Vec::new()));
            } else if let Some((_, lines)) = sections.last_mut() {
                lines.push(line);
            }
        }
        Err(HostError::Truncated {
            script,
            bytes: raw.len(),
        })
    }

    /// Lines of the first part of that name, cleaned; empty lines are kept.
    pub(super) fn text(&self, name: &str) -> Vec<String> {
        self.raw(name).iter().map(|line| clean(line)).collect()
    }

    /// Lines of the first part of that name, as they came.
    pub(super) fn raw(&self, name: &str) -> &[&'a [u8]] {
        self.0
            .iter()
            .find(|(section, _)| *section == name)
            .map_or(&[], |(_, lines)| lines)
    }

    /// Every part whose name starts with `prefix`: the rest of its name, and
    /// its lines.
    pub(super) fn starting(
        &self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &[&'a [u8]])> + '_ {
        self.0
            .iter()
            .filter_map(move |(name, lines)| Some((name.strip_prefix(prefix)?, lines.as_slice())))
    }
}

/// Text of a host as one line that is safe to keep and to show, and not long: what could
/// steer a terminal is written out.
pub(super) fn clean(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(&raw[..raw.len().min(4 * MAX_TEXT)]).replace('\t', " ");
    escape(&text).chars().take(MAX_TEXT).collect()
}

/// `word` as the shell reads it back.
pub(super) fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"./:_-+=,@%".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// An absolute path as the scripts use it: relative to the root directory,
/// which they change to (the tests give them another one).
pub(super) fn relative(path: &str) -> Result<String, HostError> {
    let wrong = |why| HostError::Name {
        kind: "path",
        name: path.into(),
        why,
    };
    if !path.starts_with('/') {
        return Err(wrong("it is not absolute"));
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err(wrong("it has a control character or a backslash"));
    }
    if path.len() < 2
        || path
            .split('/')
            .skip(1)
            .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err(wrong("it has an empty part, `.` or `..`"));
    }
    Ok(format!(".{path}"))
}

/// A name of a unit, a package, a module, a command or an image: one word.
pub(super) fn word<'a>(kind: &'static str, name: &'a str) -> Result<&'a str, HostError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-@:/".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
        return Err(HostError::Name {
            kind,
            name: name.into(),
            why: "it has to be one plain word",
        });
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_its_end_is_an_error() {
        let whole = b"@@clusterctl observe 1\n@@section a\nx\n@@section a b\ny\n@@end\n";
        let sections = Sections::parse(whole, "observe").expect("whole");
        assert_eq!(sections.text("a"), ["x"]);
        assert_eq!(
            sections.starting("a ").next().map(|(name, _)| name),
            Some("b")
        );
        for cut in 23..whole.len() - 6 {
            assert!(matches!(
                Sections::parse(&whole[..cut], "observe"),
                Err(HostError::Truncated { .. })
            ));
        }
        assert!(matches!(
            Sections::parse(b"Welcome!\n@@end\n", "observe"),
            Err(HostError::NoHeader { .. })
        ));
    }

    #[test]
    fn text_of_a_host_cannot_steer_a_terminal() {
        assert_eq!(clean(b"a\x1b[31m\x07b\tc"), "a\\u{1b}[31m\\u{7}b c");
        assert_eq!(clean("\u{202e}x".as_bytes()), "\\u{202e}x");
        assert_eq!(clean(&[b'x'; 9000]).len(), MAX_TEXT);
    }

    #[test]
    fn quoting_is_undone_by_the_shell() {
        assert_eq!(quote("./etc/a-b.conf"), "./etc/a-b.conf");
        assert_eq!(quote("a b'c$(d)"), r"'a b'\''c$(d)'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn paths_that_could_leave_their_place_are_refused() {
        assert_eq!(relative("/etc/a b").expect("fine"), "./etc/a b");
        for path in [
            "etc/x",
            "/etc/../x",
            "/",
            "/etc//x",
            "/etc/x/",
            "/a\nb",
            "/a\\b",
        ] {
            assert!(relative(path).is_err(), "{path:?}");
        }
    }
}
