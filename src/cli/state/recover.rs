//! `state recover`: fetches the state directory back from the control planes.

use clap::Args;
use serde_json::json;
use ssh::{Trust, append_known_host};
use text::count;

use crate::cli::hosts::trust::scan_hosts;
use crate::cli::load::load_inventory;
use crate::cli::open_run::{AccessMode, OpenRun, PartArgs};
use crate::cli::prompt::confirm;
use crate::cli::{Global, OutputFormat};
use crate::inventory::Host;
use crate::recover::{Recovery, Written, find_state};
use crate::report::table;
use crate::run::Run;
use crate::run::error::{Error, ExitStatus};

/// Fetch a lost state directory back from the control planes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  clusterctl-rs state recover
  clusterctl-rs state recover --yes && clusterctl-rs apply --assert-noop

Reads the cluster's CAs and keys and each control plane's certificates, shows the fingerprints,
and asks before it writes them, the admin kubeconfig and the SSH host keys it verified. Changes
nothing on hosts. Host keys have to be known: run `clusterctl-rs hosts trust` first if need be.

Keys of another cluster are never overwritten: `--replace` moves them aside, into a directory
named by the date.")]
pub(super) struct RecoverArgs {
    /// Move aside what the state directory holds of another cluster
    #[arg(long)]
    replace: bool,
    /// Don't ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

impl RecoverArgs {
    pub(super) async fn run(self, global: &Global) -> Result<ExitStatus, Error> {
        let cluster = load_inventory(&global.inventory(None), global.printer())?;
        // Workers hold nothing of the state directory.
        let names = cluster.control_planes().map(|host| host.name.clone());
        let part = PartArgs::hosts(names.collect());
        let opened = OpenRun::open(global, "state recover", None, &part, AccessMode::Write)?;
        tokio::select! {
            result = self.recover(global, &opened) => result,
            () = crate::run::interrupt::interrupted() => Err(Error::Interrupted),
        }
    }

    async fn recover(&self, global: &Global, opened: &OpenRun) -> Result<ExitStatus, Error> {
        let run = &opened.run;
        let recovery = find_state(run).await?;
        for warning in &recovery.warnings {
            run.events().warn(warning.as_str());
        }
        if !self.replace {
            recovery.refuse_conflicts(run)?;
        }
        let asks = !self.yes && (!recovery.changes.is_empty() || !recovery.conflicts.is_empty());
        if asks {
            global.printer().err(&describe(run, &recovery));
            let question = match recovery.conflicts.is_empty() {
                true => format!("Write {}?", count(recovery.changes.len(), "file")),
                false => "Move the other cluster's keys aside and write these?".to_owned(),
            };
            confirm(&question)?;
        }
        let written = recovery.write(run, self.replace)?;
        let keys = remember_host_keys(run).await?;
        for note in &written.notes {
            run.events().warn(note.as_str());
        }
        let printer = global.printer();
        match global.output {
            OutputFormat::Json => printer.json(&render_json(&recovery, &written, keys)),
            OutputFormat::Text => {
                printer.out(&render_text(run, &recovery, &written, keys, !asks));
            }
        }
        Ok(ExitStatus::Done)
    }
}

/// Remembers host keys that other known_hosts files of the operator's vouch for. Returns how many
/// were new.
async fn remember_host_keys(run: &Run) -> Result<usize, Error> {
    let hosts: Vec<&Host> = run.cluster.hosts.iter().collect();
    let file = run.state.known_hosts();
    let lines = || std::fs::read_to_string(&file).map_or(0, |text| text.lines().count());
    let before = lines();
    for (host, scan) in scan_hosts(&run.state, hosts, |_| {}).await {
        let (keys, judged) = match scan {
            Ok(scan) => scan,
            Err(error) => {
                let text = format!("the SSH host keys of {} were not read: {error}", host.name);
                run.events().warn(text);
                continue;
            }
        };
        let known: Vec<_> = judged
            .into_iter()
            .filter(|(_, trust)| *trust == Trust::Known)
            .collect();
        if known.is_empty() {
            let text = format!(
                "{}: its SSH host key is not known: run `clusterctl-rs hosts trust {}`",
                host.name, host.name
            );
            run.events().warn(text);
        }
        for (key, _) in known {
            append_known_host(&file, &keys.name, keys.port, &key.key)?;
        }
    }
    Ok(lines().saturating_sub(before))
}

/// The authorities, their fingerprints and what will be written.
fn describe(run: &Run, recovery: &Recovery) -> String {
    let mut text = describe_authorities(recovery);
    for conflict in &recovery.conflicts {
        text.push_str(&format!("\nin the state directory, {conflict}"));
    }
    text.push_str(&format!("\nFiles in {}:\n", run.state.dir().display()));
    for change in &recovery.changes {
        let verb = if change.replaces { "update" } else { "create" };
        text.push_str(&format!("  {verb} {}\n", change.file));
    }
    text
}

fn describe_authorities(recovery: &Recovery) -> String {
    let rows: Vec<Vec<String>> = recovery
        .authorities
        .iter()
        .map(|authority| {
            vec![
                authority.file.clone(),
                authority.fingerprint.clone(),
                authority.not_after.to_string(),
                if authority.has_key { "yes" } else { "NO" }.to_owned(),
            ]
        })
        .collect();
    format!(
        "From {}:\n{}\n",
        recovery.hosts.join(", "),
        table(&["CA", "FINGERPRINT", "EXPIRES", "KEY"], &rows)
    )
}

fn render_text(
    run: &Run,
    recovery: &Recovery,
    written: &Written,
    keys: usize,
    with_authorities: bool,
) -> String {
    let mut text = match with_authorities {
        true => describe_authorities(recovery) + "\n",
        false => String::new(),
    };
    if let Some(dir) = &written.moved_to {
        text.push_str(&format!("moved the other keys to {}\n", dir.display()));
    }
    let dir = run.state.dir().display();
    let what = match (recovery.changes.len(), keys) {
        (0, 0) => format!("{dir} is complete: nothing was written"),
        (files, 0) => format!("wrote {} to {dir}", count(files, "file")),
        (files, keys) => format!(
            "wrote {} and {} to {dir}",
            count(files, "file"),
            count(keys, "SSH host key")
        ),
    };
    text.push_str(&what);
    text.push_str("\ncheck it with `clusterctl-rs apply --assert-noop`");
    text
}

fn render_json(recovery: &Recovery, written: &Written, keys: usize) -> String {
    let authorities: Vec<_> = recovery
        .authorities
        .iter()
        .map(|one| {
            json!({"file": one.file, "fingerprint": one.fingerprint,
                "notAfter": one.not_after.to_string(), "hasKey": one.has_key})
        })
        .collect();
    let files: Vec<&str> = recovery
        .changes
        .iter()
        .map(|change| change.file.as_str())
        .collect();
    json!({
        "from": recovery.hosts, "authorities": authorities, "written": files,
        "hostKeys": keys, "movedTo": written.moved_to,
        "warnings": recovery.warnings.iter().chain(&written.notes).collect::<Vec<_>>(),
    })
    .to_string()
}
