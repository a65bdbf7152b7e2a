//! Every rule against the class of its field.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::rules::RULES;
use crate::inventory::{Spot, schema};

/// Classes whose fields are compared with what runs.
const REFUSED: [&str; 2] = [
    "never on a running cluster",
    "needs `remove-node` and `add-node`",
];

/// Fields whose class is kept elsewhere: a cluster's identity is compared before anything
/// else, and `removedHosts` is what `remove-node` writes.
const ELSEWHERE: [&str; 2] = ["metadata.name", "spec.removedHosts"];

/// Fields of which only some values are refused.
const PARTLY: [&str; 1] = ["spec.etcd.local.imageTag"];

fn described<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        return described(root, &root["$defs"][name.trim_start_matches("#/$defs/")]);
    }
    let mut choices = schema["anyOf"].as_array().into_iter().flatten();
    match choices.find(|choice| choice["$ref"].is_string()) {
        Some(choice) => described(root, choice),
        None => schema,
    }
}

/// Every field and member that is refused, as `spec.x.y` or `spec.x.y:member`.
fn declared() -> BTreeSet<String> {
    fn visit(root: &Value, at: &Value, path: &str, found: &mut BTreeSet<String>) {
        let at = described(root, at);
        if at["items"].is_object() {
            return visit(root, &at["items"], path, found);
        }
        for (name, field) in at["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}").trim_start_matches('.').to_owned();
            let is_refused =
                |class: &Value| class.as_str().is_some_and(|one| REFUSED.contains(&one));
            if is_refused(&field["x-change"]) {
                found.insert(path.clone());
            }
            for (member, class) in field["x-change-members"].as_object().into_iter().flatten() {
                assert!(is_refused(class), "{path}: {member}");
                found.insert(format!("{path}:{member}"));
            }
            visit(root, field, &path, found);
        }
    }
    let schema = schema();
    let mut found = BTreeSet::new();
    visit(&schema, &schema, "", &mut found);
    found
}

/// How a spot is declared: by its field, or by a member of a free-form one.
fn declarations(spot: Spot) -> Vec<String> {
    let split = |field: &str, prefix: &str| {
        let whole = format!("{prefix}.{field}");
        let free = ["kubelet.config.", "runtime.containerd.config."];
        let free = free
            .iter()
            .find_map(|free| field.strip_prefix(free).map(|rest| (free, rest)));
        match free {
            Some((free, member)) => format!("{prefix}.{}:{member}", free.trim_end_matches('.')),
            None => whole,
        }
    };
    match spot {
        Spot::Spec(field) => vec![split(field, "spec")],
        Spot::Own(field) => vec![split(field, "spec.hosts")],
        Spot::Layered(field) => vec![split(field, "spec")],
        Spot::Within(field, key) => vec![format!("spec.{field}:{key}")],
        Spot::SpecArg("controllerManager.extraArgs", name) => {
            vec![format!("spec.controllerManager:{name}")]
        }
        Spot::SpecArg(list, name) | Spot::LayeredArg(list, name) => {
            vec![format!("spec.{list}:{name}")]
        }
    }
}

#[test]
fn every_rule_has_a_field_that_says_so_and_every_such_field_a_rule() {
    let declared = declared();
    let mut kept = BTreeSet::new();
    for rule in &RULES {
        let places: Vec<String> = rule
            .spots
            .iter()
            .flat_map(|spot| declarations(*spot))
            .collect();
        assert!(
            places
                .iter()
                .any(|place| declared.contains(place) || PARTLY.contains(&place.as_str())),
            "no class of {places:?} says that it is refused"
        );
        kept.extend(places);
    }
    let loose: Vec<&String> = declared
        .iter()
        .filter(|field| {
            // Groups and hosts have the same fields as the cluster.
            let shared = match field.strip_prefix("spec.hosts.") {
                Some(rest) => format!("spec.{rest}"),
                None => field.replacen("spec.", "spec.hosts.", 1),
            };
            !kept.contains(*field)
                && !kept.contains(&shared)
                && !ELSEWHERE.contains(&field.as_str())
        })
        .collect();
    assert!(
        loose.is_empty(),
        "said to be refused, and not compared: {loose:?}"
    );
}
