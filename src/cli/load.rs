//! Loads the inventory for a verb.

use std::path::Path;

use crate::inventory;
use crate::inventory::Cluster;
use crate::report::Printer;
use crate::run::error::Error;

/// Loads the inventory and shows its warnings. Its state directory has to be in its place.
pub(super) fn load_inventory(path: &Path, printer: Printer) -> Result<Cluster, Error> {
    let (cluster, warnings) = inventory::load(path)?;
    for warning in &warnings {
        printer.err_coloured(&warning.render(printer.color_err));
    }
    inventory::check_state_dir(path, &cluster)?;
    Ok(cluster)
}
