//! A text with its tree, and how it is changed.

use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::inventory::yaml::{Entry, Node, Source, Span, Value, parse_document};

/// An edit that can't be made without touching other parts of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct EditError {
    /// Why it can't be made.
    pub why: String,
    /// What to write by hand.
    pub by_hand: String,
}

/// One insertion, deletion or both.
pub(super) type TextPatch = (Range<usize>, String);

/// Makes an edit and reads its result: `make` changes a copy of the file's
/// meaning to what is wanted, and comes back with the patches that are to lead
/// there.
pub(super) fn change(
    text: &str,
    by_hand: String,
    make: impl FnOnce(&Document<'_>, &mut Json) -> Option<Vec<TextPatch>>,
) -> Result<String, EditError> {
    let refused = |why: &str| EditError {
        why: why.to_owned(),
        by_hand: by_hand.clone(),
    };
    let root = parse_text(text).ok_or_else(|| refused("the file is not valid YAML"))?;
    let mut wanted = root.to_json();
    let document = Document { text, root: &root };
    let mut patches = make(&document, &mut wanted)
        .ok_or_else(|| refused("found no safe place for the change"))?;
    // From the end to the start, so that no patch moves the place of another one.
    patches.sort_by_key(|(range, _)| Reverse((range.start, range.end)));
    let mut new = text.to_owned();
    for (range, with) in patches {
        if new.get(range.clone()).is_none() {
            return Err(refused("found no safe place for the change"));
        }
        new.replace_range(range, &with);
    }
    // The safety net of every edit: YAML has more ways to be laid out than any code here
    // foresees, so the result has to mean exactly what was wanted.
    match parse_text(&new).map(|root| root.to_json()) {
        Some(meaning) if meaning == wanted => Ok(new),
        _ => Err(refused("the change would affect other parts of the file")),
    }
}

fn parse_text(text: &str) -> Option<Node> {
    let mut findings = Vec::new();
    let root = parse_document(&Arc::new(Source::new("", text)), &mut findings);
    root.filter(|_| findings.is_empty())
}

/// A text with its tree.
pub(super) struct Document<'a> {
    pub(super) text: &'a str,
    pub(super) root: &'a Node,
}

/// `spec`, with the place of its key.
pub(super) struct SpecSection<'a> {
    pub(super) key: &'a Span,
    pub(super) node: &'a Node,
    pub(super) entries: &'a [Entry],
}

impl<'a> Document<'a> {
    pub(super) fn spec(&self) -> Option<SpecSection<'a>> {
        let Value::Mapping(entries) = &self.root.value else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == "spec")?;
        let Value::Mapping(entries) = &entry.value.value else {
            return None;
        };
        Some(SpecSection {
            key: &entry.key_span,
            node: &entry.value,
            entries,
        })
    }
}

impl<'a> SpecSection<'a> {
    pub(super) fn find_entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Its first field in the text; fields that `<<` merges in are elsewhere.
    pub(super) fn first_entry(&self) -> Option<&'a Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.key_span.start > self.key.start)
            .min_by_key(|entry| entry.key_span.start)
    }
}
