//! Which files there are below /etc/kubernetes and its neighbours, with owner
//! and mode: kubeadm's, of v1.36.

use crate::lab::Lab;

/// Everything below /etc/kubernetes on a control plane, and nothing else.
const CONTROL_PLANE: &str = "\
755 d /etc/kubernetes
600 f /etc/kubernetes/admin.conf
600 f /etc/kubernetes/controller-manager.conf
600 f /etc/kubernetes/kubelet.conf
700 d /etc/kubernetes/manifests
600 f /etc/kubernetes/manifests/etcd.yaml
600 f /etc/kubernetes/manifests/kube-apiserver.yaml
600 f /etc/kubernetes/manifests/kube-controller-manager.yaml
600 f /etc/kubernetes/manifests/kube-scheduler.yaml
755 d /etc/kubernetes/pki
644 f /etc/kubernetes/pki/apiserver-etcd-client.crt
600 f /etc/kubernetes/pki/apiserver-etcd-client.key
644 f /etc/kubernetes/pki/apiserver-kubelet-client.crt
600 f /etc/kubernetes/pki/apiserver-kubelet-client.key
644 f /etc/kubernetes/pki/apiserver.crt
600 f /etc/kubernetes/pki/apiserver.key
644 f /etc/kubernetes/pki/ca.crt
600 f /etc/kubernetes/pki/ca.key
755 d /etc/kubernetes/pki/etcd
644 f /etc/kubernetes/pki/etcd/ca.crt
600 f /etc/kubernetes/pki/etcd/ca.key
644 f /etc/kubernetes/pki/etcd/healthcheck-client.crt
600 f /etc/kubernetes/pki/etcd/healthcheck-client.key
644 f /etc/kubernetes/pki/etcd/peer.crt
600 f /etc/kubernetes/pki/etcd/peer.key
644 f /etc/kubernetes/pki/etcd/server.crt
600 f /etc/kubernetes/pki/etcd/server.key
644 f /etc/kubernetes/pki/front-proxy-ca.crt
600 f /etc/kubernetes/pki/front-proxy-ca.key
644 f /etc/kubernetes/pki/front-proxy-client.crt
600 f /etc/kubernetes/pki/front-proxy-client.key
600 f /etc/kubernetes/pki/sa.key
600 f /etc/kubernetes/pki/sa.pub
600 f /etc/kubernetes/scheduler.conf
600 f /etc/kubernetes/super-admin.conf
";

/// The same on a worker: no key of the cluster's is there, nor a bootstrap
/// kubeconfig once it has joined.
const WORKER: &str = "\
755 d /etc/kubernetes
600 f /etc/kubernetes/kubelet.conf
700 d /etc/kubernetes/manifests
755 d /etc/kubernetes/pki
644 f /etc/kubernetes/pki/ca.crt
";

/// On every node, among files of the kubelet's own.
const NODE: &str = "\
700 d /var/lib/clusterctl
600 f /var/lib/clusterctl/lock
600 f /var/lib/clusterctl/receipt.json
700 d /var/lib/kubelet
644 f /var/lib/kubelet/config.yaml
644 f /var/lib/kubelet/kubeadm-flags.env
755 d /var/lib/kubelet/pki
755 f /usr/bin/kubelet
644 f /etc/containerd/config.toml
";

/// Compares a node with the tables.
pub(crate) fn check(lab: &Lab, host: &str, control_plane: bool) {
    let below = lab.sh(host, "find /etc/kubernetes -printf '%m %y %p %U:%G\\n'");
    assert_eq!(
        owned_by_root(&below),
        sorted(if control_plane { CONTROL_PLANE } else { WORKER }),
        "{host}"
    );
    let paths: Vec<&str> = NODE
        .lines()
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    let print = |paths: &str| format!("find {paths} -maxdepth 0 -printf '%m %y %p %U:%G\\n'");
    let among = lab.sh(host, &print(&paths.join(" ")));
    assert_eq!(owned_by_root(&among), sorted(NODE), "{host}");
    if control_plane {
        let etcd = lab.sh(host, &print("/var/lib/etcd"));
        assert_eq!(owned_by_root(&etcd), ["700 d /var/lib/etcd"]);
    }
    // Keys of the kubelet's own, wherever they are by now.
    let open = lab.sh(
        host,
        "find /var/lib/kubelet/pki -type f ! -name '*.crt' -perm /077; \
         find /etc/kubernetes /var/lib/kubelet/pki /var/lib/clusterctl -xdev -perm /022 ! -type l",
    );
    assert_eq!(open, "", "{host}: too open");
}

fn owned_by_root(listing: &str) -> Vec<String> {
    let mut lines: Vec<String> = listing
        .lines()
        .map(|line| {
            line.strip_suffix(" 0:0")
                .unwrap_or_else(|| panic!("not root's: {line}"))
                .to_owned()
        })
        .collect();
    lines.sort();
    lines
}

fn sorted(table: &str) -> Vec<String> {
    let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
