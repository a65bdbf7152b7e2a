//! What differs beside files: packages, kernel, swap, units, images.

use std::collections::{BTreeMap, BTreeSet};

use super::{Differ, escape, human};
use crate::host::Resource;
use crate::host::gather::MANIFESTS;
use crate::host::observe::{sysctl_path, unit_name, words};
use crate::host::plan::{Action, Detail, Kind, Step};
use crate::host::receipt::ReceiptUnit;

impl Differ<'_> {
    pub(super) fn packages(&mut self, resources: &[Resource]) {
        let missing: BTreeSet<&String> = resources
            .iter()
            .filter_map(|resource| match resource {
                Resource::Package { name, provides } => {
                    (!self.observed.commands.contains(provides)).then_some(name)
                }
                _ => None,
            })
            .collect();
        for name in missing {
            self.receipt.packages.insert(name.clone());
            let step = Step::Package { name: name.clone() };
            self.push(Action::Install, Kind::Package, name, Detail::None, step);
        }
    }

    pub(super) fn kernel(&mut self, resources: &[Resource]) {
        for resource in resources {
            if let Resource::KernelModule { name, effect } = resource
                && !self.observed.paths.contains_key(effect)
                && !self.observed.filesystems.contains(name)
            {
                self.receipt.modules.insert(name.clone());
                let step = Step::Module {
                    name: name.clone(),
                    effect: effect.clone(),
                };
                self.push(Action::Load, Kind::Module, name, Detail::None, step);
            }
        }
        let sysctls: BTreeMap<&String, &String> = resources
            .iter()
            .filter_map(|resource| match resource {
                Resource::Sysctl { key, value } => Some((key, value)),
                _ => None,
            })
            .collect();
        let wanted = sysctls.keys().map(|key| (*key).clone()).collect();
        for (key, value) in sysctls {
            let path = sysctl_path(key);
            let before = self.observed.sysctls.get(&path);
            if before == Some(&words(value)) {
                continue;
            }
            let text = match before {
                Some(before) => format!("{} -> {value}", escape(before)),
                None => value.clone(),
            };
            if let Some(before) = before {
                self.receipt
                    .sysctls
                    .entry(key.clone())
                    .or_insert_with(|| before.clone());
            }
            let step = Step::Sysctl {
                path,
                value: value.clone(),
            };
            self.push(Action::Set, Kind::Sysctl, key, Detail::Text { text }, step);
        }
        self.former_sysctls(&wanted);
        let swap_off = resources
            .iter()
            .any(|resource| matches!(resource, Resource::SwapOff));
        if swap_off && !(self.observed.swap.is_empty() && self.observed.fstab_swap.is_empty()) {
            self.swap_off();
        }
    }

    /// Those that we set once and that nobody wants any more are again what they were.
    fn former_sysctls(&mut self, wanted: &BTreeSet<String>) {
        // Part of a host's state names none at all.
        if wanted.is_empty() {
            return;
        }
        let former = self.receipt.sysctls.clone();
        for (key, value) in former.into_iter().filter(|(key, _)| !wanted.contains(key)) {
            self.receipt.sysctls.remove(&key);
            let text = match value.as_str() {
                "" => "back to nothing".into(),
                value => format!("back to {}", escape(value)),
            };
            let path = sysctl_path(&key);
            let step = Step::Sysctl { path, value };
            self.push(Action::Set, Kind::Sysctl, &key, Detail::Text { text }, step);
        }
    }

    fn swap_off(&mut self) {
        let devices = self.observed.swap.clone();
        // A generator makes these again at the next start, whatever fstab says.
        let masks: Vec<String> = devices
            .iter()
            .filter_map(|device| device.strip_prefix("/dev/zram"))
            .filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
            .map(|number| format!("dev-zram{number}.swap"))
            .collect();
        self.receipt.swap.extend(devices.iter().cloned());
        self.receipt.masked.extend(masks.iter().cloned());
        let fstab = !self.observed.fstab_swap.is_empty();
        let mut text = devices.clone();
        text.extend(fstab.then(|| "/etc/fstab".to_owned()));
        let step = Step::SwapOff {
            devices,
            masks,
            fstab,
        };
        self.push(
            Action::Disable,
            Kind::Swap,
            &text.join(", "),
            Detail::None,
            step,
        );
    }

    /// Units, with the images between them: containerd comes first, for images
    /// need it, and the kubelet last, for it needs everything.
    pub(super) fn units(&mut self, resources: &[Resource]) {
        let mut wanted: BTreeMap<String, (bool, bool)> = BTreeMap::new();
        for resource in resources {
            if let Resource::Unit {
                name,
                enabled,
                active,
            } = resource
            {
                wanted.insert(unit_name(name), (*enabled, *active));
            }
        }
        if self.unit_files {
            let name = "unit files";
            self.push(
                Action::Reload,
                Kind::Systemd,
                name,
                Detail::None,
                Step::DaemonReload,
            );
        }
        let mut names: BTreeSet<(u8, String)> = BTreeSet::new();
        for name in wanted.keys().chain(&self.touched) {
            let rank = match name.as_str() {
                "containerd.service" => 0,
                "kubelet.service" => 2,
                _ => 1,
            };
            names.insert((rank, name.clone()));
        }
        let (last, first): (Vec<_>, Vec<_>) = names.into_iter().partition(|(rank, _)| *rank == 2);
        for (_, name) in first {
            self.unit(&name, wanted.get(&name).copied());
        }
        self.images(resources);
        for (_, name) in last {
            self.unit(&name, wanted.get(&name).copied());
        }
    }

    /// Static pods that run already, once the kubelet is as it should be. A
    /// manifest that is new starts its pod; nothing has to go for it.
    pub(super) fn static_pods(&mut self) {
        for name in std::mem::take(&mut self.static_pods) {
            let path = format!("{MANIFESTS}/{name}.yaml");
            if self.observed.at(&path).is_none() {
                continue;
            }
            let step = Step::StaticPod {
                name: name.clone(),
                manifest: self.written.contains(&path) && !self.reworded.contains(&path),
            };
            self.push(Action::Restart, Kind::StaticPod, &name, Detail::None, step);
        }
    }

    fn unit(&mut self, name: &str, wanted: Option<(bool, bool)>) {
        let state = self.observed.units.get(name).cloned().unwrap_or_default();
        let lives = matches!(state.active.as_str(), "active" | "reloading" | "activating");
        // One that fails over and over is between two starts most of the time.
        let runs = lives && state.sub != "auto-restart";
        let boots = matches!(
            state.file.as_str(),
            "enabled" | "static" | "generated" | "alias" | "indirect"
        );
        let unmask = state.file == "masked" || state.load == "masked";
        let mut actions = Vec::new();
        match wanted {
            Some((true, _)) if !boots => actions.push((Action::Enable, "enable")),
            Some((false, _)) if state.file == "enabled" => {
                actions.push((Action::Disable, "disable"));
            }
            _ => {}
        }
        let touched = self.touched.contains(name);
        match wanted {
            Some((_, false)) if lives => actions.push((Action::Stop, "stop")),
            Some((_, false)) => {}
            _ if runs && touched => actions.push((Action::Restart, "restart")),
            // Its package may have started it a moment ago, with another
            // configuration: restart does what start does, and more.
            Some((_, true)) if !runs => actions.push((Action::Start, "restart")),
            _ => {}
        }
        for (action, verb) in actions {
            let before = ReceiptUnit {
                enabled: boots,
                active: runs,
            };
            self.receipt.units.entry(name.to_owned()).or_insert(before);
            let step = Step::Unit {
                name: name.to_owned(),
                verb,
                unmask: unmask && action == Action::Enable,
            };
            self.push(action, Kind::Unit, name, Detail::None, step);
        }
    }

    fn images(&mut self, resources: &[Resource]) {
        let present: BTreeSet<String> = self
            .observed
            .images
            .iter()
            .map(|name| full_name(name))
            .collect();
        for resource in resources {
            match resource {
                Resource::ImageArchive {
                    archive,
                    sha256,
                    size,
                    references,
                } => {
                    let in_place = references.iter().all(|reference| {
                        let ours = self.receipt.images.get(reference);
                        present.contains(&full_name(reference))
                            && ours
                                .is_none_or(|ours| ours.as_ref().is_none_or(|ours| ours == sha256))
                    });
                    if in_place {
                        continue;
                    }
                    for reference in references {
                        self.receipt
                            .images
                            .insert(reference.clone(), Some(sha256.clone()));
                    }
                    let file = archive.file_name().unwrap_or_default().to_string_lossy();
                    let detail = Detail::Text {
                        text: format!("{}: {}", human(*size), references.join(", ")),
                    };
                    let step = Step::Import {
                        archive: archive.clone(),
                        sha256: sha256.clone(),
                        size: *size,
                        references: references.iter().map(|name| full_name(name)).collect(),
                    };
                    self.push(Action::Import, Kind::Image, &file, detail, step);
                }
                Resource::ImagePull { reference } if !present.contains(&full_name(reference)) => {
                    self.receipt.images.insert(reference.clone(), None);
                    let step = Step::Pull {
                        reference: reference.clone(),
                    };
                    self.push(Action::Pull, Kind::Image, reference, Detail::None, step);
                }
                _ => {}
            }
        }
    }
}

/// The name under which containerd keeps an image.
pub(in crate::host) fn full_name(reference: &str) -> String {
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
