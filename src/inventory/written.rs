//! Where an inventory writes a field: to point at the line that says what a running cluster
//! contradicts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::error::InventoryError;
use super::resolve::expand_name;
use super::yaml::{
    Diagnostic, Diagnostics, FieldPath, Level, Node, Source, Span, Value, parse_document,
};

/// A place where an inventory may write a setting. Paths are written with dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    /// A field below `spec`.
    Spec(&'static str),
    /// An argument in a list below `spec`.
    SpecArg(&'static str, &'static str),
    /// A key anywhere within a free-form field below `spec`.
    Within(&'static str, &'static str),
    /// A field of the host's own.
    Own(&'static str),
    /// A field of the host, else of its groups, else below `spec`.
    Layered(&'static str),
    /// An argument in such a list: that of the host replaces its groups'.
    LayeredArg(&'static str, &'static str),
}

/// Where a setting is written, or where it would be.
#[derive(Debug)]
pub(crate) struct Setting {
    span: Span,
    /// What the setting is called, in backticks.
    pub(crate) name: String,
    /// Whether the inventory writes it; else it has its default.
    pub(crate) is_written: bool,
}

/// An inventory's text and its tree.
pub(crate) struct WrittenInventory {
    source: Arc<Source>,
    tree: Node,
}

impl WrittenInventory {
    /// Reads the file again.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub(crate) fn read(path: &Path) -> Result<Self, InventoryError> {
        let text = fs::read_to_string(path).map_err(|error| InventoryError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
            hint: None,
        })?;
        WrittenInventory::parse(&text, &shown_path(path))
    }

    /// The same for a text that messages call `name`.
    ///
    /// # Errors
    /// A text that is no YAML.
    pub(crate) fn parse(text: &str, name: &str) -> Result<Self, InventoryError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Arc::new(Source::new(name, text));
        let mut diagnostics = Vec::new();
        match parse_document(&source, &mut diagnostics) {
            Some(tree) => Ok(WrittenInventory { source, tree }),
            None => Err(InventoryError::Invalid(Diagnostics::new(name, diagnostics))),
        }
    }

    /// Finds the first of several places that is written; where none is, the last one is
    /// where the setting would be.
    pub(crate) fn locate(&self, spots: &[Spot], host: Option<&str>) -> Setting {
        let candidates: Vec<Setting> = spots
            .iter()
            .flat_map(|spot| self.candidates(*spot, host))
            .collect();
        let written = candidates.iter().position(|place| place.is_written);
        let chosen = written.or(candidates.len().checked_sub(1));
        let chosen = chosen.and_then(|at| candidates.into_iter().nth(at));
        chosen.unwrap_or_else(|| self.field(&FieldPath::root().key("spec")))
    }

    /// An error at a place.
    pub(crate) fn error(&self, place: &Setting, message: String, label: String) -> Diagnostic {
        Diagnostic::new(&self.source, Level::Error, place.span.clone(), message).label(label)
    }

    /// What messages call the file.
    pub(crate) fn name(&self) -> &str {
        self.source.name()
    }

    /// The places that a spot means, in the order in which they count.
    fn candidates(&self, spot: Spot, host: Option<&str>) -> Vec<Setting> {
        let spec = FieldPath::root().key("spec");
        match spot {
            Spot::Spec(field) => vec![self.field(&below(&spec, field))],
            Spot::SpecArg(list, name) => vec![self.argument(&below(&spec, list), name)],
            Spot::Within(field, key) => self
                .key_within(&below(&spec, field), key)
                .into_iter()
                .collect(),
            Spot::Own(field) => self
                .entry_of(host)
                .map(|entry| self.field(&below(&entry, field)))
                .into_iter()
                .collect(),
            Spot::Layered(field) => self
                .layers(host)
                .iter()
                .map(|layer| self.field(&below(layer, field)))
                .collect(),
            Spot::LayeredArg(list, name) => {
                let mut lists = self.layers(host).into_iter().map(|at| below(&at, list));
                let given = lists.clone().find(|list| self.tree.find(list).is_some());
                given
                    .or_else(|| lists.next_back())
                    .map(|list| self.argument(&list, name))
                    .into_iter()
                    .collect()
            }
        }
    }

    fn field(&self, path: &FieldPath) -> Setting {
        Setting {
            span: self.tree.span_of(path),
            name: format!("`{path}`"),
            is_written: self.tree.find(path).is_some(),
        }
    }

    /// The last argument of this name, as it is the one that counts.
    fn argument(&self, list: &FieldPath, name: &str) -> Setting {
        let items = match self.tree.find(list).map(|node| &node.value) {
            Some(Value::Sequence(items)) => items.as_slice(),
            _ => &[],
        };
        let is_named = |item: &Node| {
            let given = item.find(&FieldPath::root().key("name"));
            given.and_then(Node::as_text) == Some(name)
        };
        let found = items.iter().rposition(is_named);
        let path = found.map(|index| list.index(index).key("value"));
        Setting {
            span: self.tree.span_of(path.as_ref().unwrap_or(list)),
            name: format!("`{name}` in `{list}`"),
            is_written: found.is_some(),
        }
    }

    /// The first key of this name at or below a field, by depth.
    fn key_within(&self, field: &FieldPath, key: &str) -> Option<Setting> {
        let mut open = vec![field.clone()];
        while let Some(path) = open.pop() {
            let Some(Value::Mapping(entries)) = self.tree.find(&path).map(|node| &node.value)
            else {
                continue;
            };
            for entry in entries {
                let path = path.key(&entry.key);
                if entry.key == key {
                    return Some(self.field(&path));
                }
                open.push(path);
            }
        }
        None
    }

    /// The host's entry, its groups, the last of which counts first, and `spec`.
    fn layers(&self, host: Option<&str>) -> Vec<FieldPath> {
        let spec = FieldPath::root().key("spec");
        let mut layers = Vec::new();
        if let Some(entry) = self.entry_of(host) {
            let groups = match self.tree.find(&entry.key("groups")).map(|node| &node.value) {
                Some(Value::Sequence(items)) => items.as_slice(),
                _ => &[],
            };
            let names = groups.iter().rev().filter_map(Node::as_text);
            let groups: Vec<FieldPath> = names.map(|name| spec.key("groups").key(name)).collect();
            layers.push(entry);
            layers.extend(groups);
        }
        layers.push(spec);
        layers
    }

    /// The entry of `hosts` that names a host, maybe by a range.
    fn entry_of(&self, host: Option<&str>) -> Option<FieldPath> {
        let host = host?;
        let hosts = FieldPath::root().key("spec").key("hosts");
        let Value::Sequence(items) = &self.tree.find(&hosts)?.value else {
            return None;
        };
        let names = |item: &Node| {
            let name = item.find(&FieldPath::root().key("name"));
            let name = name.and_then(Node::as_text);
            name.is_some_and(|name| expand_name(name).any(|one| one == host))
        };
        items.iter().position(names).map(|index| hosts.index(index))
    }
}

fn below(path: &FieldPath, field: &str) -> FieldPath {
    field
        .split('.')
        .fold(path.clone(), |path, step| path.key(step))
}

/// A path as a user in this directory would write it.
fn shown_path(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = path.strip_prefix(here).unwrap_or(path);
    shown.display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "\
spec:
  networking: {podSubnet: 10.0.0.0/16}
  kubelet: {config: {cgroupDriver: systemd}}
  nodeRegistration: {kubeletExtraArgs: [{name: root-dir, value: /x}]}
  apiServer:
    extraArgs:
      - {name: etcd-prefix, value: /a}
      - {name: etcd-prefix, value: /b}
  runtime: {containerd: {config: {plugins: {x.y: {SystemdCgroup: false}}}}}
  groups:
    old: {kubelet: {config: {cgroupDriver: cgroupfs}}}
  hosts:
    - {name: cp1, roles: [control-plane]}
    - name: \"w[01:02]\"
      groups: [old]
      nodeRegistration: {kubeletExtraArgs: [{name: v, value: '2'}]}
";

    /// Name, line and whether it is written.
    fn located(spots: &[Spot], host: Option<&str>) -> (String, usize, bool) {
        let written = WrittenInventory::parse(TEXT, "inventory.yaml").unwrap();
        let place = written.locate(spots, host);
        let line = written.source.position(place.span.start).0;
        (place.name, line, place.is_written)
    }

    #[test]
    fn the_place_that_counts_is_found() {
        let at = |name: &str, line, is_written| (name.to_owned(), line, is_written);
        assert_eq!(
            located(&[Spot::Spec("networking.podSubnet")], None),
            at("`spec.networking.podSubnet`", 2, true)
        );
        assert_eq!(
            located(&[Spot::Spec("networking.dnsDomain")], None),
            at("`spec.networking.dnsDomain`", 2, false)
        );
        assert_eq!(
            located(&[Spot::SpecArg("apiServer.extraArgs", "etcd-prefix")], None),
            at("`etcd-prefix` in `spec.apiServer.extraArgs`", 8, true)
        );
        let driver = [Spot::Layered("kubelet.config.cgroupDriver")];
        assert_eq!(
            located(&driver, Some("w02")),
            at("`spec.groups.old.kubelet.config.cgroupDriver`", 11, true)
        );
        assert_eq!(
            located(&driver, Some("cp1")),
            at("`spec.kubelet.config.cgroupDriver`", 3, true)
        );
        assert_eq!(
            located(&[Spot::Own("roles")], Some("w01")),
            at("`spec.hosts[1].roles`", 14, false)
        );
        assert_eq!(
            located(
                &[Spot::Within("runtime.containerd.config", "SystemdCgroup")],
                None
            )
            .1,
            9
        );
        let root = [Spot::LayeredArg(
            "nodeRegistration.kubeletExtraArgs",
            "root-dir",
        )];
        assert_eq!(located(&root, Some("cp1")).1, 4);
        assert_eq!(
            located(&root, Some("w01")),
            at(
                "`root-dir` in `spec.hosts[1].nodeRegistration.kubeletExtraArgs`",
                16,
                false
            ),
            "the host's list replaces that of the cluster"
        );
    }
}
