//! The probe that tells how Kubernetes fares on a host: one script, cheap
//! enough to run again and again.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::HostError;
use super::systemd::{UnitState, parse_units};
use super::wire::{Sections, clean, quote, relative};
use crate::inventory::{Cluster, Host};
use ssh::Script;

/// Most certificates that are kept of one host: three times what kubeadm makes.
const MAX_CERTIFICATES: usize = 64;

/// How Kubernetes fares on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Units by name: the kubelet's and those of container runtimes.
    pub units: BTreeMap<String, UnitState>,
    /// Whether the container runtime's socket is there.
    pub socket: bool,
    /// Version of the kubelet at hand, such as `v1.36.2`.
    pub kubelet_version: Option<String>,
    /// Whether it has the address that kube-vip holds on one of the control planes.
    pub virtual_address: bool,
    /// Certificates by the file that they are from: PEM text, unchecked.
    pub certificates: Vec<(String, String)>,
}

/// The script that asks a host.
///
/// # Errors
///
/// A path in the inventory that a script can't use.
pub fn vitals(cluster: &Cluster, host: &Host) -> Result<Script, HostError> {
    let socket = host.cri_socket.trim_start_matches("unix://");
    relative(socket)?;
    relative(&cluster.certificates_dir)?;
    let address = cluster.virtual_address();
    Ok(Script {
        name: "ask how it fares".into(),
        text: format!(
            "cri_socket={}\ncertificates_dir={}\nvirtual_address={}\n{}",
            quote(socket),
            quote(&cluster.certificates_dir),
            address
                .map(|address| address.to_string())
                .unwrap_or_default(),
            include_str!("scripts/vitals.sh")
        ),
        input: Vec::new(),
    })
}

/// Reads what [`vitals`]'s script said.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn parse_vitals(raw: &[u8]) -> Result<Vitals, HostError> {
    let sections = Sections::parse(raw, "vitals")?;
    let version = sections.text("kubelet");
    let files = sections
        .starting("certificate ")
        .map(|(path, lines)| (path, lines.join(&b'\n')));
    // In kubeconfigs, PEM is in base64.
    let embedded = sections
        .starting("kubeconfig ")
        .filter_map(|(path, lines)| {
            let data = lines.iter().find(|line| !line.is_empty())?;
            Some((path, STANDARD.decode(data.trim_ascii()).ok()?))
        });
    let certificates = files
        .chain(embedded)
        .take(MAX_CERTIFICATES)
        .map(|(path, pem)| {
            let path = clean(path.strip_prefix('.').unwrap_or(path).as_bytes());
            (path, String::from_utf8_lossy(&pem).into_owned())
        })
        .collect();
    Ok(Vitals {
        units: parse_units(&sections.text("units")),
        socket: sections.text("socket").iter().any(|line| line == "socket"),
        virtual_address: sections.text("address").iter().any(|line| line == "held"),
        kubelet_version: version
            .first()
            .and_then(|line| line.split_whitespace().nth(1))
            .filter(|word| word.starts_with('v'))
            .map(str::to_owned),
        certificates,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAID: &[u8] = b"@@clusterctl vitals 1
@@section units
Id=kubelet.service
LoadState=loaded
ActiveState=activating
UnitFileState=enabled

@@section socket
socket
@@section address
held
@@section kubelet
Kubernetes v1.36.2
@@section certificate ./etc/kubernetes/pki/ca.crt
-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
@@section kubeconfig ./etc/kubernetes/admin.conf
UEVN
@@section kubeconfig ./etc/kubernetes/kubelet.conf

@@end
";

    #[test]
    fn what_a_host_says_is_read() {
        let vitals = parse_vitals(SAID).unwrap();
        assert_eq!(vitals.units["kubelet.service"].active, "activating");
        assert!(vitals.socket && vitals.virtual_address);
        assert_eq!(vitals.kubelet_version.as_deref(), Some("v1.36.2"));
        assert_eq!(
            vitals.certificates,
            [
                (
                    "/etc/kubernetes/pki/ca.crt".into(),
                    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into()
                ),
                ("/etc/kubernetes/admin.conf".into(), "PEM".into()),
            ]
        );
    }

    #[test]
    fn an_answer_that_was_cut_off_is_none() {
        let cut = &SAID[..SAID.len() - 7];
        assert!(matches!(
            parse_vitals(cut),
            Err(HostError::Truncated { .. })
        ));
    }
}
