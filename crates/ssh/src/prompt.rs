//! Secrets of the operator: asked for once, however many hosts want them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::{self, PrivateKey};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::error::SshError;

/// How often a secret is asked for before giving up, as `ssh` and `sudo` do.
const ATTEMPTS: u32 = 3;

/// A secret in memory.
pub type Secret = Zeroizing<String>;

/// Asks the operator. Called on a thread that may block, one call at a time.
///
/// An error (there is no terminal, the operator gave up) is final for that
/// secret: it is not asked for again.
pub trait Prompt: Send + Sync {
    /// The passphrase of a private key; `again` after a wrong answer.
    fn passphrase(&self, key: &Path, again: bool) -> std::io::Result<Secret>;

    /// The sudo password of `user`, wanted by `host` first; it is used for all
    /// hosts with that user. `again` after a wrong answer.
    fn sudo_password(&self, user: &str, host: &str, again: bool) -> std::io::Result<Secret>;
}

/// Answers every question with an error, because there is no terminal.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn passphrase(&self, _: &Path, _: bool) -> std::io::Result<Secret> {
        Err(std::io::Error::other(
            "it needs a passphrase, and there is no terminal to ask for it",
        ))
    }

    fn sudo_password(&self, _: &str, _: &str, _: bool) -> std::io::Result<Secret> {
        Err(std::io::Error::other(
            "sudo requires a password, and there is no terminal to ask for it",
        ))
    }
}

/// A key, or why there is none.
type LoadedKey = Result<Arc<PrivateKey>, String>;

/// Where a key lies, and its passphrase.
type KeyPlace = (PathBuf, Option<PathBuf>);

/// What has been loaded or asked for so far.
pub(crate) struct Secrets {
    prompt: Arc<dyn Prompt>,
    keys: Mutex<HashMap<KeyPlace, Arc<OnceCell<LoadedKey>>>>,
    /// Held while asking, so that questions don't interleave.
    asking: tokio::sync::Mutex<()>,
    sudo: tokio::sync::Mutex<HashMap<String, SudoPassword>>,
}

#[derive(Default)]
struct SudoPassword {
    /// How often it was asked for.
    asked: u32,
    current: Option<Arc<Secret>>,
    failure: Option<String>,
}

impl Secrets {
    pub(crate) fn new(prompt: Arc<dyn Prompt>) -> Self {
        Secrets {
            prompt,
            keys: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            sudo: tokio::sync::Mutex::default(),
        }
    }

    /// A private key, decrypted. Loaded once; a failure is remembered too.
    pub(crate) async fn private_key(&self, path: &Path, passphrase: Option<&Path>) -> LoadedKey {
        let place = (path.to_path_buf(), passphrase.map(Path::to_path_buf));
        let cell = {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.entry(place).or_default().clone()
        };
        cell.get_or_init(|| self.load_key(path, passphrase))
            .await
            .clone()
    }

    async fn load_key(&self, path: &Path, passphrase_file: Option<&Path>) -> LoadedKey {
        let bytes = tokio::fs::read(path)
            .await
            .map_err(|error| error.to_string())?;
        let text = Arc::new(Zeroizing::new(
            String::from_utf8(bytes).map_err(|_| "it is not a text file".to_string())?,
        ));
        match decode_key(&text, None).await {
            Ok(key) => return Ok(Arc::new(key)),
            Err(_) if is_encrypted(&text) => {}
            Err(error) => return Err(error),
        }
        if let Some(file) = passphrase_file {
            let passphrase = read_first_line(file).map_err(|error| error.to_string())?;
            return match decode_key(&text, Some(passphrase)).await {
                Ok(key) => Ok(Arc::new(key)),
                Err(_) => Err(format!("the passphrase in {} is wrong", file.display())),
            };
        }
        let _asking = self.asking.lock().await;
        for attempt in 0..ATTEMPTS {
            let (prompt, path) = (self.prompt.clone(), path.to_path_buf());
            let answer = run_blocking(move || prompt.passphrase(&path, attempt > 0)).await?;
            if let Ok(key) = decode_key(&text, Some(answer)).await {
                return Ok(Arc::new(key));
            }
        }
        Err(format!("{ATTEMPTS} wrong passphrases"))
    }

    /// The sudo password of `user` if it was given before.
    pub(crate) fn known_sudo_password(&self, user: &str) -> Option<(u32, Arc<Secret>)> {
        // Locked: it is being asked for right now, so it is not known yet.
        let known = self.sudo.try_lock().ok()?;
        let entry = known.get(user)?;
        Some((entry.asked, entry.current.clone()?))
    }

    /// The sudo password of `user`, asked for unless it is known. A caller
    /// whose password was wrong gives its number in `rejected`.
    pub(crate) async fn sudo_password(
        &self,
        user: &str,
        host: &str,
        rejected: Option<u32>,
    ) -> Result<(u32, Arc<Secret>), String> {
        let mut known = self.sudo.lock().await;
        let entry = known.entry(user.to_string()).or_default();
        if let Some(failure) = &entry.failure {
            return Err(failure.clone());
        }
        if let Some(current) = &entry.current
            && rejected != Some(entry.asked)
        {
            return Ok((entry.asked, current.clone()));
        }
        let answer = if entry.asked >= ATTEMPTS {
            Err(format!("{ATTEMPTS} wrong passwords"))
        } else {
            let _asking = self.asking.lock().await;
            let (prompt, user, host) = (self.prompt.clone(), user.to_string(), host.to_string());
            let again = entry.asked > 0;
            run_blocking(move || prompt.sudo_password(&user, &host, again)).await
        };
        match answer {
            Ok(password) => {
                let password = Arc::new(password);
                entry.asked += 1;
                entry.current = Some(password.clone());
                Ok((entry.asked, password))
            }
            Err(failure) => {
                entry.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

/// The first line of a file that holds a secret, without its line end.
pub(crate) fn read_first_line(path: &Path) -> Result<zeroize::Zeroizing<String>, SshError> {
    let failed = |source| SshError::File {
        path: path.to_path_buf(),
        source,
    };
    let bytes = zeroize::Zeroizing::new(std::fs::read(path).map_err(failed)?);
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(failed(std::io::Error::other("its first line is empty"))),
        Ok(text) => Ok(zeroize::Zeroizing::new(text.to_string())),
        Err(_) => Err(failed(std::io::Error::other("its first line is not text"))),
    }
}

fn is_encrypted(text: &str) -> bool {
    match PrivateKey::from_openssh(text.as_bytes()) {
        Ok(key) => key.is_encrypted(),
        Err(_) => text.contains("ENCRYPTED") || text.contains("Encryption: aes"),
    }
}

/// Decoding an encrypted key takes a moment by design, so not on a thread that
/// serves connections.
async fn decode_key(
    text: &Arc<Zeroizing<String>>,
    passphrase: Option<Secret>,
) -> Result<PrivateKey, String> {
    let text = text.clone();
    run_blocking(move || {
        let passphrase = passphrase.as_ref().map(|secret| secret.as_str());
        keys::decode_secret_key(&text, passphrase).map_err(std::io::Error::other)
    })
    .await
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Gives these answers in turn, and counts.
    struct Answers(&'static [&'static str], AtomicU32);

    impl Answers {
        fn next(&self) -> std::io::Result<Secret> {
            let index = self.1.fetch_add(1, Ordering::SeqCst) as usize;
            match self.0.get(index) {
                Some(answer) => Ok(Zeroizing::new(answer.to_string())),
                None => Err(std::io::Error::other("gave up")),
            }
        }
    }

    impl Prompt for Answers {
        fn passphrase(&self, _: &Path, _: bool) -> std::io::Result<Secret> {
            self.next()
        }
        fn sudo_password(&self, _: &str, _: &str, _: bool) -> std::io::Result<Secret> {
            self.next()
        }
    }

    fn secrets(answers: &'static [&'static str]) -> (Arc<Secrets>, Arc<Answers>) {
        let prompt = Arc::new(Answers(answers, AtomicU32::new(0)));
        (Arc::new(Secrets::new(prompt.clone())), prompt)
    }

    #[tokio::test]
    async fn a_hundred_hosts_one_question() {
        let (secrets, prompt) = secrets(&["one"]);
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                let secrets = secrets.clone();
                tokio::spawn(async move {
                    secrets
                        .sudo_password("ops", &n.to_string(), None)
                        .await
                        .unwrap()
                        .1
                        .to_string()
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), "one");
        }
        assert_eq!(prompt.1.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_wrong_password_is_asked_for_again_but_once_for_all() {
        let (secrets, prompt) = secrets(&["wrong", "right"]);
        assert!(secrets.known_sudo_password("ops").is_none());
        let (first, _) = secrets.sudo_password("ops", "a", None).await.unwrap();
        let (second, password) = secrets
            .sudo_password("ops", "a", Some(first))
            .await
            .unwrap();
        assert_eq!(password.as_str(), "right");
        // Another host found the first one wrong too.
        let (again, _) = secrets
            .sudo_password("ops", "b", Some(first))
            .await
            .unwrap();
        assert_eq!((again, prompt.1.load(Ordering::SeqCst)), (second, 2));
        assert_eq!(
            secrets.known_sudo_password("ops").unwrap().1.as_str(),
            "right"
        );
        // Giving up is final.
        assert!(
            secrets
                .sudo_password("ops", "a", Some(second))
                .await
                .is_err()
        );
        assert!(secrets.sudo_password("ops", "c", None).await.is_err());
        assert_eq!(prompt.1.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn no_terminal_is_said() {
        let secrets = Secrets::new(Arc::new(NoPrompt));
        let error = secrets.sudo_password("ops", "a", None).await.unwrap_err();
        assert!(error.contains("no terminal"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "hello").unwrap();
        let (secrets, prompt) = secrets(&["x"]);
        assert!(secrets.private_key(&path, None).await.is_err());
        assert!(
            secrets
                .private_key(&dir.path().join("none"), None)
                .await
                .is_err()
        );
        assert_eq!(prompt.1.load(Ordering::SeqCst), 0);
    }
}
