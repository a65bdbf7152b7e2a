//! What a field is where the file leaves it out. The schema names these values, and
//! `resolve` takes them: a default is written down here and nowhere else.

use crate::layout::{paths, ports};

/// `spec.certificatesDir`.
pub(crate) const CERTIFICATES_DIR: &str = paths::CERTIFICATES_DIR;
/// `spec.imageRepository`.
pub(crate) const IMAGE_REPOSITORY: &str = "registry.k8s.io";
/// `spec.certificateValidityPeriod`: one year.
pub(crate) const CERTIFICATE_VALIDITY: &str = "8760h";
/// `spec.certificateRenewBefore`: 30 days.
pub(crate) const CERTIFICATE_RENEW_BEFORE: &str = "720h";
/// `spec.caCertificateValidityPeriod`: ten years.
pub(crate) const CA_CERTIFICATE_VALIDITY: &str = "87600h";
/// `spec.localAPIEndpoint.bindPort`: as kubeadm.
pub(crate) const BIND_PORT: u16 = ports::API_SERVER;
/// `spec.networking.podSubnet`.
pub(crate) const POD_SUBNET: &str = "10.244.0.0/16";
/// `spec.networking.serviceSubnet`.
pub(crate) const SERVICE_SUBNET: &str = "10.96.0.0/12";
/// `spec.networking.dnsDomain`.
pub(crate) const DNS_DOMAIN: &str = "cluster.local";
/// `spec.etcd.local.dataDir`.
pub(crate) const ETCD_DATA_DIR: &str = paths::ETCD_DATA_DIR;
/// `nodeRegistration.criSocket`: containerd's socket, where every package puts it.
pub(crate) const CRI_SOCKET: &str = "unix:///var/run/containerd/containerd.sock";
/// `bootstrapTokens[].ttl`.
pub(crate) const TOKEN_TTL: &str = "24h";
/// `files[].owner`.
pub(crate) const FILE_OWNER: &str = "root:root";
/// `files[].mode`.
pub(crate) const FILE_MODE: &str = "0644";
/// The same with `files[].secret`.
pub(crate) const SECRET_FILE_MODE: &str = "0600";
/// `rollout.maxUnavailable`.
pub(crate) const MAX_UNAVAILABLE: usize = 1;
/// `ssh.port`, unless `~/.ssh/config` has another.
pub(crate) const SSH_PORT: u16 = 22;
/// `ssh.agent`.
pub(crate) const SSH_AGENT: bool = true;
/// `ssh.connectTimeout`, unless `~/.ssh/config` has another.
pub(crate) const SSH_CONNECT_TIMEOUT: &str = "10s";
/// `ssh.useSshConfig`.
pub(crate) const SSH_USE_CONFIG: bool = true;
/// `timeouts.controlPlaneComponentHealthCheck`.
pub(crate) const CONTROL_PLANE_HEALTH_TIMEOUT: &str = "4m";
/// `timeouts.kubeletHealthCheck`.
pub(crate) const KUBELET_HEALTH_TIMEOUT: &str = "4m";
/// `timeouts.kubernetesAPICall`.
pub(crate) const API_CALL_TIMEOUT: &str = "1m";
/// `timeouts.etcdAPICall`.
pub(crate) const ETCD_CALL_TIMEOUT: &str = "2m";
/// `timeouts.tlsBootstrap`.
pub(crate) const TLS_BOOTSTRAP_TIMEOUT: &str = "5m";
/// `timeouts.nodeReady`.
pub(crate) const NODE_READY_TIMEOUT: &str = "5m";
/// `runtime.containerd.managed`.
pub(crate) const CONTAINERD_MANAGED: bool = true;
/// `artifacts.mirrors.kubernetes`.
pub(crate) const KUBERNETES_MIRROR: &str = "https://dl.k8s.io";
/// `artifacts.mirrors.cniPlugins`.
pub(crate) const CNI_PLUGINS_MIRROR: &str =
    "https://github.com/containernetworking/plugins/releases/download";
/// `artifacts.mirrors.criTools`.
pub(crate) const CRI_TOOLS_MIRROR: &str =
    "https://github.com/kubernetes-sigs/cri-tools/releases/download";
