//! What kubelet and container runtime read beside what is ours.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::gathered::{Beside, ManifestFile};
use crate::host::wire::Sections;
use crate::layout::paths;

/// The client certificate.
const CLIENT: &str = paths::KUBELET_CLIENT_CURRENT;

/// Reads it from the probe's answer.
pub(super) fn read_beside(sections: &Sections<'_>) -> Beside {
    let mut beside = Beside::default();
    for line in sections.text("beside") {
        let Some((kind, rest)) = line.split_once(' ') else {
            continue;
        };
        match kind {
            "manifest" => beside.manifests.extend(manifest(rest)),
            "network" => {
                let name = rest.rsplit('/').next().unwrap_or(rest);
                beside.networks.push(name.to_owned());
            }
            "unit" => beside.units.push(absolute(rest)),
            "arguments" => beside.arguments.extend(arguments(rest)),
            _ => {}
        }
    }
    beside
}

/// When the kubelet's client certificate ends. An unreadable one is the kubelet's to complain
/// about.
pub(super) fn read_client_end(sections: &Sections<'_>) -> Option<Timestamp> {
    let client = read_certificates(sections);
    let pem = client.get(&format!("{}/{CLIENT}", paths::KUBELET_PKI))?;
    Some(pki::inspect(pem).ok()?.not_after)
}

/// The kubelet's certificates, by path.
pub(super) fn read_certificates(sections: &Sections<'_>) -> BTreeMap<String, String> {
    let names = [CLIENT, "kubelet-server-current.pem", "kubelet.crt"];
    let certificates = names.iter().filter_map(|name| {
        let path = format!("{}/{name}", paths::KUBELET_PKI);
        let lines = sections.text(&format!("certificate .{path}"));
        (!lines.is_empty()).then(|| (path, lines.join("\n")))
    });
    certificates.collect()
}

/// `ours|other COMPONENT|- PATH`.
fn manifest(text: &str) -> Option<ManifestFile> {
    let mut words = text.splitn(3, ' ');
    let (whose, component) = (words.next()?, words.next()?);
    Some(ManifestFile {
        path: absolute(words.next()?),
        is_ours: whose == "ours",
        component: (component != "-").then(|| component.to_owned()),
    })
}

/// `PATH:LINE`.
fn arguments(text: &str) -> Option<(String, String)> {
    let (path, line) = text.split_once(':')?;
    Some((absolute(path), line.to_owned()))
}

fn absolute(path: &str) -> String {
    path.strip_prefix('.').unwrap_or(path).to_owned()
}
