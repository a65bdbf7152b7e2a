//! What each host and the API should hold: a pure function of inventory, PKI and facts.

use std::net::IpAddr;
use std::sync::Arc;

use pki::Pki;
use serde_json::Value;
use zeroize::Zeroizing;

use super::artifacts;
use super::etcd_members::Membership;
use super::target::{Target, joins_again, owns};
use crate::artifacts::Set;
use crate::cluster::survey::Surveyed;
use crate::host::{Content, Facts, FileResource, LostEtcdData, Owner, Resource};
use crate::inventory::{Cluster, Etcd, Host};
use crate::kubernetes::anonymous::may_ask_health;
use crate::kubernetes::file_readers::readers_of_file;
use crate::kubernetes::{
    ClusterContext, ControlPlane, Endpoints, KeyPair, NodeContext, ObjectGroup, Patches,
    ResourceGroup, Templates, Token, TokenSecret, applied_set,
};
use crate::layout::paths;
use crate::run::error::Error;
use crate::run::phase::Phase;
use crate::{host, kubernetes};

/// What everything is rendered from.
#[derive(Clone)]
pub(crate) struct Context {
    /// What the cluster should be.
    pub(crate) cluster: Arc<Cluster>,
    /// The endpoints of the API.
    pub(crate) endpoints: Endpoints,
    /// The address that the first control plane advertises.
    pub(crate) first_address: IpAddr,
    /// The facts of the first control plane.
    pub(crate) first_facts: Facts,
    /// Certificates and keys.
    pub(crate) pki: Arc<Pki>,
    /// Binaries, plugins and images; `None` if not needed.
    pub(crate) artifacts: Option<Arc<Set>>,
    /// The templates.
    pub(crate) templates: Arc<Templates>,
    /// The user's patches.
    pub(crate) patches: Arc<Patches>,
    /// The token that workers join with in this run.
    pub(crate) token: Token,
    /// What the etcd manifests list.
    pub(crate) etcd: Membership,
    /// Whether there is a cluster already: its API has responded once.
    pub(crate) exists: bool,
    /// The identity of the cluster, which receipts name.
    pub(crate) owner: Owner,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// All resources of a host, each with its phase.
    ///
    /// # Errors
    /// A template, patch or setting that does not render; artifacts that lack something the
    /// host needs.
    pub(crate) fn resources(&self, target: &Target<'_>) -> Result<Vec<(Phase, Resource)>, Error> {
        let mut resources = Vec::new();
        let hosts = |resource| (Phase::Hosts, resource);
        for resource in self.prepare(target)? {
            // Static pods are restarted with the rest of their control plane.
            let phase = match &resource {
                Resource::File(file) if !file.static_pods.is_empty() => Phase::ControlPlane,
                _ => Phase::Hosts,
            };
            resources.push((phase, resource));
        }
        if let Some(artifacts) = &self.artifacts {
            let brought = artifacts::resources(&self.cluster, artifacts, target)?;
            resources.extend(brought.into_iter().map(hosts));
        }
        if target.host.is_control_plane() {
            let dir = &self.cluster.certificates_dir;
            resources.extend(self.pki.files_for(&target.host.name).map(|file| {
                let resource = FileResource {
                    path: format!("{dir}/{}", file.path),
                    content: Content::Bytes(Zeroizing::new(file.content.as_bytes().to_vec())),
                    mode: file.mode,
                    owner: "root:root".into(),
                    secret: file.mode == 0o600,
                    seed: false,
                    notify: Vec::new(),
                    static_pods: Vec::new(),
                    merged: None,
                };
                let readers = kubernetes::static_pods::readers_of(&file.path);
                (
                    Phase::ControlPlane,
                    Resource::File(resource.restarts(readers)),
                )
            }));
        }
        if target.host.is_control_plane() {
            resources.extend(
                self.lost_etcd_data(target)
                    .map(|data| (Phase::ControlPlane, data)),
            );
            let files = external_etcd(&self.cluster)?;
            resources.extend(files.into_iter().map(|file| (Phase::ControlPlane, file)));
        }
        for (group, resource) in kubernetes::node_resources(&self.node(target)?)? {
            resources.push((phase_of_resources(group, target.host), resource));
        }
        // Resources from an earlier inventory that are no longer in it.
        let balancers = kubernetes::load_balancer::withdrawn_resources(&self.cluster, target.host);
        let phase = phase_of_resources(ResourceGroup::LoadBalancer, target.host);
        resources.extend(balancers.into_iter().map(|resource| (phase, resource)));
        let units = kubernetes::network::withdrawn_units(&self.cluster);
        resources.extend(units.into_iter().map(|unit| (Phase::Network, unit)));
        Ok(resources)
    }

    /// The files that components on a host are started with, as far as they render.
    ///
    /// # Errors
    /// A host whose address is not known.
    pub(crate) fn component_files(&self, target: &Target<'_>) -> Result<Vec<FileResource>, Error> {
        Ok(kubernetes::component_files(&self.node(target)?))
    }

    /// All API objects, each with its phase.
    ///
    /// # Errors
    /// A template or patch that does not render.
    pub(crate) fn objects(&self) -> Result<Vec<(Phase, Value)>, Error> {
        let now = jiff::Timestamp::now();
        let tokens: Vec<TokenSecret> = self
            .cluster
            .bootstrap_tokens
            .iter()
            .map(|token| TokenSecret::from_inventory(token, now))
            .collect::<Result<_, _>>()?;
        let objects = kubernetes::objects(&self.cluster_view(&tokens))?;
        let phased = |(group, mut object)| {
            let phase = phase_of_objects(group);
            applied_set::mark(&mut object, phase.name());
            (phase, object)
        };
        Ok(objects.into_iter().map(phased).collect())
    }

    /// Whether the inventory says what CoreDNS's Corefile is.
    pub(crate) fn brings_corefile(&self) -> bool {
        self.cluster.dns.corefile.is_some() || self.templates.replaces("objects/coredns.yaml.j2")
    }

    /// The binding that makes the admin one.
    pub(crate) fn cluster_admins(&self) -> Result<Value, Error> {
        Ok(kubernetes::cluster_admins(&self.cluster_view(&[]))?)
    }

    /// Who may read the uploaded certificates.
    pub(crate) fn upload_certs_rbac(&self) -> Result<Vec<(Phase, Value)>, Error> {
        let objects = kubernetes::upload_certs_rbac(&self.cluster_view(&[]))?;
        let phased = |object| (Phase::UploadCerts, object);
        Ok(objects.into_iter().map(phased).collect())
    }

    /// The admin kubeconfig.
    pub(crate) fn admin_kubeconfig(&self) -> Result<Zeroizing<String>, Error> {
        let first = self
            .cluster
            .control_planes()
            .next()
            .map_or("", |host| host.name.as_str());
        let leaf = self
            .pki
            .leaf(first, "kubeconfig/admin")
            .ok_or_else(|| Error::Usage {
                message: format!(
                    "there is no admin certificate for {first} in the state directory"
                ),
                hint: Some("run phase certs first".into()),
            })?;
        Ok(kubernetes::admin_kubeconfig(
            &self.cluster,
            &self.endpoints,
            self.pki.ca_cert(),
            KeyPair {
                cert: &leaf.cert,
                key: &leaf.key,
            },
        ))
    }

    /// Data of etcd on a host that its member must not start with, for it joins again.
    fn lost_etcd_data(&self, target: &Target<'_>) -> Option<Resource> {
        let Etcd::Local(local) = &self.cluster.etcd else {
            return None;
        };
        let replaced = self.etcd.has_lost_data(target.host)
            // An interrupted run has removed the manifest, but not the data.
            || target.joined && self.etcd.joins(target.host);
        replaced.then(|| {
            Resource::LostEtcdData(LostEtcdData {
                data_dir: local.data_dir.clone(),
            })
        })
    }

    /// The same with etcd manifests as they would be if they were written now.
    pub(crate) fn with_settled_etcd(&self) -> Self {
        Context {
            etcd: self.etcd.settled(),
            ..self.clone()
        }
    }

    /// Whether a host has joined this cluster.
    pub(crate) fn owns(&self, one: &Surveyed) -> bool {
        owns(self.pki.ca_cert(), one)
    }

    /// Whether a host has joined this cluster, and need not join again.
    pub(crate) fn is_in(&self, one: &Surveyed) -> bool {
        self.owns(one) && !joins_again(one)
    }

    /// The host's part of the cluster, and the user's own files.
    fn prepare(&self, target: &Target<'_>) -> Result<Vec<Resource>, Error> {
        let mut files = Vec::with_capacity(target.host.files.len());
        for file in &target.host.files {
            let cannot = |source| Error::File {
                what: "read",
                path: file.source.clone(),
                source,
            };
            let bytes = Zeroizing::new(std::fs::read(&file.source).map_err(cannot)?);
            let bytes = if file.template {
                let text = std::str::from_utf8(&bytes)
                    .map_err(|error| cannot(std::io::Error::other(error)))?;
                let rendered = self.node(target)?.render_file(&file.source, text)?;
                Zeroizing::new(rendered.into_bytes())
            } else {
                bytes
            };
            files.push(host::user_file(file, Content::Bytes(bytes)));
        }
        if target.host.is_control_plane() && !files.is_empty() {
            let manifests = kubernetes::component_files(&self.node(target)?);
            for file in &mut files {
                file.static_pods = readers_of_file(&manifests, &file.path);
            }
        }
        Ok(host::prepare_resources(
            &self.cluster,
            target.host,
            target.facts,
            files,
        ))
    }

    /// Where containerd finds CNI plugins: ours, or those of the host's distribution.
    fn cni_bin_dir<'a>(&'a self, facts: &'a Facts) -> &'a str {
        let offered = self
            .artifacts
            .as_ref()
            .and_then(|set| set.architectures.get(&facts.arch));
        let brought = offered.is_some_and(|offered| !offered.cni_plugins.is_empty());
        match &facts.cni_bin_dir {
            Some(dir) if !brought => dir,
            _ => paths::CNI_BIN_DIR,
        }
    }

    fn cluster_view<'a>(&'a self, tokens: &'a [TokenSecret]) -> ClusterContext<'a> {
        ClusterContext {
            cluster: &self.cluster,
            endpoints: &self.endpoints,
            advertise_address: self.first_address,
            facts: &self.first_facts,
            ca: self.pki.ca_cert(),
            tokens,
            templates: &self.templates,
            patches: &self.patches,
        }
    }

    /// Whether the API server of a host answers for its health without credentials.
    fn may_ask_health(&self, host: &Host) -> bool {
        let read = |path: &str| {
            // The last one of a path counts.
            let mut files = host.files.iter().rev();
            let file = files.find(|file| file.destination == path && !file.template)?;
            std::fs::read_to_string(&file.source).ok()
        };
        may_ask_health(&self.cluster.api_server.extra_args, read)
    }

    fn node<'a>(&'a self, target: &Target<'a>) -> Result<NodeContext<'a>, Error> {
        let pair = |base: &str| {
            self.pki
                .leaf(&target.host.name, &format!("kubeconfig/{base}"))
                .map(|leaf| KeyPair {
                    cert: &leaf.cert,
                    key: &leaf.key,
                })
        };
        let (etcd_members, etcd_joins) = self.etcd.of(target.host);
        let control_plane = match (
            pair("admin"),
            pair("controller-manager"),
            pair("scheduler"),
            pair("kubelet"),
        ) {
            (Some(admin), Some(controller_manager), Some(scheduler), Some(kubelet)) => {
                Some(ControlPlane {
                    admin,
                    super_admin: pair("super-admin"),
                    controller_manager,
                    scheduler,
                    kubelet,
                    kubelet_ended: target.facts.kubelet_has_ended(jiff::Timestamp::now()),
                    anonymous_health: self.may_ask_health(target.host),
                    external_ca: self.pki.external_ca,
                    etcd_members,
                    etcd_joins,
                })
            }
            _ => None,
        };
        Ok(NodeContext {
            cluster: &self.cluster,
            host: target.host,
            facts: target.facts,
            endpoints: &self.endpoints,
            ca: self.pki.ca_cert(),
            control_plane,
            bootstrap_token: (!target.joined).then_some(&self.token),
            cni_bin_dir: self.cni_bin_dir(target.facts),
            pod_cidrs: target.pod_cidrs,
            templates: &self.templates,
            patches: &self.patches,
        })
    }
}

/// The user's certificate files for an external etcd.
fn external_etcd(cluster: &Cluster) -> Result<Vec<Resource>, Error> {
    let Etcd::External(etcd) = &cluster.etcd else {
        return Ok(Vec::new());
    };
    let Some(paths) = kubernetes::etcd::external_paths(cluster) else {
        return Ok(Vec::new());
    };
    let pairs = [
        (&etcd.ca_file, paths.ca_file, 0o644),
        (&etcd.cert_file, paths.cert_file, 0o644),
        (&etcd.key_file, paths.key_file, 0o600),
    ];
    let mut files = Vec::new();
    for (source, path, mode) in pairs {
        let (Some(source), Some(path)) = (source, path) else {
            continue;
        };
        let content = std::fs::read(source).map_err(|error| Error::File {
            what: "read",
            path: source.clone(),
            source: error,
        })?;
        files.push(Resource::File(FileResource {
            path,
            content: Content::Bytes(Zeroizing::new(content)),
            mode,
            owner: "root:root".into(),
            secret: mode == 0o600,
            seed: false,
            notify: Vec::new(),
            static_pods: Vec::new(),
            merged: None,
        }));
    }
    Ok(files)
}

/// The phase of a run that writes a group of a host's resources. What a control
/// plane starts with is written in one go, before it is waited for.
fn phase_of_resources(group: ResourceGroup, host: &Host) -> Phase {
    let control_plane = host.is_control_plane();
    match group {
        ResourceGroup::ContainerRuntime | ResourceGroup::KubeletUnit => Phase::Hosts,
        ResourceGroup::PodNetwork => Phase::Network,
        ResourceGroup::LoadBalancer if !control_plane => Phase::LoadBalancer,
        ResourceGroup::LoadBalancer
        | ResourceGroup::Kubeconfig
        | ResourceGroup::Etcd
        | ResourceGroup::ControlPlane
        | ResourceGroup::KubeletStart => match control_plane {
            true => Phase::ControlPlane,
            false => Phase::Join,
        },
    }
}

/// The phase of a run that writes a group of objects.
fn phase_of_objects(group: ObjectGroup) -> Phase {
    match group {
        ObjectGroup::UploadConfig => Phase::UploadConfig,
        ObjectGroup::BootstrapToken => Phase::BootstrapToken,
        ObjectGroup::CoreDns | ObjectGroup::KubeProxy => Phase::Addons,
        ObjectGroup::PodNetwork => Phase::Network,
    }
}
