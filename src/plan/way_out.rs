//! Asks hosts that are not nodes yet whether they reach the registries of what they have to pull.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt};

use crate::artifacts::{Set, default_cache_dir, open_directory};
use crate::cluster::survey::Surveyed;
use crate::desired::artifacts::{fit, hashes};
use crate::host::preflight::{
    Finding, Registry, Subject, check_registries, mirrors_of, registries,
};
use crate::inventory::{ArtifactSource, Cluster, Host, ImagePullPolicy};
use crate::kubernetes::images;
use crate::run::Run;
use crate::run::error::Error;

/// Judges the way out of each new host; costs a command on those that have to pull.
///
/// # Errors
/// A host that does not answer.
pub(super) async fn check_way_out(
    run: &Run,
    subjects: &[Subject<'_>],
    surveyed: &[Surveyed],
) -> Result<Vec<Finding>, Error> {
    let new = |subject: &&Subject<'_>| !subject.owned;
    if !subjects.iter().any(|subject| new(&subject)) {
        return Ok(Vec::new());
    }
    let set = offered(run, subjects).await;
    let cluster = &fit(&run.cluster, &set);
    let hosts = subjects.iter().zip(surveyed);
    let asked = hosts
        .filter(|(subject, _)| new(subject))
        .map(|(subject, one)| {
            let wanted = wanted(cluster, subject, &set);
            async move {
                if wanted.is_empty() {
                    return Ok::<_, Error>(Vec::new());
                }
                let ways = one.session.try_registries(&wanted).await;
                let ways = ways.map_err(|error| error.on(&subject.host.name))?;
                Ok(check_registries(subject, &wanted, &ways))
            }
        });
    let found: Vec<Vec<Finding>> = futures::stream::iter(asked)
        .buffered(run.options.parallel)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// What is in archives. What is wrong with them is told when they are opened to be used.
async fn offered(run: &Run, subjects: &[Subject<'_>]) -> Set {
    let wanted = &run.cluster.artifacts;
    let directory: Option<PathBuf> = match (wanted.source, &wanted.path) {
        (ArtifactSource::Directory, path) => path.clone(),
        (ArtifactSource::Online, _) => {
            let cache = run.options.cache.clone().or_else(default_cache_dir);
            cache.map(|cache| cache.join(run.cluster.version.to_string()))
        }
    };
    let facts = subjects.iter().map(|subject| &subject.gathered.facts);
    let architectures: BTreeSet<String> = facts.map(|facts| facts.arch.clone()).collect();
    let (Some(directory), Ok(hashes)) = (directory, hashes()) else {
        return Set::default();
    };
    let opened = open_directory(&directory, &architectures, &hashes).await;
    opened.unwrap_or_default()
}

/// The registries that a host needs.
fn wanted(cluster: &Cluster, subject: &Subject<'_>, set: &Set) -> Vec<Registry> {
    let (host, arch) = (subject.host, &subject.gathered.facts.arch);
    if host.image_pull_policy == ImagePullPolicy::Never {
        return Vec::new();
    }
    let images = images(cluster);
    let needed = match host.is_control_plane() {
        true => images.control_plane(),
        false => images.worker(),
    };
    let pulled: Vec<&str> = needed
        .into_iter()
        .filter(|reference| set.archive_of(arch, reference).is_none())
        .collect();
    let mut found = registries(&pulled, &cluster.containerd.config);
    for one in &mut found {
        let mut urls = mirrors_among_files(host, &one.name);
        urls.append(&mut one.urls);
        one.urls = urls;
    }
    found
}

/// Mirrors of a registry that `files` brings.
fn mirrors_among_files(host: &Host, registry: &str) -> Vec<String> {
    let places = [registry, "_default"];
    let mut files = host.files.iter();
    let file = files.find(|file| {
        let directory = file.destination.strip_suffix("/hosts.toml");
        let name = directory.and_then(|directory| directory.rsplit('/').next());
        name.is_some_and(|name| places.contains(&name))
    });
    let text = file.and_then(|file| std::fs::read_to_string(&file.source).ok());
    text.map(|text| mirrors_of(&text)).unwrap_or_default()
}
