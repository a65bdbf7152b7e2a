//! Taking Kubernetes off a host: the receipt becomes one script.

use super::error::HostError;
use super::loose::refused_loose;
use super::observe::observe;
use super::resource::{
    Absent, KINDS, Reset, Resource, Undo, directory, file, image, module, release_packages,
    shell_part, swap, sysctl, unit,
};
use super::turn::refused;
use super::wire::{Sections, clean, quote, relative};
use crate::layout::paths::{self, KUBELET_CONF};
use ssh::{Output, Script};

/// Places that Kubernetes uses: whatever is still there in the end is told.
const PLACES: [&str; 7] = [
    paths::KUBERNETES_DIR,
    paths::CNI_CONFIG_DIR,
    paths::CNI_BIN_DIR,
    paths::KUBELET_DIR,
    paths::CNI_STATE_DIR,
    paths::LIBEXEC_DIR,
    paths::LIBEXEC_DIR_OPT,
];

/// Adds one thing that a reset does to its script.
type UndoStep = fn(&Reset<'_>, &mut Undo) -> Result<(), HostError>;

/// What a reset does, in this order: Kubernetes' processes go first, then what they left
/// behind, then what we brought, and the receipt last of all.
const STEPS: [UndoStep; 13] = [
    stop_processes,
    unit::stop_units,
    remove_network,
    image::remove_images,
    remove_state,
    file::restore_files,
    directory::remove_directories,
    unit::restore_units,
    sysctl::restore_sysctls,
    module::unload_modules,
    swap::restore_swap,
    release_packages,
    look_around,
];

/// What a clean host told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What is in places that Kubernetes uses and is not ours, escaped.
    pub left: Vec<String>,
}

/// The probe for the receipt, and for a kubelet that joined by other means.
///
/// # Errors
///
/// None that could happen: its one path is known.
pub fn look_for_receipt() -> Result<Script, HostError> {
    let mut script = observe(&[Resource::Absent(Absent {
        path: KUBELET_CONF.into(),
        notify: Vec::new(),
    })])?;
    script.name = "look for the receipt".into();
    Ok(script)
}

/// The script that takes away what the receipt lists, and what Kubernetes
/// itself left behind. It can be run again, wherever it was interrupted.
///
/// # Errors
///
/// A receipt that names what can't be carried.
pub fn reset(wanted: &Reset<'_>) -> Result<Script, HostError> {
    let mut text = concat!(
        include_str!("scripts/alone.sh"),
        include_str!("scripts/lock.sh"),
        include_str!("scripts/safe.sh"),
        include_str!("scripts/reset.sh")
    )
    .to_owned();
    for kind in &KINDS {
        text += shell_part(kind.shell, "reset");
    }
    text.push_str("\necho '@@clusterctl reset 1'\nbegin\nall_safe </dev/null\n");
    if let Some(turn) = &wanted.turn {
        let words = turn.words();
        text.push_str(&format!("guard {words}\nclaim {words}\n"));
    }
    let mut undo = Undo { text };
    for name in &wanted.receipt.ignored {
        let what = format!("{name}, which the receipt names");
        undo.line(&format!("left {}", quote(&what)));
    }
    for step in STEPS {
        step(wanted, &mut undo)?;
    }
    Ok(Script {
        name: "reset".into(),
        text: undo.text,
        input: Vec::new(),
    })
}

fn stop_processes(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    undo.line("stop_kubelet");
    undo.line(&format!("pods {}", wanted.socket()?));
    Ok(())
}

fn remove_network(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    undo.line("links");
    if let Some(address) = wanted.virtual_address {
        undo.line(&format!("virtual_address {address}"));
    }
    for network in wanted.networks {
        undo.line(&format!("firewall {}", quote(network)));
    }
    Ok(())
}

/// What Kubernetes itself keeps on a host.
fn remove_state(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    let receipt = wanted.receipt;
    let whose = match receipt.directories.contains(paths::KUBELET_DIR) {
        true => "ours",
        false => "found",
    };
    undo.line(&format!("kubelet_state {whose}"));
    let mut files = receipt.files.keys();
    if let Some(data) = wanted.etcd_data
        && files.any(|path| path.ends_with("/manifests/etcd.yaml"))
    {
        undo.line(&format!("etcd_state {}", quote(&relative(data)?)));
    }
    for network in wanted.networks {
        undo.line(&format!("cni_state {}", quote(network)));
    }
    Ok(())
}

fn look_around(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    let mut places = Vec::new();
    for place in PLACES.into_iter().chain(wanted.etcd_data) {
        places.push(quote(&relative(place)?));
    }
    undo.call("look", &places);
    undo.line("forget");
    Ok(())
}

/// What a host that is being reset is at, if a line of its standard output says
/// so.
pub fn reset_progress(line: &str) -> Option<String> {
    let doing = line.trim_end().strip_prefix("@@doing ")?;
    Some(clean(doing.as_bytes()))
}

/// Judges how a reset ended.
///
/// # Errors
///
/// Something of ours is still there, or the script was cut off.
pub fn cleaned(output: &Output) -> Result<Cleaned, HostError> {
    refused(&output.stdout).map_or(Ok(()), Err)?;
    refused_loose(&output.stdout).map_or(Ok(()), Err)?;
    Sections::parse(&output.stdout, "reset")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let told = |prefix: &str| -> Vec<String> {
        let lines = stdout.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| clean(line.as_bytes())).collect()
    };
    let stuck = told("@@stuck ");
    if !stuck.is_empty() {
        return Err(HostError::NotClean { stuck });
    }
    Ok(Cleaned {
        left: told("@@left "),
    })
}
