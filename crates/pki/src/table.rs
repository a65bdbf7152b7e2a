//! The certificate table: the one place that says which certificates a kubeadm
//! cluster has (kubeadm v1.36).

use serde::Serialize;

/// The three certificate authorities of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ca {
    /// Signs the API server's certificate and all of its clients'.
    Kubernetes,
    /// Signs what the API server shows to extension API servers.
    FrontProxy,
    /// Signs everything that talks to or within etcd.
    Etcd,
}

impl Ca {
    /// All three, in the order in which they are made.
    pub const ALL: [Ca; 3] = [Ca::Kubernetes, Ca::FrontProxy, Ca::Etcd];

    /// File name below the PKI directory, without extension.
    pub const fn base(self) -> &'static str {
        match self {
            Ca::Kubernetes => "ca",
            Ca::FrontProxy => "front-proxy-ca",
            Ca::Etcd => "etcd/ca",
        }
    }

    /// Common name, which is also the only DNS SAN.
    pub(crate) const fn common_name(self) -> &'static str {
        match self {
            Ca::Kubernetes => "kubernetes",
            Ca::FrontProxy => "front-proxy-ca",
            Ca::Etcd => "etcd-ca",
        }
    }
}

/// How a leaf's common name comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommonName {
    /// The same on every node.
    Fixed(&'static str),
    /// The Node's name.
    Node,
    /// `system:node:` and the Node's name.
    KubeletUser,
}

/// The organization, which the API server reads as a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Organization {
    /// None.
    None,
    /// This one.
    Fixed(&'static str),
    /// `kubeadm:cluster-admins`, but only in patch releases before May 2026.
    LegacyClusterAdmins,
}

/// Which names and addresses a leaf carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SanRule {
    /// None: it is for clients only.
    None,
    /// Everything under which the API is reached.
    ApiServer,
    /// Everything under which this etcd member is reached by clients.
    EtcdServer,
    /// Everything under which this etcd member is reached by its peers.
    EtcdPeer,
}

/// Extended key usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// TLS servers.
    Server,
    /// TLS clients.
    Client,
    /// Both, as etcd's members are.
    ServerAndClient,
}

impl Usage {
    /// Whether a server may show the certificate.
    pub(crate) const fn server(self) -> bool {
        matches!(self, Usage::Server | Usage::ServerAndClient)
    }

    /// Whether a client may show it.
    pub(crate) const fn client(self) -> bool {
        matches!(self, Usage::Client | Usage::ServerAndClient)
    }
}

/// Where a leaf ends up on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// As a pair of files in the PKI directory.
    Files,
    /// Embedded in a kubeconfig.
    Kubeconfig,
}

/// One leaf certificate. Every leaf is a node's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafSpec {
    /// File name below the node's PKI directory, without extension.
    pub base: &'static str,
    /// Common name.
    pub(crate) common_name: CommonName,
    /// Organization.
    pub(crate) organization: Organization,
    /// Names and addresses.
    pub(crate) sans: SanRule,
    /// Extended key usage.
    pub(crate) usage: Usage,
    /// Who signs it.
    pub(crate) signer: Ca,
    /// Where it ends up.
    pub(crate) place: Place,
    /// Whether only the node that the cluster starts with has it.
    pub(crate) init_only: bool,
}

impl LeafSpec {
    /// Whether nodes have it embedded in a kubeconfig, and not as a pair of files.
    pub const fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Kubeconfig)
    }

    /// Whether it is the first certificate of a kubelet, which makes the next ones itself.
    pub const fn is_seed(&self) -> bool {
        matches!(self.common_name, CommonName::KubeletUser)
    }
}

const fn file_leaf(
    base: &'static str,
    common_name: CommonName,
    sans: SanRule,
    usage: Usage,
    signer: Ca,
) -> LeafSpec {
    LeafSpec {
        base,
        common_name,
        organization: Organization::None,
        sans,
        usage,
        signer,
        place: Place::Files,
        init_only: false,
    }
}

const fn user_leaf(
    base: &'static str,
    common_name: CommonName,
    organization: Organization,
    init_only: bool,
) -> LeafSpec {
    LeafSpec {
        base,
        common_name,
        organization,
        sans: SanRule::None,
        usage: Usage::Client,
        signer: Ca::Kubernetes,
        place: Place::Kubeconfig,
        init_only,
    }
}

/// Every leaf of a control plane, in kubeadm's order. With an external etcd,
/// those that [`Ca::Etcd`] signs fall away.
pub const LEAVES: &[LeafSpec] = {
    use CommonName::{Fixed, KubeletUser, Node};
    &[
        file_leaf(
            "apiserver",
            Fixed("kube-apiserver"),
            SanRule::ApiServer,
            Usage::Server,
            Ca::Kubernetes,
        ),
        LeafSpec {
            organization: Organization::LegacyClusterAdmins,
            ..file_leaf(
                "apiserver-kubelet-client",
                Fixed("kube-apiserver-kubelet-client"),
                SanRule::None,
                Usage::Client,
                Ca::Kubernetes,
            )
        },
        file_leaf(
            "front-proxy-client",
            Fixed("front-proxy-client"),
            SanRule::None,
            Usage::Client,
            Ca::FrontProxy,
        ),
        file_leaf(
            "etcd/server",
            Node,
            SanRule::EtcdServer,
            Usage::ServerAndClient,
            Ca::Etcd,
        ),
        file_leaf(
            "etcd/peer",
            Node,
            SanRule::EtcdPeer,
            Usage::ServerAndClient,
            Ca::Etcd,
        ),
        file_leaf(
            "etcd/healthcheck-client",
            Fixed("kube-etcd-healthcheck-client"),
            SanRule::None,
            Usage::Client,
            Ca::Etcd,
        ),
        file_leaf(
            "apiserver-etcd-client",
            Fixed("kube-apiserver-etcd-client"),
            SanRule::None,
            Usage::Client,
            Ca::Etcd,
        ),
        user_leaf(
            "kubeconfig/admin",
            Fixed("kubernetes-admin"),
            Organization::Fixed("kubeadm:cluster-admins"),
            false,
        ),
        user_leaf(
            "kubeconfig/super-admin",
            Fixed("kubernetes-super-admin"),
            Organization::Fixed("system:masters"),
            true,
        ),
        user_leaf(
            "kubeconfig/kubelet",
            KubeletUser,
            Organization::Fixed("system:nodes"),
            false,
        ),
        user_leaf(
            "kubeconfig/controller-manager",
            Fixed("system:kube-controller-manager"),
            Organization::None,
            false,
        ),
        user_leaf(
            "kubeconfig/scheduler",
            Fixed("system:kube-scheduler"),
            Organization::None,
            false,
        ),
    ]
};

/// The key pair that signs service account tokens. It has no certificate.
pub const SERVICE_ACCOUNT: &str = "sa";
