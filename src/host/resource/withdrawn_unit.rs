//! Units of ours that left the inventory: they are stopped while their files still exist,
//! because stopping one may undo what it did.

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, word};

/// A unit that must neither run nor start at boot, if its file is ours. The file itself is
/// a [`Withdrawn`](super::Withdrawn).
#[derive(Debug, Clone)]
pub struct WithdrawnUnit {
    /// Its name with suffix.
    pub name: String,
    /// Absolute path of its file.
    pub file: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    compare: compare_units,
    converge: stop_units,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Stop {
    name: String,
}

impl Step for Stop {}

impl Piece for WithdrawnUnit {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        question.add_units(std::slice::from_ref(&self.name))
    }

    fn describe(&self) -> String {
        format!("no unit {} (if it is ours)", self.name)
    }
}

fn compare_units(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    for WithdrawnUnit { name, file } in wanted.all() {
        let state = found.observed.units.get(name).cloned().unwrap_or_default();
        let runs = !matches!(state.active.as_str(), "inactive" | "failed" | "");
        let is_ours = found.receipt.files.contains_key(file);
        if is_ours && (runs || state.file == "enabled") {
            let step = Stop { name: name.clone() };
            found.push(Action::Stop, Kind::Unit, name, Detail::None, step);
        }
    }
}

fn stop_units(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, Stop { name }) in work.all() {
        let name = quote(word("unit", name)?);
        bundle.line(&format!("unit_gone {number} {name}"));
    }
    Ok(())
}
