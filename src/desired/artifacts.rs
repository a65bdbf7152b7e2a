//! Binaries and images: where they come from, and which host gets which.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::target::Target;
use crate::artifacts::{File, OnlineRequest, Set};
use crate::host::{Content, FileResource, ImagePull, Resource};
use crate::inventory::{ArtifactSource, Cluster, ContainerRuntime, ImagePullPolicy, LoadBalancer};
use crate::kubernetes::Images;
use crate::layout::programs::Programs;
use crate::layout::{components, names, paths};
use crate::run::Run;
use crate::run::error::Error;
use crate::run::events::{Event, Events};
use crate::{artifacts, host, kubernetes};

/// Binaries, and whether they are required; others are installed if the artifacts contain
/// them.
const BINARIES: [(&str, bool); 4] = [
    (components::KUBELET, true),
    ("kubectl", false),
    ("kubeadm", false),
    ("crictl", false),
];

/// How often the progress of a download is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// The file of the cache that remembers checksums.
const HASHES: &str = "hashes.json";

/// Opens the artifacts from the inventory, for the hosts' architectures.
pub(crate) async fn open(run: &Run, architectures: BTreeSet<String>) -> Result<Set, Error> {
    let wanted = &run.cluster.artifacts;
    let cache = match &run.options.cache {
        Some(dir) => dir.clone(),
        None => cache()?,
    };
    if let (ArtifactSource::Directory, Some(path)) = (wanted.source, &wanted.path) {
        let hashes = cache.join(HASHES);
        return Ok(artifacts::open_directory(path, &architectures, &hashes).await?);
    }
    let request = request(&run.cluster, cache, architectures)?;
    if !run.options.downloads {
        return Ok(artifacts::open_cached(&request).await?);
    }
    download(&request, run.events()).await
}

/// Downloads to the user's cache what is missing there, whatever `artifacts.source` is.
///
/// # Errors
/// As [`artifacts::fetch`].
pub(crate) async fn fetch(
    cluster: &Cluster,
    architectures: BTreeSet<String>,
    events: &Events,
) -> Result<Set, Error> {
    download(&request(cluster, cache()?, architectures)?, events).await
}

/// Refuses mirrors that could not be verified, without asking them anything.
///
/// # Errors
/// A list of checksums that can't be read, files that nothing vouches for.
pub(crate) fn check_sources(cluster: &Cluster) -> Result<(), Error> {
    if cluster.artifacts.source == ArtifactSource::Online {
        let checksums = checksums(cluster)?;
        artifacts::check_sources(cluster.version, &cluster.artifacts.mirrors, &checksums)?;
    }
    Ok(())
}

/// The inventory's own checksums.
fn checksums(cluster: &Cluster) -> Result<BTreeMap<String, String>, Error> {
    let wanted = &cluster.artifacts;
    let mut checksums = match &wanted.checksums_file {
        Some(file) => artifacts::read_checksums(file)?,
        None => BTreeMap::new(),
    };
    checksums.extend(wanted.checksums.clone());
    Ok(checksums)
}

fn request(
    cluster: &Cluster,
    cache: PathBuf,
    architectures: BTreeSet<String>,
) -> Result<OnlineRequest, Error> {
    Ok(OnlineRequest {
        version: cluster.version,
        architectures,
        mirrors: cluster.artifacts.mirrors.clone(),
        checksums: checksums(cluster)?,
        hashes: cache.join(HASHES),
        cache,
        retry_delay: Duration::from_secs(1),
    })
}

async fn download(request: &OnlineRequest, events: &Events) -> Result<Set, Error> {
    // Chunks arrive by the thousand; a bar needs at most ten updates a second.
    let shown: Mutex<HashMap<String, Instant>> = Mutex::default();
    let progress = |progress: artifacts::Progress| {
        let complete = progress.total == Some(progress.done);
        if !complete && !is_due(&shown, &progress.file) {
            return;
        }
        events.emit(Event::Downloading {
            file: progress.file.clone(),
            bytes: progress.done,
            total: progress.total,
        });
        if complete {
            events.note(format!("downloaded {}", progress.file));
        }
    };
    Ok(artifacts::fetch(request, &progress).await?)
}

/// Whether enough time has passed since `file` was last shown. If so, records that it is
/// shown now.
fn is_due(shown: &Mutex<HashMap<String, Instant>>, file: &str) -> bool {
    let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let due = shown
        .get(file)
        .is_none_or(|last| now.duration_since(*last) >= SHOWN_EVERY);
    if due {
        shown.insert(file.to_owned(), now);
    }
    due
}

/// The cache of checksums, so that a second run does not read gigabytes again.
pub(crate) fn hashes() -> Result<PathBuf, Error> {
    Ok(cache()?.join(HASHES))
}

fn cache() -> Result<PathBuf, Error> {
    artifacts::default_cache_dir().ok_or_else(|| Error::Usage {
        message: "there is no home directory for the cache".into(),
        hint: Some("set XDG_CACHE_HOME".into()),
    })
}

/// Sets image tags to those in the archives if ours are not among them: a patch release may
/// use another etcd, CoreDNS or pause. Tags from the inventory are kept.
pub(crate) fn fit(cluster: &Cluster, set: &Set) -> Cluster {
    let mut fitted = cluster.clone();
    let images = kubernetes::images(cluster);
    let offer = |wanted: &str| -> Option<String> {
        let (name, tag) = wanted.rsplit_once(':')?;
        let tags: BTreeSet<&str> = set
            .references()
            .filter_map(|reference| reference.rsplit_once(':'))
            .filter(|(other, _)| *other == name)
            .map(|(_, tag)| tag)
            .collect();
        match tags.first() {
            Some(only) if tags.len() == 1 && *only != tag => Some((*only).to_owned()),
            _ => None,
        }
    };
    if let crate::inventory::Etcd::Local(etcd) = &mut fitted.etcd
        && etcd.image_tag.is_none()
    {
        etcd.image_tag = images.etcd.as_deref().and_then(offer);
    }
    if fitted.dns.image_tag.is_none() {
        fitted.dns.image_tag = images.coredns.as_deref().and_then(offer);
    }
    fitted.pause_image_tag = offer(&images.pause);
    let balancer = match &mut fitted.load_balancer {
        LoadBalancer::Local { image } => Some((image, kubernetes::images::HAPROXY)),
        LoadBalancer::KubeVip { image, .. } => Some((image, kubernetes::images::KUBE_VIP)),
        LoadBalancer::None | LoadBalancer::External => None,
    };
    if let Some((image @ None, default)) = balancer {
        *image = offered_balancer(set, default);
    }
    fitted
}

/// The only image in the archives with the same last name component as `default`, from any
/// registry; `None` if it is `default` itself, or if there is none or more than one.
fn offered_balancer(set: &Set, default: &str) -> Option<String> {
    let name = program(default)?;
    let offered: BTreeSet<&str> = set
        .references()
        .filter(|reference| program(reference) == Some(name))
        .collect();
    match offered.first() {
        Some(only) if offered.len() == 1 && *only != default => Some((*only).to_owned()),
        _ => None,
    }
}

/// The last component of an image's repository.
fn program(reference: &str) -> Option<&str> {
    let last = reference.rsplit('/').next()?;
    last.split([':', '@']).next()
}

/// The binaries, plugins and images for a host.
///
/// # Errors
/// A missing kubelet, archives of another version.
pub(crate) fn resources(
    cluster: &Cluster,
    set: &Set,
    target: &Target<'_>,
) -> Result<Vec<Resource>, Error> {
    let arch = &target.facts.arch;
    let directory = Programs::of(target.facts.uses_opt).directory;
    let mut resources = Vec::new();
    for (name, required) in BINARIES {
        match set.binary(arch, name) {
            Some(file) => {
                let mut resource = executable(file, format!("{directory}/{name}"));
                if name == components::KUBELET {
                    resource = resource.notify(names::KUBELET_UNIT);
                }
                resources.push(Resource::File(resource));
            }
            None if required && !has_version(target, cluster) => {
                return Err(Error::Usage {
                    message: format!(
                        "the artifacts contain no {name} for linux-{arch}, which {} needs",
                        target.host.name
                    ),
                    hint: Some(format!("add it as linux-{arch}/{name}, and to SHA256SUMS")),
                });
            }
            None => {}
        }
    }
    if let Some(offered) = set.architectures.get(arch) {
        for (name, file) in &offered.cni_plugins {
            let path = format!("{}/{name}", paths::CNI_BIN_DIR);
            resources.push(Resource::File(executable(file, path)));
        }
    }
    resources.extend(images(cluster, set, target)?);
    Ok(resources)
}

/// Whether a package has installed the kubelet in the version of the inventory, which is
/// good enough.
fn has_version(target: &Target<'_>, cluster: &Cluster) -> bool {
    target.facts.kubelet_version.as_deref() == Some(cluster.version.to_string().as_str())
}

fn executable(file: &File, path: String) -> FileResource {
    FileResource {
        path,
        content: Content::Local {
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            size: file.size,
        },
        mode: 0o755,
        owner: "root:root".into(),
        secret: false,
        seed: false,
        notify: Vec::new(),
        static_pods: Vec::new(),
        merged: None,
    }
}

/// Archives go to all hosts, except those that only the other role needs; hosts pull images
/// that are in no archive.
fn images(cluster: &Cluster, set: &Set, target: &Target<'_>) -> Result<Vec<Resource>, Error> {
    let images = kubernetes::images(cluster);
    let control_plane = target.host.is_control_plane();
    let needed = if control_plane {
        images.control_plane()
    } else {
        images.worker()
    };
    // An unused load balancer's archive is not an extra image of the user's: the same
    // directory may serve other clusters.
    let unused = |reference: &&str| {
        let wanted = images.haproxy.iter().chain(&images.kube_vip);
        [kubernetes::images::HAPROXY, kubernetes::images::KUBE_VIP]
            .iter()
            .any(|known| repository(known) == repository(reference))
            && !wanted.into_iter().any(|wanted| wanted == reference)
    };
    let elsewhere: BTreeSet<&str> = images
        .control_plane()
        .into_iter()
        .chain(images.worker())
        .chain(set.references().filter(unused))
        .filter(|reference| !needed.contains(reference))
        .collect();
    refuse_other_version(&images, set)?;
    // Others are not told what to pull: the kubelet does that when it starts a pod.
    if target.host.runtime() != ContainerRuntime::Containerd {
        return Ok(Vec::new());
    }
    let mut resources = Vec::new();
    let offered = set.architectures.get(&target.facts.arch);
    for archive in offered.iter().flat_map(|offered| &offered.images) {
        if archive
            .references
            .iter()
            .all(|reference| elsewhere.contains(reference.as_str()))
        {
            continue;
        }
        resources.push(Resource::ImageArchive(host::ImageArchive {
            archive: archive.path.clone(),
            sha256: archive.sha256.clone(),
            size: archive.size,
            references: archive.references.clone(),
        }));
    }
    if target.host.image_pull_policy != ImagePullPolicy::Never {
        resources.extend(
            needed
                .iter()
                .filter(|reference| set.archive_of(&target.facts.arch, reference).is_none())
                .map(|reference| {
                    Resource::ImagePull(ImagePull {
                        reference: (*reference).to_owned(),
                    })
                }),
        );
    }
    Ok(resources)
}

/// An image without its tag or digest.
fn repository(reference: &str) -> &str {
    let untagged = reference.split('@').next().unwrap_or(reference);
    match untagged.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => untagged,
    }
}

/// Fails if the archives are of another version than the inventory's: this would otherwise
/// show as a failing pull.
fn refuse_other_version(images: &Images, set: &Set) -> Result<(), Error> {
    let wanted = &images.kube_apiserver;
    let name = wanted
        .rsplit_once(':')
        .map_or(wanted.as_str(), |(name, _)| name);
    let offered: BTreeSet<&str> = set
        .references()
        .filter(|reference| {
            reference
                .rsplit_once(':')
                .is_some_and(|(other, _)| other == name)
        })
        .collect();
    if offered.is_empty() || offered.contains(wanted.as_str()) {
        return Ok(());
    }
    let offered: Vec<_> = offered.into_iter().collect();
    Err(Error::Usage {
        message: format!("the artifacts contain {}, not {wanted}", offered.join(", ")),
        hint: Some("set kubernetesVersion to their version, or use other artifacts".into()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::artifacts::{Arch, ImageArchive};
    use crate::inventory;

    fn cluster(more: &str) -> Cluster {
        let text = format!(
            "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
             kubernetesVersion: v1.36.2\n{more}  hosts:\n    - {{name: cp1, address: 192.0.2.11, \
             roles: [control-plane]}}\n"
        );
        inventory::parse(&text, "inventory.yaml", std::path::Path::new("/"))
            .unwrap()
            .0
    }

    fn offered(references: &[&str]) -> Set {
        let archive = |reference: &&str| ImageArchive {
            path: PathBuf::from("image.tar"),
            sha256: String::new(),
            size: 0,
            references: vec![(*reference).to_owned()],
        };
        let arch = Arch {
            images: references.iter().map(archive).collect(),
            ..Arch::default()
        };
        Set {
            architectures: [("amd64".to_owned(), arch)].into(),
        }
    }

    fn fitted(more: &str, references: &[&str]) -> Images {
        kubernetes::images(&fit(&cluster(more), &offered(references)))
    }

    #[test]
    fn what_archives_offer_decides_about_tags_that_nobody_chose() {
        let etcd = |more, references: &[&str]| fitted(more, references).etcd.unwrap();
        let newer = ["registry.k8s.io/etcd:3.6.11-0", "other/etcd:1"];
        assert_eq!(etcd("", &newer), "registry.k8s.io/etcd:3.6.11-0");
        let both = [
            "registry.k8s.io/etcd:3.6.11-0",
            "registry.k8s.io/etcd:3.6.12-0",
        ];
        assert_eq!(etcd("", &both), "registry.k8s.io/etcd:3.6.8-0");
        let ours = [
            "registry.k8s.io/etcd:3.6.11-0",
            "registry.k8s.io/etcd:3.6.8-0",
        ];
        assert_eq!(etcd("", &ours), "registry.k8s.io/etcd:3.6.8-0");
        let chosen = "  etcd: {local: {imageTag: 3.6.9-0}}\n";
        assert_eq!(etcd(chosen, &newer), "registry.k8s.io/etcd:3.6.9-0");

        let images = fitted("", &["registry.k8s.io/pause:3.11"]);
        assert_eq!(images.pause, "registry.k8s.io/pause:3.11");
    }

    #[test]
    fn the_balancer_is_the_one_that_archives_offer() {
        let local = "  loadBalancer: {type: local}\n";
        let haproxy = |more, references: &[&str]| fitted(more, references).haproxy;
        let default = Some(kubernetes::images::HAPROXY.to_owned());
        let mirrored = "mirror.example:5000/x/haproxy:3.0";
        assert_eq!(haproxy("", &[mirrored]), None);
        assert_eq!(haproxy(local, &[]), default);
        assert_eq!(haproxy(local, &["a/haproxy-exporter:1"]), default);
        assert_eq!(haproxy(local, &[mirrored]).as_deref(), Some(mirrored));
        assert_eq!(haproxy(local, &[mirrored, "b/haproxy:2"]), default);
        let chosen = "  loadBalancer: {type: local, image: \"c/haproxy:3\"}\n";
        assert_eq!(haproxy(chosen, &[mirrored]).as_deref(), Some("c/haproxy:3"));
    }

    fn archives(more: &str, control_plane: bool, set: &Set) -> Vec<String> {
        let cluster = fit(&cluster(more), set);
        let mut host = cluster.hosts[0].clone();
        if !control_plane {
            host.roles = vec![inventory::Role::Worker];
        }
        let facts = crate::host::Facts {
            arch: "amd64".into(),
            ..Default::default()
        };
        let target = Target {
            host: &host,
            facts: &facts,
            joined: false,
            pod_cidrs: &[],
        };
        let resources = images(&cluster, set, &target).unwrap();
        let references = |resource| match resource {
            Resource::ImageArchive(image) => image.references,
            _ => Vec::new(),
        };
        resources.into_iter().flat_map(references).collect()
    }

    #[test]
    fn archives_go_where_they_are_needed() {
        let haproxy = kubernetes::images::HAPROXY;
        let own = "example.com/own/haproxy:1";
        let etcd = "registry.k8s.io/etcd:3.6.8-0";
        let set = offered(&[haproxy, etcd, own]);
        let local = "  loadBalancer: {type: local}\n";
        // The user's own image of that name is an extra image like any other.
        assert_eq!(archives(local, true, &set), [etcd, own]);
        assert_eq!(archives(local, false, &set), [haproxy, own]);
        assert_eq!(archives("", true, &set), [etcd, own]);
        assert_eq!(archives("", false, &set), [own]);
    }

    #[test]
    fn archives_of_another_version_are_refused() {
        let images = kubernetes::images(&cluster(""));
        let other = offered(&["registry.k8s.io/kube-apiserver:v1.35.6"]);
        let error = refuse_other_version(&images, &other)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the artifacts contain registry.k8s.io/kube-apiserver:v1.35.6, \
             not registry.k8s.io/kube-apiserver:v1.36.2"
        );
        assert!(refuse_other_version(&images, &offered(&[])).is_ok());
    }
}
