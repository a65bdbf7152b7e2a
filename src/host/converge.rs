//! Converging a host: one script, fed by one stream.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::observe::{BIG, sha256, sha256_bytes, size};
use super::plan::{HostPlan, Step};
use super::wire::{clean, quote, relative, word};
use super::{Content, FileResource, HostError};
use ssh::{Input, Output, Script};

/// Ends a list of checksums in the script. No line of such a list is this.
const END: &str = "END-OF-LIST";

/// The script that makes a plan true. An empty plan gives a script that does
/// nothing.
///
/// # Errors
///
/// A path or name that can't be carried.
pub fn converge(plan: &HostPlan) -> Result<Script, HostError> {
    let mut bundle = Bundle {
        text: concat!(
            include_str!("scripts/alone.sh"),
            include_str!("scripts/sums.sh"),
            include_str!("scripts/converge.sh")
        )
        .to_owned(),
        input: Vec::new(),
    };
    bundle.line("\nbegin");
    if plan.receipt_changed && !plan.is_empty() {
        let receipt = plan.receipt.to_json().into_bytes();
        bundle.line(&format!(
            "receipt {} {}",
            receipt.len(),
            sha256_bytes(&receipt)
        ));
        bundle.input.push(Input::Bytes(Zeroizing::new(receipt)));
    }
    bundle.owe(plan)?;
    bundle.static_pods(plan, true)?;
    bundle.packages(plan)?;
    for (number, step) in plan.steps.iter().enumerate() {
        if let Step::Directory { path, mode, owner } = step {
            let owner = owner.as_deref().map(quote).unwrap_or_default();
            let path = quote(&relative(path)?);
            bundle.line(format!("directory {number} {mode:04o} {path} {owner}").trim_end());
        }
    }
    bundle.files(plan)?;
    for (number, step) in plan.steps.iter().enumerate() {
        bundle.rest(number, step)?;
    }
    bundle.pulls(plan);
    // The kubelet's unit comes after the images, so it was left out above.
    for (number, step) in plan.steps.iter().enumerate() {
        bundle.unit(number, step, true)?;
    }
    bundle.static_pods(plan, false)?;
    bundle.line("echo '@@end'");
    Ok(Script {
        name: "converge".into(),
        text: bundle.text,
        input: bundle.input,
    })
}

struct Bundle {
    text: String,
    input: Vec<Input>,
}

impl Bundle {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Which units will be restarted, before anything that they are for.
    fn owe(&mut self, plan: &HostPlan) -> Result<(), HostError> {
        let mut owed = String::new();
        for step in &plan.steps {
            let name = match step {
                Step::Unit { name, verb, .. } if *verb == "restart" => word("unit", name)?,
                // A changed manifest is the kubelet's to act on, with or without us.
                Step::StaticPod {
                    name,
                    manifest: false,
                } => word("static pod", name)?,
                _ => continue,
            };
            owed.push(' ');
            owed.push_str(&quote(name));
        }
        if !owed.is_empty() {
            self.line(&format!("owe{owed}"));
        }
        Ok(())
    }

    /// All packages by one call: each would wait for the same lock.
    fn packages(&mut self, plan: &HostPlan) -> Result<(), HostError> {
        let mut numbers = Vec::new();
        let mut names = Vec::new();
        for (number, step) in plan.steps.iter().enumerate() {
            if let Step::Package { name } = step {
                numbers.push(number);
                names.push(word("package", name)?);
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        for number in &numbers {
            self.line(&format!("start {number}"));
        }
        self.line(&format!("packages {}", names.join(" ")));
        for number in &numbers {
            self.line(&format!("finish {number}"));
        }
        Ok(())
    }

    fn files(&mut self, plan: &HostPlan) -> Result<(), HostError> {
        let mut sums = String::new();
        let mut owners: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut modes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        let mut temporary = Vec::new();
        let mut places = String::new();
        let mut parents = BTreeSet::new();
        let mut placed = Vec::new();
        let mut stamps = String::new();
        for (number, step) in plan.steps.iter().enumerate() {
            let Step::File { file, keep } = step else {
                continue;
            };
            let path = relative(&file.path)?;
            let (parent, name) = path.rsplit_once('/').unwrap_or((".", &path));
            let new = format!("{parent}/.{name}.clusterctl-new");
            let bytes = size(&file.content);
            self.line(&format!("receive {number} {bytes} {}", quote(&path)));
            self.input.push(stream(file));
            let sum = sha256(&file.content);
            let _ = writeln!(sums, "{sum}  {new}");
            let new = quote(&new);
            owners.entry(&file.owner).or_default().push(new.clone());
            modes.entry(file.mode).or_default().push(new.clone());
            temporary.push(new);
            parents.insert(quote(parent));
            let path = quote(&path);
            let _ = match (file.seed, keep) {
                (true, _) => writeln!(places, "seed {number} {path}"),
                (false, true) => writeln!(places, "place {number} keep {path}"),
                (false, false) => writeln!(places, "place {number} ours {path}"),
            };
            if bytes >= BIG && !file.seed {
                let _ = writeln!(stamps, "stamp {sum} {path}");
            }
            placed.push(path);
        }
        if temporary.is_empty() {
            return Ok(());
        }
        self.line(&format!("verify 3<<'{END}'\n{sums}{END}"));
        for (owner, paths) in owners {
            self.line(&format!("owner {} {}", quote(owner), paths.join(" ")));
        }
        for (mode, paths) in modes {
            self.line(&format!("mode {mode:04o} {}", paths.join(" ")));
        }
        self.line(&format!("flush {}", temporary.join(" ")));
        self.text.push_str(&places);
        let parents: Vec<String> = parents.into_iter().collect();
        self.line(&format!("settle {}", parents.join(" ")));
        self.line(&format!("relabel {}", placed.join(" ")));
        if plan.stamps_changed || !stamps.is_empty() {
            self.line("{\nprintf '%s\\n' \\");
            for line in &plan.stamps {
                self.line(&format!("\t{} \\", quote(line)));
            }
            self.line(&format!("\t''\n{stamps}}} >|\"$state/stamps.new\"\nstamps"));
        }
        Ok(())
    }

    /// Everything but packages, directories, files, pulls and the kubelet.
    fn rest(&mut self, number: usize, step: &Step) -> Result<(), HostError> {
        let whose = |keep: &bool| if *keep { "keep" } else { "ours" };
        match step {
            Step::Attributes {
                path,
                mode,
                owner,
                keep,
            } => {
                let path = quote(&relative(path)?);
                let whose = whose(keep);
                self.line(&format!(
                    "attributes {number} {whose} {} {mode:04o} {path}",
                    quote(owner)
                ));
            }
            Step::Link { path, target } => {
                let path = quote(&relative(path)?);
                self.line(&format!("link {number} {} {path}", quote(target)));
            }
            Step::Remove { path, keep } => {
                let path = quote(&relative(path)?);
                self.line(&format!("remove {number} {} {path}", whose(keep)));
            }
            Step::Module { name, effect } => {
                let effect = quote(&relative(effect)?);
                self.line(&format!("module {number} {} {effect}", quote(name)));
            }
            Step::Sysctl { path, value } => {
                let path = quote(&relative(path)?);
                self.line(&format!("sysctl_set {number} {} {path}", quote(value)));
            }
            Step::SwapOff {
                devices,
                masks,
                fstab,
            } => {
                self.line(&format!("start {number}"));
                for device in devices {
                    self.line(&format!("swap_off {}", quote(device)));
                }
                for unit in masks {
                    self.line(&format!("mask mask {}", quote(unit)));
                }
                if *fstab {
                    self.line("swap_fstab");
                }
                self.line(&format!("finish {number}"));
            }
            Step::DaemonReload => self.line(&format!("daemon_reload {number}")),
            Step::Unit { .. } => self.unit(number, step, false)?,
            Step::Import {
                archive,
                sha256,
                size,
                references,
            } => {
                let references: String = references
                    .iter()
                    .map(|name| format!(" {}", quote(name)))
                    .collect();
                self.line(&format!(
                    "image {number} {size} {}{references}",
                    quote(sha256)
                ));
                self.input.push(Input::File {
                    path: archive.clone(),
                    size: *size,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn unit(&mut self, number: usize, step: &Step, kubelet: bool) -> Result<(), HostError> {
        if let Step::Unit { name, verb, unmask } = step
            && (name == "kubelet.service") == kubelet
        {
            let name = quote(word("unit", name)?);
            if *unmask {
                self.line(&format!("mask unmask {name}"));
            }
            self.line(&format!("unit {number} {verb} {name}"));
        }
        Ok(())
    }

    /// Static pods: which processes they are, before anything changes, and at
    /// the end that these are gone.
    fn static_pods(&mut self, plan: &HostPlan, before: bool) -> Result<(), HostError> {
        for (number, step) in plan.steps.iter().enumerate() {
            if let Step::StaticPod { name, manifest } = step {
                let name = quote(word("static pod", name)?);
                let verb = match (before, manifest) {
                    (true, _) => "static_pod_runs",
                    (false, true) => "static_pod_changed",
                    (false, false) => "static_pod_restart",
                };
                self.line(&format!("{verb} {number} {name}"));
            }
        }
        Ok(())
    }

    fn pulls(&mut self, plan: &HostPlan) {
        for verb in ["pull_begin", "pull_end"] {
            for (number, step) in plan.steps.iter().enumerate() {
                if let Step::Pull { reference } = step {
                    self.line(&format!("{verb} {number} {}", quote(reference)));
                }
            }
        }
    }
}

fn stream(file: &FileResource) -> Input {
    match &file.content {
        Content::Bytes(bytes) => Input::Bytes(bytes.clone()),
        Content::Local { path, size, .. } => Input::File {
            path: path.clone(),
            size: *size,
        },
    }
}

/// What a line of a converging host's standard output tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The change at this position of the plan began.
    Started(usize),
    /// It is made.
    Done(usize),
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
    let mut last = None;
    let mut reason = None;
    for progress in stdout.lines().filter_map(Progress::parse_line) {
        match progress {
            Progress::Started(change) => last = Some(change),
            Progress::Done(_) => {}
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
