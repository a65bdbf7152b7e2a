//! Packages of the distribution. Which package managers there are is in `packages.rs`.

use std::collections::BTreeSet;

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::packages::package_managers_line;
use crate::host::wire::word;

/// A package, and the command whose presence makes installing it unnecessary.
///
/// `reset` leaves packages: others may have come to need them.
#[derive(Debug, Clone)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// A command that is in PATH once it is installed.
    pub provides: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("package.sh"),
    variables: &["commands"],
    sections: &["commands", "package_state"],
    compare: compare_packages,
    converge: install_packages,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Install {
    name: String,
}

impl Step for Install {}

/// `dpkg --configure -a`, after one that was interrupted.
#[derive(Debug)]
struct Repair;

impl Step for Repair {}

impl Piece for Package {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        word("package", &self.name)?;
        question.add_word("commands", word("command", &self.provides)?);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("package {} (for {})", self.name, self.provides)
    }
}

fn compare_packages(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    let commands = found.observed.answer("commands");
    let missing: BTreeSet<&String> = wanted
        .all::<Package>()
        .filter(|package| !commands.contains(&package.provides))
        .map(|package| &package.name)
        .collect();
    let interrupted = !found.observed.answer("package_state").is_empty();
    if interrupted && !missing.is_empty() {
        let text = "it was interrupted: dpkg --configure -a".into();
        let (action, kind) = (Action::Repair, Kind::PackageManager);
        found.push(action, kind, "dpkg", Detail::Text { text }, Repair);
    }
    for name in missing {
        found.receipt.packages.insert(name.clone());
        let step = Install { name: name.clone() };
        found.push(Action::Install, Kind::Package, name, Detail::None, step);
    }
}

/// All packages by one call: each would wait for the same lock.
fn install_packages(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    let (mut numbers, mut names) = (Vec::new(), Vec::new());
    for (number, step) in work.all::<Install>() {
        numbers.push(number);
        names.push(word("package", &step.name)?);
    }
    let repairs: Vec<usize> = work.all::<Repair>().map(|(number, _)| number).collect();
    let Some(first) = repairs.first().or(numbers.first()) else {
        return Ok(());
    };
    const END: &str = "END-OF-PROGRAM";
    bundle.line(&format!("start {first}"));
    bundle.line(&format!(
        "package_program 3<<'{END}'\n{}\n{}\nwork \"$@\"\n{END}",
        package_managers_line(),
        include_str!("../packages.sh"),
    ));
    for number in &repairs {
        bundle.line("package_job \"can't repair dpkg's state\" repair");
        bundle.line(&format!("finish {number}"));
    }
    if names.is_empty() {
        return Ok(());
    }
    for number in &numbers {
        bundle.line(&format!("start {number}"));
    }
    let names = names.join(" ");
    bundle.line(&format!(
        "package_job \"can't install {names}\" install {names}"
    ));
    for number in &numbers {
        bundle.line(&format!("finish {number}"));
    }
    Ok(())
}
