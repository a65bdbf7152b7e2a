//! How a download is known to be what its publisher made.
//!
//! The inventory's own checksum decides, then the one that is built in. Without either, the
//! checksum that lies beside the file is believed, but only of a server that proves who it is:
//! over plain http, whoever can replace the file can replace its checksum.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::error::{ArtifactsError, Voucher};
use super::hashes::hex;
use super::items::{Item, items};
use super::known::known;
use crate::inventory::Version;
use crate::inventory::spec::Mirrors;

/// Architectures that Kubernetes is published for and lists of checksums speak of.
const COMMON: [&str; 2] = ["amd64", "arm64"];

/// What vouches for a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A SHA-256 that is known beforehand, and from where.
    Sum(String, Voucher),
    /// The checksum beside the file, on the same server.
    Published,
}

/// What vouches for an item, or `None` if nothing does.
pub(super) fn evidence(item: &Item, checksums: &BTreeMap<String, String>) -> Option<Evidence> {
    if let Some(sum) = checksums.get(&item.path) {
        return Some(Evidence::Sum(sum.clone(), Voucher::Inventory));
    }
    if let Some(sum) = known(&item.path) {
        return Some(Evidence::Sum(sum.to_owned(), Voucher::BuiltIn));
    }
    item.is_secure().then_some(Evidence::Published)
}

/// Refuses sources whose files nothing vouches for, before anything is asked of them.
pub(super) fn refuse_unverifiable(
    items: &[Item],
    checksums: &BTreeMap<String, String>,
) -> Result<(), ArtifactsError> {
    let paths: Vec<(String, String)> = items
        .iter()
        .filter(|item| evidence(item, checksums).is_none())
        .map(|item| (item.base.clone(), item.path.clone()))
        .collect();
    if paths.is_empty() {
        return Ok(());
    }
    Err(ArtifactsError::Unverifiable { paths })
}

/// Whether anything vouches for the files of at least one architecture. Which ones hosts have
/// is not known before they are asked.
///
/// # Errors
/// [`ArtifactsError::Unverifiable`].
pub fn check_sources(
    version: Version,
    mirrors: &Mirrors,
    checksums: &BTreeMap<String, String>,
) -> Result<(), ArtifactsError> {
    let check = |arch| refuse_unverifiable(&items(version, mirrors, arch), checksums);
    let lacking = |error: &ArtifactsError| match error {
        ArtifactsError::Unverifiable { paths } => paths.len(),
        _ => 0,
    };
    COMMON
        .into_iter()
        .map(check)
        .min_by_key(|checked| checked.as_ref().err().map_or(0, lacking))
        .unwrap_or(Ok(()))
}

/// The cache's directory for a release: its version, if all of it is as the publisher's known
/// checksums say. What else vouches for it is part of the name, so that no inventory gets what
/// another one's mirror has delivered.
pub(super) fn directory(
    version: Version,
    mirrors: &Mirrors,
    checksums: &BTreeMap<String, String>,
) -> String {
    let mut sources = String::new();
    for item in COMMON.iter().flat_map(|arch| items(version, mirrors, arch)) {
        match evidence(&item, checksums) {
            Some(Evidence::Sum(_, Voucher::BuiltIn)) => {}
            Some(Evidence::Sum(sum, _)) => sources += &format!("{sum}  {}\n", item.path),
            Some(Evidence::Published) | None => sources += &format!("{}\n", item.url()),
        }
    }
    if sources.is_empty() {
        return version.to_string();
    }
    let digest = hex(&Sha256::digest(sources));
    format!("{version}-{}", &digest[..12])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mirrored(url: &str) -> Mirrors {
        Mirrors {
            kubernetes: Some(url.into()),
            ..Mirrors::default()
        }
    }

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn sums(entries: &[(&str, char)]) -> BTreeMap<String, String> {
        let sum = |digit: &char| digit.to_string().repeat(64);
        entries
            .iter()
            .map(|(path, digit)| ((*path).to_owned(), sum(digit)))
            .collect()
    }

    const NEW: [(&str, char); 3] = [
        ("v1.38.0/bin/linux/arm64/kubelet", '1'),
        ("v1.38.0/bin/linux/arm64/kubectl", '2'),
        ("v1.38.0/bin/linux/arm64/kubeadm", '3'),
    ];

    #[test]
    fn plain_http_is_good_for_what_is_known_by_its_checksum() {
        let http = mirrored("http://mirror.example/k8s");
        let none = BTreeMap::new();
        check_sources(version("v1.36.2"), &http, &none).unwrap();
        check_sources(
            version("v1.38.0"),
            &mirrored("https://mirror.example"),
            &none,
        )
        .unwrap();
        check_sources(version("v1.38.0"), &http, &sums(&NEW)).unwrap();
        let error = check_sources(version("v1.38.0"), &http, &sums(&NEW[..2])).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @r"
        cannot verify downloads that are not https, because no SHA-256 is known of:
          http://mirror.example/k8s/v1.38.0/bin/linux/arm64/kubeadm
        use an https URL in `artifacts.mirrors`, or write what the publisher has beside each file (such as https://dl.k8s.io/v1.38.0/bin/linux/arm64/kubeadm.sha256) into the inventory: `artifacts: {checksums: {v1.38.0/bin/linux/arm64/kubeadm: SHA256}}`
        ");
    }

    #[test]
    fn the_inventory_counts_more_than_the_table() {
        let path = "v1.36.2/bin/linux/amd64/kubelet";
        let item = &items(version("v1.36.2"), &mirrored("http://m"), "amd64")[0];
        assert_eq!(item.path, path);
        let Some(Evidence::Sum(built_in, Voucher::BuiltIn)) = evidence(item, &BTreeMap::new())
        else {
            panic!("not built in");
        };
        let own = sums(&[(path, 'a')]);
        assert_eq!(
            evidence(item, &own),
            Some(Evidence::Sum("a".repeat(64), Voucher::Inventory))
        );
        assert_ne!(built_in, "a".repeat(64));
    }

    #[test]
    fn each_source_that_is_believed_has_its_own_directory() {
        let none = BTreeMap::new();
        let of = |text, mirrors: &Mirrors, sums| directory(version(text), mirrors, sums);
        let official = Mirrors::default();
        let (http, https) = (mirrored("http://m"), mirrored("https://m"));
        // What is verified by the table is the same wherever it comes from.
        assert_eq!(of("v1.36.2", &official, &none), "v1.36.2");
        assert_eq!(of("v1.36.2", &http, &none), "v1.36.2");
        let own = sums(&[("v1.36.2/bin/linux/amd64/kubelet", 'a')]);
        let other = sums(&[("v1.36.2/bin/linux/amd64/kubelet", 'b')]);
        let unrelated = sums(&[("v1.36.3/bin/linux/amd64/kubelet", 'b')]);
        assert_eq!(of("v1.36.2", &http, &unrelated), "v1.36.2");
        let all = [
            of("v1.36.2", &official, &none),
            of("v1.36.2", &http, &own),
            of("v1.36.2", &http, &other),
            of("v1.38.0", &official, &none),
            of("v1.38.0", &https, &none),
            of("v1.38.0", &https, &sums(&NEW)),
        ];
        let different: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(different.len(), all.len(), "{all:?}");
        assert!(all[3].starts_with("v1.38.0-"));
    }
}
