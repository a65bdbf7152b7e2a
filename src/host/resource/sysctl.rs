//! Sysctls' values at run time. (What sets them at boot, in /etc/sysctl.d, is a file.)

use std::collections::BTreeMap;

use text::terminal::escape;

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, relative, word};

/// A sysctl's value at run time.
#[derive(Debug, Clone)]
pub struct Sysctl {
    /// Dotted name.
    pub key: String,
    /// Its value.
    pub value: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("sysctl.sh"),
    lists: &["sysctls"],
    sections: &["sysctls"],
    compare: compare_sysctls,
    converge: set_sysctls,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
pub(in crate::host) struct Set {
    pub(in crate::host) path: String,
    pub(in crate::host) value: String,
}

impl Step for Set {}

impl Piece for Sysctl {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        if self.value.chars().any(char::is_control) {
            return Err(HostError::Name {
                kind: "sysctl value",
                name: self.value.clone(),
                why: "it has a control character",
            });
        }
        let path = sysctl_path(word("sysctl", &self.key)?);
        question.add("sysctls", relative(&path)?);
        Ok(())
    }

    fn describe(&self) -> String {
        format!("sysctl {}={}", self.key, self.value)
    }
}

fn compare_sysctls(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    let now = current_values(found.observed.answer("sysctls"));
    let wanted: BTreeMap<&String, &String> = wanted
        .all()
        .map(|Sysctl { key, value }| (key, value))
        .collect();
    for (key, value) in &wanted {
        let path = sysctl_path(key);
        let before = now.get(&path);
        if before == Some(&join_words(value)) {
            continue;
        }
        let text = match before {
            Some(before) => format!("{} -> {value}", escape(before)),
            None => (*value).clone(),
        };
        if let Some(before) = before {
            let known = found.receipt.sysctls.entry((*key).clone());
            known.or_insert_with(|| before.clone());
        }
        let value = (*value).clone();
        let step = Set { path, value };
        found.push(Action::Set, Kind::Sysctl, key, Detail::Text { text }, step);
    }
    restore_former(&wanted, found);
}

/// Those that we set once and that are no longer wanted get their former values back.
fn restore_former(wanted: &BTreeMap<&String, &String>, found: &mut Comparison<'_>) {
    // A part of a host's state names none at all, which says nothing about the others.
    if wanted.is_empty() {
        return;
    }
    let former = found.receipt.sysctls.clone();
    for (key, value) in former
        .into_iter()
        .filter(|(key, _)| !wanted.contains_key(key))
    {
        found.receipt.sysctls.remove(&key);
        let text = match value.as_str() {
            "" => "back to nothing".into(),
            value => format!("back to {}", escape(value)),
        };
        let path = sysctl_path(&key);
        let step = Set { path, value };
        found.push(Action::Set, Kind::Sysctl, &key, Detail::Text { text }, step);
    }
}

/// Values by path, out of `./proc/sys/…:value` lines.
fn current_values(lines: &[String]) -> BTreeMap<String, String> {
    lines
        .iter()
        .filter_map(|line| {
            let (path, value) = line.split_once(':')?;
            Some((path.strip_prefix('.')?.to_owned(), join_words(value)))
        })
        .collect()
}

fn set_sysctls(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, Set { path, value }) in work.all() {
        let path = quote(&relative(path)?);
        bundle.line(&format!("sysctl_set {number} {} {path}", quote(value)));
    }
    Ok(())
}

/// Gives the sysctls that we set their former values back.
pub(in crate::host) fn restore_sysctls(
    wanted: &Reset<'_>,
    undo: &mut Undo,
) -> Result<(), HostError> {
    for (key, value) in &wanted.receipt.sysctls {
        let path = quote(&relative(&sysctl_path(key))?);
        undo.line(&format!("sysctl_back {} {path}", quote(value)));
    }
    Ok(())
}

/// Where a sysctl lives. As in sysctl(8), a key with slashes may have dots within its parts.
pub(in crate::host) fn sysctl_path(key: &str) -> String {
    if key.contains('/') {
        format!("/proc/sys/{key}")
    } else {
        format!("/proc/sys/{}", key.replace('.', "/"))
    }
}

/// Words with one space between them: the kernel separates by tabs.
fn join_words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
