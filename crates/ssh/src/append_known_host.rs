//! Adds a host key that the operator trusts to a known_hosts file.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russh::keys::PublicKey;

use crate::error::SshError;
use crate::known_hosts::{KnownHosts, Name, Verdict};

/// Appends a host's key to a known_hosts file, unless it is there already.
/// Creates the file (0600) and its directory where needed. The host's name is
/// written in clear; the line goes out in one write under a lock, so that
/// several processes may append at once.
///
/// # Errors
///
/// The file can't be read or written; or another key of the same algorithm
/// is there for this host, or this key is revoked there.
pub fn append_known_host(
    file: &Path,
    host: &str,
    port: u16,
    key: &PublicKey,
) -> Result<(), SshError> {
    append_line(file, host, port, key).map_err(|source| SshError::File {
        path: file.to_path_buf(),
        source,
    })
}

fn append_line(file: &Path, host: &str, port: u16, key: &PublicKey) -> std::io::Result<()> {
    let refuse = |why: String| Err(std::io::Error::other(why));
    let name = Name {
        host,
        port: Some(port),
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || "*?!,#|@".contains(c);
    if host.is_empty() || host.contains(odd) {
        return refuse(format!("{host:?} is not a host name"));
    }
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        files::create_private_dir(dir)?;
    }
    let mut handle = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    handle.lock()?;
    let mut bytes = Vec::new();
    handle.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut known = KnownHosts::default();
    known.add_lines(file, &text);
    match known.check_key(name, key) {
        Verdict::Known => return Ok(()),
        Verdict::Unknown => {}
        // A host may have keys of several algorithms.
        Verdict::Changed(..) if !known.known_algorithms(name).contains(&key.algorithm()) => {}
        _ => {
            return refuse(format!(
                "it has another key for {name}, or this key is revoked"
            ));
        }
    }
    let mut bare = key.clone();
    bare.set_comment("");
    let key = bare.to_openssh().map_err(std::io::Error::other)?;
    let newline = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let name = name.to_string().to_lowercase();
    handle.seek(SeekFrom::End(0))?;
    handle.write_all(format!("{newline}{name} {}\n", key.trim_end()).as_bytes())?;
    handle.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn public() -> PublicKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .unwrap()
            .public_key()
            .clone()
    }

    fn at(host: &str, port: u16) -> Name<'_> {
        Name {
            host,
            port: Some(port),
        }
    }

    #[test]
    fn appends_once_and_privately() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("state/known_hosts");
        let key = public();
        append_known_host(&file, "a", 22, &key).unwrap();
        append_known_host(&file, "a", 22, &key).unwrap();
        append_known_host(&file, "fd00::1", 2222, &key).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("a ssh-ed25519 AAAA"), "{text}");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let known = KnownHosts::load(&[file]).unwrap();
        assert_eq!(known.check_key(at("fd00::1", 2222), &key), Verdict::Known);
    }

    #[test]
    fn appends_to_a_file_without_a_last_newline() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let (a, b) = (public(), public());
        std::fs::write(&file, format!("a {}", a.to_openssh().unwrap())).unwrap();
        append_known_host(&file, "b", 22, &b).unwrap();
        let known = KnownHosts::load(std::slice::from_ref(&file)).unwrap();
        assert_eq!(known.check_key(at("a", 22), &a), Verdict::Known);
        assert_eq!(known.check_key(at("b", 22), &b), Verdict::Known);
        assert!(append_known_host(&file, "b c", 22, &b).is_err());
        assert!(append_known_host(&file, "*", 22, &b).is_err());
    }

    #[test]
    fn another_key_does_not_get_in_beside_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        append_known_host(&file, "a", 22, &public()).unwrap();
        let error = append_known_host(&file, "a", 22, &public()).unwrap_err();
        assert!(error.to_string().contains("another key for a"), "{error}");
        let ecdsa = Algorithm::Ecdsa {
            curve: russh::keys::EcdsaCurve::NistP256,
        };
        let other = PrivateKey::random(&mut russh::keys::key::safe_rng(), ecdsa).unwrap();
        append_known_host(&file, "a", 22, other.public_key()).unwrap();
    }
}
