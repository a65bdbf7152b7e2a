//! Which keys are offered, in which order.
//!
//! Certificates that were named come first, then named keys, by the agent if it holds them, so
//! that no passphrase is needed; then, unless only those may be used, what else the agent holds;
//! then OpenSSH's default files. sshd hangs up after six refusals (MaxAuthTries), so no more than
//! that are offered.

use std::path::{Path, PathBuf};

use russh::keys::agent::AgentIdentity;
use russh::keys::{Certificate, PublicKey};
use text::terminal::escape;

use crate::identity::{certificate_beside, is_on_device, read_certificate, read_public_half};
use crate::target::{IdentityFile, LoginRules};

/// sshd's default MaxAuthTries.
pub(crate) const MAX_ATTEMPTS: usize = 6;

/// A key or a certificate that may be offered.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// What messages call it.
    pub(crate) label: String,
    /// `None` if only the private file tells.
    pub(crate) key: Option<PublicKey>,
    /// What is offered instead of the key.
    pub(crate) certificate: Option<Certificate>,
    pub(crate) signer: KeyPlace,
    /// Whether the operator named it.
    pub(crate) named: bool,
}

/// Where the private half is.
#[derive(Debug, Clone)]
pub(crate) enum KeyPlace {
    /// With the agent, which knows it by this.
    Agent(Box<AgentIdentity>),
    /// In this file.
    File(PathBuf),
}

/// What to offer, and what the operator should know if none of it is accepted.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) list: Vec<Candidate>,
    pub(crate) notes: Vec<String>,
}

/// An identity file and its public half.
struct Identity<'a> {
    file: &'a IdentityFile,
    public: Option<PublicKey>,
}

impl Candidates {
    /// All of them, given what the agent holds.
    pub(crate) fn collect(rules: &LoginRules, held: &[AgentIdentity]) -> Self {
        let identities: Vec<_> = rules
            .identities
            .iter()
            .map(|file| Identity {
                file,
                public: read_public_half(&file.path),
            })
            .collect();
        let mut candidates = Candidates::default();
        for path in &rules.certificates {
            candidates.add_certificate(path, rules, &identities, held);
        }
        let (named, default): (Vec<_>, Vec<_>) =
            identities.iter().partition(|identity| identity.file.named);
        for identity in named {
            candidates.add_identity(identity, rules, held);
        }
        if !rules.identities_only {
            candidates.add_agent_keys(held);
        }
        for identity in default
            .iter()
            .filter(|one| one.file.path.exists() || one.public.is_some())
        {
            candidates.add_identity(identity, rules, held);
        }
        if !rules.identities.iter().any(|one| one.path.exists()) {
            candidates.notes.push("no key file exists".into());
        }
        candidates
    }

    /// Adds a certificate that was named, if there is a private key for it.
    fn add_certificate(
        &mut self,
        path: &Path,
        rules: &LoginRules,
        identities: &[Identity<'_>],
        held: &[AgentIdentity],
    ) {
        let label = path.display().to_string();
        let Some(certificate) = read_certificate(path) else {
            self.notes
                .push(format!("{label}: it is not a user certificate"));
            return;
        };
        let key = PublicKey::new(certificate.public_key().clone(), "");
        let own = identities.iter().find(|one| {
            one.public
                .as_ref()
                .is_some_and(|public| same_key(public, &key))
        });
        let in_agent = find_plain(held, &key).filter(|_| own.is_some() || !rules.identities_only);
        let signer = match (in_agent, own) {
            (Some(one), _) => KeyPlace::Agent(Box::new(one.clone())),
            (None, Some(own)) => KeyPlace::File(own.file.path.clone()),
            (None, None) => {
                self.notes
                    .push(format!("{label}: there is no private key for it"));
                return;
            }
        };
        self.list.push(Candidate {
            label,
            key: Some(key),
            certificate: Some(certificate),
            signer,
            named: true,
        });
    }

    /// Adds what an identity file means: its certificate, and the key, as the agent holds
    /// it or from the file.
    fn add_identity(
        &mut self,
        identity: &Identity<'_>,
        rules: &LoginRules,
        held: &[AgentIdentity],
    ) {
        let IdentityFile { path, named } = identity.file;
        let public = identity.public.as_ref();
        let in_agent = public.and_then(|key| find_plain(held, key));
        let candidate = |label: String, certificate| Candidate {
            label,
            key: identity.public.clone(),
            certificate,
            signer: match in_agent {
                Some(one) => KeyPlace::Agent(Box::new(one.clone())),
                None => KeyPlace::File(path.clone()),
            },
            named: *named,
        };
        let beside = certificate_beside(path);
        let certificate = rules
            .certificates
            .is_empty()
            .then(|| read_certificate(&beside));
        if let Some(certificate) = certificate.flatten() {
            self.list
                .push(candidate(beside.display().to_string(), Some(certificate)));
        }
        for one in held
            .iter()
            .filter(|one| public.is_some_and(|key| same_key(&one.public_key(), key)))
        {
            self.add_held(one, *named);
        }
        if in_agent.is_some() || public.is_some_and(|key| self.has_key(key)) {
            return;
        }
        if !*named && public.is_some_and(is_on_device) {
            self.notes
                .push(format!("{}: the agent does not hold it", path.display()));
            return;
        }
        self.list.push(candidate(path.display().to_string(), None));
    }

    /// Adds what the agent holds besides the named keys.
    fn add_agent_keys(&mut self, held: &[AgentIdentity]) {
        // One attempt is left for a default key.
        let left = (MAX_ATTEMPTS - 1).saturating_sub(self.list.len());
        let fresh: Vec<_> = held.iter().filter(|one| !self.has_held(one)).collect();
        if fresh.len() > left {
            self.notes.push(format!(
                "the agent holds {} keys; only {left} were offered (sshd allows {MAX_ATTEMPTS})",
                fresh.len()
            ));
        }
        for one in fresh.into_iter().take(left) {
            self.add_held(one, false);
        }
    }

    fn add_held(&mut self, one: &AgentIdentity, named: bool) {
        if self.has_held(one) {
            return;
        }
        self.list.push(Candidate {
            label: format!("the agent's {}", escape(one.comment())),
            key: Some(one.public_key().into_owned()),
            certificate: match one {
                AgentIdentity::PublicKey { .. } => None,
                AgentIdentity::Certificate { certificate, .. } => Some(certificate.clone()),
            },
            signer: KeyPlace::Agent(Box::new(one.clone())),
            named,
        });
    }

    fn has_held(&self, one: &AgentIdentity) -> bool {
        match one {
            AgentIdentity::PublicKey { key, .. } => self.has_key(key),
            AgentIdentity::Certificate { certificate, .. } => self
                .list
                .iter()
                .any(|known| known.certificate.as_ref() == Some(certificate)),
        }
    }

    /// Whether a key is offered without a certificate.
    fn has_key(&self, key: &PublicKey) -> bool {
        let plain = self.list.iter().filter(|known| known.certificate.is_none());
        plain
            .filter_map(|known| known.key.as_ref())
            .any(|known| same_key(known, key))
    }
}

/// Whether two keys are one, whatever their comments.
fn same_key(one: &PublicKey, other: &PublicKey) -> bool {
    one.key_data() == other.key_data()
}

/// The key as the agent holds it without a certificate.
fn find_plain<'a>(held: &'a [AgentIdentity], key: &PublicKey) -> Option<&'a AgentIdentity> {
    held.iter().find(|one| {
        matches!(one, AgentIdentity::PublicKey { .. }) && same_key(&one.public_key(), key)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use russh::keys::ssh_key::LineEnding;
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn new_key() -> PrivateKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
    }

    fn held(keys: &[&PrivateKey]) -> Vec<AgentIdentity> {
        let one = |(index, key): (usize, &&PrivateKey)| AgentIdentity::PublicKey {
            key: key.public_key().clone(),
            comment: format!("k{index}"),
        };
        keys.iter().enumerate().map(one).collect()
    }

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            Dir(tempfile::tempdir().unwrap())
        }

        fn key(&self, name: &str, key: &PrivateKey) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, key.to_openssh(LineEnding::LF).unwrap().as_bytes()).unwrap();
            path
        }

        fn certificate(&self, name: &str, key: &PrivateKey) -> PathBuf {
            let mut builder = Builder::new(vec![1; 16], key.public_key(), 0, u64::MAX).unwrap();
            builder
                .cert_type(CertType::User)
                .unwrap()
                .all_principals_valid()
                .unwrap();
            let path = self.0.path().join(name);
            std::fs::write(
                &path,
                builder.sign(&new_key()).unwrap().to_openssh().unwrap(),
            )
            .unwrap();
            path
        }

        fn rules(&self, named: &[PathBuf]) -> LoginRules {
            let named = named.iter().map(|path| IdentityFile {
                path: path.clone(),
                named: true,
            });
            LoginRules {
                identities: named.collect(),
                certificates: Vec::new(),
                identities_only: false,
                passphrase_file: None,
                agent: None,
            }
        }

        /// What is offered, with this directory's name left out; `+` for the agent's signature.
        fn offered(&self, rules: &LoginRules, held: &[AgentIdentity]) -> Vec<String> {
            let prefix = format!("{}/", self.0.path().display());
            let one = |one: &Candidate| {
                let sign = match one.signer {
                    KeyPlace::Agent(_) => "+",
                    KeyPlace::File(_) => "",
                };
                format!("{}{sign}", one.label.replace(&prefix, ""))
            };
            Candidates::collect(rules, held)
                .list
                .iter()
                .map(one)
                .collect()
        }
    }

    #[test]
    fn named_keys_come_first_and_the_agent_signs_for_those_it_holds() {
        let dir = Dir::new();
        let (a, b, c) = (new_key(), new_key(), new_key());
        let rules = dir.rules(&[dir.key("a", &a), dir.key("b", &b)]);
        let agent = held(&[&c, &b]);
        assert_eq!(
            dir.offered(&rules, &agent),
            ["a", "the agent's k1+", "the agent's k0+"]
        );
        let only = LoginRules {
            identities_only: true,
            ..rules
        };
        assert_eq!(dir.offered(&only, &agent), ["a", "the agent's k1+"]);
    }

    #[test]
    fn a_public_file_names_the_agents_key() {
        let dir = Dir::new();
        let key = new_key();
        let path = dir.0.path().join("id.pub");
        std::fs::write(&path, key.public_key().to_openssh().unwrap()).unwrap();
        let rules = dir.rules(&[path]);
        assert_eq!(dir.offered(&rules, &held(&[&key])), ["the agent's k0+"]);
        assert_eq!(dir.offered(&rules, &[]), ["id.pub"]);
    }

    #[test]
    fn certificates_come_before_their_keys_and_named_ones_replace_those_beside() {
        let dir = Dir::new();
        let key = new_key();
        let rules = dir.rules(&[dir.key("id", &key)]);
        dir.certificate("id-cert.pub", &key);
        assert_eq!(dir.offered(&rules, &[]), ["id-cert.pub", "id"]);
        assert_eq!(
            dir.offered(&rules, &held(&[&key])),
            ["id-cert.pub+", "the agent's k0+"]
        );
        let named = LoginRules {
            certificates: vec![
                dir.certificate("other", &key),
                dir.certificate("alien", &new_key()),
            ],
            ..rules
        };
        assert_eq!(dir.offered(&named, &[]), ["other", "id"]);
        let notes = Candidates::collect(&named, &[]).notes;
        assert!(
            notes[0].ends_with("alien: there is no private key for it"),
            "{notes:?}"
        );
    }

    #[test]
    fn no_more_are_offered_than_sshd_takes() {
        let dir = Dir::new();
        let keys: Vec<_> = (0..9).map(|_| new_key()).collect();
        let agent = held(&keys.iter().collect::<Vec<_>>());
        let mut rules = dir.rules(&[]);
        rules.identities.push(IdentityFile {
            path: dir.key("default", &new_key()),
            named: false,
        });
        let candidates = Candidates::collect(&rules, &agent);
        assert_eq!(candidates.list.len(), MAX_ATTEMPTS);
        assert!(candidates.notes[0].contains("the agent holds 9 keys; only 5"));
    }
}
