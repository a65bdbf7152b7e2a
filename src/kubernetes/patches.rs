//! The operator's patches, in kubeadm's form: files
//! `target[suffix][+strategic|merge|json].{yaml,json}` in one directory.

use std::path::Path;

use serde_json::Value;

use super::error::KubernetesError;
use super::strategic::{self, Schema};
use super::yaml;

/// What can be patched. `kubeproxydaemonset` is kubeadm's from v1.37; the last
/// two are ours alone.
const TARGETS: [&str; 9] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubeletconfiguration",
    "corednsdeployment",
    "kubeproxydaemonset",
    "haproxy",
    "kube-vip",
];

/// The patches of a directory, in the order in which they apply.
#[derive(Debug, Default, Clone)]
pub struct Patches {
    files: Vec<PatchFile>,
}

#[derive(Debug, Clone)]
struct PatchFile {
    name: String,
    target: &'static str,
    kind: Kind,
    /// A file may hold several documents, each a patch.
    documents: Vec<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Strategic,
    Merge,
    Json,
}

impl Patches {
    /// Reads every patch of a directory, in alphabetical order. Files that are
    /// neither YAML nor JSON are left alone, and so are directories.
    pub fn load(directory: Option<&Path>) -> Result<Self, KubernetesError> {
        let Some(directory) = directory else {
            return Ok(Patches::default());
        };
        let unreadable = |path: &Path| {
            let path = path.to_path_buf();
            move |source| KubernetesError::Read { path, source }
        };
        let mut paths = std::fs::read_dir(directory)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(unreadable(directory))?;
        paths.sort();

        let mut files = Vec::new();
        for path in paths {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let Some((target, kind)) = parse_name(&name)? else {
                continue;
            };
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            let documents = yaml::parse_all(&text).map_err(|reason| KubernetesError::Patch {
                file: name.clone(),
                reason,
            })?;
            files.push(PatchFile {
                name,
                target,
                kind,
                documents,
            });
        }
        Ok(Patches { files })
    }

    /// Applies what there is for a target, such as `kube-apiserver`.
    pub fn apply(&self, target: &str, object: &mut Value) -> Result<(), KubernetesError> {
        let schema = match target {
            "kubeletconfiguration" => Schema::Config,
            _ => Schema::Workload,
        };
        for file in self.files.iter().filter(|file| file.target == target) {
            for document in &file.documents {
                file.kind
                    .apply(object, document, schema)
                    .map_err(|reason| KubernetesError::PatchApply {
                        file: file.name.clone(),
                        target: target.to_owned(),
                        reason,
                    })?;
            }
        }
        Ok(())
    }
}

impl Kind {
    fn apply(self, object: &mut Value, patch: &Value, schema: Schema) -> Result<(), String> {
        match self {
            Kind::Strategic => strategic::apply(object, patch.clone(), schema),
            Kind::Merge => {
                json_patch::merge(object, patch);
                Ok(())
            }
            Kind::Json => {
                let patch: json_patch::Patch = serde_json::from_value(patch.clone())
                    .map_err(|error| format!("not a JSON patch: {error}"))?;
                json_patch::patch(object, &patch).map_err(|error| error.to_string())
            }
        }
    }
}

/// Target and kind by a file's name; `None` for a file that is not a patch.
fn parse_name(name: &str) -> Result<Option<(&'static str, Kind)>, KubernetesError> {
    let wrong = |reason: String| KubernetesError::Patch {
        file: name.to_owned(),
        reason,
    };
    let Some(stem) = name
        .strip_suffix(".yaml")
        .or_else(|| name.strip_suffix(".json"))
    else {
        return Ok(None);
    };
    let target = TARGETS
        .into_iter()
        .find(|target| stem.starts_with(target))
        .ok_or_else(|| wrong(format!("unknown target; expected {}", TARGETS.join(", "))))?;
    let kind = match stem[target.len()..].split_once('+') {
        None | Some((_, "strategic")) => Kind::Strategic,
        Some((_, "merge")) => Kind::Merge,
        Some((_, "json")) => Kind::Json,
        Some((_, other)) => {
            return Err(wrong(format!(
                "unknown kind `{other}`; expected strategic, merge or json"
            )));
        }
    };
    Ok(Some((target, kind)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn names_say_target_and_kind() {
        assert_eq!(
            parse_name("etcd.yaml").unwrap(),
            Some(("etcd", Kind::Strategic))
        );
        assert_eq!(
            parse_name("etcd0+merge.json").unwrap(),
            Some(("etcd", Kind::Merge))
        );
        assert_eq!(
            parse_name("kube-apiserver-b+json.yaml").unwrap(),
            Some(("kube-apiserver", Kind::Json))
        );
        assert_eq!(parse_name("README.md").unwrap(), None);
        insta::assert_snapshot!(parse_name("etcd+jsn.yaml").unwrap_err(), @"invalid patch `etcd+jsn.yaml`: unknown kind `jsn`; expected strategic, merge or json");
        insta::assert_snapshot!(parse_name("apiserver.yaml").unwrap_err(), @"invalid patch `apiserver.yaml`: unknown target; expected etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubeletconfiguration, corednsdeployment, kubeproxydaemonset, haproxy, kube-vip");
    }

    #[test]
    fn kinds_apply_in_alphabetical_order() {
        let dir = directory(&[
            ("etcd0.yaml", "a: {x: 1}\n---\na: {y: 2}\n"),
            ("etcd1+json.yaml", "- {op: replace, path: /a/x, value: 5}\n"),
            ("etcd2+merge.json", r#"{"a": {"y": null}, "b": [1]}"#),
            ("kube-scheduler.yaml", "a: wrong\n"),
            ("notes.txt", "not: [a patch"),
        ]);
        let mut object = json!({"a": {}});
        Patches::load(Some(dir.path()))
            .unwrap()
            .apply("etcd", &mut object)
            .unwrap();
        assert_eq!(object, json!({"a": {"x": 5}, "b": [1]}));
    }

    #[test]
    fn failures_name_the_file() {
        let dir = directory(&[("etcd+json.yaml", "- {op: remove, path: /b}\n")]);
        let patches = Patches::load(Some(dir.path())).unwrap();
        let error = patches.apply("etcd", &mut json!({})).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("patch `etcd+json.yaml` does not apply to etcd: ")
        );

        let dir = directory(&[("etcd.yaml", "a: [\n")]);
        let error = Patches::load(Some(dir.path())).unwrap_err();
        assert!(
            error.to_string().starts_with("invalid patch `etcd.yaml`: "),
            "{error}"
        );
    }
}
