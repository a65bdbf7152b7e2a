//! The version of Kubernetes.

use std::ops::RangeInclusive;

use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::cluster::Version;
use crate::inventory::yaml::FieldPath;

/// Minor versions of Kubernetes whose flags and images we know.
pub(super) const SUPPORTED_MINORS: RangeInclusive<u32> = 33..=37;

pub(super) fn resolve_version(
    text: &str,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Option<Version> {
    let range = format!(
        "supported versions: v1.{} to v1.{}",
        SUPPORTED_MINORS.start(),
        SUPPORTED_MINORS.end()
    );
    let fault = match text.parse::<Version>() {
        Ok(version) if version.major == 1 && SUPPORTED_MINORS.contains(&version.minor) => {
            return Some(version);
        }
        Ok(version) => Fault::error(at, format!("Kubernetes {version} is not supported")),
        Err(_) => {
            let message = format!("`{at}` must have the form `v1.36.2`");
            let fault = Fault::error(at, message);
            match text.contains(['-', '+']) {
                true => fault.help("pre-releases and vendor builds are not supported"),
                false => fault,
            }
        }
    };
    resolver.report(fault.help(range));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::spec::schema;

    #[test]
    fn the_schema_names_the_supported_versions() {
        let field = &schema()["$defs"]["ClusterSpec"]["properties"]["kubernetesVersion"];
        let about = field["description"].as_str().unwrap_or_default();
        let (first, last) = (SUPPORTED_MINORS.start(), SUPPORTED_MINORS.end());
        let range = format!("v1.{first} to v1.{last}");
        assert!(about.contains(&range), "{about}");
    }
}
