//! Saved plans, and whether they are out of date.
//!
//! Nothing in such a file is executed: `apply FILE` builds the plan again and continues
//! only if the two are equal. Tampering with the file can make that fail, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use files::write_private;
use text::terminal::escape;

use super::document::{PlanDocument, PlannedChange, PlannedHost, PlannedObject};
use crate::run::error::Error;

/// Maximum size of a plan. A plan for a thousand bare hosts has a third of it.
const MAX_BYTES: u64 = 512 << 20;

/// Whether a file claims to be a plan. `false` for a file that cannot be read: opening it
/// as an inventory will report why.
pub fn is_plan(path: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        kind: String,
    }
    let Ok(text) = read(path) else { return false };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).is_ok_and(|head: Head| head.kind == "Plan");
    }
    text.lines().any(|line| {
        let value = line.strip_prefix("kind:").unwrap_or_default();
        let value = value.split('#').next().unwrap_or_default();
        value.trim().trim_matches(['"', '\'']) == "Plan"
    })
}

/// Reads a plan, JSON or YAML.
///
/// # Errors
/// A file that cannot be read, or is not a plan of this version.
pub fn read_plan(path: &Path) -> Result<PlanDocument, Error> {
    let text = read(path).map_err(|source| Error::File {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    let parsed = match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map_err(|error| error.to_string()),
        false => serde_saphyr::from_str(&text).map_err(|error| error.to_string()),
    };
    parsed.map_err(|why| Error::Usage {
        message: format!("{} is not a plan: {}", path.display(), escape(&why)),
        hint: Some("make one with `clusterctl-rs plan --out FILE`".into()),
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        let why = format!("it is larger than {} MiB", MAX_BYTES >> 20);
        return Err(std::io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

/// Writes a plan with mode 0600: it reveals whether secrets have changed.
///
/// # Errors
/// An error of the file system; an existing file that is not a plan.
pub fn write_plan(path: &Path, plan: &PlanDocument) -> Result<(), Error> {
    if path.exists() && !is_plan(path) {
        return Err(Error::Usage {
            message: format!("{} exists and is not a plan", path.display()),
            hint: Some("name another file, or remove this one first".into()),
        });
    }
    let cannot = |source| Error::File {
        what: "write",
        path: path.to_owned(),
        source,
    };
    let mut text = serde_json::to_string_pretty(plan).map_err(|error| cannot(error.into()))?;
    text.push('\n');
    write_private(path, text.as_bytes()).map_err(cannot)
}

/// Lists the differences between a saved plan and the same plan built now, one line each.
pub fn moved(then: &PlanDocument, now: &PlanDocument) -> Vec<String> {
    let mut moved = Moved::default();
    moved.value("clusterctl-rs's version", &then.version, &now.version);
    moved.value("the cluster's name", &then.cluster, &now.cluster);
    for (path, difference) in compare(&then.inputs, &now.inputs, |file| file.path.clone()) {
        moved.line("this machine", &path, difference.of_state());
    }
    let certificates = compare(&then.certificates, &now.certificates, |one| {
        one.file.clone()
    });
    for (file, difference) in certificates {
        moved.line("this machine", &file, difference.of_work());
    }
    for (host, difference) in compare(&then.set_aside, &now.set_aside, |one| one.host.clone()) {
        match difference {
            Difference::Gone => moved.line(&host, "the host", "can be inspected again"),
            Difference::New => moved.line(&host, "the host", "can no longer be inspected"),
            // A different error, but still unreachable.
            Difference::Other(..) => {}
        }
    }
    for (name, difference) in compare(&then.hosts, &now.hosts, |host| host.name.clone()) {
        match difference {
            Difference::Other(then, now) => moved.host(then, now),
            // Unreachable hosts are already listed.
            _ if now.set_aside.iter().any(|one| one.host == name) => {}
            _ if then.set_aside.iter().any(|one| one.host == name) => {}
            other => moved.line(&name, "the host", other.of_work()),
        }
    }
    if then.api_answers != now.api_answers {
        let how = match now.api_answers {
            true => "responds now",
            false => "no longer responds",
        };
        moved.line("cluster", "the API server", how);
    } else {
        for (title, difference) in compare(&then.objects, &now.objects, PlannedObject::title) {
            moved.line("cluster", &title, object(&difference));
        }
    }
    if then.kubeconfig != now.kubeconfig {
        moved.line("this machine", "the admin kubeconfig", "has changed");
    }
    // Whatever the difference is, this is not the plan that was approved.
    if moved.lines.is_empty() && comparable(then) != comparable(now) {
        moved.line("cluster", "the plan", "differs");
    }
    moved.lines
}

/// A plan without the texts of errors, which may differ each time.
fn comparable(plan: &PlanDocument) -> PlanDocument {
    let mut plan = plan.clone();
    for one in &mut plan.set_aside {
        one.why.clear();
    }
    plan
}

#[derive(Default)]
struct Moved {
    lines: Vec<String>,
}

impl Moved {
    fn line(&mut self, place: &str, thing: &str, how: &str) {
        let (place, thing) = (escape(place), escape(thing));
        self.lines.push(format!("{place}: {thing} {how}"));
    }

    fn value(&mut self, what: &str, then: &str, now: &str) {
        if then != now {
            let how = format!("was {}, is now {now}", escape(then));
            self.line("this machine", what, &how);
        }
    }

    fn host(&mut self, then: &PlannedHost, now: &PlannedHost) {
        let before = self.lines.len();
        let name = &now.name;
        self.changes(name, &then.changes, &now.changes);
        match (&then.join, &now.join) {
            (Some(then), Some(now)) => self.changes(name, then, now),
            (None, None) => {}
            (Some(_), None) => self.line(name, "the host", "has joined since"),
            (None, Some(_)) => self.line(name, "the host", "must join again"),
        }
        let node = |host: &PlannedHost| (host.registers_again, host.after_registration);
        if node(then) != node(now) {
            self.line(name, "its Node", "has been created or deleted");
        }
        if then.labels != now.labels {
            self.line(name, "labels of its node", "have changed");
        }
        let taints = |host: &PlannedHost| (host.taints.clone(), host.removed_taints.clone());
        if taints(then) != taints(now) {
            self.line(name, "taints of its node", "have changed");
        }
        if self.lines.len() == before {
            self.line(name, "the order of changes", "differs");
        }
    }

    fn changes(&mut self, host: &str, then: &[PlannedChange], now: &[PlannedChange]) {
        let key = |change: &PlannedChange| format!("{} {}", change.kind, change.name);
        let (then, now) = (grouped(then, key), grouped(now, key));
        for (thing, difference) in differences(by_name(&then), by_name(&now)) {
            let how = match &difference {
                Difference::Other(then, now) => change(then, now),
                other => other.of_work(),
            };
            self.line(host, &thing, how);
        }
    }
}

/// Describes how the changes to one thing differ.
fn change(then: &[&PlannedChange], now: &[&PlannedChange]) -> &'static str {
    let standing = |changes: &[&PlannedChange]| -> Vec<Option<String>> {
        changes.iter().map(|change| change.before.clone()).collect()
    };
    let written = |changes: &[&PlannedChange]| -> Vec<Option<String>> {
        changes.iter().map(|change| change.after.clone()).collect()
    };
    if standing(then) != standing(now) {
        "has changed since"
    } else if written(then) != written(now) {
        "would be written differently now"
    } else {
        "is in a different state now"
    }
}

fn object(difference: &Difference<'_, PlannedObject>) -> &'static str {
    match difference {
        Difference::Other(then, now) if then.before != now.before => "has changed since",
        Difference::Other(then, now) if then.after != now.after => {
            "would be written differently now"
        }
        Difference::Other(..) => "is in a different state now",
        other => other.of_work(),
    }
}

/// How one thing differs between two plans.
enum Difference<'a, T> {
    /// Only the first has it.
    Gone,
    /// Only the second has it.
    New,
    /// Both have it, but not the same.
    Other(&'a T, &'a T),
}

impl<T> Difference<'_, T> {
    /// Describes the difference, for a planned change.
    fn of_work(&self) -> &'static str {
        match self {
            Difference::Gone => "no longer needs a change",
            Difference::New => "needs a change that is not in the plan",
            Difference::Other(..) => "needs a different change now",
        }
    }

    /// Describes the difference, for something that exists.
    fn of_state(&self) -> &'static str {
        match self {
            Difference::Gone => "is gone",
            Difference::New => "is new",
            Difference::Other(..) => "has changed",
        }
    }
}

/// The differences between two lists of named items.
fn compare<'a, T: PartialEq>(
    then: &'a [T],
    now: &'a [T],
    name: impl Fn(&T) -> String,
) -> Vec<(String, Difference<'a, T>)> {
    let keyed = |list: &'a [T]| -> BTreeMap<String, &'a T> {
        list.iter().map(|one| (name(one), one)).collect()
    };
    differences(keyed(then), keyed(now))
}

fn grouped<T>(list: &[T], key: impl Fn(&T) -> String) -> BTreeMap<String, Vec<&T>> {
    let mut groups: BTreeMap<String, Vec<&T>> = BTreeMap::new();
    for one in list {
        groups.entry(key(one)).or_default().push(one);
    }
    groups
}

fn by_name<T>(groups: &BTreeMap<String, T>) -> BTreeMap<String, &T> {
    groups
        .iter()
        .map(|(name, all)| (name.clone(), all))
        .collect()
}

fn differences<'a, T: PartialEq>(
    then: BTreeMap<String, &'a T>,
    now: BTreeMap<String, &'a T>,
) -> Vec<(String, Difference<'a, T>)> {
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let difference = match (then.get(name).copied(), now.get(name).copied()) {
                (Some(then), Some(now)) if then == now => return None,
                (Some(then), Some(now)) => Difference::Other(then, now),
                (Some(_), None) => Difference::Gone,
                (None, _) => Difference::New,
            };
            Some((name.clone(), difference))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
