//! The probe that tells how the managed pieces of a host look: what is asked, and what
//! comes back.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::HostError;
use super::loose::read_loose;
use super::observed::{Observed, parse_path};
use super::receipt::Receipt;
use super::receipt_names::ignore_impossible;
use super::resource::{KINDS, Question, Resource, shell_part};
use super::turn::read_turn;
use super::wire::Sections;
use ssh::{Input, Script};

/// The probe for these resources: one exec, whatever their number.
///
/// # Errors
///
/// A path or name that can't be carried.
pub fn observe(resources: &[Resource]) -> Result<Script, HostError> {
    let mut question = Question::default();
    for resource in resources {
        resource.as_piece().ask(&mut question)?;
    }
    let mut text = String::new();
    let mut input = String::new();
    // The script reads the lists one after the other from one stream, each to its own size.
    let lists = KINDS.iter().flat_map(|kind| kind.lists);
    for name in ["paths"].iter().chain(lists) {
        let list = question.list(name);
        text += &format!("{name}={}\n", list.len());
        input += &list;
    }
    for name in KINDS.iter().flat_map(|kind| kind.variables) {
        text += &question.variable(name);
    }
    text += concat!(
        include_str!("scripts/safe.sh"),
        include_str!("scripts/sums.sh"),
        include_str!("scripts/package_state.sh"),
        include_str!("scripts/observe.sh")
    );
    for kind in &KINDS {
        text += shell_part(kind.shell, "observe");
    }
    text += "conclude\n";
    Ok(Script {
        name: "observe".into(),
        text,
        input: vec![Input::Bytes(Zeroizing::new(input.into_bytes()))],
    })
}

impl Observed {
    /// Reads what [`observe`]'s script said.
    ///
    /// # Errors
    ///
    /// An answer that isn't one, or that was cut off; a receipt that can't be
    /// read.
    pub fn parse(raw: &[u8]) -> Result<Self, HostError> {
        let sections = Sections::parse(raw, "observe")?;
        let mut observed = Observed {
            paths: sections
                .text("paths")
                .iter()
                .filter_map(|line| parse_path(line))
                .collect(),
            owed: sections.text("owed").into_iter().collect(),
            previous: parse_previous(&sections),
            loose: read_loose(&sections),
            receipt: parse_receipt(&sections)?,
            turn: read_turn(&sections),
            ..Observed::default()
        };
        for kind in &KINDS {
            (kind.read)(&sections, &mut observed);
            for name in kind.sections {
                observed.answers.insert(name, sections.text(name));
            }
        }
        Ok(observed)
    }
}

fn parse_previous(sections: &Sections<'_>) -> BTreeSet<String> {
    let lines = sections.text("previous");
    let paths = lines.iter().filter_map(|line| line.strip_prefix('.'));
    paths.map(str::to_owned).collect()
}

fn parse_receipt(sections: &Sections<'_>) -> Result<Option<Receipt>, HostError> {
    let encoded = sections.raw("receipt").concat();
    if encoded.is_empty() {
        return Ok(None);
    }
    let text = STANDARD
        .decode(encoded)
        .map_err(|error| HostError::Receipt {
            why: error.to_string(),
        })?;
    let mut receipt = Receipt::parse(&text)?;
    ignore_impossible(&mut receipt);
    Ok(Some(receipt))
}
