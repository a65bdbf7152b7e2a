//! Where programs and units go on a host: below /usr, or elsewhere where that is read-only.

use super::paths;

/// The places of one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Programs {
    /// The directory of programs.
    pub directory: &'static str,
    /// The directory of units.
    pub units: &'static str,
    /// The kubelet's unit file.
    pub kubelet_unit: &'static str,
    /// The directory of that unit's drop-ins.
    pub kubelet_drop_ins: &'static str,
    /// kubeadm's drop-in.
    pub kubelet_drop_in: &'static str,
    /// Where scripts are that run on hosts for good.
    pub scripts: &'static str,
}

/// Where the Kubernetes packages put everything.
const USR: Programs = Programs {
    directory: paths::BIN_DIR,
    units: "/usr/lib/systemd/system",
    kubelet_unit: paths::KUBELET_UNIT_FILE,
    kubelet_drop_ins: paths::KUBELET_DROP_IN_DIR,
    kubelet_drop_in: paths::KUBELET_DROP_IN,
    scripts: paths::SCRIPT_DIR,
};

/// Where Flatcar, and what is made for it, look: kubeadm's documentation names these.
const OPT: Programs = Programs {
    directory: "/opt/bin",
    units: "/etc/systemd/system",
    kubelet_unit: "/etc/systemd/system/kubelet.service",
    kubelet_drop_ins: "/etc/systemd/system/kubelet.service.d",
    kubelet_drop_in: "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    scripts: "/opt/clusterctl",
};

impl Programs {
    /// Both sets of places, for who has to know them all.
    pub const ALL: [Programs; 2] = [USR, OPT];

    /// The places of a host whose programs go to /opt, or don't.
    pub fn of(uses_opt: bool) -> Self {
        if uses_opt { OPT } else { USR }
    }
}
