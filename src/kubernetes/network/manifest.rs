//! A pod network of the operator's own, from a file of API objects.

use std::path::Path;

use serde_json::Value;

use super::super::error::KubernetesError;
use super::super::yaml;
use super::pod_network::PodNetwork;
use crate::inventory::Cluster;

/// The network that `networking.cni.path` installs.
pub(super) struct Manifest;

impl PodNetwork for Manifest {
    fn objects(&self, cluster: &Cluster) -> Result<Vec<Value>, KubernetesError> {
        match &cluster.networking.cni_manifest {
            Some(path) => read_objects(path),
            None => Ok(Vec::new()),
        }
    }
}

/// Reads a file as `kubectl apply -f` does: documents, or lists of objects.
fn read_objects(path: &Path) -> Result<Vec<Value>, KubernetesError> {
    let text = std::fs::read_to_string(path).map_err(|source| KubernetesError::Read {
        path: path.to_owned(),
        source,
    })?;
    let invalid = |reason| KubernetesError::Manifest {
        path: path.to_owned(),
        reason,
    };
    let mut objects = Vec::new();
    for mut document in yaml::parse_all(&text).map_err(invalid)? {
        match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) if document["kind"] == "List" => objects.extend(items),
            Some(items) => {
                document["items"] = items;
                objects.push(document);
            }
            None => objects.push(document),
        }
    }
    for object in &objects {
        for field in ["/apiVersion", "/kind", "/metadata/name"] {
            if object.pointer(field).and_then(Value::as_str).is_none() {
                let field = field[1..].replace('/', ".");
                return Err(invalid(format!("an object has no {field}")));
            }
        }
    }
    Ok(objects)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_documents_and_lists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cni.yaml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_objects(&path)
        };
        let objects = read(
            "---\n# nothing\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: cni}\n---\n\
             apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  \
             metadata: {name: a, namespace: cni}\n",
        )
        .unwrap();
        let names: Vec<_> = objects
            .iter()
            .map(|o| o["kind"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["Namespace", "ConfigMap"]);
        let error = read("kind: Namespace\n").unwrap_err().to_string();
        assert!(
            error.ends_with("cni.yaml`: an object has no apiVersion"),
            "{error}"
        );
        assert!(read("a: [").unwrap_err().to_string().contains("cni.yaml"));
    }
}
