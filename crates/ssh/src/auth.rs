//! Logging in: which keys are offered, in which order.
//!
//! Named keys first, by the agent if it holds them, so that no passphrase is
//! needed; then, unless a key was named, what else the agent holds; then
//! OpenSSH's default files. sshd hangs up after six refusals (MaxAuthTries),
//! so no more than that are offered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{
    Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey, load_openssh_certificate,
};
use russh::{AgentAuthError, MethodKind};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::SshError;
use crate::handshake::{Client, Shaken};
use crate::prompt::{Secrets, read_public_half};
use crate::target::{IdentityFile, Target};
use text::terminal::escape;

/// sshd's default MaxAuthTries.
const MAX_ATTEMPTS: usize = 6;

/// What can be made ready before there is a connection.
#[derive(Default)]
pub(crate) struct Prepared {
    agent: Option<Agent>,
    /// What the agent holds.
    held: Vec<AgentIdentity>,
    tried: Vec<String>,
}

/// Asks the agent what it holds, and loads the named keys that it lacks, for
/// which the operator may have to type a passphrase.
pub(crate) async fn prepare(target: &Target, secrets: &Secrets) -> Prepared {
    let mut prepared = Prepared::default();
    if let Some(socket) = &target.agent {
        let asking = async {
            let mut agent = Agent::connect_uds(socket).await?;
            let held = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, held))
        };
        let problem = match timeout(target.connect_timeout, asking).await {
            Ok(Ok((agent, held))) => {
                let empty = held.is_empty();
                (prepared.agent, prepared.held) = (Some(agent), held);
                empty.then(|| "the agent holds no keys".to_string())
            }
            Ok(Err(error)) => Some(format!("agent at {}: {error}", socket.display())),
            Err(_) => Some(format!("agent at {}: it did not answer", socket.display())),
        };
        prepared.tried.extend(problem);
    }
    for identity in target.identities.iter().filter(|identity| identity.named) {
        let held = read_public_half(&identity.path).is_some_and(|public| {
            prepared
                .held
                .iter()
                .any(|one| one.public_key().key_data() == public.key_data())
        });
        if !held {
            // A failure is remembered, and reported if it comes to that key.
            let passphrase = target.passphrase_file.as_deref();
            let _ = secrets.private_key(&identity.path, passphrase).await;
        }
    }
    prepared
}

/// Logs in, or says all that was tried.
pub(crate) async fn log_in(
    target: &Target,
    shaken: &mut Shaken,
    secrets: &Secrets,
    prepared: Prepared,
) -> Result<(), SshError> {
    let Prepared {
        mut agent,
        held,
        tried,
    } = prepared;
    let mut login = Login {
        target,
        shaken,
        secrets,
        rsa_hash: None,
        attempts: 0,
        offered: Vec::new(),
        tried,
    };
    match login.offer_keys(agent.as_mut(), &held).await? {
        Answer::Accepted => Ok(()),
        Answer::Refused | Answer::Over => Err(SshError::Auth {
            host: target.name.clone(),
            address: target.endpoint(),
            user: target.user.clone(),
            tried: login.tried,
        }),
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
    /// There is no point in going on.
    Over,
}

struct Login<'a> {
    target: &'a Target,
    shaken: &'a mut Shaken,
    secrets: &'a Secrets,
    rsa_hash: Option<Option<HashAlg>>,
    attempts: usize,
    offered: Vec<PublicKey>,
    tried: Vec<String>,
}

type Agent = AgentClient<UnixStream>;

impl Login<'_> {
    async fn offer_keys(
        &mut self,
        mut agent: Option<&mut Agent>,
        held: &[AgentIdentity],
    ) -> Result<Answer, SshError> {
        let (named, default): (Vec<_>, Vec<_>) = self
            .target
            .identities
            .clone()
            .into_iter()
            .partition(|identity| identity.named);

        let mut failure = None;
        for identity in &named {
            match self
                .offer_key_file(identity, agent.as_deref_mut(), held)
                .await
            {
                Ok(Answer::Refused) => {}
                Ok(answer) => return Ok(answer),
                // Another key may still do; but if none does, this is why.
                Err(error @ SshError::KeyFile { .. }) => {
                    self.tried.push(error.to_string());
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if !self.target.identities_only
            && let Some(agent) = agent.as_deref_mut()
        {
            match self.offer_agent_keys(agent, held).await? {
                Answer::Refused => {}
                answer => return Ok(answer),
            }
        }
        for identity in default.iter().filter(|identity| identity.path.exists()) {
            match self
                .offer_key_file(identity, agent.as_deref_mut(), held)
                .await
            {
                Ok(Answer::Refused) => {}
                Ok(answer) => return Ok(answer),
                Err(error @ SshError::KeyFile { .. }) => self.tried.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        if !self.target.identities.iter().any(|one| one.path.exists()) {
            self.tried.push("no key file exists".into());
        }
        match failure {
            Some(failure) if self.attempts == 0 => Err(failure),
            _ => Ok(Answer::Refused),
        }
    }

    /// Offers what the agent holds besides the named keys.
    async fn offer_agent_keys(
        &mut self,
        agent: &mut Agent,
        held: &[AgentIdentity],
    ) -> Result<Answer, SshError> {
        // One attempt is left for a default key.
        let left = (MAX_ATTEMPTS - 1).saturating_sub(self.attempts);
        let fresh: Vec<_> = held
            .iter()
            .filter(|one| !self.was_offered(&one.public_key()))
            .collect();
        if fresh.len() > left {
            self.tried.push(format!(
                "the agent holds {} keys; only {left} were offered (sshd allows {MAX_ATTEMPTS})",
                fresh.len()
            ));
        }
        for one in fresh.into_iter().take(left) {
            match self.offer_agent_key(agent, one).await? {
                Answer::Refused => {}
                answer => return Ok(answer),
            }
        }
        Ok(Answer::Refused)
    }

    /// Whether the host has refused this key, whatever its comment.
    fn was_offered(&self, key: &PublicKey) -> bool {
        self.offered
            .iter()
            .any(|one| one.key_data() == key.key_data())
    }

    /// Offers a key: as the agent holds it, its certificate, then the file.
    // Long: one key in the order in which OpenSSH offers it: agent, certificate, file.
    async fn offer_key_file(
        &mut self,
        identity: &IdentityFile,
        agent: Option<&mut Agent>,
        held: &[AgentIdentity],
    ) -> Result<Answer, SshError> {
        let path = &identity.path;
        let public = read_public_half(path);
        if let (Some(public), Some(agent)) = (&public, agent) {
            let same = |one: &&AgentIdentity| one.public_key().key_data() == public.key_data();
            for one in held.iter().filter(same) {
                match self.offer_agent_key(agent, one).await? {
                    Answer::Refused => {}
                    answer => return Ok(answer),
                }
            }
        }
        let certificate = load_openssh_certificate(append_suffix(path, "-cert.pub")).ok();
        if let Some(public) = &public
            && certificate.is_none()
            && self.was_offered(public)
        {
            return Ok(Answer::Refused);
        }
        if self.attempts >= MAX_ATTEMPTS {
            self.tried.push(format!(
                "{}: not offered, sshd allows {MAX_ATTEMPTS}",
                path.display()
            ));
            return Ok(Answer::Over);
        }
        let passphrase = self
            .target
            .passphrase_file
            .as_deref()
            .filter(|_| identity.named);
        let key = self
            .secrets
            .private_key(path, passphrase)
            .await
            .map_err(|reason| SshError::KeyFile {
                path: path.clone(),
                reason,
            })?;
        if let Some(certificate) = certificate {
            match self
                .offer_certificate(path, key.clone(), certificate)
                .await?
            {
                Answer::Refused => {}
                answer => return Ok(answer),
            }
        }
        let hash = if key.algorithm().is_rsa() {
            self.rsa_hash().await?
        } else {
            None
        };
        self.attempts += 1;
        self.offered.push(key.public_key().clone());
        let key = PrivateKeyWithHashAlg::new(key, hash);
        let user = self.target.user.clone();
        let trying = self.shaken.handle.authenticate_publickey(user, key);
        let result = timeout(self.target.connect_timeout, trying).await;
        self.note_answer(&path.display().to_string(), flatten_result(result))
    }

    /// Offers the certificate beside the key file `path`.
    async fn offer_certificate(
        &mut self,
        path: &Path,
        key: Arc<PrivateKey>,
        certificate: Certificate,
    ) -> Result<Answer, SshError> {
        self.attempts += 1;
        let user = self.target.user.clone();
        let handle = &mut self.shaken.handle;
        let trying = handle.authenticate_openssh_cert(user, key, certificate);
        let result = timeout(self.target.connect_timeout, trying).await;
        let label = format!("{}-cert.pub", path.display());
        self.note_answer(&label, flatten_result(result))
    }

    async fn offer_agent_key(
        &mut self,
        agent: &mut Agent,
        one: &AgentIdentity,
    ) -> Result<Answer, SshError> {
        if self.attempts >= MAX_ATTEMPTS {
            return Ok(Answer::Refused);
        }
        let public = one.public_key().into_owned();
        let hash = if public.algorithm().is_rsa() {
            self.rsa_hash().await?
        } else {
            None
        };
        let label = format!("the agent's {}", escape(one.comment()));
        let user = self.target.user.clone();
        self.attempts += 1;
        let handle: &mut Handle<Client> = &mut self.shaken.handle;
        let trying = async {
            match one {
                AgentIdentity::PublicKey { key, .. } => {
                    handle
                        .authenticate_publickey_with(user, key.clone(), hash, agent)
                        .await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    let certificate: Certificate = certificate.clone();
                    handle
                        .authenticate_certificate_with(user, certificate, hash, agent)
                        .await
                }
            }
        };
        let result = timeout(self.target.connect_timeout, trying).await;
        self.offered.push(public);
        match result {
            Err(_) => self.note_answer(&label, Err(None)),
            Ok(Ok(result)) => self.note_answer(&label, Ok(result)),
            Ok(Err(AgentAuthError::Key(error))) => {
                self.tried
                    .push(format!("{label}: the agent failed to sign: {error}"));
                Ok(Answer::Refused)
            }
            Ok(Err(AgentAuthError::Send(_))) => self.note_answer(&label, Err(Some(String::new()))),
        }
    }

    /// The hash for RSA signatures that the host takes. Asked only for RSA
    /// keys, since a host that names none makes us wait a second.
    async fn rsa_hash(&mut self) -> Result<Option<HashAlg>, SshError> {
        if let Some(hash) = self.rsa_hash {
            return Ok(hash);
        }
        let hash = match self.shaken.handle.best_supported_rsa_hash().await {
            Ok(Some(hash)) => hash,
            Ok(None) => Some(HashAlg::Sha512),
            Err(_) => return Err(self.lost_error()),
        };
        self.rsa_hash = Some(hash);
        Ok(hash)
    }

    /// Notes how an attempt ended. `Err(None)`: not in time.
    fn note_answer(
        &mut self,
        label: &str,
        result: Result<AuthResult, Option<String>>,
    ) -> Result<Answer, SshError> {
        match result {
            Ok(AuthResult::Success) => Ok(Answer::Accepted),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                // russh reports a broken connection as a failure that leaves
                // no method.
                if self.shaken.handle.is_closed() {
                    self.tried
                        .push(format!("{label}: the host closed the connection"));
                    return Ok(Answer::Over);
                }
                if partial_success {
                    self.tried.push(format!(
                        "{label}: accepted, but the host requires more than a key"
                    ));
                    return Ok(Answer::Over);
                }
                self.tried.push(format!("{label}: refused"));
                if remaining_methods.contains(&MethodKind::PublicKey) {
                    return Ok(Answer::Refused);
                }
                let methods: Vec<String> = remaining_methods.iter().map(String::from).collect();
                self.tried.push(format!(
                    "the host does not accept keys, only: {}",
                    methods.join(", ")
                ));
                Ok(Answer::Over)
            }
            Err(None) => Err(SshError::Timeout {
                host: self.target.name.clone(),
                what: "authentication".into(),
                after: self.target.connect_timeout,
            }),
            Err(Some(reason)) => {
                if self.shaken.handle.is_closed() || reason.is_empty() {
                    return Err(self.lost_error());
                }
                self.tried.push(format!("{label}: {reason}"));
                Ok(Answer::Refused)
            }
        }
    }

    fn lost_error(&self) -> SshError {
        SshError::Lost {
            host: self.target.name.clone(),
            reason: format!("{} while logging in", self.shaken.gone.reason()),
        }
    }
}

fn flatten_result(
    result: Result<Result<AuthResult, russh::Error>, tokio::time::error::Elapsed>,
) -> Result<AuthResult, Option<String>> {
    match result {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(russh::Error::SendError | russh::Error::Disconnect | russh::Error::HUP)) => {
            Err(Some(String::new()))
        }
        Ok(Err(error)) => Err(Some(escape(&error.to_string()).into_owned())),
        Err(_) => Err(None),
    }
}

fn append_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
