//! What certain files are to a host.

/// Whether a file makes a host a node. One that kubeadm or a kubelet left when the host
/// joined by hand is no possession of the host: given back by a reset, it would be a node
/// again.
pub(super) fn makes_a_node(path: &str) -> bool {
    let below = |dir: &str| path.strip_prefix(dir);
    let config = below("/etc/kubernetes/").is_some_and(|name| {
        name.ends_with(".conf") && !name.contains('/')
            || name.starts_with("manifests/")
            || name.starts_with("pki/")
    });
    config || below("/var/lib/kubelet/").is_some()
}

/// Whether a file is a certificate authority's or signs service account tokens: without it, a
/// cluster can't be saved.
pub(super) fn is_authority(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let (name, parent) = (parts.next().unwrap_or_default(), parts.next());
    let Some((base, "crt" | "key" | "pub")) = name.rsplit_once('.') else {
        return false;
    };
    // Not every `ca.crt` is a cluster's, but a copy too many costs nothing.
    matches!(base, "ca" | "front-proxy-ca" | "sa") && parent.is_some()
}

/// Files of a lower rank are in place before those of a higher one: the kubelet starts a
/// static pod the moment that it sees its manifest.
/// And kubelet.conf, which says that a host has joined, comes after the other kubeconfigs: a
/// run that is cut short between them must find itself unfinished.
pub(super) fn rank(path: &str) -> u8 {
    if path.starts_with("/etc/kubernetes/manifests/") {
        5
    } else if path.starts_with("/var/lib/kubelet/") {
        4
    } else if path == "/etc/kubernetes/kubelet.conf" {
        3
    } else if path.starts_with("/etc/kubernetes/") && path.ends_with(".conf") {
        2
    } else if path.contains("/pki/") {
        1
    } else {
        0
    }
}
