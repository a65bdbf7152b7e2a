//! known_hosts files: which keys a host may have.
//!
//! Parsed line by line and leniently: a line that can't be understood hides no
//! other. What does count is a file that can't be read, since it may hold the
//! very line that would have warned.
//!
//! `ssh_key::known_hosts` would parse these lines, too, but for less than
//! OpenSSH takes: it wants one space between words, none before the first, and
//! drops a `@revoked` line that has a tab. It gives no line numbers either, and
//! decodes every key of a file in advance.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use russh::keys::{Algorithm, Certificate, PublicKey};

use crate::algorithms::{Algorithms, HOST_KEY_ALGORITHMS};
use crate::error::{Revocation, SshError};
use text::glob;
use text::terminal::escape;

/// The entries of several files, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownHosts {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    file: Arc<Path>,
    line: usize,
    marker: Marker,
    hosts: String,
    /// Base64, decoded only for the few lines that match.
    key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marker {
    None,
    CertAuthority,
    Revoked,
}

/// What the files say about a key that a host presented.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Known,
    Unknown,
    /// The file has another key.
    Changed(PathBuf, usize),
    Revoked(Revocation),
    /// A trusted authority signed it, but it is not valid for this host or now.
    BadCertificate(String),
}

/// The name under which a host is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    /// Host name, address or alias.
    pub host: &'a str,
    /// The port; `None` if the name is an alias, which is looked up without one.
    pub port: Option<u16>,
}

impl Name<'_> {
    /// As it is looked up: in lower case.
    fn lookup_text(&self) -> String {
        self.to_string().to_lowercase()
    }
}

/// As known_hosts writes it: `host`, or `[host]:port` for ports but 22.
impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.port {
            None | Some(22) => write!(f, "{}", self.host),
            Some(port) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

impl KnownHosts {
    /// Reads the files; one that doesn't exist is empty.
    pub(crate) fn load(files: &[PathBuf]) -> Result<Self, SshError> {
        let mut known = KnownHosts::default();
        for path in files {
            match std::fs::read(path) {
                Ok(bytes) => known.add_lines(path, &String::from_utf8_lossy(&bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(SshError::File {
                        path: path.clone(),
                        source,
                    });
                }
            }
        }
        Ok(known)
    }

    /// Adds the lines of one file.
    pub(crate) fn add_lines(&mut self, path: &Path, text: &str) {
        let file: Arc<Path> = path.into();
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split_ascii_whitespace().peekable();
            let marker = match words.peek() {
                Some(word) if !word.starts_with(['#', '@']) => Marker::None,
                Some(&"@cert-authority") => Marker::CertAuthority,
                Some(&"@revoked") => Marker::Revoked,
                _ => continue,
            };
            if marker != Marker::None {
                words.next();
            }
            let (Some(hosts), Some(_), Some(key)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            self.entries.push(Entry {
                file: file.clone(),
                line: index + 1,
                marker,
                hosts: hosts.to_string(),
                key: key.to_string(),
            });
        }
    }

    /// Judges a plain key.
    pub(crate) fn check_key(&self, name: Name<'_>, key: &PublicKey) -> Verdict {
        let verdict = self.check_exact_name(&name.lookup_text(), key);
        // As OpenSSH does: a host on another port may be known by its name
        // alone, but a different key there says nothing about this port.
        match verdict {
            Verdict::Unknown if name.port.is_some() => {
                let bare = Name {
                    host: name.host,
                    port: None,
                };
                match self.check_exact_name(&bare.lookup_text(), key) {
                    verdict @ (Verdict::Known | Verdict::Revoked(..)) => verdict,
                    _ => Verdict::Unknown,
                }
            }
            other => other,
        }
    }

    fn check_exact_name(&self, name: &str, key: &PublicKey) -> Verdict {
        let mut verdict = Verdict::Unknown;
        for entry in self.entries.iter().filter(|entry| entry.matches(name)) {
            let Some(listed) = entry.decode_key() else {
                continue;
            };
            let same = listed.key_data() == key.key_data();
            match (entry.marker, same) {
                (Marker::Revoked, true) => {
                    return Verdict::Revoked(entry.revocation());
                }
                (Marker::None, true) => verdict = Verdict::Known,
                // A key of another algorithm counts as well: the known ones
                // were asked for first, so the host has lost what it had.
                (Marker::None, false) if verdict == Verdict::Unknown && is_acceptable(&listed) => {
                    verdict = Verdict::Changed(entry.file.to_path_buf(), entry.line);
                }
                _ => {}
            }
        }
        verdict
    }

    /// Judges a host certificate: first by the authorities that are trusted
    /// for this host, else by the key inside it as if it came alone.
    pub(crate) fn check_certificate(
        &self,
        name: Name<'_>,
        certificate: &Certificate,
        algorithms: &Algorithms,
        now: SystemTime,
    ) -> Verdict {
        let plain = PublicKey::new(certificate.public_key().clone(), "");
        let authority = PublicKey::new(certificate.signature_key().clone(), "");
        let text = name.lookup_text();
        let bare = Name {
            host: name.host,
            port: None,
        }
        .lookup_text();
        let matching = |entry: &&Entry| entry.matches(&text) || entry.matches(&bare);
        let mut trusted = false;
        for entry in self.entries.iter().filter(matching) {
            let Some(listed) = entry.decode_key() else {
                continue;
            };
            let data = listed.key_data();
            match entry.marker {
                Marker::Revoked if data == authority.key_data() || data == plain.key_data() => {
                    return Verdict::Revoked(entry.revocation());
                }
                Marker::CertAuthority => trusted |= data == authority.key_data(),
                _ => {}
            }
        }
        if !trusted {
            return self.check_key(name, &plain);
        }
        match find_certificate_fault(certificate, name.host, algorithms, now) {
            None => Verdict::Known,
            Some(_) if self.check_key(name, &plain) == Verdict::Known => Verdict::Known,
            Some(fault) => Verdict::BadCertificate(fault),
        }
    }

    /// Algorithms of the plain keys that are known for the host. Asking for
    /// these first keeps a host with several keys from looking unknown.
    pub(crate) fn known_algorithms(&self, name: Name<'_>) -> Vec<Algorithm> {
        let exact = self.known_algorithms_of(&name.lookup_text());
        if exact.is_empty() && name.port.is_some() {
            return self.known_algorithms_of(
                &Name {
                    host: name.host,
                    port: None,
                }
                .lookup_text(),
            );
        }
        exact
    }

    fn known_algorithms_of(&self, name: &str) -> Vec<Algorithm> {
        self.entries
            .iter()
            .filter(|entry| entry.marker == Marker::None && entry.matches(name))
            .filter_map(|entry| Some(entry.decode_key()?.algorithm()))
            .collect()
    }

    /// Whether an authority is trusted for the host, so that it is worth
    /// asking for a certificate.
    pub(crate) fn has_authority(&self, name: Name<'_>) -> bool {
        let text = name.lookup_text();
        let bare = Name {
            host: name.host,
            port: None,
        }
        .lookup_text();
        self.entries.iter().any(|entry| {
            entry.marker == Marker::CertAuthority && (entry.matches(&text) || entry.matches(&bare))
        })
    }
}

/// Whether a host could have presented this key to us at all.
fn is_acceptable(key: &PublicKey) -> bool {
    let algorithm = key.algorithm();
    matches!(algorithm, Algorithm::Rsa { .. }) || HOST_KEY_ALGORITHMS.contains(&algorithm)
}

impl Entry {
    fn matches(&self, name: &str) -> bool {
        match self.hosts.strip_prefix("|1|") {
            Some(hashed) => hash_matches(hashed, name).unwrap_or(false),
            None => {
                let hosts = self.hosts.to_lowercase();
                glob::list_matches(hosts.split(','), name)
            }
        }
    }

    fn revocation(&self) -> Revocation {
        Revocation {
            file: self.file.to_path_buf(),
            line: Some(self.line),
        }
    }

    fn decode_key(&self) -> Option<PublicKey> {
        PublicKey::from_bytes(&STANDARD.decode(&self.key).ok()?).ok()
    }
}

/// `salt|hash`, base64: HMAC-SHA1 of the name, keyed with the salt.
fn hash_matches(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let salt = STANDARD.decode(salt).ok()?;
    let hash = STANDARD.decode(hash).ok()?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &salt);
    Some(hmac::verify(&key, name.as_bytes(), &hash).is_ok())
}

/// Why a certificate of a trusted authority is not valid for `host`, by
/// OpenSSH's rules for host certificates.
fn find_certificate_fault(
    certificate: &Certificate,
    host: &str,
    algorithms: &Algorithms,
    now: SystemTime,
) -> Option<String> {
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let principals = certificate.valid_principals();
    let signed_with = certificate.signature().algorithm();
    if !certificate.cert_type().is_host() {
        Some("it is a user certificate".into())
    } else if certificate.verify_signature().is_err() {
        Some("its signature is invalid".into())
    } else if !algorithms.accept_ca_signature(&signed_with) {
        Some(format!(
            "it is signed with {signed_with}, which is not allowed"
        ))
    } else if now < certificate.valid_after() {
        Some("it is not valid yet; is this machine's clock right?".into())
    } else if now >= certificate.valid_before() {
        Some("it has expired".into())
    } else if certificate.critical_options().iter().next().is_some() {
        Some("it has critical options, and there are none for hosts".into())
    } else if !principals.is_empty()
        && !principals
            .iter()
            .any(|one| glob::matches(&one.to_lowercase(), &host.to_lowercase()))
    {
        let names = escape(&principals.join(", ")).into_owned();
        Some(format!("it is for {names}"))
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::{HashAlg, PrivateKey};

    use super::*;

    fn private() -> PrivateKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
    }

    fn public() -> PublicKey {
        private().public_key().clone()
    }

    fn line(hosts: &str, key: &PublicKey) -> String {
        let mut key = key.clone();
        key.set_comment("");
        format!("{hosts} {}\n", key.to_openssh().unwrap())
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.add_lines(Path::new("kh"), text);
        known
    }

    fn name(host: &str) -> Name<'_> {
        Name {
            host,
            port: Some(22),
        }
    }

    fn at(host: &str, port: u16) -> Name<'_> {
        Name {
            host,
            port: Some(port),
        }
    }

    fn changed(line: usize) -> Verdict {
        Verdict::Changed("kh".into(), line)
    }

    fn revoked(line: usize) -> Verdict {
        Verdict::Revoked(Revocation {
            file: "kh".into(),
            line: Some(line),
        })
    }

    fn algorithms() -> Algorithms {
        Algorithms::choose(&Default::default(), None).unwrap()
    }

    #[test]
    fn plain_names_patterns_and_ports() {
        let (a, b) = (public(), public());
        let text = format!(
            "# comment\n\n{}{}",
            line("web*,!web9,192.0.2.1", &a),
            line("[db]:2222", &b)
        );
        let known = known(&text);
        assert_eq!(known.check_key(name("WEB1"), &a), Verdict::Known);
        assert_eq!(known.check_key(name("192.0.2.1"), &a), Verdict::Known);
        assert_eq!(known.check_key(name("web9"), &a), Verdict::Unknown);
        assert_eq!(known.check_key(name("web1"), &b), changed(3));
        assert_eq!(known.check_key(at("db", 2222), &b), Verdict::Known);
        assert_eq!(known.check_key(name("db"), &b), Verdict::Unknown);
        // Known by name alone: good for another port, but proves no change.
        assert_eq!(known.check_key(at("web1", 2222), &a), Verdict::Known);
        assert_eq!(known.check_key(at("web1", 2222), &b), Verdict::Unknown);
        let alias = Name {
            host: "web1",
            port: None,
        };
        assert_eq!(known.check_key(alias, &a), Verdict::Known);
    }

    #[test]
    fn what_ssh_keygen_hashed() {
        // ssh-keygen -H of "host.example.com" and "[host.example.com]:2222".
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
        let salt = STANDARD.encode([7u8; 20]);
        let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[7u8; 20]);
        let hash = STANDARD.encode(hmac::sign(&mac, b"[host.example.com]:2222").as_ref());
        let known = known(&format!("|1|{salt}|{hash} ssh-ed25519 {key}\n"));
        let key = PublicKey::from_bytes(&STANDARD.decode(key).unwrap()).unwrap();
        assert_eq!(
            known.check_key(at("Host.example.com", 2222), &key),
            Verdict::Known
        );
        assert_eq!(
            known.check_key(name("host.example.com"), &key),
            Verdict::Unknown
        );
        assert_eq!(
            known.check_key(at("host.example.com", 2222), &public()),
            changed(1)
        );
    }

    #[test]
    fn two_keys_of_one_algorithm_are_both_good() {
        let (old, new) = (public(), public());
        let known = known(&format!("{}{}", line("a", &old), line("a", &new)));
        assert_eq!(known.check_key(name("a"), &new), Verdict::Known);
        assert_eq!(known.check_key(name("a"), &public()), changed(1));
        assert_eq!(
            known.known_algorithms(name("a")),
            [Algorithm::Ed25519, Algorithm::Ed25519]
        );
    }

    #[test]
    fn revocation_beats_everything() {
        let key = public();
        let text = format!("{}@revoked {}", line("a", &key), line("*", &key));
        assert_eq!(known(&text).check_key(name("a"), &key), revoked(2));
        assert_eq!(known(&text).check_key(at("a", 1), &key), revoked(2));
        assert_eq!(
            known(&text).check_key(name("b"), &public()),
            Verdict::Unknown
        );
    }

    #[test]
    fn a_bad_line_hides_no_other() {
        let key = public();
        let text = format!(
            "a\na ssh-ed25519\na ssh-ed25519 !!!\n|1|x ssh-rsa AAAA\n@odd a ssh-rsa AAAA\n\u{0}\n{}",
            line("a", &key)
        );
        assert_eq!(known(&text).check_key(name("a"), &key), Verdict::Known);
        assert_eq!(known(&text).check_key(name("a"), &public()), changed(7));
    }

    #[test]
    fn words_are_apart_by_any_blanks_as_in_openssh() {
        let (a, b) = (public(), public());
        let tabs = |text: String| text.replace(' ', "\t");
        let text = format!(
            " \t{}{}",
            line("a", &a).replace(' ', "  "),
            tabs(format!("@revoked {}", line("*", &b)))
        );
        assert_eq!(known(&text).check_key(name("a"), &a), Verdict::Known);
        assert_eq!(known(&text).check_key(name("a"), &b), revoked(2));
    }

    #[test]
    fn an_unreadable_file_is_an_error_and_a_missing_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert!(KnownHosts::load(&[dir.path().join("none")]).is_ok());
        let error = KnownHosts::load(&[dir.path().to_path_buf()]).unwrap_err();
        assert!(matches!(error, SshError::File { .. }));
    }

    #[test]
    fn certificates_of_trusted_authorities() {
        let (authority, host) = (private(), private());
        let certificate = |kind, principal: &str| {
            let mut builder = Builder::new(vec![1; 16], host.public_key(), 1000, 2000).unwrap();
            builder.cert_type(kind).unwrap().key_id("k").unwrap();
            builder.valid_principal(principal).unwrap();
            builder.sign(&authority).unwrap()
        };
        let now = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let text = format!(
            "@cert-authority {}",
            line("*.example.com", authority.public_key())
        );
        let known = known(&text);
        let host_name = name("a.example.com");
        let good = certificate(CertType::Host, "a.example.com");
        assert!(known.has_authority(host_name));
        assert!(!known.has_authority(name("a.example.org")));
        assert_eq!(
            known.check_certificate(host_name, &good, &algorithms(), now(1500)),
            Verdict::Known
        );
        let at_port = at("a.example.com", 2222);
        assert_eq!(
            known.check_certificate(at_port, &good, &algorithms(), now(1500)),
            Verdict::Known
        );
        for (certificate, time) in [
            (&good, 500),
            (&good, 2000),
            (&certificate(CertType::Host, "b.example.com"), 1500),
            (&certificate(CertType::User, "a.example.com"), 1500),
        ] {
            let verdict = known.check_certificate(host_name, certificate, &algorithms(), now(time));
            assert!(matches!(verdict, Verdict::BadCertificate(_)), "{verdict:?}");
        }
        // Not this authority's host: the certificate is worth its key, no more.
        let elsewhere = name("a.example.org");
        assert_eq!(
            known.check_certificate(elsewhere, &good, &algorithms(), now(1500)),
            Verdict::Unknown
        );
    }

    #[test]
    fn a_revoked_authority_is_not_trusted() {
        let (authority, host) = (private(), private());
        let mut builder = Builder::new(vec![1; 16], host.public_key(), 1000, 2000).unwrap();
        builder
            .cert_type(CertType::Host)
            .unwrap()
            .all_principals_valid()
            .unwrap();
        let certificate = builder.sign(&authority).unwrap();
        let key = line("*", authority.public_key());
        let known = known(&format!("@cert-authority {key}@revoked {key}"));
        let verdict = known.check_certificate(
            name("a"),
            &certificate,
            &algorithms(),
            UNIX_EPOCH + Duration::from_secs(1500),
        );
        assert_eq!(verdict, revoked(2));
    }

    #[test]
    fn fingerprints_are_those_of_ssh_keygen() {
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAILIG2T/B0l0gaqj3puu510tu9N1OkQ4znY3LYuEm5zCF";
        let key = PublicKey::from_bytes(&STANDARD.decode(key).unwrap()).unwrap();
        let text = key.fingerprint(HashAlg::Sha256).to_string();
        assert!(
            text.starts_with("SHA256:") && !text.ends_with('='),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "((@revoked |@cert-authority )?[a*?!,|1\\[\\]:=/+ -]{0,20} ssh-rsa [A-Za-z0-9+/=]{0,40}\n?){0,6}|\\PC{0,80}") {
            let known = known(&text);
            let key = public();
            prop_assert!(known.check_key(name("a"), &key) != Verdict::Known);
            known.known_algorithms(name("a"));
        }

        #[test]
        fn noise_around_a_line_changes_nothing(before in "[^\n]{0,30}", after in "[^\n]{0,30}") {
            let key = public();
            let text = format!("#{before}\n{}#{after}\n", line("a", &key));
            prop_assert_eq!(known(&text).check_key(name("a"), &key), Verdict::Known);
            prop_assert_eq!(known(&text).check_key(name("a"), &public()), changed(2));
        }
    }
}
