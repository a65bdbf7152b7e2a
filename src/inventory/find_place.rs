//! Finds what in an inventory a component complains about, once it runs, or doesn't.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::yaml::{Node, Source, Span, Value, parse_document};
use crate::layout::components;

/// Shorter words are in too many lines to mean anything.
const SHORTEST: usize = 3;

/// A place in an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// The place of what `complaint`, a line of the component's log on `host`, names: an
/// argument, a field or a value that the operator gave to it. `None` if nothing fits, or
/// the file can't be read by now.
pub fn find_place(file: &Path, component: &str, host: &str, complaint: &str) -> Option<Place> {
    let text = fs::read_to_string(file).ok()?;
    let (line, column) = search(&text, component, host, complaint)?;
    let here = std::env::current_dir().ok();
    let shown = here.and_then(|here| file.strip_prefix(here).ok().map(Path::to_owned));
    Some(Place {
        file: shown.unwrap_or_else(|| file.to_owned()),
        line,
        column,
    })
}

fn search(text: &str, component: &str, host: &str, complaint: &str) -> Option<(usize, usize)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Arc::new(Source::new("", text));
    let tree = parse_document(&source, &mut Vec::new())?;
    let spec = child(&tree, "spec")?;
    let settings = settings_of(spec, component, host);
    let words = words_of(complaint);
    let looks: [fn(&Node, &Look<'_>) -> Option<Span>; 3] = [find_argument, find_key, find_value];
    let look = Look { complaint, words };
    let found = looks.iter().find_map(|find| {
        let mut settings = settings.iter();
        settings.find_map(|node| find(node, &look))
    });
    Some(source.position(found?.start))
}

/// What is looked for.
struct Look<'a> {
    complaint: &'a str,
    words: BTreeSet<&'a str>,
}

/// Words of a log line: flags without their dashes, parts of paths of fields.
fn words_of(line: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    let whole = line.split(|c| !is_part(c));
    let whole = whole.map(|word| word.trim_matches(|c| "-./".contains(c)));
    let parts = whole.clone().flat_map(|word| word.split('.'));
    whole
        .chain(parts)
        .filter(|word| word.len() >= SHORTEST)
        .collect()
}

/// Where the operator says something about a component, the most specific first.
fn settings_of<'a>(spec: &'a Node, component: &str, host: &str) -> Vec<&'a Node> {
    let at = |path: &[&str]| path.iter().try_fold(spec, |node, key| child(node, key));
    let of_cluster: &[&[&str]] = match component {
        components::API_SERVER => &[&["apiServer"]],
        components::CONTROLLER_MANAGER => &[&["controllerManager"]],
        components::SCHEDULER => &[&["scheduler"]],
        components::ETCD => &[&["etcd", "local"]],
        components::KUBELET => &[&["kubelet"], &["nodeRegistration"]],
        "containerd" => &[&["runtime", "containerd"]],
        _ => &[],
    };
    let mut found = Vec::new();
    if component == components::KUBELET {
        let hosts = child(spec, "hosts").map_or(&[][..], items);
        let named = |node: &&Node| child(node, "name").and_then(Node::as_text) == Some(host);
        let (this, others): (Vec<&Node>, Vec<&Node>) = hosts.iter().partition(named);
        let groups = match child(spec, "groups").map(|groups| &groups.value) {
            Some(Value::Mapping(entries)) => entries.iter().map(|entry| &entry.value).collect(),
            _ => Vec::new(),
        };
        // A range of hosts has no name of one.
        let ranges = others.into_iter().filter(|node| {
            child(node, "name")
                .and_then(Node::as_text)
                .is_some_and(|name| name.contains('['))
        });
        for owner in this.into_iter().chain(ranges).chain(groups) {
            found.extend(child(owner, "kubelet"));
            found.extend(child(owner, "nodeRegistration"));
        }
    }
    found.extend(of_cluster.iter().filter_map(|path| at(path)));
    found
}

fn child<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Mapping(entries) => {
            let entry = entries.iter().find(|entry| entry.key == key)?;
            Some(&entry.value)
        }
        _ => None,
    }
}

fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(items) => items,
        _ => &[],
    }
}

/// The name of an argument that the complaint names.
fn find_argument(node: &Node, look: &Look<'_>) -> Option<Span> {
    if let Some(name) = child(node, "name")
        && let Some(text) = name.as_text()
        && look.words.contains(text.trim_start_matches('-'))
    {
        return Some(name.span.clone());
    }
    below(node, look, find_argument)
}

/// A key of the operator's that the complaint names.
fn find_key(node: &Node, look: &Look<'_>) -> Option<Span> {
    if let Value::Mapping(entries) = &node.value {
        let ours = ["name", "value", "config", "extraArgs", "kubelet"];
        let named = entries.iter().find(|entry| {
            look.words.contains(entry.key.as_str()) && !ours.contains(&entry.key.as_str())
        });
        if let Some(entry) = named {
            return Some(entry.key_span.clone());
        }
    }
    below(node, look, find_key)
}

/// A value that the complaint quotes.
fn find_value(node: &Node, look: &Look<'_>) -> Option<Span> {
    let text = match &node.value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return below(node, look, find_value),
    };
    let quoted = text.len() >= SHORTEST && look.complaint.contains(text.as_str());
    quoted.then(|| node.span.clone())
}

fn below(node: &Node, look: &Look<'_>, find: fn(&Node, &Look<'_>) -> Option<Span>) -> Option<Span> {
    match &node.value {
        Value::Mapping(entries) => entries.iter().find_map(|entry| find(&entry.value, look)),
        Value::Sequence(items) => items.iter().find_map(|item| find(item, look)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "spec:
  apiServer:
    extraArgs:
      - {name: v, value: '2'}
      - name: no-such-flag
        value: 'x'
      - {name: audit-policy-file, value: /etc/kubernetes/no.yaml}
  kubelet:
    config:
      evictionHard: {memory.available: lots}
      maxPodz: 3
  nodeRegistration:
    kubeletExtraArgs: [{name: max-pods, value: many}]
  hosts:
    - {name: w1, kubelet: {config: {maxPodz: 4}}}
";

    fn at(component: &str, host: &str, line: &str) -> Option<(usize, usize)> {
        search(TEXT, component, host, line)
    }

    #[test]
    fn what_a_component_refuses_is_found_in_its_settings() {
        let api = |line| at("kube-apiserver", "cp1", line);
        assert_eq!(api("unknown flag: --no-such-flag"), Some((5, 15)));
        assert_eq!(
            api("open /etc/kubernetes/no.yaml: no such file or directory"),
            Some((7, 42))
        );
        assert_eq!(at("etcd", "cp1", "unknown flag: --no-such-flag"), None);
        assert_eq!(api("something else"), None);
        let kubelet = |host| at("kubelet", host, "unknown field \"maxPodz\"");
        assert_eq!(kubelet("cp1"), Some((11, 7)));
        assert_eq!(kubelet("w1"), Some((15, 37)));
        assert_eq!(
            at(
                "kubelet",
                "cp1",
                "invalid argument \"many\" for \"--max-pods\" flag"
            ),
            Some((13, 31))
        );
    }
}
