//! Swap: off now, and after a reboot.

use std::collections::BTreeSet;

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::proc::swap_devices;
use crate::host::wire::{quote, relative, word};

/// No swap, now and after a reboot.
#[derive(Debug, Clone)]
pub struct SwapOff;

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("swap.sh"),
    sections: &["swap"],
    compare: compare_swap,
    converge: switch_off_swap,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct SwitchOff {
    devices: Vec<String>,
    /// Units that would switch it on again.
    masks: BTreeSet<String>,
    /// Whether /etc/fstab would.
    fstab: bool,
}

impl Step for SwitchOff {
    fn place(&self) -> Result<Option<String>, HostError> {
        self.fstab.then(|| relative("/etc/fstab")).transpose()
    }
}

impl Piece for SwapOff {
    /// Swap is always asked for.
    fn ask(&self, _: &mut Question) -> Result<(), HostError> {
        Ok(())
    }

    fn describe(&self) -> String {
        "no swap".into()
    }
}

fn compare_swap(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    if wanted.all::<SwapOff>().next().is_none() {
        return;
    }
    let lines = found.observed.answer("swap");
    let devices = lines
        .iter()
        .filter_map(|line| line.strip_prefix("./proc/swaps:"));
    let devices = swap_devices(devices);
    let fstab = lines.iter().any(|line| line.starts_with("./etc/fstab:"));
    let units = lines.iter().filter_map(|line| line.strip_prefix("unit:"));
    let units: BTreeSet<String> = units
        .filter(|name| word("swap unit", name).is_ok())
        .map(str::to_owned)
        .collect();
    if devices.is_empty() && !fstab && units.is_empty() {
        return;
    }
    // A generator makes these again at the next start, whatever fstab says.
    let zram = devices
        .iter()
        .filter_map(|device| device.strip_prefix("/dev/zram"))
        .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
        .map(|number| format!("dev-zram{number}.swap"));
    let masks: BTreeSet<String> = zram.chain(units.iter().cloned()).collect();
    found.receipt.swap.extend(devices.iter().cloned());
    found.receipt.masked.extend(masks.iter().cloned());
    let mut names = devices.clone();
    names.extend(fstab.then(|| "/etc/fstab".to_owned()));
    names.extend(units);
    let step = SwitchOff {
        devices,
        masks,
        fstab,
    };
    found.push(
        Action::Disable,
        Kind::Swap,
        &names.join(", "),
        Detail::None,
        step,
    );
}

fn switch_off_swap(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, step) in work.all::<SwitchOff>() {
        bundle.line(&format!("start {number}"));
        for device in &step.devices {
            bundle.line(&format!("swap_off {}", quote(device)));
        }
        for unit in &step.masks {
            bundle.line(&format!("mask mask {}", quote(unit)));
        }
        if step.fstab {
            bundle.line("swap_fstab");
        }
        bundle.line(&format!("finish {number}"));
    }
    Ok(())
}

/// Switches on what we switched off. /etc/fstab is among the files that come back, and
/// masked units among the units.
pub(in crate::host) fn restore_swap(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    let devices = wanted.receipt.swap.iter();
    let devices = devices.map(|name| Ok(quote(word("swap device", name)?)));
    undo.call("swap_on", &devices.collect::<Result<Vec<_>, HostError>>()?);
    Ok(())
}
