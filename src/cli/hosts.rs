//! `hosts trust`: shows host keys and, on a yes, trusts them.

use clap::{Args, Subcommand};
use futures::StreamExt;
use ssh::{Connector, HostKey, HostKeys, Trust, append_known_host, scan_host_keys, trust};
use text::count;
use text::glob::matches;

use super::Global;
use super::load::load;
use super::prompt::{Terminal, confirm};
use super::session::check_patterns;
use crate::inventory::Host;
use crate::report::table;
use crate::run::connections::ssh_target;
use crate::run::error::{Error, ExitStatus};
use crate::run::state::State;

/// Look at hosts' SSH keys and trust them
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  clusterctl-rs hosts trust")]
pub(super) struct Hosts {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Trust(TrustHosts),
}

/// Fetch hosts' keys, show their fingerprints, and trust them on a yes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs hosts trust
  clusterctl-rs hosts trust 'worker*'

Compare the fingerprints with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on each
host. A key that has changed is never replaced here: look into it, then remove the old line with
`ssh-keygen -R`.")]
struct TrustHosts {
    /// Hosts, by name or pattern (`*` and `?`); all of them if none is given
    #[arg(value_name = "NAME")]
    hosts: Vec<String>,
    /// Trust new keys without asking
    #[arg(short, long)]
    yes: bool,
}

impl Hosts {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        match self.verb {
            Verb::Trust(trust) => trust.run(global).await,
        }
    }
}

impl TrustHosts {
    async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let printer = global.printer();
        let cluster = load(&global.inventory(None), printer)?;
        check_patterns(&self.hosts, &cluster)?;
        let wanted: Vec<&Host> = cluster
            .hosts
            .iter()
            .filter(|host| {
                self.hosts.is_empty() || self.hosts.iter().any(|p| matches(p, &host.name))
            })
            .collect();
        let state = State::open(cluster.state_dir())?;
        let connector = Connector::new(std::sync::Arc::new(Terminal), None);
        type Scan = Result<(HostKeys, Vec<(HostKey, Trust)>), Error>;
        let scans: Vec<(&Host, Scan)> = futures::stream::iter(wanted)
            .map(async |host| {
                let scan = async {
                    let target = ssh_target(&state, host)?;
                    let keys = scan_host_keys(&target, &connector).await?;
                    let judged = trust(&target, &keys)?;
                    Ok((keys, judged))
                };
                (host, scan.await)
            })
            .buffered(64)
            .collect()
            .await;
        let (mut rows, mut unknown, mut failed) = (Vec::new(), Vec::new(), 0);
        for (host, scan) in scans {
            let (keys, judged) = match scan {
                Ok(scan) => scan,
                Err(error) => {
                    failed += 1;
                    let error = error.to_string();
                    rows.push(vec![host.name.clone(), String::new(), String::new(), error]);
                    continue;
                }
            };
            for (key, trust) in judged {
                rows.push(vec![
                    host.name.clone(),
                    key.algorithm.clone(),
                    key.fingerprint.clone(),
                    trust.to_string(),
                ]);
                match trust {
                    Trust::Unknown => unknown.push((keys.name.clone(), keys.port, key)),
                    Trust::Changed(..) | Trust::Revoked(..) => failed += 1,
                    Trust::Known => {}
                }
            }
        }
        printer.out(&table(&["HOST", "KEY", "FINGERPRINT", "TRUST"], &rows));
        if !unknown.is_empty() {
            if !self.yes {
                confirm(&format!("Trust {}?", count(unknown.len(), "new key")))?;
            }
            let file = state.known_hosts();
            for (name, port, key) in &unknown {
                append_known_host(&file, name, *port, &key.key)?;
            }
            printer.err(&format!(
                "{} written to {}",
                count(unknown.len(), "key"),
                file.display()
            ));
        }
        Ok(if failed == 0 {
            ExitStatus::Done
        } else {
            ExitStatus::Failed
        })
    }
}
