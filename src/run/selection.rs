//! Which phases a run executes.

use std::collections::BTreeSet;

use super::phase::{PHASES, Phase};

/// The phases of a run.
#[derive(Debug, Clone)]
pub struct Selection {
    chosen: BTreeSet<Phase>,
}

/// An invalid selection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No phase has that name.
    #[error("unknown phase `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Everything is skipped.
    #[error("every phase is skipped")]
    Empty,
}

impl SelectionError {
    /// What to do next.
    pub fn hint(&self) -> String {
        let names: Vec<_> = PHASES.iter().map(|info| info.phase.name()).collect();
        format!("the phases are {}", names.join(", "))
    }
}

impl Selection {
    /// Every phase.
    pub fn all() -> Self {
        Selection {
            chosen: PHASES.iter().map(|info| info.phase).collect(),
        }
    }

    /// The phases named in `only` (all, if it is empty) without those in
    /// `skip`.
    ///
    /// # Errors
    /// An unknown name, or no phase left.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self, SelectionError> {
        let mut chosen = if only.is_empty() {
            Selection::all().chosen
        } else {
            parse(only)?
        };
        for phase in parse(skip)? {
            chosen.remove(&phase);
        }
        if chosen.is_empty() {
            return Err(SelectionError::Empty);
        }
        Ok(Selection { chosen })
    }

    /// Removes `phase`.
    pub(crate) fn without(mut self, phase: Phase) -> Self {
        self.chosen.remove(&phase);
        self
    }

    /// Whether `phase` is selected.
    pub fn has(&self, phase: Phase) -> bool {
        self.chosen.contains(&phase)
    }

    /// Whether one of `phases` takes part.
    pub fn has_any(&self, phases: &[Phase]) -> bool {
        phases.iter().any(|phase| self.has(*phase))
    }

    /// The phases that `phase` needs and that are not selected: they must have run already.
    pub fn assumed(&self, phase: Phase) -> impl Iterator<Item = Phase> {
        phase
            .info()
            .needs
            .iter()
            .copied()
            .filter(|needed| !self.has(*needed))
    }
}

fn parse(names: &[String]) -> Result<BTreeSet<Phase>, SelectionError> {
    names
        .iter()
        .flat_map(|name| name.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            Phase::from_name(name).ok_or_else(|| SelectionError::Unknown { name: name.into() })
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_and_skip_combine() {
        let selection =
            Selection::new(&names(&["hosts,control-plane"]), &names(&["hosts"])).unwrap();
        assert!(selection.has(Phase::ControlPlane));
        assert!(!selection.has(Phase::Hosts));
        let assumed: Vec<_> = selection.assumed(Phase::ControlPlane).collect();
        assert_eq!(assumed, [Phase::Certs, Phase::Hosts]);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let error = Selection::new(&names(&["host"]), &[]).unwrap_err();
        assert_eq!(error.to_string(), "unknown phase `host`");
        assert!(error.hint().contains("control-plane"));
        let everything: Vec<_> = PHASES.iter().map(|i| i.phase.name().to_owned()).collect();
        assert_eq!(
            Selection::new(&[], &everything).unwrap_err(),
            SelectionError::Empty
        );
    }

    #[test]
    fn every_phase_needs_only_earlier_ones() {
        for (index, info) in PHASES.iter().enumerate() {
            for needed in info.needs {
                let at = PHASES
                    .iter()
                    .position(|other| other.phase == *needed)
                    .unwrap();
                assert!(at < index, "{} needs {}", info.phase.name(), needed.name());
            }
        }
    }
}
