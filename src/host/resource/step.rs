//! How changes are made.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::host::error::HostError;
use ssh::Input;

/// How one change is made.
pub(in crate::host) trait Step: Any + fmt::Debug + Send + Sync {
    /// Bytes of ours that it writes.
    fn content(&self) -> Option<&[u8]> {
        None
    }

    /// How many bytes are sent for it, about.
    fn payload(&self) -> u64 {
        0
    }

    /// The path that it changes, as the scripts have it: below it only root may have a say. That
    /// of a directory ends in `/.`.
    ///
    /// # Errors
    ///
    /// A path that the script can't carry.
    fn place(&self) -> Result<Option<String>, HostError> {
        Ok(None)
    }

    /// The path of which it changes what is there, if something that runs reads it: kept on
    /// the host until the change has proven itself.
    fn replaces(&self) -> Option<&str> {
        None
    }

    /// The unit or static pod that it restarts. The host remembers these until they are
    /// restarted, so that a run that is cut off leaves it to the next one.
    ///
    /// # Errors
    ///
    /// A name that the script can't carry.
    fn restarts(&self) -> Result<Option<&str>, HostError> {
        Ok(None)
    }
}

/// How all changes of a plan are made.
#[derive(Debug, Clone)]
pub(in crate::host) struct Work {
    /// Position by position of the plan's changes.
    pub(in crate::host) steps: Vec<Arc<dyn Step>>,
    /// What is known about big files.
    pub(in crate::host) stamps: Stamps,
}

impl Work {
    /// The steps of one kind, with their positions.
    pub(in crate::host) fn all<T: Step>(&self) -> impl Iterator<Item = (usize, &T)> {
        let steps = self.steps.iter().enumerate();
        steps.filter_map(|(number, step)| {
            let step: &dyn Any = step.as_ref();
            Some((number, step.downcast_ref()?))
        })
    }
}

/// Lines of /var/lib/clusterctl/stamps, by path: which big files need not be hashed again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::host) struct Stamps {
    pub(in crate::host) lines: BTreeMap<String, String>,
    /// Whether some of them are not there yet.
    pub(in crate::host) changed: bool,
}

/// The converge script under construction.
pub(in crate::host) struct Bundle {
    pub(in crate::host) text: String,
    /// What goes over its standard input, in this order.
    pub(in crate::host) input: Vec<Input>,
}

impl Bundle {
    pub(in crate::host) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}
