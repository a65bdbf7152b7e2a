//! A mistake whose places are still paths into the tree.

use crate::inventory::yaml::{FieldPath, Level};

/// A mistake whose places are still paths into the tree.
pub(super) struct Fault {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) at: FieldPath,
    pub(super) aim: Aim,
    pub(super) label: String,
    pub(super) also: Vec<(FieldPath, String)>,
    pub(super) help: Vec<String>,
}

/// Which part of a path is meant.
#[derive(PartialEq)]
pub(super) enum Aim {
    Value,
    Key,
    /// The value with all that lies below it.
    Whole,
}

impl Fault {
    /// An error about one place.
    pub(super) fn error(at: &FieldPath, message: impl Into<String>) -> Self {
        Fault {
            level: Level::Error,
            message: message.into(),
            at: at.clone(),
            aim: Aim::Value,
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A warning about one place.
    pub(super) fn warning(at: &FieldPath, message: impl Into<String>) -> Self {
        Fault {
            level: Level::Warning,
            ..Fault::error(at, message)
        }
    }

    /// Points at the key, not at its value.
    pub(super) fn at_key(mut self) -> Self {
        self.aim = Aim::Key;
        self
    }

    /// Says that something is missing: not to be trusted if anything below had
    /// to be repaired.
    pub(super) fn about_whole(mut self) -> Self {
        self.aim = Aim::Whole;
        self
    }

    /// Says at the place itself what is wrong with it.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a place that the first one conflicts with.
    pub(super) fn also(mut self, at: &FieldPath, label: impl Into<String>) -> Self {
        self.also.push((at.clone(), label.into()));
        self
    }

    /// Says what would be right.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}
