//! Kernel modules.

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, relative, word};

/// A kernel feature, loaded as a module where it is one. What counts is its effect, not
/// modprobe's exit status.
#[derive(Debug, Clone)]
pub struct KernelModule {
    /// The module's name.
    pub name: String,
    /// A path that exists once it works, such as `/proc/sys/net/bridge`.
    pub effect: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("module.sh"),
    sections: &["filesystems"],
    compare: compare_modules,
    converge: load_modules,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Load {
    name: String,
    effect: String,
}

impl Step for Load {}

impl Piece for KernelModule {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        word("module", &self.name)?;
        question.add_presence(&self.effect)
    }

    fn describe(&self) -> String {
        format!("module {}", self.name)
    }
}

fn compare_modules(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    // A file system that is built in has no directory below /sys/module.
    let filesystems = found.observed.answer("filesystems");
    let filesystems: Vec<&str> = filesystems
        .iter()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    for KernelModule { name, effect } in wanted.all() {
        if found.observed.at(effect).is_some() || filesystems.contains(&name.as_str()) {
            continue;
        }
        found.receipt.modules.insert(name.clone());
        let step = Load {
            name: name.clone(),
            effect: effect.clone(),
        };
        found.push(Action::Load, Kind::Module, name, Detail::None, step);
    }
}

fn load_modules(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, Load { name, effect }) in work.all() {
        let effect = quote(&relative(effect)?);
        bundle.line(&format!("module {number} {} {effect}", quote(name)));
    }
    Ok(())
}

/// Unloads those that we loaded, the last one first.
pub(in crate::host) fn unload_modules(
    wanted: &Reset<'_>,
    undo: &mut Undo,
) -> Result<(), HostError> {
    let modules = wanted.receipt.modules.iter().rev();
    let modules = modules.map(|name| Ok(quote(word("module", name)?)));
    undo.call("modules", &modules.collect::<Result<Vec<_>, HostError>>()?);
    Ok(())
}
