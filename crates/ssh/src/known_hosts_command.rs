//! `KnownHostsCommand`: a program that prints lines of known_hosts.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::{HashAlg, PublicKey};
use text::terminal::escape;
use tokio::process::Command;
use tokio::time::timeout;

use crate::tokens::{Token, expand_all};

/// What the lines are wanted for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// To know which algorithms to ask for.
    Order,
    /// To judge a key by the host's name.
    HostName,
    /// To judge a key by the host's address.
    Address,
}

/// The program and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct KnownHostsCommand {
    program: String,
    arguments: Vec<String>,
    tokens: Vec<Token>,
}

impl KnownHostsCommand {
    /// `None` if the program has no absolute path.
    pub(crate) fn new(words: Vec<String>, tokens: Vec<Token>) -> Option<Self> {
        let mut words = words.into_iter();
        Some(KnownHostsCommand {
            program: words.next().filter(|program| program.starts_with('/'))?,
            arguments: words.collect(),
            tokens,
        })
    }

    /// What it prints about `name`, as known_hosts writes it, or why it failed.
    pub(crate) async fn run(
        &self,
        purpose: Purpose,
        name: &str,
        key: Option<&PublicKey>,
        limit: Duration,
    ) -> Result<String, String> {
        let failed = |why: String| format!("KnownHostsCommand {}: {why}", self.program);
        let mut command = Command::new(&self.program);
        command
            .args(self.arguments_for(purpose, name, key).map_err(failed)?)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = match timeout(limit, command.output()).await {
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed(format!("timed out after {} s", limit.as_secs()))),
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = escape(said.lines().last().unwrap_or_default().trim()).into_owned();
            return Err(failed(format!("{}: {said}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn arguments_for(
        &self,
        purpose: Purpose,
        name: &str,
        key: Option<&PublicKey>,
    ) -> Result<Vec<String>, String> {
        let none = || "NONE".to_string();
        let purpose = match purpose {
            Purpose::Order => "ORDER",
            Purpose::HostName => "HOSTNAME",
            Purpose::Address => "ADDRESS",
        };
        let blob = key.and_then(|key| key.to_bytes().ok());
        let mut tokens = self.tokens.clone();
        tokens.extend([
            ('H', name.to_string()),
            ('I', purpose.to_string()),
            (
                't',
                key.map_or_else(none, |key| key.algorithm().to_string()),
            ),
            (
                'f',
                key.map_or_else(none, |key| key.fingerprint(HashAlg::Sha256).to_string()),
            ),
            ('K', blob.map_or_else(none, |blob| STANDARD.encode(blob))),
        ]);
        let expand = |argument: &String| expand_all(argument, &tokens);
        self.arguments.iter().map(expand).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn command(words: &[&str]) -> Option<KnownHostsCommand> {
        let words = words.iter().map(ToString::to_string).collect();
        KnownHostsCommand::new(words, vec![('h', "web1".into())])
    }

    #[tokio::test]
    async fn its_arguments_have_tokens() {
        let echo = command(&["/bin/echo", "%h %H %I %t %f %K"]).unwrap();
        let said = echo.run(Purpose::Order, "[web1]:23", None, LIMIT).await;
        assert_eq!(said.unwrap(), "web1 [web1]:23 ORDER NONE NONE NONE\n");
    }

    #[tokio::test]
    async fn a_failure_says_why() {
        let sh = |script| command(&["/bin/sh", "-c", script]).unwrap();
        let run = async |script| {
            let limit = Duration::from_millis(300);
            sh(script)
                .run(Purpose::HostName, "a", None, limit)
                .await
                .unwrap_err()
        };
        assert!(
            run("echo no >&2; exit 3")
                .await
                .ends_with("exit status: 3: no")
        );
        assert!(run("sleep 10").await.contains("timed out"));
        assert!(command(&["echo"]).is_none() && command(&[]).is_none());
    }
}
