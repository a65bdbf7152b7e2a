//! What differs, as it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use text::terminal::escape;

use super::step::Step;
use crate::host::change::{Action, Change, Detail, Kind};
use crate::host::observed::Observed;
use crate::host::receipt::{Receipt, ReceiptFile};
use crate::host::systemd::unit_name;

/// What has been found so far. Kinds are compared one after the other; what an earlier one
/// finds may have consequences for a later one: a file restarts a unit.
pub(in crate::host) struct Comparison<'a> {
    /// How the host looks.
    pub(in crate::host) observed: &'a Observed,
    /// What we did to the host, as it will be.
    pub(in crate::host) receipt: Receipt,
    /// What has to change.
    pub(in crate::host) changes: Vec<Change>,
    /// How, position by position.
    pub(in crate::host) steps: Vec<Arc<dyn Step>>,
    /// Units whose files change, or have changed without a restart since.
    pub(in crate::host) touched: BTreeSet<String>,
    /// Why some of them are restarted, where no file says so.
    pub(in crate::host) reasons: BTreeMap<String, String>,
    /// Static pods of which something changes.
    pub(in crate::host) static_pods: BTreeSet<String>,
    /// YAML files that are rewritten and mean what they meant. Of manifests, the kubelet,
    /// which compares pods and not files, leaves the pods alone.
    pub(in crate::host) reworded: BTreeSet<String>,
    /// Whether systemd has to reload its units.
    pub(in crate::host) unit_files: bool,
    /// Files that left the inventory, as the receipt lists them until they are gone.
    pub(in crate::host) withdrawn: BTreeMap<String, ReceiptFile>,
    /// Paths whose content changes.
    pub(in crate::host) written: BTreeSet<String>,
}

impl<'a> Comparison<'a> {
    /// One that has found nothing yet but what an earlier run left undone.
    pub(in crate::host) fn new(observed: &'a Observed, receipt: Receipt) -> Self {
        // A unit's name has a dot, a static pod's is a DNS label.
        let owed = observed.owed.iter().cloned();
        let (touched, static_pods) = owed.partition(|name| name.contains('.'));
        Comparison {
            observed,
            receipt,
            changes: Vec::new(),
            steps: Vec::new(),
            touched,
            reasons: BTreeMap::new(),
            static_pods,
            reworded: BTreeSet::new(),
            unit_files: observed.needs_daemon_reload,
            withdrawn: BTreeMap::new(),
            written: BTreeSet::new(),
        }
    }

    /// Something has to change.
    pub(in crate::host) fn push(
        &mut self,
        action: Action,
        kind: Kind,
        name: &str,
        detail: Detail,
        step: impl Step,
    ) {
        self.changes.push(Change {
            action,
            kind,
            name: escape(name).into_owned(),
            detail,
            before: None,
            after: None,
        });
        self.steps.push(Arc::new(step));
    }

    /// A unit has to be restarted for a reason that no file has.
    pub(in crate::host) fn restart_for(&mut self, unit: &str, reason: &str) {
        let name = unit_name(unit);
        self.reasons
            .insert(name.clone(), escape(reason).into_owned());
        self.touched.insert(name);
    }

    /// The content of a path changes: units that read it have to be restarted.
    pub(in crate::host) fn touch(&mut self, path: &str, notify: &[String]) {
        self.touched
            .extend(notify.iter().map(|unit| unit_name(unit)));
        self.unit_files |= path.contains("/systemd/system/");
    }
}
