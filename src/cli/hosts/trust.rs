//! `hosts trust`: shows host keys and trusts them on confirmation.

use clap::Args;
use futures::StreamExt;
use ssh::{
    Connector, HostKey, HostKeys, Trust, append_known_host, judge_host_keys, scan_host_keys,
};
use text::count;
use text::glob::matches;

use crate::cli::Global;
use crate::cli::load::load_inventory;
use crate::cli::next::is_new;
use crate::cli::prompt::{Terminal, confirm};
use crate::cli::select::select_hosts;
use crate::cluster::ssh_connect::{OncePerRun, ssh_target};
use crate::inventory::Host;
use crate::report::table;
use crate::run::error::{Error, ExitStatus};
use crate::run::state::State;

/// Fetch SSH host keys, show their fingerprints and ask whether to trust them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs hosts trust
  clusterctl-rs hosts trust 'worker*'

Compare the fingerprints with the output of `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on
each host. A changed key is never replaced: find out why it changed, then remove the old one with
`ssh-keygen -R`.")]
pub(in crate::cli) struct TrustArgs {
    /// Hosts: names, patterns (`*`, `?`), ranges (`w[1:9]`) or groups [default: all]
    #[arg(value_name = "NAME")]
    hosts: Vec<String>,
    /// Trust new keys without asking
    #[arg(short, long)]
    yes: bool,
}

/// A host's keys, and what is known of each.
pub(in crate::cli) type Scan = Result<(HostKeys, Vec<(HostKey, Trust)>), Error>;

/// Fetches the keys of every host, side by side.
pub(in crate::cli) async fn scan_hosts<'a>(
    state: &State,
    hosts: Vec<&'a Host>,
    warn: impl Fn(&str),
) -> Vec<(&'a Host, Scan)> {
    let (warned, warn) = (&OncePerRun::default(), &warn);
    let connector = &Connector::new(std::sync::Arc::new(Terminal), None);
    futures::stream::iter(hosts)
        .map(async |host| {
            let scan = async {
                let target = ssh_target(state, host).await?;
                for warning in warned.news(&target.warnings) {
                    warn(warning);
                }
                let keys = scan_host_keys(&target, connector).await?;
                let judged = judge_host_keys(&target, &keys).await?;
                Ok((keys, judged))
            };
            (host, scan.await)
        })
        .buffered(64)
        .collect()
        .await
}

impl TrustArgs {
    pub(in crate::cli) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let printer = global.printer();
        let cluster = load_inventory(&global.inventory(None), printer)?;
        let selected = select_hosts(&self.hosts, &cluster)?;
        let wanted: Vec<&Host> = cluster
            .hosts
            .iter()
            .filter(|host| selected.is_empty() || selected.iter().any(|p| matches(p, &host.name)))
            .collect();
        let state = State::open(cluster.state_dir())?;
        let warn = |warning: &str| printer.err(&format!("warning: {warning}"));
        let scans = scan_hosts(&state, wanted, warn).await;
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
                "wrote {} to {}",
                count(unknown.len(), "key"),
                file.display()
            ));
        }
        Ok(conclude(global, &state, failed))
    }
}

/// Says what to do next; returns the exit status.
fn conclude(global: &Global, state: &State, failed: usize) -> ExitStatus {
    if failed > 0 {
        let again = global.command("hosts trust", None);
        global.say_next(&format!("fix what is listed above, then run {again} again"));
        return ExitStatus::Failed;
    }
    if is_new(state) {
        global.say_next(&format!("run {}", global.command("preflight", None)));
    }
    ExitStatus::Done
}
