//! The settings that a running cluster holds its inventory to.
//!
//! To add one: a row here, its name among those that are read (`host::facts::running`), and
//! the class of its field (`inventory::spec`). A test compares the three.

use super::compare::Comparison;
use crate::inventory::Spot::{self, Layered, LayeredArg, Own, Spec, SpecArg, Within};
use crate::layout::components::{API_SERVER, CONTROLLER_MANAGER, ETCD};

/// Where both values of a setting come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A flag of a static pod.
    Flag(&'static str, &'static str),
    /// All values of a flag that may be given several times.
    List(&'static str, &'static str),
    /// A field of the kubelet's configuration.
    Kubelet(&'static str),
    /// A flag of the kubelet.
    KubeletFlag(&'static str),
    /// A field of containerd's configuration.
    Containerd(&'static str),
    /// The API server's version.
    Version,
    /// etcd's version.
    EtcdVersion,
    /// The name of the Node.
    NodeName,
    /// The address of the Node.
    NodeAddress,
    /// Whether the host is a control plane.
    Role,
    /// Whether etcd is ours.
    EtcdPlace,
    /// The URLs of the etcd that API servers use.
    EtcdServers,
    /// The directory of certificates.
    CertificatesDir,
    /// The container runtime's socket.
    Socket,
    /// What gives pods their network.
    PodNetwork,
}

/// Whose setting it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The cluster's: hosts that have another value than the others have drifted.
    Cluster,
    /// Each host's own.
    Host,
}

/// A setting that must not change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) source: Source,
    pub(super) scope: Scope,
    pub(super) comparison: Comparison,
    /// What it is where it is not set.
    pub(super) default: Option<&'static str>,
    /// Where an inventory may write it; the last is where its default belongs.
    pub(super) spots: &'static [Spot],
    /// Why it must not change.
    pub(super) why: &'static str,
    /// What to do instead, beside setting it back.
    pub(super) instead: Option<&'static str>,
}

const REPLACE: &str = "or run `clusterctl-rs remove-node` first, and add the host again with it";
const NEW_CLUSTER: &str = "only a new cluster can have another one";

const API_ARGS: &str = "apiServer.extraArgs";
const MANAGER_ARGS: &str = "controllerManager.extraArgs";
const ETCD_ARGS: &str = "etcd.local.extraArgs";
const KUBELET_ARGS: &str = "nodeRegistration.kubeletExtraArgs";

const fn cluster(
    source: Source,
    comparison: Comparison,
    default: Option<&'static str>,
    spots: &'static [Spot],
    why: &'static str,
) -> Rule {
    Rule {
        source,
        scope: Scope::Cluster,
        comparison,
        default,
        spots,
        why,
        instead: None,
    }
}

const fn host(
    source: Source,
    comparison: Comparison,
    default: Option<&'static str>,
    spots: &'static [Spot],
    why: &'static str,
) -> Rule {
    Rule {
        scope: Scope::Host,
        instead: Some(REPLACE),
        ..cluster(source, comparison, default, spots, why)
    }
}

impl Rule {
    const fn instead(self, what: &'static str) -> Self {
        Rule {
            instead: Some(what),
            ..self
        }
    }
}

const WHY_PODS: &str = "nodes keep the pod ranges that they were given";
const MORE_PODS: &str = "or to a larger network that contains it and no address of a host";
const WHY_SERVICES: &str = "Services keep their addresses, and the API has stored this range";
const MORE_SERVICES: &str = "to get more addresses, create a ServiceCIDR object";
const WHY_DOMAIN: &str = "pods keep the domain that they were started with, and tokens of service \
                          accounts name their issuer by it";
const WHY_DATA: &str = "etcd would start empty there: every object of the cluster would be gone";
const WHY_MASK: &str = "nodes keep the pod ranges that they were given, whose size it is";
const WHY_ADDRESS: &str = "etcd's members and the certificates of the control planes know it by \
                           this address";

/// Every setting, the one that names a change best first.
pub(super) const RULES: [Rule; 37] = [
    cluster(
        Source::Version,
        Comparison::Text,
        None,
        &[Spec("kubernetesVersion")],
        "clusterctl-rs cannot upgrade or downgrade a cluster yet",
    ),
    cluster(
        Source::EtcdPlace,
        Comparison::Text,
        None,
        &[Spec("etcd.external"), Spec("etcd.local"), Spec("etcd")],
        "the API servers would start with an empty etcd: every object of the cluster would be gone",
    ),
    cluster(
        Source::EtcdServers,
        Comparison::Servers,
        None,
        &[
            SpecArg(API_ARGS, "etcd-servers"),
            Spec("etcd.external.endpoints"),
        ],
        "none of these servers is one of those that hold the cluster's data",
    )
    .instead("to move to other endpoints of the same etcd, list both, apply, then remove the old"),
    cluster(
        Source::Flag(ETCD, "data-dir"),
        Comparison::Path,
        None,
        &[SpecArg(ETCD_ARGS, "data-dir"), Spec("etcd.local.dataDir")],
        WHY_DATA,
    ),
    cluster(
        Source::Flag(ETCD, "wal-dir"),
        Comparison::Path,
        None,
        &[SpecArg(ETCD_ARGS, "wal-dir")],
        WHY_DATA,
    ),
    cluster(
        Source::Flag(ETCD, "force-new-cluster"),
        Comparison::NeverSet,
        None,
        &[SpecArg(ETCD_ARGS, "force-new-cluster")],
        "with it, each restart of etcd makes a cluster of its own out of one member",
    ),
    cluster(
        Source::Flag(ETCD, "initial-cluster-token"),
        Comparison::Text,
        Some("etcd-cluster"),
        &[SpecArg(ETCD_ARGS, "initial-cluster-token")],
        "etcd reads it when the cluster is made, and members that join later need the same",
    ),
    cluster(
        Source::EtcdVersion,
        Comparison::EtcdVersion,
        None,
        &[Spec("etcd.local.imageTag")],
        "etcd can't read data of a later minor version, and must not skip one",
    ),
    cluster(
        Source::Flag(API_SERVER, "etcd-prefix"),
        Comparison::Path,
        Some("/registry"),
        &[SpecArg(API_ARGS, "etcd-prefix")],
        "the API servers would find no object under another prefix",
    ),
    cluster(
        Source::Flag(CONTROLLER_MANAGER, "cluster-cidr"),
        Comparison::GrowingNetworks,
        None,
        &[
            SpecArg(MANAGER_ARGS, "cluster-cidr"),
            Spec("networking.podSubnet"),
        ],
        WHY_PODS,
    )
    .instead(MORE_PODS),
    cluster(
        Source::Flag(CONTROLLER_MANAGER, "node-cidr-mask-size"),
        Comparison::Text,
        Some("24"),
        &[SpecArg(MANAGER_ARGS, "node-cidr-mask-size")],
        WHY_MASK,
    ),
    cluster(
        Source::Flag(CONTROLLER_MANAGER, "node-cidr-mask-size-ipv4"),
        Comparison::Text,
        Some("24"),
        &[SpecArg(MANAGER_ARGS, "node-cidr-mask-size-ipv4")],
        WHY_MASK,
    ),
    cluster(
        Source::Flag(CONTROLLER_MANAGER, "node-cidr-mask-size-ipv6"),
        Comparison::Text,
        Some("64"),
        &[SpecArg(MANAGER_ARGS, "node-cidr-mask-size-ipv6")],
        WHY_MASK,
    ),
    cluster(
        Source::Flag(API_SERVER, "service-cluster-ip-range"),
        Comparison::Networks,
        Some("10.0.0.0/24"),
        &[
            SpecArg(API_ARGS, "service-cluster-ip-range"),
            Spec("networking.serviceSubnet"),
        ],
        WHY_SERVICES,
    )
    .instead(MORE_SERVICES),
    cluster(
        Source::Flag(CONTROLLER_MANAGER, "service-cluster-ip-range"),
        Comparison::Networks,
        None,
        &[
            SpecArg(MANAGER_ARGS, "service-cluster-ip-range"),
            Spec("networking.serviceSubnet"),
        ],
        WHY_SERVICES,
    )
    .instead(MORE_SERVICES),
    cluster(
        Source::Kubelet("clusterDomain"),
        Comparison::Domain,
        None,
        &[
            Layered("kubelet.config.clusterDomain"),
            Spec("networking.dnsDomain"),
        ],
        WHY_DOMAIN,
    ),
    cluster(
        Source::KubeletFlag("cluster-domain"),
        Comparison::Domain,
        None,
        &[LayeredArg(KUBELET_ARGS, "cluster-domain")],
        WHY_DOMAIN,
    ),
    cluster(
        Source::List(API_SERVER, "service-account-issuer"),
        Comparison::Issuers,
        None,
        &[
            SpecArg(API_ARGS, "service-account-issuer"),
            Spec("networking.dnsDomain"),
        ],
        "every token of a service account that exists would be refused",
    )
    .instead(
        "to change the issuer, give the argument twice, the new one first, and remove the old \
         one once no token of it is left",
    ),
    cluster(
        Source::PodNetwork,
        Comparison::PodNetwork,
        None,
        &[Spec("networking.cni.type")],
        "pods keep the network that they were started with, and two networks on a node break \
         each other",
    ),
    cluster(
        Source::CertificatesDir,
        Comparison::Path,
        None,
        &[Spec("certificatesDir")],
        "kubelets, kubeadm and what else reads the certificates would go on with the old ones",
    ),
    cluster(
        Source::Flag(CONTROLLER_MANAGER, "cluster-name"),
        Comparison::Text,
        Some("kubernetes"),
        &[SpecArg(MANAGER_ARGS, "cluster-name"), Spec("clusterName")],
        "kubeconfigs that were handed out name it, and cloud resources are named after it",
    ),
    cluster(
        Source::Flag(API_SERVER, "secure-port"),
        Comparison::Text,
        Some("6443"),
        &[
            SpecArg(API_ARGS, "secure-port"),
            Own("localAPIEndpoint.bindPort"),
            Spec("localAPIEndpoint.bindPort"),
        ],
        "nodes and kubeconfigs that were handed out reach the API servers at this port",
    ),
    cluster(
        Source::Flag(API_SERVER, "encryption-provider-config"),
        Comparison::Kept,
        None,
        &[SpecArg(API_ARGS, "encryption-provider-config")],
        "the API servers could no longer read what they have encrypted",
    )
    .instead(
        "to end encryption, keep the argument, make `identity: {}` the first provider in its \
         file, and rewrite all Secrets",
    ),
    cluster(
        Source::Kubelet("staticPodPath"),
        Comparison::Path,
        None,
        &[Layered("kubelet.config.staticPodPath")],
        "the static pods would not be started from there: a control plane would stop",
    ),
    host(
        Source::NodeName,
        Comparison::Text,
        None,
        &[
            LayeredArg(KUBELET_ARGS, "hostname-override"),
            Own("nodeRegistration.name"),
            Own("name"),
        ],
        "a kubelet's certificate is valid for its Node's name only, and a Node can't be renamed",
    ),
    host(
        Source::Role,
        Comparison::Text,
        None,
        &[Own("roles")],
        "what makes a control plane is neither added to nor taken off a node that runs",
    ),
    host(
        Source::Flag(API_SERVER, "advertise-address"),
        Comparison::Addresses,
        None,
        &[
            SpecArg(API_ARGS, "advertise-address"),
            Own("localAPIEndpoint.advertiseAddress"),
            Spec("localAPIEndpoint.advertiseAddress"),
            Own("address"),
            Own("localAPIEndpoint.advertiseAddress"),
        ],
        WHY_ADDRESS,
    ),
    host(
        Source::Flag(ETCD, "initial-advertise-peer-urls"),
        Comparison::Urls,
        None,
        &[
            SpecArg(ETCD_ARGS, "initial-advertise-peer-urls"),
            Own("localAPIEndpoint.advertiseAddress"),
            Spec("localAPIEndpoint.advertiseAddress"),
            Own("address"),
            Own("localAPIEndpoint.advertiseAddress"),
        ],
        WHY_ADDRESS,
    ),
    host(
        Source::Flag(ETCD, "name"),
        Comparison::Text,
        None,
        &[
            SpecArg(ETCD_ARGS, "name"),
            Own("nodeRegistration.name"),
            Own("name"),
        ],
        "etcd's members know each other by their names",
    ),
    host(
        Source::NodeAddress,
        Comparison::NodeAddresses,
        None,
        &[
            LayeredArg(KUBELET_ARGS, "node-ip"),
            Own("localAPIEndpoint.advertiseAddress"),
            Own("address"),
        ],
        "pods on the host's network and the API know the node by this address",
    ),
    host(
        Source::Socket,
        Comparison::Path,
        None,
        &[
            LayeredArg(KUBELET_ARGS, "container-runtime-endpoint"),
            Layered("nodeRegistration.criSocket"),
        ],
        "the containers that run belong to the runtime behind this socket, and would go on \
         beside those of another",
    ),
    host(
        Source::Kubelet("cgroupDriver"),
        Comparison::Text,
        Some("cgroupfs"),
        &[Layered("kubelet.config.cgroupDriver")],
        WHY_CGROUPS,
    ),
    host(
        Source::Containerd("SystemdCgroup"),
        Comparison::Text,
        Some("false"),
        &[
            Within("runtime.containerd.config", "SystemdCgroup"),
            Layered("kubelet.config.cgroupDriver"),
        ],
        WHY_CGROUPS,
    ),
    host(
        Source::Containerd("root"),
        Comparison::Path,
        Some("/var/lib/containerd"),
        &[Spec("runtime.containerd.config.root")],
        WHY_RUNTIME,
    ),
    host(
        Source::Containerd("state"),
        Comparison::Path,
        Some("/run/containerd"),
        &[Spec("runtime.containerd.config.state")],
        WHY_RUNTIME,
    ),
    host(
        Source::KubeletFlag("root-dir"),
        Comparison::Path,
        Some("/var/lib/kubelet"),
        &[LayeredArg(KUBELET_ARGS, "root-dir")],
        "the kubelet would lose sight of its pods' volumes",
    ),
    host(
        Source::KubeletFlag("cert-dir"),
        Comparison::Path,
        Some("/var/lib/kubelet/pki"),
        &[LayeredArg(KUBELET_ARGS, "cert-dir")],
        "the kubelet's certificate is in this directory",
    ),
];

const WHY_CGROUPS: &str = "containers that run are in cgroups of the present driver";
const WHY_RUNTIME: &str = "the runtime would lose sight of the containers that run";

/// What setting a value back is not enough for.
pub(super) fn is_for_new_clusters(rule: &Rule) -> Option<&'static str> {
    (rule.scope == Scope::Cluster && rule.instead.is_none() && rule.source != Source::Version)
        .then_some(NEW_CLUSTER)
}
