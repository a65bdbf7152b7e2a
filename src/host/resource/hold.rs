//! Packages that are held: an unattended upgrade of the container runtime restarts it, or
//! replaces it, on all nodes in the same night.

use std::collections::BTreeSet;

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use super::undo::{Reset, Undo};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::word;

/// A package that is held if we had it installed, with others that it brings. What the
/// operator installed, or held, is the operator's.
#[derive(Debug, Clone)]
pub struct PackageHold {
    /// The package's name.
    pub name: String,
    /// Packages that it brings on some distributions, and that are held with it.
    pub brings: Vec<String>,
}

impl PackageHold {
    fn names(&self) -> impl Iterator<Item = &String> {
        [&self.name].into_iter().chain(&self.brings)
    }
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("hold.sh"),
    variables: &["held"],
    sections: &["holds"],
    compare: compare_holds,
    converge: hold_packages,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct Hold {
    names: Vec<String>,
}

impl Step for Hold {}

impl Piece for PackageHold {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        for name in self.names() {
            question.add_word("held", word("package", name)?);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.names().map(String::as_str).collect();
        format!("hold packages {} (if they are ours)", names.join(" "))
    }
}

fn compare_holds(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    let lines: BTreeSet<String> = found.observed.answer("holds").iter().cloned().collect();
    let says = |word: &str, name: &str| lines.contains(&format!("{word} {name}"));
    let is_able = lines.iter().any(|line| line.starts_with("able "));
    for hold in wanted.all::<PackageHold>() {
        if !is_able || !found.receipt.packages.contains(&hold.name) {
            continue;
        }
        // What comes with it is known only once it is installed.
        let is_installed = says("present", &hold.name);
        let names: Vec<String> = hold
            .names()
            .filter(|name| !says("held", name))
            .filter(|name| !is_installed || says("present", name))
            .cloned()
            .collect();
        let Some(first) = names.first() else {
            continue;
        };
        found.receipt.held.extend(names.iter().cloned());
        let detail = Detail::Text {
            text: "no unattended upgrade".into(),
        };
        let shown = match names.as_slice() {
            [one] => one.clone(),
            _ => format!("{first} and {}", names[1..].join(", ")),
        };
        found.push(Action::Hold, Kind::Package, &shown, detail, Hold { names });
    }
}

fn hold_packages(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, Hold { names }) in work.all() {
        for name in names {
            word("package", name)?;
        }
        bundle.line(&format!("hold {number} {}", names.join(" ")));
    }
    Ok(())
}

/// Releases what we held.
pub(in crate::host) fn release_packages(
    wanted: &Reset<'_>,
    undo: &mut Undo,
) -> Result<(), HostError> {
    let mut names = Vec::new();
    for name in &wanted.receipt.held {
        names.push(word("package", name)?.to_owned());
    }
    undo.call("unhold", &names);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::observed::Observed;
    use crate::host::resource::{Package, Resource};
    use crate::host::{Owner, Receipt, diff};

    /// What is planned on a host that answers so, and what its receipt says then.
    fn planned(answer: &str, installed_by_us: bool) -> (Vec<String>, BTreeSet<String>) {
        let script = format!("@@clusterctl observe 1\n{answer}@@end\n");
        let mut observed = Observed::parse(script.as_bytes()).unwrap();
        let mut receipt = Receipt::new(&Owner::named("demo"));
        if installed_by_us {
            receipt.packages.insert("containerd".into());
        }
        observed.receipt = Some(receipt);
        let resources = [
            Resource::Package(Package {
                name: "containerd".into(),
                provides: "containerd".into(),
            }),
            Resource::PackageHold(PackageHold {
                name: "containerd".into(),
                brings: vec!["runc".into()],
            }),
        ];
        let plan = diff(&resources, &observed, &Owner::named("demo")).unwrap();
        let changes = plan.changes.iter().map(ToString::to_string).collect();
        (changes, plan.receipt.held.clone())
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn only_packages_of_ours_are_held_and_only_our_holds_are_remembered() {
        let there = "@@section commands\ncontainerd\n";
        let holds = "@@section holds\nable apt\npresent containerd\npresent runc\n";
        let (changes, held) = planned("@@section holds\nable apt\n", false);
        assert_eq!(
            changes,
            [
                "install package containerd",
                "hold package containerd and runc"
            ]
        );
        assert_eq!(held, set(&["containerd", "runc"]));
        let theirs = planned(&format!("{there}{holds}"), false);
        assert_eq!(theirs, (Vec::new(), set(&[])), "installed by the operator");
        let (changes, held) = planned(&format!("{there}{holds}held runc\n"), true);
        assert_eq!(changes, ["hold package containerd"]);
        assert_eq!(held, set(&["containerd"]), "runc was held before");
        let all = format!("{there}{holds}held containerd\nheld runc\n");
        assert_eq!(planned(&all, true).0, [""; 0]);
        let bundled = format!("{there}@@section holds\nable apt\npresent containerd\n");
        assert_eq!(planned(&bundled, true).0, ["hold package containerd"]);
        let unable = format!("{there}@@section holds\npresent containerd\n");
        assert_eq!(planned(&unable, true).0, [""; 0]);
    }
}
