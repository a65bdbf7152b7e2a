//! Scripts of ours that keep something up that is no file, and say what is missing of it.

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use crate::host::error::HostError;
use crate::host::wire::relative;

/// A script whose `check` prints what is missing, one thing a line. Restarting its unit
/// brings that back.
#[derive(Debug, Clone)]
pub struct SelfCheck {
    /// Absolute path of the script.
    pub script: String,
    /// The unit that runs it.
    pub unit: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("self_check.sh"),
    lists: &["checks"],
    sections: &["checks"],
    compare: compare_checks,
    ..ResourceKind::NOTHING
};

impl Piece for SelfCheck {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        question.add("checks", relative(&self.script)?);
        question.add_units(std::slice::from_ref(&self.unit))
    }

    fn describe(&self) -> String {
        format!("check {} for unit {}", self.script, self.unit)
    }
}

fn compare_checks(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    for SelfCheck { script, unit } in wanted.all() {
        let prefix = format!(".{script} ");
        let lines = found.observed.answer("checks").iter();
        let missing: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect();
        if !missing.is_empty() {
            found.restart_for(unit, &format!("missing: {}", missing.join(", ")));
        }
    }
}
