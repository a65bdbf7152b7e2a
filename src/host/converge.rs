//! Converging a host: one script, fed by one stream.

use zeroize::Zeroizing;

use super::error::HostError;
use super::hash::sha256_hex;
use super::loose::refused_loose;
use super::plan::HostPlan;
use super::receipt::Receipt;
use super::resource::static_pod::RestartStaticPod;
use super::resource::{Bundle, KINDS, Work, file, shell_part};
use super::turn::{Turn, refused};
use super::wire::{clean, quote, relative, word};
use ssh::{Input, Output, Script};

/// The script that makes a plan true. An empty plan gives a script that does
/// nothing.
///
/// # Errors
///
/// A path or name that can't be carried.
pub fn converge(plan: &HostPlan) -> Result<Script, HostError> {
    converge_in_turn(plan, None)
}

/// The same for a run that has its turn: refused by hosts that another one came to later.
///
/// # Errors
///
/// A path or name that can't be carried.
pub fn converge_in_turn(plan: &HostPlan, turn: Option<&Turn>) -> Result<Script, HostError> {
    let mut bundle = Bundle {
        text: functions(),
        input: Vec::new(),
    };
    bundle.line("\nbegin");
    if let Some(turn) = turn {
        bundle.line(&format!("guard {}", turn.words()));
    }
    refuse_loose(&plan.work, &mut bundle)?;
    file::refuse_changed(&plan.work, &mut bundle)?;
    if let Some(turn) = turn {
        bundle.line(&format!("taking {}", turn.words()));
    }
    begin_receipt(plan, &mut bundle);
    owe(&plan.work, &mut bundle)?;
    for kind in &KINDS {
        (kind.prepare)(&plan.work, &mut bundle)?;
    }
    keep_previous(plan, &mut bundle)?;
    for kind in &KINDS {
        (kind.converge)(&plan.work, &mut bundle)?;
    }
    if !plan.withdrawn.is_empty() {
        write_receipt(&plan.receipt, &mut bundle);
    }
    bundle.line("echo '@@end'");
    Ok(Script {
        name: "converge".into(),
        text: bundle.text,
        input: bundle.input,
    })
}

/// Before anything is read or written: only root may decide where it is. The plan has seen to
/// that, but may be older.
fn refuse_loose(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    const END: &str = "END-OF-LIST";
    let mut places = std::collections::BTreeSet::new();
    for step in &work.steps {
        places.extend(step.place()?);
    }
    let places: String = places.into_iter().map(|place| place + "\n").collect();
    bundle.line(&format!("all_safe <<'{END}'\n{places}{END}"));
    Ok(())
}

/// The functions of scripts that change a host.
pub(super) fn functions() -> String {
    let mut text = concat!(
        include_str!("scripts/alone.sh"),
        include_str!("scripts/safe.sh"),
        include_str!("scripts/sums.sh"),
        include_str!("scripts/processes.sh"),
        include_str!("scripts/lock.sh"),
        include_str!("scripts/converge.sh"),
        include_str!("scripts/previous.sh")
    )
    .to_owned();
    for kind in &KINDS {
        text += shell_part(kind.shell, "converge");
    }
    text
}

/// What is there before anything changes, for [`super::put_back`]: together with the names of
/// what has to be restarted when it is put back.
fn keep_previous(plan: &HostPlan, bundle: &mut Bundle) -> Result<(), HostError> {
    if !plan.keeps {
        return Ok(());
    }
    let mut names = String::new();
    for step in &plan.work.steps {
        if let Some(name) = step.restarts()? {
            names.push_str(name);
            names.push('\n');
        }
    }
    for (_, pod) in plan.work.all::<RestartStaticPod>() {
        if pod.only_follows() {
            continue;
        }
        names.push_str(word("static pod", pod.name())?);
        names.push('\n');
    }
    let mut line = format!("previous {}", quote(&names));
    for path in plan.replaced() {
        line.push(' ');
        line.push_str(&quote(&relative(path)?));
    }
    bundle.line(&line);
    Ok(())
}

/// The receipt, before anything changes: whatever happens, `reset` finds what is ours.
/// What goes is listed until the end.
fn begin_receipt(plan: &HostPlan, bundle: &mut Bundle) {
    if !plan.receipt_changed || plan.is_empty() {
        return;
    }
    let mut receipt = plan.receipt.clone();
    receipt.files.extend(plan.withdrawn.clone());
    write_receipt(&receipt, bundle);
}

fn write_receipt(receipt: &Receipt, bundle: &mut Bundle) {
    let receipt = receipt.to_json().into_bytes();
    let (size, sha256) = (receipt.len(), sha256_hex(&receipt));
    bundle.line(&format!("receipt {size} {sha256}"));
    bundle.input.push(Input::Bytes(Zeroizing::new(receipt)));
}

/// What will be restarted, before anything changes that needs it.
fn owe(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    let mut owed = String::new();
    for step in &work.steps {
        if let Some(name) = step.restarts()? {
            owed.push(' ');
            owed.push_str(&quote(name));
        }
    }
    if !owed.is_empty() {
        bundle.line(&format!("owe{owed}"));
    }
    Ok(())
}

/// What a line of a converging host's standard output tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The change at this position of the plan began.
    Started(usize),
    /// It is made.
    Done(usize),
    /// Something was wrong, and stopped nothing.
    Warned(String),
    /// The script stopped.
    Failed {
        /// At the change at this position, if it was at one.
        change: Option<usize>,
        /// Why, in words.
        why: String,
    },
}

impl Progress {
    /// Reads one line; `None` if it tells nothing of the kind.
    pub fn parse_line(line: &str) -> Option<Self> {
        let (verb, rest) = line.trim_end().strip_prefix("@@step ")?.split_once(' ')?;
        match verb {
            "start" => Some(Progress::Started(rest.parse().ok()?)),
            "done" => Some(Progress::Done(rest.parse().ok()?)),
            "warned" => {
                let (_, why) = rest.split_once(' ')?;
                Some(Progress::Warned(clean(why.as_bytes())))
            }
            "failed" => {
                let (change, why) = rest.split_once(' ')?;
                Some(Progress::Failed {
                    change: change.parse().ok(),
                    why: clean(why.as_bytes()),
                })
            }
            _ => None,
        }
    }
}

/// Judges how converging ended.
///
/// # Errors
///
/// The change that failed, with what the host said.
pub fn converged(plan: &HostPlan, output: &Output) -> Result<(), HostError> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status == 0 && stdout.lines().any(|line| line == "@@end") {
        return Ok(());
    }
    if let Some(error) = refused(&output.stdout).or_else(|| refused_loose(&output.stdout)) {
        return Err(error);
    }
    let changed: Vec<String> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"@@changed ."))
        .map(clean)
        .collect();
    if !changed.is_empty() {
        return Err(HostError::ChangedSince { paths: changed });
    }
    let mut last = None;
    let mut reason = None;
    for progress in stdout.lines().filter_map(Progress::parse_line) {
        match progress {
            Progress::Started(change) => last = Some(change),
            Progress::Done(_) | Progress::Warned(_) => {}
            Progress::Failed { change, why } => {
                last = change.or(last);
                reason = Some(why);
            }
        }
    }
    let step = match last.and_then(|change| plan.changes.get(change)) {
        Some(change) => change.to_string(),
        None => "converge".into(),
    };
    let said: Vec<String> = output
        .stderr
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(clean)
        .collect();
    let said = said[said.len().saturating_sub(40)..].join("\n");
    let reason =
        reason.unwrap_or_else(|| format!("the script ended with status {}", output.status));
    let why = match said.is_empty() {
        true => reason,
        false => format!("{reason}\n{said}"),
    };
    Err(HostError::Step { step, why })
}
