//! Finds where a field that was put in the wrong place belongs.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::path::FieldPath;

/// Every field of the schema, with the mappings that have it.
pub(crate) struct KnownFields(BTreeMap<String, Vec<String>>);

impl KnownFields {
    /// Collects the fields of a schema.
    pub(crate) fn from_schema(schema: &Json) -> Self {
        let mut fields = KnownFields(BTreeMap::new());
        fields.collect(schema, schema, "", 0);
        fields
    }

    fn collect(&mut self, root: &Json, schema: &Json, path: &str, depth: usize) {
        // The types don't recurse; this only keeps a mistake there from hanging us.
        const MAX_DEPTH: usize = 16;
        if depth > MAX_DEPTH {
            return;
        }
        if let Some(name) = schema["$ref"].as_str() {
            let target = &root["$defs"][name.trim_start_matches("#/$defs/")];
            self.collect(root, target, path, depth + 1);
        }
        for choice in schema["anyOf"].as_array().into_iter().flatten() {
            self.collect(root, choice, path, depth + 1);
        }
        self.collect_object(root, &schema["items"], &format!("{path}[]"), depth);
        let more = &schema["additionalProperties"];
        self.collect_object(root, more, &format!("{path}.<name>"), depth);
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let parents = self.0.entry(name.clone()).or_default();
            parents.push(path.to_owned());
            let path = match path {
                "" => name.clone(),
                _ => format!("{path}.{name}"),
            };
            self.collect(root, schema, &path, depth + 1);
        }
    }

    fn collect_object(&mut self, root: &Json, schema: &Json, path: &str, depth: usize) {
        if schema.is_object() {
            self.collect(root, schema, path, depth + 1);
        }
    }

    /// Where a field that isn't known at `path` would be, said in a few words.
    pub(crate) fn find_parents(&self, name: &str, path: &FieldPath) -> Option<String> {
        let here = path.to_string();
        let common = |parent: &str| {
            let pairs = parent.split('.').zip(here.split('.'));
            pairs
                .take_while(|(a, b)| without_index(a) == without_index(b))
                .count()
        };
        let mut parents: Vec<&String> = self.0.get(name)?.iter().collect();
        // A short name such as `mode` is used for many things; only one that
        // lies on the same branch may have been meant.
        let compound = name.contains(char::is_uppercase);
        let steps = |path: &str| path.split('.').filter(|step| !step.is_empty()).count();
        let on_branch = |parent: &str| common(parent) >= steps(parent).min(steps(&here));
        parents.retain(|parent| compound || on_branch(parent));
        if parents.is_empty() {
            return None;
        }
        // Those close by first: the usual mistake is a wrong indentation.
        parents.sort_by_key(|parent| std::cmp::Reverse(common(parent)));
        let parents: Vec<String> = parents
            .into_iter()
            .take(3)
            .map(|parent| match parent.as_str() {
                "" => "the top level".to_owned(),
                parent => format!("`{parent}`"),
            })
            .collect();
        Some(parents.join(" or "))
    }
}

/// A step without its index.
fn without_index(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}
