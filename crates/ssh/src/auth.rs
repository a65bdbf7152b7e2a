//! Logging in.

use std::path::Path;
use std::sync::Arc;

use russh::MethodKind;
use russh::Signer;
use russh::client::AuthResult;
use russh::keys::agent::AgentIdentity;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use tokio::time::timeout;

use crate::agent::{Agent, Turn};
use crate::candidates::{Candidate, Candidates, KeyPlace, MAX_ATTEMPTS};
use crate::error::SshError;
use crate::handshake::Shaken;
use crate::identity::{is_on_device, is_public};
use crate::shared::Shared;
use crate::sign::{AgentSigner, Busy, KeySigner, SignError};
use crate::target::Target;
use crate::way::Way;

/// What can be made ready before there is a connection, and outlives one.
pub(crate) struct Prepared<'a> {
    target: &'a Target,
    shared: &'a Shared,
    agent: Option<Agent>,
    candidates: Candidates,
    /// The right to ask the agent, if it came too late for the connection that waited for it.
    turn: Option<Turn>,
}

/// What a login came to.
pub(crate) enum LoggedIn {
    Yes,
    /// It is this host's turn to ask the agent, but the connection has waited too long for that:
    /// another one is needed.
    TurnHasCome,
}

impl<'a> Prepared<'a> {
    /// Asks the agent what it holds, and loads the named keys that it lacks, for
    /// which the operator may have to type a passphrase.
    pub(crate) async fn new(target: &'a Target, shared: &'a Shared) -> Self {
        let agent = target.login.agent.as_deref();
        let agent = agent.map(|socket| shared.agents.at(socket));
        let mut notes = Vec::new();
        let mut held = Arc::default();
        if let Some(agent) = &agent {
            match agent.list_keys().await {
                Ok(keys) if keys.is_empty() => notes.push("the agent holds no keys".to_string()),
                Ok(keys) => held = keys,
                Err(why) => notes.push(why),
            }
        }
        let mut candidates = Candidates::collect(&target.login, &held);
        notes.append(&mut candidates.notes);
        candidates.notes = notes;
        let prepared = Prepared {
            target,
            shared,
            agent,
            candidates,
            turn: None,
        };
        for candidate in prepared.candidates.list.iter().filter(|one| one.named) {
            if let KeyPlace::File(path) = &candidate.signer {
                // A failure is remembered, and reported if it comes to that key.
                let _ = prepared.load_key(path, true).await;
            }
        }
        prepared
    }

    /// Lets others ask the agent first.
    pub(crate) fn give_up_turn(&mut self) {
        self.turn = None;
    }

    /// Logs in, or says all that was tried.
    pub(crate) async fn log_in(
        &mut self,
        shaken: &mut Shaken,
        way: &Way,
    ) -> Result<LoggedIn, SshError> {
        let mut turn = self.turn.take();
        let mut login = Login {
            prepared: self,
            shaken,
            way,
            keeps_turn: turn.is_some(),
            turn: &mut turn,
            rsa_hash: None,
            attempts: 0,
            tried: self.candidates.notes.clone(),
        };
        let answer = login.offer_all().await?;
        let tried = login.tried;
        match answer {
            Answer::Accepted => Ok(LoggedIn::Yes),
            Answer::TurnHasCome => {
                self.turn = turn;
                Ok(LoggedIn::TurnHasCome)
            }
            Answer::Refused | Answer::Over => Err(SshError::Auth {
                host: self.target.name.clone(),
                address: self.target.endpoint(),
                user: self.target.user.clone(),
                tried,
            }),
        }
    }

    async fn load_key(&self, path: &Path, named: bool) -> Result<Arc<PrivateKey>, SshError> {
        let failed = |reason| SshError::KeyFile {
            path: path.to_path_buf(),
            reason,
        };
        if is_public(path) {
            let reason = "it is a public key, and the agent does not hold the private one";
            return Err(failed(reason.into()));
        }
        let passphrase = self
            .target
            .login
            .passphrase_file
            .as_deref()
            .filter(|_| named);
        let key = self
            .shared
            .secrets
            .private_key(path, passphrase)
            .await
            .map_err(failed)?;
        if is_on_device(key.public_key()) {
            let reason = "it is on a security key, which only the agent can use";
            return Err(failed(reason.into()));
        }
        Ok(key)
    }
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused,
    /// There is no point in going on.
    Over,
    TurnHasCome,
}

struct Login<'a> {
    prepared: &'a Prepared<'a>,
    shaken: &'a mut Shaken,
    way: &'a Way,
    turn: &'a mut Option<Turn>,
    keeps_turn: bool,
    /// The strongest hash for RSA signatures that the host takes, once it was asked.
    rsa_hash: Option<Option<HashAlg>>,
    attempts: usize,
    tried: Vec<String>,
}

impl Login<'_> {
    async fn offer_all(&mut self) -> Result<Answer, SshError> {
        let mut failure = None;
        for candidate in &self.prepared.candidates.list {
            if self.attempts >= MAX_ATTEMPTS {
                let label = &candidate.label;
                self.tried
                    .push(format!("{label}: not offered, sshd allows {MAX_ATTEMPTS}"));
                break;
            }
            match self.offer(candidate).await {
                Ok(Answer::Refused) => {}
                Ok(answer) => return Ok(answer),
                // Another key may still do; but if none does, this is why.
                Err(error @ SshError::KeyFile { .. }) => {
                    self.tried.push(error.to_string());
                    if candidate.named {
                        failure.get_or_insert(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        match failure {
            Some(failure) if self.attempts == 0 => Err(failure),
            _ => Ok(Answer::Refused),
        }
    }

    async fn offer(&mut self, candidate: &Candidate) -> Result<Answer, SshError> {
        let private = match &candidate.signer {
            KeyPlace::Agent(_) => None,
            KeyPlace::File(path) => Some(self.prepared.load_key(path, candidate.named).await?),
        };
        let own = private.as_ref().map(|key| key.public_key().clone());
        let Some(key) = own.or_else(|| candidate.key.clone()) else {
            return Ok(Answer::Refused);
        };
        let hash = match self.choose_hash(&key, candidate).await? {
            Ok(hash) => hash,
            Err(why) => {
                self.tried
                    .push(format!("{}: not offered, {why}", candidate.label));
                return Ok(Answer::Refused);
            }
        };
        self.attempts += 1;
        match (&candidate.signer, private, &self.prepared.agent) {
            (KeyPlace::Agent(known_by), _, Some(agent)) => {
                self.offer_agent_key(agent, known_by, candidate, key, hash)
                    .await
            }
            (_, Some(private), _) => {
                let mut signer = KeySigner(private);
                let limit = self.prepared.target.connect_timeout;
                let trying = self.authenticate(candidate, key, hash, &mut signer);
                match timeout(limit, trying).await {
                    Ok(result) => self.note_result(&candidate.label, result),
                    Err(_) => Err(self.timeout_error()),
                }
            }
            _ => Ok(Answer::Refused),
        }
    }

    async fn offer_agent_key(
        &mut self,
        agent: &Agent,
        known_by: &AgentIdentity,
        candidate: &Candidate,
        key: PublicKey,
        hash: Option<HashAlg>,
    ) -> Result<Answer, SshError> {
        let busy = Busy::default();
        let mut turn = self.turn.take();
        let mut signer = AgentSigner {
            agent,
            key: known_by,
            way: self.way,
            busy: &busy,
            turn: &mut turn,
            keeps_turn: self.keeps_turn,
            waited: Default::default(),
        };
        let limit = self.prepared.target.connect_timeout;
        let trying = self.authenticate(candidate, key, hash, &mut signer);
        let result = busy.limit(limit, trying).await;
        let lost_time = signer.lost_time();
        *self.turn = turn;
        let Some(result) = result else {
            return Err(self.timeout_error());
        };
        let is_refused = !matches!(&result, Ok(AuthResult::Success));
        if is_refused && self.shaken.handle.is_closed() && lost_time && !self.keeps_turn {
            // Others had their turn first, and sshd has not waited until this one was over.
            if self.turn.is_none() {
                *self.turn = Some(agent.wait_for_turn().await);
            }
            return Ok(Answer::TurnHasCome);
        }
        self.note_result(&candidate.label, result)
    }

    /// Offers a candidate's certificate, or its key.
    async fn authenticate<S: Signer<Error = SignError>>(
        &mut self,
        candidate: &Candidate,
        key: PublicKey,
        hash: Option<HashAlg>,
        signer: &mut S,
    ) -> Result<AuthResult, SignError> {
        let user = self.prepared.target.user.clone();
        let handle = &mut self.shaken.handle;
        match candidate.certificate.clone() {
            Some(certificate) => {
                handle
                    .authenticate_certificate_with(user, certificate, hash, signer)
                    .await
            }
            None => {
                handle
                    .authenticate_publickey_with(user, key, hash, signer)
                    .await
            }
        }
    }

    /// The hash for a signature, which only RSA has a choice of; or why the key may not be used.
    async fn choose_hash(
        &mut self,
        key: &PublicKey,
        candidate: &Candidate,
    ) -> Result<Result<Option<HashAlg>, String>, SshError> {
        let algorithms = &self.prepared.target.algorithms;
        let has_certificate = candidate.certificate.is_some();
        let Some(rsa) = key.key_data().rsa() else {
            let allowed = algorithms.accept_login(&key.algorithm(), has_certificate);
            let why = "PubkeyAcceptedAlgorithms leaves it out";
            return Ok(if allowed { Ok(None) } else { Err(why.into()) });
        };
        let least = algorithms.min_rsa_bits();
        if rsa.key_size() < least {
            return Ok(Err(format!(
                "it has {} bits, RequiredRSASize is {least}",
                rsa.key_size()
            )));
        }
        let best = self.best_rsa_hash().await?;
        let mut usable = [Some(HashAlg::Sha512), Some(HashAlg::Sha256), None]
            .into_iter()
            .skip_while(|hash| *hash != best);
        let chosen = usable
            .find(|hash| algorithms.accept_login(&Algorithm::Rsa { hash: *hash }, has_certificate));
        Ok(chosen.ok_or_else(|| "the host takes no RSA signature that is allowed".into()))
    }

    /// The strongest hash for RSA signatures that the host takes. Asked only for RSA
    /// keys, since a host that names none makes us wait a second.
    async fn best_rsa_hash(&mut self) -> Result<Option<HashAlg>, SshError> {
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

    fn note_result(
        &mut self,
        label: &str,
        result: Result<AuthResult, SignError>,
    ) -> Result<Answer, SshError> {
        match result {
            Ok(AuthResult::Success) => Ok(Answer::Accepted),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                let methods: Vec<MethodKind> = remaining_methods.to_vec();
                Ok(self.note_refusal(label, &methods, partial_success))
            }
            Err(SignError::Stale) => Ok(Answer::TurnHasCome),
            Err(SignError::Send) => Err(self.lost_error()),
            Err(SignError::HungUp) => Err(SshError::Unsigned {
                host: self.prepared.target.name.clone(),
                address: self.prepared.target.endpoint(),
                key: label.to_string(),
            }),
            Err(SignError::Failed(why)) => {
                self.tried.push(format!("{label}: {why}"));
                Ok(Answer::Refused)
            }
        }
    }

    fn note_refusal(&mut self, label: &str, methods: &[MethodKind], partial: bool) -> Answer {
        // russh reports a broken connection as a failure that leaves
        // no method.
        if self.shaken.handle.is_closed() {
            self.tried
                .push(format!("{label}: the host closed the connection"));
            return Answer::Over;
        }
        if partial {
            self.tried.push(format!(
                "{label}: accepted, but the host requires more than a key"
            ));
            return Answer::Over;
        }
        self.tried.push(format!("{label}: refused"));
        if methods.contains(&MethodKind::PublicKey) {
            return Answer::Refused;
        }
        let methods: Vec<String> = methods.iter().map(String::from).collect();
        self.tried.push(format!(
            "the host does not accept keys, only: {}",
            methods.join(", ")
        ));
        Answer::Over
    }

    fn timeout_error(&self) -> SshError {
        SshError::Timeout {
            host: self.prepared.target.name.clone(),
            what: "authentication".into(),
            after: self.prepared.target.connect_timeout,
        }
    }

    fn lost_error(&self) -> SshError {
        SshError::Lost {
            host: self.prepared.target.name.clone(),
            reason: format!("{} while logging in", self.shaken.gone.reason()),
        }
    }
}
