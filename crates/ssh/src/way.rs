//! The way to a host's sshd, beside the stream of bytes itself.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::sleep;

use crate::error::SshError;
use crate::proxy_command::ProxyLog;
use crate::session::Session;
use crate::target::{Route, Target};
use crate::tcp::TcpWatch;

/// How long a login waits for a signature where nothing tells that sshd has hung up.
const LONGEST_LOGIN: Duration = Duration::from_secs(600);

/// What leads to a host's sshd, as far as it is still needed while the connection is made.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// The jump host's session.
    pub(crate) through: Option<Session>,
    pub(crate) watch: Option<TcpWatch>,
    pub(crate) proxy: Option<ProxyLog>,
}

impl Way {
    /// The address that was connected to, if we know it.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.watch.as_ref()?.address()
    }

    /// Waits until the host has hung up, which russh does not notice while it waits for a
    /// signature.
    pub(crate) async fn closed(&self) {
        match (&self.watch, &self.through) {
            (Some(watch), _) => watch.closed().await,
            (None, Some(through)) => {
                let begun = tokio::time::Instant::now();
                while !through.is_closed() && begun.elapsed() < LONGEST_LOGIN {
                    sleep(Duration::from_millis(500)).await;
                }
            }
            (None, None) => sleep(LONGEST_LOGIN).await,
        }
    }

    /// The error of a handshake, in the words of the proxy command if that is why.
    pub(crate) async fn explain(&mut self, target: &Target, error: SshError) -> SshError {
        let (Some(proxy), Route::Command(command)) = (&mut self.proxy, &target.route) else {
            return error;
        };
        let reason = match &error {
            SshError::Handshake { reason, .. } => {
                proxy.explain_end().await.unwrap_or_else(|| reason.clone())
            }
            SshError::Timeout { after, .. } => {
                let said = proxy.last_words().map(|said| format!(": {said}"));
                let said = said.unwrap_or_default();
                format!("no sshd behind it within {} s{said}", after.as_secs_f32())
            }
            _ => return error,
        };
        SshError::ProxyCommand {
            host: target.name.clone(),
            command: command.clone(),
            reason,
        }
    }
}
