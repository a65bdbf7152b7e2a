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

/// Gates that change nothing here, with the value that would be one: accepting it would
/// promise what does not happen.
const WITHOUT_EFFECT: [(&str, bool, &str, &str); 4] = [
    (
        "RootlessControlPlane",
        true,
        "the control plane does not run without root here",
        "set `runAsUser` and the owners of its files by `patches`, or remove the gate",
    ),
    (
        "PublicKeysECDSA",
        true,
        "keys are chosen by `encryptionAlgorithm`",
        "set `encryptionAlgorithm: ECDSA-P256` instead",
    ),
    (
        "ControlPlaneKubeletLocalMode",
        false,
        "kubelets of control planes always use the API server of their own host",
        "remove the gate",
    ),
    (
        "WaitForAllControlPlaneComponents",
        false,
        "all components of a control plane are always waited for",
        "remove the gate",
    ),
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
    for (gate, on) in gates {
        let mut others = WITHOUT_EFFECT.iter();
        let Some((_, _, why, help)) = others.find(|(name, value, ..)| name == gate && value == on)
        else {
            continue;
        };
        let fault = Fault::error(&at.key("featureGates").key(gate), *why);
        resolver.report(fault.help(*help));
    }
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
