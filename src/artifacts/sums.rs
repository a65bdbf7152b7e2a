//! `SHA256SUMS`, as `sha256sum` writes and checks it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path};

use super::error::ArtifactsError;

/// The file's name, at the top of an artifacts directory.
pub(super) const FILE: &str = "SHA256SUMS";

/// No list of a cluster's files comes near this.
const LIMIT: u64 = 4 << 20;

/// Checksums (lower hex) by path, relative to the directory.
pub(super) type Sums = BTreeMap<String, String>;

pub(super) fn read(dir: &Path) -> Result<Sums, ArtifactsError> {
    let path = dir.join(FILE);
    if !path.exists() && dir.is_dir() {
        return Err(ArtifactsError::NoSums(dir.to_owned()));
    }
    read_checksums(&path)
}

/// Reads a list of checksums, as `sha256sum` writes it: lower hex by path.
///
/// # Errors
/// A list that can't be read, is too large, or has an invalid line.
pub fn read_checksums(path: &Path) -> Result<BTreeMap<String, String>, ArtifactsError> {
    let path = path.to_owned();
    let fail = |source: std::io::Error| ArtifactsError::Read {
        path: path.clone(),
        source,
    };
    match fs::metadata(&path) {
        Ok(meta) if meta.len() > LIMIT => return Err(fail(ErrorKind::FileTooLarge.into())),
        Ok(_) => {}
        Err(e) => return Err(fail(e)),
    }
    let text = fs::read_to_string(&path).map_err(fail)?;
    parse(&text).map_err(|(line, why)| ArtifactsError::BadSums { path, line, why })
}

/// The error is the line, counted from 1, and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Sums, (usize, &'static str)> {
    let mut sums = Sums::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |why| Err((index + 1, why));
        if line.trim().is_empty() {
            continue;
        }
        // A blank, then a blank or (for binary mode) an asterisk.
        let Some((sum, name)) = line
            .split_once(' ')
            .and_then(|(sum, rest)| Some((sum, rest.strip_prefix([' ', '*'])?)))
        else {
            return wrong("not of the form `checksum  file`");
        };
        let Some(sum) = checksum(sum) else {
            return wrong("not a SHA-256 (64 hex digits)");
        };
        let name = name.strip_prefix("./").unwrap_or(name);
        let plain = Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain {
            return wrong("the file is outside the directory");
        }
        if sums
            .insert(name.to_owned(), sum.clone())
            .is_some_and(|other| other != sum)
        {
            return wrong("a second checksum for the same file");
        }
    }
    Ok(sums)
}

/// 64 hex digits, in lower case.
pub(super) fn checksum(text: &str) -> Option<String> {
    let is_one = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_one.then(|| text.to_ascii_lowercase())
}

pub(super) fn format(sums: &Sums) -> String {
    let mut text = String::new();
    for (file, sum) in sums {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{sum}  {file}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn both_forms_of_a_line_are_read() {
        let text = format!("{A}  ./a b\n\n{A} *linux-amd64/kubelet\n");
        let a = A.to_lowercase();
        assert_eq!(
            parse(&text),
            Ok(Sums::from([
                ("a b".into(), a.clone()),
                ("linux-amd64/kubelet".into(), a)
            ]))
        );
    }

    #[test]
    fn faults_are_named() {
        let why = |text: String| parse(&text).map_err(|(line, why)| format!("{line}: {why}"));
        for (text, expected) in [
            ("hello".into(), "1: not of the form `checksum  file`"),
            (format!("{A} x"), "1: not of the form `checksum  file`"),
            ("abc  x".into(), "1: not a SHA-256 (64 hex digits)"),
            (
                format!("\n{A}  ../x"),
                "2: the file is outside the directory",
            ),
            (format!("{A}  /x"), "1: the file is outside the directory"),
            (
                format!("{A}  x\n{}  x", A.replace('A', "0")),
                "2: a second checksum for the same file",
            ),
        ] {
            assert_eq!(why(text), Err(expected.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(names in proptest::collection::btree_set("[a-z]{1,5}(/[a-z .]{1,5}[a-z])?", 0..9)) {
            let sums: Sums = names.into_iter().map(|name| (name, A.to_lowercase())).collect();
            prop_assert_eq!(parse(&format(&sums)), Ok(sums));
        }

        #[test]
        fn garbage_never_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
