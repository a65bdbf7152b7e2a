//! Collects evidence from a host about a component that does not become healthy, and
//! guesses the cause.

use std::time::Duration;

use text::terminal::sanitize;

use super::crash_loop::Crash;
use super::log_line::telling_line;
use super::survey::Surveyed;
use crate::inventory::find_place;
use crate::kubernetes::api::ApiError;
use crate::run::Run;
use crate::run::error::{Cause, Error};
use crate::run::remote::Remote;

/// Phrases in the evidence and their likely meaning. The first match wins, so causes
/// precede their consequences.
const CAUSES: &[(&str, &str)] = &[
    (
        "unknown flag",
        "this version does not know an argument: check the extraArgs of that component in the inventory",
    ),
    (
        "failed to load kubelet config file",
        "this version does not know a field of the kubelet's configuration: check kubelet.config in the inventory",
    ),
    (
        "running with swap on",
        "swap is on: turn it off, or set `failSwapOn: false` in kubelet.config",
    ),
    (
        "cgroup v1",
        "the host runs cgroup v1, which this kubelet refuses: boot with cgroup v2, or set `failCgroupV1: false` in kubelet.config",
    ),
    (
        "address already in use",
        "another process listens on a port that Kubernetes needs",
    ),
    (
        "no space left on device",
        "a file system of the host is full",
    ),
    (
        "cluster ID mismatch",
        "etcd's data belongs to another cluster: empty its data directory if you don't need it",
    ),
    (
        "certificate has expired or is not yet valid",
        "compare the clocks of this machine and the host",
    ),
    (
        "failed to pull",
        "an image cannot be pulled: add its archive to the artifacts directory, or give the host access to the registry",
    ),
    (
        "ErrImageNeverPull",
        "an image is missing and imagePullPolicy is Never: add its archive to the artifacts directory",
    ),
    (
        "cgroup driver",
        "the kubelet and containerd use different cgroup drivers: make SystemdCgroup in runtime.containerd.config match cgroupDriver in kubelet.config",
    ),
    (
        "system:anonymous",
        "the kubelet's certificate request has not been signed (`kubectl get csr`): with an external CA, sign it yourself, then run the same command again",
    ),
];

/// Adds evidence and a likely cause to the error of a wait that timed out. `involved` are
/// the components that it may be about.
pub(crate) async fn explain_unhealthy(host: &Remote, involved: &[&str], source: ApiError) -> Error {
    let evidence = collect(host, involved).await;
    let hint = find_cause(&evidence).or_else(|| {
        Some("check `journalctl -u kubelet` and /var/log/pods on the host, then run the same command again".into())
    });
    Error::Unhealthy {
        cause: None,
        what: source.to_string(),
        evidence: indent(&without_repeats(&evidence)),
        hint,
    }
}

/// The error of a wait that was given up because of a component: its own last error comes
/// first.
pub(crate) async fn explain_crash(
    run: &Run,
    one: &Surveyed,
    what: &str,
    after: Duration,
    crash: Crash,
) -> Error {
    let Crash {
        component,
        state,
        line,
    } = crash;
    let evidence = collect(&one.session, &[&component]).await;
    let line = line.map(|line| sanitize(&line).into_owned());
    let known = line.as_deref().and_then(find_cause);
    let known = known.or_else(|| find_cause(&evidence));
    Error::Unhealthy {
        cause: line.map(|line| Box::new(cause(run, one, &component, &line))),
        what: format!(
            "gave up waiting for {what} after {} s: {component} {state}",
            after.as_secs()
        ),
        evidence: indent(&without_repeats(&evidence)),
        hint: Some(known.unwrap_or_else(|| {
            format!("fix the cause of {component}'s error, then run the same command again")
        })),
    }
}

/// The error of a unit that could not be restarted, whose own words come first.
pub(crate) fn explain_step(run: &Run, one: &Surveyed, unit: &str, step: &str, why: &str) -> Error {
    let lines: Vec<String> = why.lines().skip(1).map(str::to_owned).collect();
    let line = telling_line(&lines);
    Error::Unhealthy {
        cause: line
            .as_deref()
            .map(|line| Box::new(cause(run, one, unit, line))),
        what: format!("{step}: {}", why.lines().next().unwrap_or_default()),
        evidence: indent(&without_repeats(&lines.join("\n"))),
        hint: Some(line.as_deref().and_then(find_cause).unwrap_or_else(|| {
            format!("fix the cause of {unit}'s error, then run the same command again")
        })),
    }
}

/// What a component said, and where the inventory has what it is about.
fn cause(run: &Run, one: &Surveyed, component: &str, line: &str) -> Cause {
    let name = format!("{component}: ");
    Cause {
        place: find_place(&run.inventory, component, &one.host.name, line),
        line: match line.starts_with(&name) {
            true => line.to_owned(),
            false => format!("{name}{line}"),
        },
    }
}

async fn collect(host: &Remote, components: &[&str]) -> String {
    match host.collect_evidence(components).await {
        Ok(text) => sanitize(&text).into_owned(),
        Err(error) => format!("(no more details from the host: {error})"),
    }
}

/// Removes repetitions: of lines that differ only in digits, keeps the last one.
fn without_repeats(text: &str) -> String {
    let shape = |line: &str| {
        line.chars()
            .filter(|c| !c.is_ascii_digit())
            .collect::<String>()
    };
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect();
    let last = |at: usize| {
        lines[at + 1..]
            .iter()
            .all(|later| shape(later) != shape(lines[at]))
    };
    let kept: Vec<&str> = (0..lines.len())
        .filter(|at| last(*at))
        .map(|at| lines[at])
        .collect();
    kept.join("\n")
}

fn find_cause(evidence: &str) -> Option<String> {
    CAUSES
        .iter()
        .find(|(words, _)| evidence.to_lowercase().contains(&words.to_lowercase()))
        .map(|(_, meaning)| (*meaning).to_owned())
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_said_once() {
        let text = "E1 12:00:01 no image\nother\nE1 12:00:11 no image\n\n";
        assert_eq!(without_repeats(text), "other\nE1 12:00:11 no image");
    }

    #[test]
    fn the_cause_comes_before_its_consequence() {
        let evidence = "Error: unknown flag: --nonsense\nE1121 back-off, failed to pull";
        assert!(find_cause(evidence).is_some_and(|hint| hint.contains("extraArgs")));
        assert_eq!(find_cause("all is quiet"), None);
    }
}
