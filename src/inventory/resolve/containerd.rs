//! The container runtime.

use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::cluster::Containerd;
use crate::inventory::spec::{ContainerdSpec, defaults};
use crate::inventory::yaml::FieldPath;

/// containerd's settings; a free-form config has to be of version 3.
pub(super) fn resolve_containerd(
    given: &ContainerdSpec,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) -> Containerd {
    let at = at.key("runtime").key("containerd");
    let managed = given.managed.unwrap_or(defaults::CONTAINERD_MANAGED);
    let config_at = at.key("config");
    if let Some(version) = given.config.get("version")
        && version.as_u64() != Some(3)
    {
        resolver.report(
            Fault::error(
                &config_at.key("version"),
                "containerd's config must be version 3",
            )
            .help("`containerd config migrate` converts an older one"),
        );
    }
    if !managed && !given.config.is_empty() {
        resolver.report(
            Fault::warning(&config_at, "`config` has no effect with `managed: false`").at_key(),
        );
    }
    Containerd {
        managed,
        config: given.config.clone(),
    }
}
