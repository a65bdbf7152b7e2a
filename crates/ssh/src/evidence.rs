//! What is known of a host's keys, and what that says of one it presents.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};

use crate::error::{PresentedKey, SshError};
use crate::known_hosts::{KnownHosts, Name, Verdict};
use crate::known_hosts_command::Purpose;
use crate::revoked::RevokedKeys;
use crate::target::Target;

/// What messages call the place of lines that a command printed.
const PRINTED: &str = "the output of KnownHostsCommand";

/// All that there is to hold a host key against.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// What the files have.
    files: KnownHosts,
    /// The same, and what `KnownHostsCommand` prints before there is a key; `None` if there is no
    /// such command.
    printed: Option<KnownHosts>,
    revoked: RevokedKeys,
}

impl Evidence {
    /// Reads the files and runs the command, if there is one.
    pub(crate) async fn gather(target: &Target) -> Result<Self, SshError> {
        let rules = &target.host_key;
        let mut evidence = Evidence {
            files: KnownHosts::load(&rules.files)?,
            printed: None,
            revoked: RevokedKeys::load(&rules.revoked)?,
        };
        let name = target.known_hosts_name();
        let known = evidence
            .ask_command(target, Purpose::Order, name, None)
            .await?;
        if let Cow::Owned(printed) = known {
            evidence.printed = Some(printed);
        }
        Ok(evidence)
    }

    /// What is known before the host presents a key.
    pub(crate) fn known(&self) -> &KnownHosts {
        self.printed.as_ref().unwrap_or(&self.files)
    }

    /// Judges a key by what was known before it came.
    pub(crate) fn check_key(&self, name: Name<'_>, key: &PublicKey) -> Verdict {
        match self.revoked.find(key, None) {
            Some(place) => Verdict::Revoked(place),
            None => self.known().check_key(name, key),
        }
    }

    /// Judges what a host presents, which is reached at `address`.
    pub(crate) async fn judge(
        &self,
        target: &Target,
        presented: &PublicKeyOrCertificate,
        address: Option<IpAddr>,
    ) -> Result<(), SshError> {
        let key = presented.public_key();
        let certificate = presented.certificate();
        let name = target.known_hosts_name();
        let least = target.algorithms.min_rsa_bits();
        if let Some(rsa) = key.key_data().rsa()
            && rsa.key_size() < least
        {
            return Err(SshError::HostKeyRefused {
                presented: describe(target, name, &key),
                reason: format!("{} bits, and RequiredRSASize is {least}", rsa.key_size()),
            });
        }
        if let Some(place) = self.revoked.find(&key, certificate) {
            return verdict_error(target, name, &key, Verdict::Revoked(place));
        }
        let known = self
            .ask_command(target, Purpose::HostName, name, Some(&key))
            .await?;
        let verdict = match certificate {
            Some(one) => known.check_certificate(name, one, &target.algorithms, SystemTime::now()),
            None => known.check_key(name, &key),
        };
        verdict_error(target, name, &key, verdict)?;
        match address {
            Some(address) if certificate.is_none() && target.host_key.check_address => {
                self.judge_address(target, &key, address).await
            }
            _ => Ok(()),
        }
    }

    /// `CheckHostIP`: the address must not be known by another key.
    async fn judge_address(
        &self,
        target: &Target,
        key: &PublicKey,
        address: IpAddr,
    ) -> Result<(), SshError> {
        let host = address.to_string();
        if address.is_loopback() || host == target.address {
            return Ok(());
        }
        let name = Name {
            host: &host,
            port: Some(target.port),
        };
        let known = self
            .ask_command(target, Purpose::Address, name, Some(key))
            .await?;
        match known.check_key(name, key) {
            // `ssh` adds a new address to the file; here, that is the operator's to decide.
            Verdict::Unknown => Ok(()),
            verdict => verdict_error(target, name, key, verdict),
        }
    }

    /// What the files have, and what the command prints.
    async fn ask_command(
        &self,
        target: &Target,
        purpose: Purpose,
        name: Name<'_>,
        key: Option<&PublicKey>,
    ) -> Result<Cow<'_, KnownHosts>, SshError> {
        let Some(command) = &target.host_key.command else {
            return Ok(Cow::Borrowed(&self.files));
        };
        let limit = target.connect_timeout;
        let printed = command.run(purpose, &name.to_string(), key, limit).await;
        let printed = printed.map_err(|reason| SshError::Settings {
            host: target.name.clone(),
            reason,
        })?;
        let mut known = self.files.clone();
        known.add_lines(Path::new(PRINTED), &printed);
        Ok(Cow::Owned(known))
    }
}

/// The error that a verdict on a key amounts to.
pub(crate) fn verdict_error(
    target: &Target,
    name: Name<'_>,
    key: &PublicKey,
    verdict: Verdict,
) -> Result<(), SshError> {
    let presented = describe(target, name, key);
    Err(match verdict {
        Verdict::Known => return Ok(()),
        Verdict::Unknown => SshError::HostKeyUnknown { presented },
        Verdict::Changed(file, line) => SshError::HostKeyChanged {
            presented,
            file,
            line,
        },
        Verdict::Revoked(place) => SshError::HostKeyRevoked { presented, place },
        Verdict::BadCertificate(reason) => SshError::HostCertificate {
            host: presented.host,
            name: presented.name,
            reason,
        },
    })
}

fn describe(target: &Target, name: Name<'_>, key: &PublicKey) -> Box<PresentedKey> {
    Box::new(PresentedKey {
        host: target.name.clone(),
        name: name.to_string(),
        port: target.port,
        algorithm: key.algorithm().to_string(),
        fingerprint: fingerprint(key),
    })
}

/// A key's fingerprint, as `ssh-keygen -lf` prints it.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use russh::keys::ssh_key::certificate::{Builder, CertType};
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;
    use crate::settings::{Settings, Workstation};

    fn new_key() -> PrivateKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap()
    }

    /// A host by name, with these files in `~/.ssh`.
    fn target(dir: &Path, config: &str, known_hosts: &str) -> Target {
        let ssh = dir.join(".ssh");
        std::fs::create_dir_all(&ssh).unwrap();
        std::fs::write(ssh.join("config"), config).unwrap();
        std::fs::write(ssh.join("known_hosts"), known_hosts).unwrap();
        let station = Workstation {
            home: dir.to_path_buf(),
            ssh_config: Some(ssh.join("config")),
            system_config: None,
            system_known_hosts: Vec::new(),
            ..Workstation::current()
        };
        Target::resolve("cp1", &Settings::new("web1"), &station).unwrap()
    }

    async fn judge(
        target: &Target,
        presented: impl Into<PublicKeyOrCertificate>,
    ) -> Result<(), SshError> {
        let evidence = Evidence::gather(target).await.unwrap();
        let address = "192.0.2.9".parse().ok();
        evidence.judge(target, &presented.into(), address).await
    }

    #[tokio::test]
    async fn an_address_may_not_be_known_by_another_key() {
        let dir = tempfile::tempdir().unwrap();
        let (key, other) = (new_key(), new_key());
        let line = |name: &str, key: &PrivateKey| {
            format!("{name} {}\n", key.public_key().to_openssh().unwrap())
        };
        let known = format!("{}{}", line("web1", &key), line("192.0.2.9", &other));
        let ask = async |config: &str, known: &str| {
            judge(&target(dir.path(), config, known), key.public_key().clone()).await
        };
        ask("", &known).await.unwrap();
        let error = ask("CheckHostIP yes\n", &known).await.unwrap_err();
        assert!(
            matches!(&error, SshError::HostKeyChanged { line: 2, .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("the host key of 192.0.2.9"),
            "{error}"
        );
        ask("CheckHostIP yes\n", &line("web1,192.0.2.9", &key))
            .await
            .unwrap();
        ask("CheckHostIP yes\n", &line("web1", &key)).await.unwrap();
    }

    #[tokio::test]
    async fn authorities_sign_as_it_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let (authority, host) = (new_key(), new_key());
        let mut builder = Builder::new(vec![1; 16], host.public_key(), 0, u64::MAX).unwrap();
        builder
            .cert_type(CertType::Host)
            .unwrap()
            .all_principals_valid()
            .unwrap();
        let certificate = builder.sign(&authority).unwrap();
        let known = format!(
            "@cert-authority * {}\n",
            authority.public_key().to_openssh().unwrap()
        );
        let ask = async |config: &str, known: &str| {
            judge(&target(dir.path(), config, known), certificate.clone()).await
        };
        ask("", &known).await.unwrap();
        let strict = "CASignatureAlgorithms ecdsa-sha2-nistp256\n";
        let error = ask(strict, &known).await.unwrap_err();
        assert!(
            error.to_string().contains("signed with ssh-ed25519"),
            "{error}"
        );
        // The key itself is known: then it needs no authority.
        let both = format!("{known}web1 {}\n", host.public_key().to_openssh().unwrap());
        ask(strict, &both).await.unwrap();
    }
}
