//! What every kind of resource provides.

use std::any::Any;
use std::fmt;

use super::comparison::Comparison;
use super::question::Question;
use super::step::{Bundle, Work};
use crate::host::error::HostError;
use crate::host::observed::Observed;
use crate::host::wire::Sections;

/// One piece of a host's desired state, of whatever kind.
pub(in crate::host) trait Piece: Any + fmt::Debug {
    /// Adds to the question what has to be known about this piece.
    ///
    /// # Errors
    ///
    /// A path or name that the scripts can't carry.
    fn ask(&self, question: &mut Question) -> Result<(), HostError>;

    /// The path of what lies in directories that have to be there first.
    fn path_below_directories(&self) -> Option<&str> {
        None
    }

    /// The path that it is about, for [`Observed::loose`]: that of a directory ends in `/.`.
    fn place(&self) -> Option<String> {
        None
    }

    /// What it is, on one line: for `render`.
    fn describe(&self) -> String;
}

/// A kind of resource: its part in the scripts and in the comparison.
pub(in crate::host) struct ResourceKind {
    /// Its shell text, in parts. See [`shell_part`].
    pub(in crate::host) shell: &'static str,
    /// The lists of the question that the observe part reads, in this order.
    pub(in crate::host) lists: &'static [&'static str],
    /// The variables of the question that the observe part uses.
    pub(in crate::host) variables: &'static [&'static str],
    /// Sections of the answer that only this kind reads: [`Observed::answer`].
    pub(in crate::host) sections: &'static [&'static str],
    /// Reads sections of the answer that other kinds need, too.
    pub(in crate::host) read: fn(&Sections<'_>, &mut Observed),
    /// Finds what has to change.
    pub(in crate::host) compare: fn(&Wanted<'_>, &mut Comparison<'_>),
    /// What converging has to know before anything changes.
    pub(in crate::host) prepare: fn(&Work, &mut Bundle) -> Result<(), HostError>,
    /// Makes those changes.
    pub(in crate::host) converge: fn(&Work, &mut Bundle) -> Result<(), HostError>,
}

impl ResourceKind {
    /// One that does nothing, for what a kind has no use for.
    pub(in crate::host) const NOTHING: Self = ResourceKind {
        shell: "",
        lists: &[],
        variables: &[],
        sections: &[],
        read: |_, _| {},
        compare: |_, _| {},
        prepare: |_, _| Ok(()),
        converge: |_, _| Ok(()),
    };
}

/// All that a host should be, whatever the kinds.
pub(in crate::host) struct Wanted<'a>(Vec<&'a dyn Piece>);

impl<'a> Wanted<'a> {
    pub(in crate::host) fn new(pieces: impl Iterator<Item = &'a dyn Piece>) -> Self {
        Wanted(pieces.collect())
    }

    /// Every piece, in the order in which they were asked for.
    pub(in crate::host) fn pieces(&self) -> impl Iterator<Item = &'a dyn Piece> + '_ {
        self.0.iter().copied()
    }

    /// Those of one kind.
    pub(in crate::host) fn all<T: Piece>(&self) -> impl Iterator<Item = &'a T> + '_ {
        self.pieces().filter_map(as_kind)
    }
}

/// The piece as one of a kind, if it is.
pub(in crate::host) fn as_kind<T: Piece>(piece: &dyn Piece) -> Option<&T> {
    (piece as &dyn Any).downcast_ref()
}

/// The part of a kind's shell text for one of the scripts: `observe`, `converge` or
/// `reset`. It starts after its heading, `#: NAME`, and ends at the next one.
///
/// The scripts are kept apart although they come from one file, so that what only asks
/// never carries a line that could change something.
pub(in crate::host) fn shell_part(shell: &'static str, name: &str) -> &'static str {
    let heading = format!("\n#: {name}\n");
    let Some((_, rest)) = shell.split_once(&heading) else {
        return "";
    };
    match rest.find("\n#: ") {
        Some(end) => &rest[..=end],
        None => rest,
    }
}
