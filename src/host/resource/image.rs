//! Container images, in containerd's `k8s.io` namespace.

use std::collections::BTreeSet;
use std::path::PathBuf;

use text::size::human;

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted, as_kind};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, relative, word};
use crate::layout::paths;
use ssh::Input;

/// An image out of an archive.
#[derive(Debug, Clone)]
pub struct ImageArchive {
    /// The archive on the workstation.
    pub archive: PathBuf,
    /// Its SHA-256, lower hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// The references that it holds.
    pub references: Vec<String>,
}

/// An image that the host pulls by itself.
#[derive(Debug, Clone)]
pub struct ImagePull {
    /// Its reference.
    pub reference: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("image.sh"),
    variables: &["images"],
    sections: &["images"],
    compare: compare_images,
    converge: bring_images,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Import {
    archive: PathBuf,
    sha256: String,
    size: u64,
    /// Full names.
    references: Vec<String>,
}

impl Step for Import {
    fn place(&self) -> Result<Option<String>, HostError> {
        // Where the archive is received, if there is such a directory: see `image.sh`.
        relative(&format!("{}/archive", paths::CONTAINERD_DIR)).map(Some)
    }

    fn payload(&self) -> u64 {
        self.size
    }
}

#[derive(Debug)]
struct Pull {
    reference: String,
}

impl Step for Pull {}

impl Piece for ImageArchive {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        for reference in &self.references {
            word("image", reference)?;
        }
        question.add_word("images", "1");
        Ok(())
    }

    fn describe(&self) -> String {
        format!("image {}", self.references.join(" "))
    }
}

impl Piece for ImagePull {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        word("image", &self.reference)?;
        question.add_word("images", "1");
        Ok(())
    }

    fn describe(&self) -> String {
        format!("pull {}", self.reference)
    }
}

fn compare_images(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    let present = found.observed.answer("images");
    let present: BTreeSet<String> = present.iter().map(|name| full_name(name)).collect();
    for piece in wanted.pieces() {
        if let Some(image) = as_kind::<ImageArchive>(piece) {
            compare_archive(image, &present, found);
        } else if let Some(ImagePull { reference }) = as_kind(piece)
            && !present.contains(&full_name(reference))
        {
            found.receipt.images.insert(reference.clone(), None);
            let step = Pull {
                reference: reference.clone(),
            };
            found.push(Action::Pull, Kind::Image, reference, Detail::None, step);
        }
    }
}

fn compare_archive(image: &ImageArchive, present: &BTreeSet<String>, found: &mut Comparison<'_>) {
    // One that we brought from another archive is replaced, whatever its name; how one came
    // that we did not bring is not known, and it is as good.
    let in_place = image.references.iter().all(|reference| {
        let ours = found.receipt.images.get(reference);
        let ours = ours.and_then(Option::as_ref);
        present.contains(&full_name(reference)) && ours.is_none_or(|ours| *ours == image.sha256)
    });
    if in_place {
        return;
    }
    for reference in &image.references {
        let sha256 = Some(image.sha256.clone());
        found.receipt.images.insert(reference.clone(), sha256);
    }
    let references = image.references.iter();
    let file = image.archive.file_name().unwrap_or_default();
    let detail = Detail::Text {
        text: format!("{}: {}", human(image.size), image.references.join(", ")),
    };
    let step = Import {
        archive: image.archive.clone(),
        sha256: image.sha256.clone(),
        size: image.size,
        references: references.map(|name| full_name(name)).collect(),
    };
    let name = file.to_string_lossy();
    found.push(Action::Import, Kind::Image, &name, detail, step);
}

/// Imports one after the other, then pulls, all at once.
fn bring_images(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, step) in work.all::<Import>() {
        let references = step.references.iter();
        let references: String = references.map(|name| format!(" {}", quote(name))).collect();
        let (size, sha256) = (step.size, quote(&step.sha256));
        bundle.line(&format!("image {number} {size} {sha256}{references}"));
        bundle.input.push(Input::File {
            path: step.archive.clone(),
            size,
        });
    }
    for function in ["pull_begin", "pull_end"] {
        for (number, Pull { reference }) in work.all() {
            bundle.line(&format!("{function} {number} {}", quote(reference)));
        }
    }
    Ok(())
}

/// Removes the images that we brought.
pub(in crate::host) fn remove_images(wanted: &Reset<'_>, undo: &mut Undo) -> Result<(), HostError> {
    if wanted.keep_images {
        return Ok(());
    }
    let images = wanted.receipt.images.keys();
    let images: Vec<String> = images
        .map(|name| Ok(quote(&full_name(word("image", name)?))))
        .collect::<Result<_, HostError>>()?;
    undo.call(&format!("images {}", wanted.socket()?), &images);
    Ok(())
}

/// The name under which containerd keeps an image.
fn full_name(reference: &str) -> String {
    let mut name = match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => {
            reference.to_owned()
        }
        Some(_) => format!("docker.io/{reference}"),
        None => format!("docker.io/library/{reference}"),
    };
    let last = name.rsplit('/').next().unwrap_or_default();
    if !last.contains([':', '@']) {
        name += ":latest";
    }
    name
}
