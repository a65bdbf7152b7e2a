//! The operator's own manifest: objects that are applied as they are.

use std::path::Path;

use serde_json::Value;

use crate::kubernetes;
use crate::kubernetes::api::{ApiError, ObjectId};
use crate::run::error::Error;

/// The objects of the operator's own pod network, as `kubectl apply -f` would take
/// them: documents, or lists of objects.
pub(crate) fn read_manifest(path: &Path) -> Result<Vec<Value>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    let origin = path.display().to_string();
    let documents = kubernetes::parse_documents(&text).map_err(|why| ApiError::Object {
        origin: origin.clone(),
        why,
    })?;
    let mut objects = Vec::new();
    for mut document in documents {
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
        ObjectId::of(object, &origin)?;
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
            read_manifest(&path)
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
            error.ends_with("cni.yaml is no API object: it has no apiVersion"),
            "{error}"
        );
        assert!(read("a: [").unwrap_err().to_string().contains("cni.yaml"));
    }
}
