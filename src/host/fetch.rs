//! Fetching small files of a host, such as the keys of a control plane.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::HostError;
use super::wire::{Sections, quote, relative};
use ssh::Script;

/// What files hold, by their paths; those that don't exist are missing.
pub type Fetched = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The script that tells what files hold, up to 1 MiB each. Their content goes over standard
/// output only.
///
/// # Errors
///
/// A path that can't be carried.
pub fn fetch(paths: &[String]) -> Result<Script, HostError> {
    let mut text = concat!(
        include_str!("scripts/safe.sh"),
        include_str!("scripts/fetch.sh")
    )
    .to_owned();
    for path in paths {
        text += &format!("fetch {}\n", quote(&relative(path)?));
    }
    text += "echo '@@end'\n";
    Ok(Script {
        name: "fetch files".into(),
        text,
        input: Vec::new(),
    })
}

/// Reads what [`fetch`]'s script said about `paths`.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn fetched(paths: &[String], raw: &[u8]) -> Result<Fetched, HostError> {
    let sections = Sections::parse(raw, "fetch")?;
    let mut files = Fetched::new();
    for (path, lines) in sections.starting("file .") {
        let encoded = Zeroizing::new(lines.concat());
        // What was not asked for is not a host's to say.
        if let Some(path) = paths.iter().find(|asked| *asked == path)
            && let Ok(content) = STANDARD.decode(&*encoded)
            && !content.is_empty()
        {
            files.insert(path.clone(), Zeroizing::new(content));
        }
    }
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let paths = ["/etc/a".to_owned(), "/etc/b".to_owned()];
        let answer = "@@clusterctl fetch 1\n@@section file ./etc/a\nQUJD\n\
            @@section file ./etc/shadow\nQUJD\n@@section file ./etc/b\n@@end\n";
        let files = fetched(&paths, answer.as_bytes()).unwrap();
        assert_eq!(files.len(), 1);
        assert_eq!(*files["/etc/a"], b"ABC");
        let cut_off = answer.trim_end_matches("@@end\n");
        assert!(fetched(&paths, cut_off.as_bytes()).is_err());
        assert!(fetch(&["/etc/../a".to_owned()]).is_err());
    }
}
