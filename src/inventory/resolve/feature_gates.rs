//! kubeadm's feature gates.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::cluster::Version;
use crate::inventory::yaml::{FieldPath, find_closest, shorten};

/// kubeadm's feature gates with the minors that know them. A gate goes one
/// release after it was locked, and kubeadm refuses a configuration with a gate
/// that it doesn't know: in doubt a gate is left out.
const FEATURE_GATES: [(&str, RangeInclusive<u32>); 5] = [
    ("ControlPlaneKubeletLocalMode", 33..=35),
    ("NodeLocalCRISocket", 33..=36),
    ("PublicKeysECDSA", 33..=36),
    ("RootlessControlPlane", 33..=37),
    ("WaitForAllControlPlaneComponents", 33..=34),
];

/// Only gates that kubeadm of this version knows, for it refuses others.
pub(super) fn check_feature_gates(
    gates: &BTreeMap<String, bool>,
    version: Option<Version>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    let Some(version) = version else {
        return;
    };
    let known: Vec<&str> = FEATURE_GATES
        .iter()
        .filter(|(_, minors)| minors.contains(&version.minor))
        .map(|(name, _)| *name)
        .collect();
    for gate in gates.keys().filter(|gate| !known.contains(&gate.as_str())) {
        let name = shorten(gate);
        let message = format!("kubeadm {version} has no feature gate `{name}`");
        let mut fault = Fault::error(&at.key("featureGates").key(gate), message).at_key();
        fault = match find_closest(gate, known.iter().copied()) {
            Some(name) => fault.help(format!("did you mean `{name}`?")),
            None => fault.help(format!("known feature gates: {}", known.join(", "))),
        };
        resolver.report(fault.help(
            "feature gates of Kubernetes' own components are set by `extraArgs` (`feature-gates`) \
             and `kubelet.config.featureGates`",
        ));
    }
}
