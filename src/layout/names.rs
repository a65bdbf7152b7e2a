//! Names in the API and in systemd: labels, annotations, objects, groups,
//! units.

/// The label, and the key of the taint, of control planes.
pub const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// What a node's role is read from: the label's rest is the role.
pub const NODE_ROLE_PREFIX: &str = "node-role.kubernetes.io/";
/// The label that keeps cloud load balancers away from control planes.
pub const EXCLUDE_FROM_LOAD_BALANCERS: &str =
    "node.kubernetes.io/exclude-from-external-load-balancers";

/// The Node's annotation that names the container runtime's socket, in minors
/// whose kubelet has no instance-config.yaml.
pub const CRI_SOCKET: &str = "kubeadm.alpha.kubernetes.io/cri-socket";
/// The annotation by which kubeadm knows a ConfigMap that it generated and may
/// generate again.
pub const COMPONENT_CONFIG_HASH: &str = "kubeadm.kubernetes.io/component-config.hash";
/// The annotation that restarts pods when a configuration changes that they
/// read only once. Ours.
pub const CONFIG_HASH: &str = "clusterctl.rs/config-hash";
/// Annotation of CoreDNS's ConfigMap: the hash of the Corefile that we wrote.
pub const COREFILE_HASH: &str = "clusterctl.rs/corefile-hash";
/// The Node's annotation that lists the inventory's taints, so that one that
/// leaves the inventory can leave the Node: the list of taints itself does not
/// say who added which. Ours.
pub const TAINTS: &str = "clusterctl.rs/taints";

/// The owner of the fields that we apply.
pub const FIELD_MANAGER: &str = "clusterctl-rs";
/// The ConfigMap in `kube-system` that is the parent of our applied set (KEP-3659): its
/// members are the objects that we may delete. Ours.
pub const APPLIED_SET: &str = "clusterctl-rs";
/// The parent's label that holds the set's ID.
pub const APPLY_SET_ID: &str = "applyset.kubernetes.io/id";
/// The members' label that holds the set's ID.
pub const APPLY_SET_PART_OF: &str = "applyset.kubernetes.io/part-of";
/// The parent's annotation that names the tool that owns the set.
pub const APPLY_SET_TOOLING: &str = "applyset.kubernetes.io/tooling";
/// The parent's annotation that lists the kinds of members.
pub const APPLY_SET_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// The parent's annotation that lists members' namespaces beside its own.
pub const APPLY_SET_NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// The members' label that names the phase that applies them, and may delete them. Ours.
pub const PHASE: &str = "clusterctl.rs/phase";

/// The namespace of Kubernetes' own objects.
pub const KUBE_SYSTEM: &str = "kube-system";
/// The namespace that anyone may read.
pub const KUBE_PUBLIC: &str = "kube-public";
/// The ConfigMap that holds `ClusterConfiguration`.
pub const KUBEADM_CONFIG: &str = "kubeadm-config";
/// The ConfigMap that holds the shared `KubeletConfiguration`.
pub const KUBELET_CONFIG: &str = "kubelet-config";
/// The Secret that holds uploaded certificates, encrypted.
pub const KUBEADM_CERTS: &str = "kubeadm-certs";
/// The ConfigMap in `kube-public` that tells joining nodes where the API is.
pub const CLUSTER_INFO: &str = "cluster-info";
/// What bootstrap tokens' Secrets are called, before the token's ID.
pub const BOOTSTRAP_TOKEN_PREFIX: &str = "bootstrap-token-";
/// The lease that decides which kube-vip holds the address (kube-vip's
/// default).
pub const KUBE_VIP_LEASE: &str = "plndr-cp-lock";
/// The lease that decides which run may change the cluster. Ours.
pub const RUN_LEASE: &str = "clusterctl-rs";
/// Its annotation that says whose run that is. Ours.
pub const RUN_OWNER: &str = "clusterctl.rs/owner";

/// The group that kubeadm's bootstrap tokens authenticate as.
pub const NODE_TOKEN_GROUP: &str = "system:bootstrappers:kubeadm:default-node-token";
/// The group of kubelets.
pub const NODES_GROUP: &str = "system:nodes";

/// The kubelet's unit.
pub const KUBELET_UNIT: &str = "kubelet.service";
/// containerd's unit.
pub const CONTAINERD_UNIT: &str = "containerd.service";
/// CRI-O's unit.
pub const CRIO_UNIT: &str = "crio.service";
/// The unit that connects a node's pods with those of others. Ours.
pub const POD_NETWORK_UNIT: &str = "clusterctl-pod-network.service";
