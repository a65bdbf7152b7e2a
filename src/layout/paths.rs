//! Files and directories on hosts.

/// kubeadm's directory: kubeconfigs, manifests, certificates.
pub const KUBERNETES_DIR: &str = "/etc/kubernetes";
/// The default of `certificatesDir`.
pub const CERTIFICATES_DIR: &str = "/etc/kubernetes/pki";
/// Where the kubelet looks for static pods.
pub const MANIFESTS_DIR: &str = "/etc/kubernetes/manifests";

/// The administrator's kubeconfig.
pub const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";
/// The kubeconfig whose rights need no RBAC object; on the first control plane
/// only.
pub const SUPER_ADMIN_CONF: &str = "/etc/kubernetes/super-admin.conf";
/// The kubelet's kubeconfig. A host that has it has joined a cluster.
pub const KUBELET_CONF: &str = "/etc/kubernetes/kubelet.conf";
/// The kubeconfig that a kubelet asks for its certificate with.
pub const BOOTSTRAP_KUBELET_CONF: &str = "/etc/kubernetes/bootstrap-kubelet.conf";
/// The controller manager's kubeconfig.
pub const CONTROLLER_MANAGER_CONF: &str = "/etc/kubernetes/controller-manager.conf";
/// The scheduler's kubeconfig.
pub const SCHEDULER_CONF: &str = "/etc/kubernetes/scheduler.conf";

/// haproxy's configuration directory on workers. Ours.
pub const HAPROXY_DIR: &str = "/etc/kubernetes/haproxy";
/// haproxy's configuration. Ours.
pub const HAPROXY_CONFIG: &str = "/etc/kubernetes/haproxy/haproxy.cfg";

/// Where the kubelet keeps what is its own.
pub const KUBELET_DIR: &str = "/var/lib/kubelet";
/// Its configuration.
pub const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
/// The part of its configuration that is this host's alone (from 1.34).
pub const KUBELET_INSTANCE_CONFIG: &str = "/var/lib/kubelet/instance-config.yaml";
/// Its flags.
pub const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
/// Its certificates, unless `cert-dir` moves them.
pub const KUBELET_PKI: &str = "/var/lib/kubelet/pki";
/// In that directory: the link to the client certificate in use. The kubelet
/// replaces its target.
pub const KUBELET_CLIENT_CURRENT: &str = "kubelet-client-current.pem";

/// The kubelet's unit file (where its distribution package puts it).
pub const KUBELET_UNIT_FILE: &str = "/usr/lib/systemd/system/kubelet.service";
/// The directory of the unit's drop-ins.
pub const KUBELET_DROP_IN_DIR: &str = "/usr/lib/systemd/system/kubelet.service.d";
/// kubeadm's drop-in (the `kubeadm` package's).
pub const KUBELET_DROP_IN: &str = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf";
/// The administrator's own flags for the kubelet: Debian's place.
pub const KUBELET_ENVIRONMENT_DEBIAN: &str = "/etc/default/kubelet";
/// The same: the place of Red Hat and SUSE.
pub const KUBELET_ENVIRONMENT_RED_HAT: &str = "/etc/sysconfig/kubelet";

/// The default of etcd's `dataDir`.
pub const ETCD_DATA_DIR: &str = "/var/lib/etcd";
/// Where the Kubernetes packages put binaries.
pub const BIN_DIR: &str = "/usr/bin";

/// Configurations of pod networks: the container runtime takes the first.
pub const CNI_CONFIG_DIR: &str = "/etc/cni/net.d";
/// Our own there, by name. The container runtime takes the first in alphabetical order,
/// and distributions bring some of their own (podman's is `87-…`).
pub const CNI_CONFLIST: &str = "10-clusterctl.conflist";
/// CNI plugins: upstream's place, and where containerd looks by default.
pub const CNI_BIN_DIR: &str = "/opt/cni/bin";
/// CNI plugins: Debian's place.
pub const CNI_BIN_DIR_DEBIAN: &str = "/usr/lib/cni";
/// What CNI plugins remember, such as addresses in use.
pub const CNI_STATE_DIR: &str = "/var/lib/cni";

/// containerd's configuration.
pub const CONTAINERD_CONFIG: &str = "/etc/containerd/config.toml";
/// Where crictl reads which runtime to ask.
pub const CRICTL_CONFIG: &str = "/etc/crictl.yaml";
/// Files that add to it, for other programs to write.
pub const CONTAINERD_DROP_INS: &str = "/etc/containerd/conf.d/*.toml";
/// What containerd keeps of containers that run.
pub const CONTAINERD_STATE_DIR: &str = "/run/containerd";
/// Proxies for containerd. Ours.
pub const CONTAINERD_PROXY: &str =
    "/etc/systemd/system/containerd.service.d/50-clusterctl-proxy.conf";
/// containerd's images and containers.
pub const CONTAINERD_DIR: &str = "/var/lib/containerd";

/// Where scripts are that run on hosts for good. Ours.
pub const SCRIPT_DIR: &str = "/usr/local/lib/clusterctl";

/// What clusterctl-rs itself remembers on a host: its receipt, and what its files replaced.
pub const STATE_DIR: &str = "/var/lib/clusterctl";

/// What else Kubernetes may leave on a host: plugins of volumes.
pub const LIBEXEC_DIR: &str = "/usr/libexec/kubernetes";
/// The same where /usr can't be written.
pub const LIBEXEC_DIR_OPT: &str = "/opt/libexec/kubernetes";
/// The directory that controller managers before 1.36 mount for volume plugins.
pub const FLEX_VOLUME_DIR: &str = "/usr/libexec/kubernetes/kubelet-plugins/volume/exec";
/// The same where /usr can't be written: kubeadm's documentation names it.
pub const FLEX_VOLUME_DIR_OPT: &str = "/opt/libexec/kubernetes/kubelet-plugins/volume/exec";
/// systemd-resolved's list of the real name servers. /etc/resolv.conf then
/// names a loopback address, which is of no use in a pod.
pub const RESOLVED_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// CA directories beside /etc/ssl/certs that kubeadm mounts into control-plane
/// pods where they exist: on some distributions the links in there lead to
/// them.
pub const CA_DIRECTORIES: [&str; 5] = [
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// The manifest of a static pod, by the component's name.
pub fn manifest(component: &str) -> String {
    format!("{MANIFESTS_DIR}/{component}.yaml")
}

/// The component whose manifest a path is, if it is one.
pub fn static_pod(path: &str) -> Option<&str> {
    let name = path.strip_prefix(MANIFESTS_DIR)?.strip_prefix('/')?;
    name.strip_suffix(".yaml")
        .filter(|name| !name.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_directory_is_named_so() {
        let below = |directory: &str, paths: &[&str]| {
            for path in paths {
                let rest = path.strip_prefix(directory);
                assert!(rest.is_some_and(|rest| rest.starts_with('/')), "{path}");
            }
        };
        below(
            KUBERNETES_DIR,
            &[
                CERTIFICATES_DIR,
                MANIFESTS_DIR,
                ADMIN_CONF,
                SUPER_ADMIN_CONF,
                KUBELET_CONF,
                BOOTSTRAP_KUBELET_CONF,
                CONTROLLER_MANAGER_CONF,
                SCHEDULER_CONF,
                HAPROXY_DIR,
            ],
        );
        below(HAPROXY_DIR, &[HAPROXY_CONFIG]);
        below(
            KUBELET_DIR,
            &[
                KUBELET_CONFIG,
                KUBELET_INSTANCE_CONFIG,
                KUBELET_FLAGS,
                KUBELET_PKI,
            ],
        );
        below(KUBELET_DROP_IN_DIR, &[KUBELET_DROP_IN]);
        below(LIBEXEC_DIR, &[FLEX_VOLUME_DIR]);
    }
}
