//! Whether the registries can be reached from which containerd has to pull.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::Finding;
use super::report::Report;
use super::subject::Subject;
use crate::host::error::HostError;
use crate::host::wire::{Sections, quote, word};
use crate::inventory::Tree;
use ssh::Script;

/// kubeadm's name for it.
const CHECK: &str = "ImagePull";

/// Where containerd looks for mirrors unless it is told otherwise.
const CERTS: &str = "./etc/containerd/certs.d";

/// A registry from which a host has to pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its name, as references have it.
    pub name: String,
    /// The images, by their full references.
    pub images: Vec<String>,
    /// Where to ask, in this order: the inventory's mirrors, then itself.
    pub urls: Vec<String>,
}

/// What a host said about one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It can be reached, or need not be.
    Open,
    /// It can't, and why: escaped.
    Closed(String),
}

/// The registries of some images. `mirrors` are containerd's settings in the inventory.
pub fn registries(images: &[&str], mirrors: &Tree) -> Vec<Registry> {
    let mut found: BTreeMap<&str, Registry> = BTreeMap::new();
    for reference in images {
        let name = reference.split('/').next().unwrap_or_default();
        let registry = found.entry(name).or_insert_with(|| Registry {
            name: name.to_owned(),
            images: Vec::new(),
            urls: urls(name, mirrors),
        });
        registry.images.push((*reference).to_owned());
    }
    found.into_values().collect()
}

fn urls(name: &str, settings: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for value in settings.values() {
        mirrors_in(value, name, &mut found);
    }
    found.push(match name {
        "docker.io" => "https://registry-1.docker.io/v2/".to_owned(),
        name => format!("https://{name}/v2/"),
    });
    found
}

/// `registry.mirrors.NAME.endpoint`, whichever plugin has it.
fn mirrors_in(value: &Value, name: &str, found: &mut Vec<String>) {
    let Some(table) = value.as_object() else {
        return;
    };
    let of = |name: &str| {
        let endpoints = table.get("registry")?.get("mirrors")?.get(name)?;
        endpoints.get("endpoint")?.as_array()
    };
    let endpoints = of(name).or_else(|| of("*"));
    found.extend(
        endpoints
            .into_iter()
            .flatten()
            .filter_map(|one| Some(one.as_str()?.to_owned())),
    );
    for value in table.values() {
        mirrors_in(value, name, found);
    }
}

/// The addresses in the text of a hosts.toml.
pub fn mirrors_of(hosts_toml: &str) -> Vec<String> {
    let quoted = |line: &str| Some(line.split('"').nth(1)?.to_owned());
    let line = |line: &str| {
        let line = line.trim();
        let is_one = line.starts_with("[host.") || line.starts_with("server");
        is_one.then(|| quoted(line)).flatten()
    };
    hosts_toml.lines().filter_map(line).collect()
}

/// The probe for one host.
///
/// # Errors
///
/// A name or address that the script can't carry.
pub fn ask_registries(registries: &[Registry]) -> Result<Script, HostError> {
    let mut lines = Vec::new();
    for one in registries {
        let mut words = vec![word("registry", &one.name)?.to_owned()];
        for image in &one.images {
            word("image", image)?;
        }
        words.push(one.images.join(","));
        for url in &one.urls {
            words.push(word("registry", url)?.to_owned());
        }
        lines.push(words.join(" "));
    }
    let mut text = format!("registries={}\n", quote(&lines.join("\n")));
    text += &format!(
        "certs={}\n",
        quote(&format!("{CERTS} ./etc/docker/certs.d"))
    );
    Ok(Script {
        name: "reach registries".into(),
        text: text + include_str!("../scripts/registries.sh"),
        input: Vec::new(),
    })
}

/// Reads what that script said.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn parse_registries(raw: &[u8]) -> Result<BTreeMap<String, Way>, HostError> {
    let sections = Sections::parse(raw, "registries")?;
    let line = |line: &String| {
        let (name, verdict) = line.split_once(' ')?;
        let way = match verdict.split_once(' ') {
            None => Way::Open,
            Some((_, why)) => Way::Closed(why.to_owned()),
        };
        Some((name.to_owned(), way))
    };
    Ok(sections
        .text("registries")
        .iter()
        .filter_map(line)
        .collect())
}

/// Judges what one host reaches.
pub fn check_registries(
    subject: &Subject<'_>,
    registries: &[Registry],
    ways: &BTreeMap<String, Way>,
) -> Vec<Finding> {
    let mut report = Report::new(subject.host);
    for one in registries {
        if let Some(Way::Closed(why)) = ways.get(&one.name) {
            report.error(
                CHECK,
                format!(
                    "can't reach {}, from which {} would be pulled: {why}",
                    one.name,
                    text::count(one.images.len(), "image"),
                ),
                "let the host reach it; or name a proxy in /etc/environment, a mirror in \
                 /etc/containerd/certs.d (or `imageRepository`), or a directory that has the \
                 images (artifacts.path)",
            );
        }
    }
    if report.is_empty() {
        report.pass(CHECK);
    }
    report.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_from_their_registries_and_from_mirrors() {
        let mirrors = serde_json::json!({"io.containerd.cri.v1.images": {"registry": {"mirrors": {
            "registry.k8s.io": {"endpoint": ["http://mirror:5000"]}}}}});
        let mut settings = Tree::new();
        settings.insert("plugins".into(), mirrors);
        let images = [
            "registry.k8s.io/pause:3.10",
            "docker.io/library/haproxy:3",
            "registry.k8s.io/etcd:1",
        ];
        let found: Vec<String> = registries(&images, &settings)
            .iter()
            .map(|one| format!("{} {} {}", one.name, one.images.len(), one.urls.join(" ")))
            .collect();
        assert_eq!(
            found,
            [
                "docker.io 1 https://registry-1.docker.io/v2/",
                "registry.k8s.io 2 http://mirror:5000 https://registry.k8s.io/v2/",
            ]
        );
        let text =
            "server = \"https://a\"\n\n[host.\"https://b:5000\"]\n  capabilities = [\"pull\"]\n";
        assert_eq!(mirrors_of(text), ["https://a", "https://b:5000"]);
    }
}
