//! What somebody who misspelt a word, or put it in the wrong place, meant.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::tree::Path;

/// The one of `known` that `word` is most probably a misspelling of.
pub(super) fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = plain(word);
    known
        .map(|name| (distance(&plain, &self::plain(name)), name))
        .filter(|(distance, name)| *distance * 3 <= name.len().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Without case and separators: `pod_subnet` and `PodSubnet` are `podSubnet`.
fn plain(word: &str) -> Vec<char> {
    // A name is short; what is long is none, and comparing is quadratic.
    const MAX: usize = 64;
    word.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(MAX)
        .collect()
}

/// Edits (insert, delete, replace, swap two neighbours) between two words.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            next[j] = (row[j - 1] + same).min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// Every field of the schema, with the mappings that have it.
pub(super) struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    /// Collects the fields of a schema.
    pub(super) fn of(schema: &Json) -> Self {
        let mut fields = Fields(BTreeMap::new());
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
        self.collect_if(root, &schema["items"], &format!("{path}[]"), depth);
        let more = &schema["additionalProperties"];
        self.collect_if(root, more, &format!("{path}.<name>"), depth);
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

    fn collect_if(&mut self, root: &Json, schema: &Json, path: &str, depth: usize) {
        if schema.is_object() {
            self.collect(root, schema, path, depth + 1);
        }
    }

    /// Where a field that isn't known at `path` would be, said in a few words.
    pub(super) fn parents_of(&self, name: &str, path: &Path) -> Option<String> {
        let here = path.to_string();
        let common = |parent: &str| {
            let pairs = parent.split('.').zip(here.split('.'));
            pairs.take_while(|(a, b)| bare(a) == bare(b)).count()
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
fn bare(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance_of(a: &str, b: &str) -> usize {
        distance(&plain(a), &plain(b))
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(distance_of("", "abc"), 3);
        assert_eq!(distance_of("podSubent", "podSubnet"), 1);
        assert_eq!(distance_of("kitten", "sitting"), 3);
        assert_eq!(distance_of("pod_subnet", "podSubnet"), 0);
    }

    #[test]
    fn only_a_likely_word_is_suggested() {
        let known = ["podSubnet", "serviceSubnet", "dnsDomain", "cni"];
        let closest = |word| closest(word, known.into_iter());
        assert_eq!(closest("podSubent"), Some("podSubnet"));
        assert_eq!(closest("service-subnet"), Some("serviceSubnet"));
        assert_eq!(closest("cnl"), Some("cni"));
        assert_eq!(closest("hosts"), None);
    }

    #[test]
    fn a_misplaced_field_is_sent_home() {
        let fields = Fields::of(&crate::inventory::schema());
        let spec = Path::root().key("spec");
        let parents = fields.parents_of("podSubnet", &spec);
        assert_eq!(parents.as_deref(), Some("`spec.networking`"));
        let parents = fields.parents_of("advertiseAddress", &spec.key("hosts").index(0));
        assert_eq!(
            parents.as_deref(),
            Some("`spec.hosts[].localAPIEndpoint` or `spec.localAPIEndpoint`")
        );
        assert_eq!(fields.parents_of("nonsense", &spec), None);
    }
}
