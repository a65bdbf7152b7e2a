//! Taking Kubernetes off a host: the receipt becomes one script.

use std::net::IpAddr;

use super::diff::full_name;
use super::observe::{observe, sysctl_path, unit_name};
use super::wire::{Sections, clean, quote, relative, word};
use super::{HostError, PathKind, Receipt, Resource};
use crate::layout::names::KUBELET_UNIT;
use crate::layout::paths::{self, KUBELET_CONF};
use ssh::{Output, Script};

/// Places that Kubernetes uses: whatever still stands there in the end is told.
const PLACES: [&str; 6] = [
    paths::KUBERNETES_DIR,
    paths::CNI_CONFIG_DIR,
    paths::CNI_BIN_DIR,
    paths::KUBELET_DIR,
    paths::CNI_STATE_DIR,
    paths::LIBEXEC_DIR,
];

/// What a reset has to know beside the receipt.
#[derive(Debug, Clone)]
pub struct Reset<'a> {
    /// What we did to the host.
    pub receipt: &'a Receipt,
    /// `unix:///…` socket of the container runtime.
    pub cri_socket: &'a str,
    /// Where etcd keeps its data, if it is one of the cluster's own.
    pub etcd_data: Option<&'a str>,
    /// The names that pod networks of ours have in CNI configurations.
    pub networks: &'a [&'a str],
    /// The address that kube-vip holds on one of the control planes.
    pub virtual_address: Option<IpAddr>,
    /// Leave the images that we brought.
    pub keep_images: bool,
}

/// What a clean host told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// What stands in places that Kubernetes uses and is not ours, escaped.
    pub left: Vec<String>,
}

/// The probe for the receipt, and for a kubelet that joined by other means.
///
/// # Errors
///
/// None that could happen: its one path is known.
pub fn look_for_receipt() -> Result<Script, HostError> {
    let mut script = observe(&[Resource::Absent {
        path: KUBELET_CONF.into(),
        notify: Vec::new(),
    }])?;
    script.name = "look for the receipt".into();
    Ok(script)
}

impl super::Observed {
    /// Whether a kubelet has joined a cluster here, whoever's it is.
    pub fn has_joined(&self) -> bool {
        self.paths
            .get(KUBELET_CONF)
            .is_some_and(|state| state.kind != PathKind::Directory)
    }
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
        include_str!("scripts/reset.sh")
    )
    .to_owned();
    text.push_str("\necho '@@clusterctl reset 1'\nbegin\n");
    let mut plan = Steps { text };
    plan.processes(wanted)?;
    plan.network(wanted);
    plan.state(wanted)?;
    plan.files(wanted.receipt)?;
    plan.system(wanted.receipt)?;
    plan.end(wanted)?;
    Ok(Script {
        name: "reset".into(),
        text: plan.text,
        input: Vec::new(),
    })
}

struct Steps {
    text: String,
}

impl Steps {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// One call for a whole list, none for an empty one.
    fn list(&mut self, call: &str, words: &[String]) {
        if !words.is_empty() {
            self.line(&format!("{call} {}", words.join(" ")));
        }
    }

    fn processes(&mut self, wanted: &Reset<'_>) -> Result<(), HostError> {
        self.line("stop_kubelet");
        let socket = socket(wanted)?;
        self.line(&format!("pods {socket}"));
        for (name, before) in &wanted.receipt.units {
            let name = quote(word("unit", name)?);
            if is_runtime(&name) {
                continue;
            }
            if !before.active {
                self.line(&format!("unit_down stop {name}"));
            }
            if !before.enabled {
                self.line(&format!("unit_down disable {name}"));
            }
        }
        Ok(())
    }

    fn network(&mut self, wanted: &Reset<'_>) {
        self.line("links");
        if let Some(address) = wanted.virtual_address {
            self.line(&format!("virtual_address {address}"));
        }
        for network in wanted.networks {
            self.line(&format!("firewall {}", quote(network)));
        }
    }

    fn state(&mut self, wanted: &Reset<'_>) -> Result<(), HostError> {
        let receipt = wanted.receipt;
        if !wanted.keep_images {
            let images = receipt.images.keys();
            let images: Vec<String> = images
                .map(|name| Ok(quote(&full_name(word("image", name)?))))
                .collect::<Result<_, HostError>>()?;
            self.list(&format!("images {}", socket(wanted)?), &images);
        }
        let whose = match receipt.directories.contains(paths::KUBELET_DIR) {
            true => "ours",
            false => "found",
        };
        self.line(&format!("kubelet_state {whose}"));
        if let Some(data) = wanted.etcd_data
            && receipt
                .files
                .keys()
                .any(|path| path.ends_with("/manifests/etcd.yaml"))
        {
            self.line(&format!("etcd_state {}", quote(&relative(data)?)));
        }
        for network in wanted.networks {
            self.line(&format!("cni_state {}", quote(network)));
        }
        Ok(())
    }

    fn files(&mut self, receipt: &Receipt) -> Result<(), HostError> {
        let mut ours = Vec::new();
        let mut gone = Vec::new();
        for (path, file) in &receipt.files {
            let path = quote(&relative(path)?);
            // Where no copy was kept, the original was not replaced yet.
            if !file.original {
                gone.push(path.clone());
            }
            ours.push(path);
        }
        for path in &receipt.links {
            gone.push(quote(&relative(path)?));
        }
        self.list("remove", &gone);
        self.list("bring_back", &ours);
        if ours.is_empty() {
            self.line("bring_back");
        }
        let directories: Vec<String> = receipt
            .directories
            .iter()
            .rev()
            .map(|path| Ok(quote(&relative(path)?)))
            .collect::<Result<_, HostError>>()?;
        self.list("directories", &directories);
        for (path, before) in &receipt.attributes {
            self.line(&format!(
                "attributes_back {} {} {}",
                quote(word("mode", &before.mode)?),
                quote(word("owner", &before.owner)?),
                quote(&relative(path)?)
            ));
        }
        Ok(())
    }

    fn system(&mut self, receipt: &Receipt) -> Result<(), HostError> {
        self.line("reload_units");
        for name in &receipt.masked {
            self.line(&format!("unit_down unmask {}", quote(word("unit", name)?)));
        }
        for (unit, before) in &receipt.units {
            let name = quote(word("unit", unit)?);
            let brought = is_runtime(&name) && brings_runtime(receipt);
            let (enabled, active) = match brought {
                // The package stays, and so does what it does when installed.
                true => (true, true),
                false => (before.enabled, before.active),
            };
            if is_runtime(&name) {
                self.line(&match active {
                    true => format!("unit_back restart {name}"),
                    false => format!("unit_down stop {name}"),
                });
                if !enabled {
                    self.line(&format!("unit_down disable {name}"));
                }
            } else {
                if enabled {
                    self.line(&format!("unit_back enable {name}"));
                }
                // A kubelet that ran when we came had joined by hand: without
                // its cluster it could only fail, for ever.
                if active && unit != KUBELET_UNIT {
                    self.line(&format!("unit_back start {name}"));
                }
            }
        }
        for (key, value) in &receipt.sysctls {
            let path = quote(&relative(&sysctl_path(key))?);
            self.line(&format!("sysctl_back {} {path}", quote(value)));
        }
        let words = |kind, names: &mut dyn Iterator<Item = &String>| {
            names
                .map(|name| Ok(quote(word(kind, name)?)))
                .collect::<Result<Vec<String>, HostError>>()
        };
        let modules = words("module", &mut receipt.modules.iter().rev())?;
        self.list("modules", &modules);
        let swap = words("swap device", &mut receipt.swap.iter())?;
        self.list("swap_on", &swap);
        Ok(())
    }

    fn end(&mut self, wanted: &Reset<'_>) -> Result<(), HostError> {
        let mut places = Vec::new();
        for place in PLACES.into_iter().chain(wanted.etcd_data) {
            places.push(quote(&relative(place)?));
        }
        self.list("look", &places);
        self.line("forget");
        Ok(())
    }
}

/// Which path the runtime listens on.
fn socket(wanted: &Reset<'_>) -> Result<String, HostError> {
    let path = wanted.cri_socket.trim_start_matches("unix://");
    relative(path)?;
    Ok(quote(path))
}

/// Container runtimes are needed until the end, and go by other rules.
fn is_runtime(unit: &str) -> bool {
    matches!(
        unit_name(unit).as_str(),
        "containerd.service" | "crio.service"
    )
}

fn brings_runtime(receipt: &Receipt) -> bool {
    let mut packages = receipt.packages.iter();
    packages.any(|name| name.starts_with("containerd"))
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
