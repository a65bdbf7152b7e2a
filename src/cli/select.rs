//! Which hosts the command line means: names, patterns, ranges and groups of the inventory.

use text::glob::matches;

use crate::inventory::{self, Cluster};
use crate::run::error::Error;

/// The hosts that `words` mean, as names and patterns each of which matches a host; empty if
/// `words` is.
///
/// # Errors
/// A word that means no host, an invalid range, a range of which a host does not exist: they
/// are most likely typos.
pub(super) fn select_hosts(words: &[String], cluster: &Cluster) -> Result<Vec<String>, Error> {
    let mut selected = Vec::new();
    for word in words {
        let all = expand(word)?;
        let is_range = all.len() > 1;
        for word in all {
            if cluster.hosts.iter().any(|host| matches(&word, &host.name)) {
                selected.push(word);
            } else if is_range && cluster.removed_hosts.contains(&word) {
                // One of the inventory's range, which is still what the others are named by.
            } else {
                selected.extend(members(&word, cluster).ok_or_else(|| no_host(&word, cluster))?);
            }
        }
    }
    Ok(selected)
}

/// The exact names that `words` mean; of hosts that are marked as removed, too. Patterns are
/// not accepted: what is added or removed is named.
///
/// # Errors
/// As [`select_hosts`].
pub(super) fn name_hosts(words: &[String], cluster: &Cluster) -> Result<Vec<String>, Error> {
    let is_host = |word: &String| {
        cluster.removed_hosts.contains(word) || cluster.hosts.iter().any(|host| host.name == *word)
    };
    let mut named: Vec<String> = Vec::new();
    for word in words {
        if word.contains(['*', '?']) {
            return Err(Error::Usage {
                message: format!("`{word}` is a pattern"),
                hint: Some("name each host, or a range or group of them".into()),
            });
        }
        for word in expand(word)? {
            let names = match is_host(&word) {
                true => vec![word],
                false => members(&word, cluster).ok_or_else(|| no_host(&word, cluster))?,
            };
            for name in names {
                if !named.contains(&name) {
                    named.push(name);
                }
            }
        }
    }
    Ok(named)
}

/// The words that a range stands for, or the word itself.
pub(super) fn expand(word: &str) -> Result<Vec<String>, Error> {
    inventory::expand_range(word).map_err(|why| Error::Usage {
        message: format!("`{word}` {why}"),
        hint: Some("write ranges as in the inventory, and quote them: 'worker[01:20]'".into()),
    })
}

/// The hosts of a group; `None` if there is no such group, or no host in it.
fn members(group: &str, cluster: &Cluster) -> Option<Vec<String>> {
    let of_group = cluster
        .hosts
        .iter()
        .filter(|host| host.groups.iter().any(|one| one == group));
    let names: Vec<String> = of_group.map(|host| host.name.clone()).collect();
    (!names.is_empty()).then_some(names)
}

/// The error for a word that means no host.
pub(super) fn no_host(word: &str, cluster: &Cluster) -> Error {
    let removed = cluster.removed_hosts.iter().any(|name| matches(word, name));
    Error::Usage {
        message: format!("no host or group matches `{word}`"),
        hint: Some(match removed {
            true => "it has been removed (spec.removedHosts in the inventory); add it back with \
                     `clusterctl-rs add-node`"
                .into(),
            false => describe_hosts(word, cluster),
        }),
    }
}

/// The name that was most probably meant, and what there is.
fn describe_hosts(word: &str, cluster: &Cluster) -> String {
    const SHOWN: usize = 12;
    let hosts: Vec<&str> = cluster
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    let mut groups: Vec<&str> = cluster
        .hosts
        .iter()
        .flat_map(|host| host.groups.iter().map(String::as_str))
        .collect();
    groups.sort_unstable();
    groups.dedup();
    let list = |names: &[&str]| match names.len() {
        n if n > SHOWN => format!("{}, … ({n} in total)", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    };
    let mut text = String::new();
    let known = hosts.iter().chain(&groups).copied();
    if let Some(closest) = inventory::find_closest(word, known) {
        text = format!("did you mean `{closest}`? ");
    }
    text += &format!("the hosts are {}", list(&hosts));
    if !groups.is_empty() {
        text += &format!("; the groups are {}", list(&groups));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        let text = "apiVersion: clusterctl.rs/v1alpha1
kind: Cluster
metadata: {name: demo}
spec:
  kubernetesVersion: v1.36.2
  groups: {web: {labels: {tier: web}}, db: {}}
  removedHosts: [w05]
  hosts:
    - {name: cp1, address: 192.0.2.1, roles: [control-plane]}
    - {name: 'w[01:03]', address: '192.0.2.1[1:3]', roles: [worker], groups: [web]}
    - {name: 'w[04:05]', address: '192.0.2.1[4:5]', roles: [worker], groups: [web, db]}
    - {name: db, address: 192.0.2.30, roles: [worker]}
";
        inventory::parse(text, "inventory.yaml", std::path::Path::new("/"))
            .unwrap()
            .0
    }

    fn said(result: Result<Vec<String>, Error>) -> String {
        match result {
            Ok(names) => names.join(" "),
            Err(error) => format!("{error}; {}", error.hint().unwrap()),
        }
    }

    fn select(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        said(select_hosts(&words, &cluster()))
    }

    fn name(word: &str) -> String {
        said(name_hosts(&[word.to_owned()], &cluster()))
    }

    #[test]
    fn hosts_are_selected_as_the_inventory_writes_them() {
        assert_eq!(select(&[]), "");
        assert_eq!(select(&["cp1", "w0*"]), "cp1 w0*");
        assert_eq!(select(&["w[01:03]"]), "w01 w02 w03");
        // Without the one that was removed.
        assert_eq!(select(&["w[04:05]"]), "w04");
        assert_eq!(select(&["web"]), "w01 w02 w03 w04");
        assert_eq!(select(&["?[01:02]"]), "?01 ?02");
        // A host's own name counts more than a group's.
        assert_eq!(select(&["db"]), "db");
        assert_eq!(name("w[04:05]"), "w04 w05");
        assert_eq!(name("web"), "w01 w02 w03 w04");
    }

    #[test]
    fn what_means_no_host_is_told_with_what_was_meant() {
        insta::assert_snapshot!(
            [select(&["w[1:3]"]), select(&["wbe"]), select(&["w[01:06]"]), select(&["w[3:1]"]),
             select(&["w[01:03"]), name("w0*")].join("\n"), @r"
            no host or group matches `w1`; did you mean `w01`? the hosts are cp1, w01, w02, w03, w04, db; the groups are db, web
            no host or group matches `wbe`; did you mean `web`? the hosts are cp1, w01, w02, w03, w04, db; the groups are db, web
            no host or group matches `w06`; did you mean `w01`? the hosts are cp1, w01, w02, w03, w04, db; the groups are db, web
            `w[3:1]` has a descending range `[3:1]`; write ranges as in the inventory, and quote them: 'worker[01:20]'
            `w[01:03` has an unclosed `[`; write ranges as in the inventory, and quote them: 'worker[01:20]'
            `w0*` is a pattern; name each host, or a range or group of them
            ");
    }
}
