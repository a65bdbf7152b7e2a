//! Where Kubernetes comes from.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::resolver::Resolver;
use super::syntax;
use super::syntax::Problem;
use crate::inventory::cluster::Artifacts;
use crate::inventory::spec::{ArtifactSource, ArtifactsSpec};
use crate::inventory::yaml::FieldPath;

/// Where Kubernetes comes from. What the directory holds is not looked at.
pub(super) fn resolve_artifacts(
    given: &ArtifactsSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Artifacts {
    let path_at = at.key("path");
    match (given.source, &given.path) {
        (ArtifactSource::Directory, None) => resolver.report(
            Fault::error(at, "`source: directory` needs a `path`")
                .help("set it to the directory that contains `linux-amd64/` and `SHA256SUMS`"),
        ),
        (ArtifactSource::Online, Some(_)) => resolver.report(
            Fault::error(&path_at, "`path` has no effect with `source: online`")
                .help("set `source: directory`, or remove `path`"),
        ),
        _ => {}
    }
    let path = given.path.as_ref().map(|path| resolver.local_path(path));
    if let Some(path) = path.as_ref().filter(|path| !path.is_dir())
        && given.source == ArtifactSource::Directory
    {
        // A warning only: the directory may be filled after this check.
        resolver.report(
            Fault::warning(&path_at, "this directory does not exist yet")
                .label(path.display().to_string()),
        );
    }
    let mirrors = &given.mirrors;
    for (field, url) in [
        ("kubernetes", &mirrors.kubernetes),
        ("cniPlugins", &mirrors.cni_plugins),
        ("criTools", &mirrors.cri_tools),
    ] {
        if let Some(url) = url {
            let at = at.key("mirrors").key(field);
            resolver.check(&at, syntax::check_url(url, &["https", "http"]));
        }
    }
    let checksums_file = given
        .checksums_file
        .as_ref()
        .map(|file| resolver.require_file(&at.key("checksumsFile"), file));
    Artifacts {
        source: given.source,
        path,
        mirrors: given.mirrors.clone(),
        checksums: resolve_checksums(&given.checksums, &at.key("checksums"), resolver),
        checksums_file,
    }
}

fn resolve_checksums(
    given: &BTreeMap<String, String>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> BTreeMap<String, String> {
    let mut checksums = BTreeMap::new();
    for (path, sum) in given {
        let at = at.key(path);
        resolver.check_key(&at, path, check_path(path));
        resolver.check(&at, check_sum(sum));
        checksums.insert(path.clone(), sum.to_ascii_lowercase());
    }
    checksums
}

/// A path below a mirror's URL.
fn check_path(path: &str) -> Result<(), Problem> {
    let is_plain =
        !path.contains("://") && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_plain {
        return Ok(());
    }
    Err(
        "must be a path below the mirror's URL, such as `v1.36.2/bin/linux/amd64/kubelet`"
            .to_owned(),
    )
}

fn check_sum(sum: &str) -> Result<(), Problem> {
    if sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err("must be a SHA-256: 64 hexadecimal digits".to_owned())
}
