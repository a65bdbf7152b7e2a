//! A Corefile that was edited in the cluster: it is kept, as kubeadm keeps it.

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::Value;
use text::terminal::escape;

use crate::kubernetes::hash_corefile;
use crate::layout::names::{COREFILE_HASH, FIELD_MANAGER};

const KEY: &str = "Corefile";

/// Takes the Corefile out of our ConfigMap if the one in the cluster was edited, and says so.
///
/// An annotation holds the hash of what we wrote last. Without it, the cluster's Corefile is
/// ours only if no other field manager has a part in it: one of kubeadm's may be what an
/// upgrade made of an edited one.
pub(super) fn keep_edited(live: &ConfigMap, ours: &mut Value) -> Option<String> {
    let text = live.data.as_ref()?.get(KEY)?;
    if ours["data"][KEY].as_str() == Some(text) {
        return None;
    }
    let annotations = live.metadata.annotations.as_ref();
    let recorded = annotations.and_then(|all| all.get(COREFILE_HASH));
    let owners = owners(live);
    let others: Vec<&str> = owners
        .iter()
        .map(String::as_str)
        .filter(|name| *name != FIELD_MANAGER)
        .collect();
    let is_edited = match recorded {
        Some(hash) => *hash != hash_corefile(text),
        None => owners.is_empty() || !others.is_empty(),
    };
    if !is_edited {
        return None;
    }
    if let Some(recorded) = recorded {
        ours["metadata"]["annotations"][COREFILE_HASH] = recorded.clone().into();
    }
    // What another manager owns stays when we don't name it, however it changes meanwhile.
    if let Some(data) = ours["data"].as_object_mut() {
        match others.is_empty() {
            true => data.insert(KEY.to_owned(), text.clone().into()),
            false => data.shift_remove(KEY),
        };
    }
    let by = match others.as_slice() {
        [] => String::new(),
        others => format!(" (by {})", escape(&others.join(", "))),
    };
    Some(format!(
        "the Corefile in ConfigMap kube-system/coredns was edited in the cluster{by} and is kept: \
         put it into `dns.corefile` to manage it here"
    ))
}

/// The field managers that have set the Corefile.
fn owners(live: &ConfigMap) -> Vec<String> {
    let entries = live.metadata.managed_fields.iter().flatten();
    let mut owners: Vec<String> = entries
        .filter(|entry| {
            let fields = entry.fields_v1.as_ref();
            fields.is_some_and(|fields| fields.0["f:data"].get("f:Corefile").is_some())
        })
        .filter_map(|entry| entry.manager.clone())
        .collect();
    owners.sort();
    owners.dedup();
    owners
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const DEFAULT: &str = ".:53 { errors }";

    fn live(corefile: &str, wrote: Option<&str>, managers: &[&str]) -> ConfigMap {
        let entries: Vec<Value> = managers
            .iter()
            .map(|name| {
                json!({"manager": name, "operation": "Update", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:data": {"f:Corefile": {}}}})
            })
            .chain([json!({"manager": "other", "operation": "Update",
                "fieldsV1": {"f:metadata": {}}})])
            .collect();
        let annotations = wrote.map(|text| json!({COREFILE_HASH: hash_corefile(text)}));
        serde_json::from_value(json!({
            "metadata": {"annotations": annotations, "managedFields": entries},
            "data": {"Corefile": corefile},
        }))
        .unwrap()
    }

    /// What is applied, and what is said.
    fn kept(live: &ConfigMap) -> (Value, Option<String>) {
        let mut ours = json!({
            "metadata": {"annotations": {COREFILE_HASH: hash_corefile(DEFAULT)}},
            "data": {"Corefile": DEFAULT},
        });
        let told = keep_edited(live, &mut ours);
        (ours["data"].clone(), told)
    }

    #[test]
    fn an_edited_corefile_is_kept_and_one_of_ours_follows() {
        let follows = json!({"Corefile": DEFAULT});
        for (live, why) in [
            (live(DEFAULT, None, &["kubectl-edit"]), "the same"),
            (
                live("old", Some("old"), &[FIELD_MANAGER]),
                "ours, with its hash",
            ),
            (
                live("old", Some("old"), &["kubectl"]),
                "edited and put back",
            ),
            (
                live("old", None, &[FIELD_MANAGER]),
                "ours, of an earlier version",
            ),
        ] {
            assert_eq!(kept(&live), (follows.clone(), None), "{why}");
        }
        for manager in ["kubectl-edit", "kubectl", "kubeadm", "argocd"] {
            for wrote in [None, Some("old")] {
                let (data, told) = kept(&live("new", wrote, &[manager, FIELD_MANAGER]));
                assert_eq!(data, json!({}), "{manager}");
                assert!(told.unwrap().contains(manager));
            }
        }
        // Where its managers are not known, it is named as it is.
        for live in [
            live("new", Some("old"), &[FIELD_MANAGER]),
            live("new", None, &[]),
        ] {
            let (data, told) = kept(&live);
            assert_eq!(data, json!({"Corefile": "new"}));
            assert!(told.is_some());
        }
    }

    #[test]
    fn the_hash_of_what_we_wrote_stays_with_an_edited_one() {
        let mut ours = json!({
            "metadata": {"annotations": {COREFILE_HASH: hash_corefile(DEFAULT)}},
            "data": {"Corefile": DEFAULT},
        });
        keep_edited(&live("new", Some("old"), &["kubectl-edit"]), &mut ours);
        let hash = &ours["metadata"]["annotations"][COREFILE_HASH];
        assert_eq!(*hash, hash_corefile("old"));
    }
}
