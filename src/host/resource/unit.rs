//! systemd units. The kubelet's comes last, for it needs everything else.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::observed::Observed;
use crate::host::receipt::{Receipt, ReceiptUnit};
use crate::host::systemd::{parse_units, unit_name};
use crate::host::wire::{Sections, quote, word};

const KUBELET_UNIT: &str = "kubelet.service";

/// A systemd unit.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Its name with suffix.
    pub name: String,
    /// Whether it starts at boot.
    pub enabled: bool,
    /// Whether it runs now.
    pub active: bool,
}

/// Every unit but the kubelet's.
pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("unit.sh"),
    lists: &["units"],
    read: read_units,
    compare: |wanted, found| {
        compare_unit_files(found);
        compare_units(wanted, found, |name| name != KUBELET_UNIT);
    },
    converge: |work, bundle| {
        for (number, DaemonReload) in work.all() {
            bundle.line(&format!("daemon_reload {number}"));
        }
        converge_units(work, bundle, |name| name != KUBELET_UNIT)
    },
    ..ResourceKind::NOTHING
};

/// The kubelet's unit, after images and all other units.
pub(in crate::host) const KUBELET: ResourceKind = ResourceKind {
    compare: |wanted, found| compare_units(wanted, found, |name| name == KUBELET_UNIT),
    converge: |work, bundle| converge_units(work, bundle, |name| name == KUBELET_UNIT),
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct DaemonReload;

impl Step for DaemonReload {}

#[derive(Debug)]
struct Systemctl {
    name: String,
    verb: &'static str,
    unmask: bool,
}

impl Step for Systemctl {
    fn restarts(&self) -> Result<Option<&str>, HostError> {
        match self.verb {
            "restart" => Ok(Some(word("unit", &self.name)?)),
            _ => Ok(None),
        }
    }
}

impl Piece for Unit {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        question.add_units(std::slice::from_ref(&self.name))
    }

    fn describe(&self) -> String {
        let Unit {
            name,
            enabled,
            active,
        } = self;
        format!("unit {name} enabled={enabled} active={active}")
    }
}

fn read_units(sections: &Sections<'_>, observed: &mut Observed) {
    let lines = sections.text("units");
    observed.units = parse_units(&lines);
    observed.needs_daemon_reload = lines.iter().any(|line| line == "NeedDaemonReload=yes");
    for line in sections.text("boot") {
        if let Some((name, state)) = line.split_once(' ')
            && let Some(unit) = observed.units.get_mut(name)
            && !state.is_empty()
            && state != "not-found"
        {
            unit.file = state.to_owned();
        }
    }
}

fn compare_unit_files(found: &mut Comparison<'_>) {
    if found.unit_files {
        found.push(
            Action::Reload,
            Kind::Systemd,
            "unit files",
            Detail::None,
            DaemonReload,
        );
    }
}

/// Units that are wanted, and those of which a file changes. The container runtime comes first:
/// images need it.
fn compare_units(wanted: &Wanted<'_>, found: &mut Comparison<'_>, which: fn(&str) -> bool) {
    let wanted: BTreeMap<String, &Unit> = wanted
        .all::<Unit>()
        .map(|unit| (unit_name(&unit.name), unit))
        .collect();
    let names = wanted.keys().chain(&found.touched);
    let names: BTreeSet<(bool, String)> = names
        .filter(|name| which(name))
        .map(|name| (!is_runtime(name), name.clone()))
        .collect();
    for (_, name) in names {
        compare_unit(&name, wanted.get(&name).copied(), found);
    }
}

fn compare_unit(name: &str, wanted: Option<&Unit>, found: &mut Comparison<'_>) {
    let wanted = wanted.map(|unit| (unit.enabled, unit.active));
    let state = found.observed.units.get(name).cloned().unwrap_or_default();
    let lives = matches!(state.active.as_str(), "active" | "reloading" | "activating");
    // One that is crash-looping is between two starts most of the time.
    let runs = lives && state.sub != "auto-restart";
    let boots = matches!(
        state.file.as_str(),
        "enabled" | "static" | "generated" | "alias" | "indirect"
    );
    let unmask = state.file == "masked" || state.load == "masked";
    let mut actions = Vec::new();
    match wanted {
        Some((true, _)) if !boots => actions.push((Action::Enable, "enable")),
        Some((false, _)) if state.file == "enabled" => {
            actions.push((Action::Disable, "disable"));
        }
        _ => {}
    }
    let touched = found.touched.contains(name);
    match wanted {
        Some((_, false)) if lives => actions.push((Action::Stop, "stop")),
        Some((_, false)) => {}
        _ if runs && touched => actions.push((Action::Restart, "restart")),
        // Its package may have started it a moment ago, with another configuration: restart
        // does what start does, and more.
        Some((_, true)) if !runs => actions.push((Action::Start, "restart")),
        _ => {}
    }
    for (action, verb) in actions {
        let before = ReceiptUnit {
            enabled: boots,
            active: runs,
        };
        let known = found.receipt.units.entry(name.to_owned());
        known.or_insert(before);
        let step = Systemctl {
            name: name.to_owned(),
            verb,
            unmask: unmask && action == Action::Enable,
        };
        let reason = found.reasons.get(name).filter(|_| verb == "restart");
        let detail = match reason {
            Some(reason) => Detail::Text {
                text: reason.clone(),
            },
            None => Detail::None,
        };
        found.push(action, Kind::Unit, name, detail, step);
    }
}

fn converge_units(
    work: &Work,
    bundle: &mut Bundle,
    which: fn(&str) -> bool,
) -> Result<(), HostError> {
    for (number, Systemctl { name, verb, unmask }) in work.all() {
        if !which(name) {
            continue;
        }
        let name = quote(word("unit", name)?);
        if *unmask {
            bundle.line(&format!("mask unmask {name}"));
        }
        bundle.line(&format!("unit {number} {verb} {name}"));
    }
    Ok(())
}

/// Stops and disables what neither ran nor was enabled before us.
pub(in crate::host) fn stop_units(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    for (name, before) in &wanted.receipt.units {
        let name = quote(word("unit", name)?);
        if is_runtime(&name) {
            continue;
        }
        if !before.active {
            undo.line(&format!("unit_down stop {name}"));
        }
        if !before.enabled {
            undo.line(&format!("unit_down disable {name}"));
        }
    }
    Ok(())
}

/// Gives units their former state back, once their files are what they were.
pub(in crate::host) fn restore_units(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    let receipt = wanted.receipt;
    undo.line("reload_units");
    for name in &receipt.masked {
        undo.line(&format!("unit_down unmask {}", quote(word("unit", name)?)));
    }
    for (unit, before) in &receipt.units {
        let name = quote(word("unit", unit)?);
        if is_runtime(&name) {
            undo_runtime(&name, before, receipt, undo);
            continue;
        }
        if before.enabled {
            undo.line(&format!("unit_back enable {name}"));
        }
        // A kubelet that ran when we came had joined by hand: without its cluster it could
        // only fail, for ever.
        if before.active && unit != KUBELET_UNIT {
            undo.line(&format!("unit_back start {name}"));
        }
    }
    Ok(())
}

fn undo_runtime(name: &str, before: &ReceiptUnit, receipt: &Receipt, undo: &mut Undo) {
    let mut packages = receipt.packages.iter();
    let (enabled, active) = match packages.any(|name| name.starts_with("containerd")) {
        // The package stays, and so does what it does when installed.
        true => (true, true),
        false => (before.enabled, before.active),
    };
    undo.line(&match active {
        true => format!("unit_back restart {name}"),
        false => format!("unit_down stop {name}"),
    });
    if !enabled {
        undo.line(&format!("unit_down disable {name}"));
    }
}

/// Container runtimes are needed until the end, and go by other rules.
fn is_runtime(unit: &str) -> bool {
    matches!(
        unit_name(unit).as_str(),
        "containerd.service" | "crio.service"
    )
}
