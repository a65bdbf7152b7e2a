//! What a recorded host holds: files, units, images, its receipt. It answers `observe` out of
//! that, and takes over what `converge` changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clusterctl::host::{
    Action, Change, Content, Fetched, HostError, HostPlan, Kind, Observed, Receipt, Resource,
    Running, Turn,
};
use sha2::{Digest, Sha256};

/// A file, or a link.
#[derive(Debug, Clone)]
pub struct Entry {
    is_link: bool,
    mode: u32,
    owner: String,
    sha256: String,
    /// Text, where it is ours and not streamed.
    content: Option<Vec<u8>>,
    secret: bool,
}

/// A unit.
#[derive(Debug, Clone, Copy, Default)]
struct Unit {
    enabled: bool,
    active: bool,
}

#[derive(Debug, Default)]
pub struct Machine {
    files: BTreeMap<String, Entry>,
    directories: BTreeMap<String, (u32, String)>,
    /// Paths that exist because a kernel module is loaded.
    effects: BTreeSet<String>,
    units: BTreeMap<String, Unit>,
    images: BTreeSet<String>,
    sysctls: BTreeMap<String, String>,
    pub receipt: Option<Receipt>,
    /// What the last change replaced, until that has proven itself; `None` for nothing.
    pub previous: BTreeMap<String, Option<Entry>>,
    /// Which run changed it last, and how many seconds ago.
    pub turn: Option<(Turn, u64)>,
    /// What it was asked about last, by what it is: changes name no more than that.
    asked: Vec<Resource>,
}

impl Machine {
    /// A machine with a container runtime and nothing of Kubernetes.
    pub fn bare() -> Self {
        let mut machine = Machine::default();
        let running = Unit {
            enabled: true,
            active: true,
        };
        machine.units.insert("containerd.service".into(), running);
        machine
    }

    pub fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// A file's text; empty if there is none.
    pub fn text(&self, path: &str) -> String {
        let content = self.files.get(path).and_then(|file| file.content.as_ref());
        String::from_utf8_lossy(content.map_or(&[][..], Vec::as_slice)).into_owned()
    }

    /// What files hold, for whoever asks as root.
    pub fn fetch(&self, paths: &[String]) -> Fetched {
        let content = |path: &String| {
            let content = self.files.get(path)?.content.clone()?;
            Some((path.clone(), content.into()))
        };
        paths.iter().filter_map(content).collect()
    }

    /// Removes a file behind clusterctl-rs' back.
    pub fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// Writes a file behind clusterctl-rs' back.
    pub fn write(&mut self, path: &str, text: &str) {
        let entry = Entry {
            is_link: false,
            mode: 0o600,
            owner: "root:root".into(),
            sha256: sha256(text.as_bytes()),
            content: Some(text.as_bytes().to_vec()),
            secret: true,
        };
        self.files.insert(path.to_owned(), entry);
    }

    /// Changes what a file that clusterctl-rs wrote says.
    pub fn tamper(&mut self, path: &str) {
        let file = self.files.get_mut(path).expect("a file");
        file.sha256 = sha256(b"tampered");
        file.content = Some(b"tampered".to_vec());
    }

    pub fn is_active(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.active)
    }

    pub fn start_unit(&mut self, unit: &str) {
        self.units.entry(unit.to_owned()).or_default().active = true;
    }

    /// Puts back what is kept. Says whether anything was.
    pub fn put_back(&mut self) -> bool {
        let previous = std::mem::take(&mut self.previous);
        let kept = !previous.is_empty();
        for (path, entry) in previous {
            match entry {
                Some(entry) => drop(self.files.insert(path, entry)),
                None => drop(self.files.remove(&path)),
            }
        }
        kept
    }

    pub fn stop_unit(&mut self, unit: &str) {
        self.units.entry(unit.to_owned()).or_default().active = false;
    }

    /// What its components were started with.
    pub fn running(&self) -> Running {
        let mut running = Running::default();
        for path in self.files.keys() {
            running.read_file(path, &self.text(path));
            if let Some(name) = path.strip_prefix("/etc/cni/net.d/") {
                running.networks.push(name.to_owned());
            }
        }
        running
    }

    /// Nothing of Kubernetes is left.
    pub fn reset(&mut self) {
        *self = Machine::bare();
    }

    /// How it looks, as far as it is asked.
    pub fn observe(&mut self, resources: &[Resource]) -> Observed {
        self.asked = resources.to_vec();
        let text = self.answer(resources);
        Observed::parse(text.as_bytes()).expect("an answer")
    }

    fn answer(&self, resources: &[Resource]) -> String {
        let mut text = "@@clusterctl observe 1\n@@section paths\n".to_owned();
        let mut stat = |kind: u32, mode: u32, owner: &str, path: &str| {
            let raw = kind | mode;
            let _ = writeln!(text, "{raw:x} 0:0 {owner} 1 1 1 1 .{path}");
        };
        for (path, (mode, owner)) in &self.directories {
            stat(0o040_000, *mode, owner, &format!("{path}/."));
        }
        for (path, file) in &self.files {
            let kind = if file.is_link { 0o120_000 } else { 0o100_000 };
            stat(kind, file.mode, &file.owner, path);
        }
        for path in &self.effects {
            stat(0o040_000, 0o755, "root:root", path);
        }
        text += "@@section hashes\n";
        for (path, file) in &self.files {
            let _ = writeln!(text, "{}  .{path}", file.sha256);
        }
        for (path, file) in &self.files {
            if let (Some(content), false) = (&file.content, file.secret) {
                let _ = writeln!(
                    text,
                    "@@section content .{path}\n{}",
                    STANDARD.encode(content)
                );
            }
        }
        text += "@@section units\n";
        for (name, unit) in &self.units {
            let active = if unit.active { "active" } else { "inactive" };
            let file = if unit.enabled { "enabled" } else { "disabled" };
            let _ = writeln!(
                text,
                "Id={name}\nLoadState=loaded\nActiveState={active}\nSubState=\nUnitFileState={file}\n"
            );
        }
        text += "@@section commands\n";
        // Every package that could be asked for is installed.
        for resource in resources {
            if let Resource::Package(package) = resource {
                let _ = writeln!(text, "{}", package.provides);
            }
        }
        text += "@@section images\n";
        for image in &self.images {
            let _ = writeln!(text, "{image}");
        }
        text += "@@section sysctls\n";
        for (path, value) in &self.sysctls {
            let _ = writeln!(text, ".{path}:{value}");
        }
        text += "@@section ours\n";
        for path in self.files.keys() {
            let _ = writeln!(text, ".{path}");
        }
        text += "@@section previous\n";
        for path in self.previous.keys() {
            let _ = writeln!(text, ".{path}");
        }
        if let Some((turn, age)) = &self.turn {
            let _ = writeln!(
                text,
                "@@section lock\n{age}\n{}\t{}",
                turn.number,
                turn.owner.to_line()
            );
        }
        if let Some(receipt) = &self.receipt {
            let encoded = STANDARD.encode(receipt.to_json());
            let _ = writeln!(text, "@@section receipt\n{encoded}");
        }
        text + "@@end\n"
    }

    /// Refuses a run that another one came after, as the scripts do.
    pub fn guard(&mut self, turn: &Turn) -> Result<(), HostError> {
        if let Some((last, _)) = &self.turn
            && (last.number > turn.number || last.number == turn.number && last.owner != turn.owner)
        {
            return Err(HostError::Superseded {
                number: last.number,
                owner: Box::new(last.owner.clone()),
            });
        }
        self.turn = Some((turn.clone(), 0));
        Ok(())
    }

    /// Takes over everything that a plan changes.
    pub fn converge(&mut self, plan: &HostPlan) {
        if plan.keeps_previous() {
            for path in plan.replaced() {
                let entry = self.files.get(path).cloned();
                self.previous.entry(path.to_owned()).or_insert(entry);
            }
        }
        for (at, change) in plan.changes.iter().enumerate() {
            self.change(change, plan.content(at));
        }
        self.receipt = Some(plan.receipt.clone());
    }

    fn change(&mut self, change: &Change, content: Option<&[u8]>) {
        let name = change.name.as_str();
        match (change.kind, change.action) {
            (_, Action::Confirm) => {}
            (Kind::File, Action::Remove) => {
                self.files.remove(name);
            }
            (Kind::File, _) => self.write_file(name, content),
            (Kind::Directory, _) => {
                let wanted = self.asked.iter().find_map(|resource| match resource {
                    Resource::Directory(one) if one.path == name => {
                        Some((one.mode, one.owner.clone()))
                    }
                    _ => None,
                });
                let wanted = wanted.unwrap_or((0o755, "root:root".into()));
                self.directories.insert(name.to_owned(), wanted);
            }
            (Kind::Link, _) => {
                let entry = Entry {
                    is_link: true,
                    mode: 0o777,
                    owner: "root:root".into(),
                    sha256: String::new(),
                    content: None,
                    secret: false,
                };
                self.files.insert(name.to_owned(), entry);
            }
            (Kind::Module, _) => {
                for resource in &self.asked {
                    if let Resource::KernelModule(module) = resource
                        && module.name == name
                    {
                        self.effects.insert(module.effect.clone());
                    }
                }
            }
            (Kind::Sysctl, _) => {
                for resource in &self.asked {
                    if let Resource::Sysctl(sysctl) = resource
                        && sysctl.key == name
                    {
                        let path = format!("/proc/sys/{}", name.replace('.', "/"));
                        self.sysctls.insert(path, sysctl.value.clone());
                    }
                }
            }
            (Kind::Unit, action) => {
                let unit = self.units.entry(name.to_owned()).or_default();
                match action {
                    Action::Enable => unit.enabled = true,
                    Action::Disable => unit.enabled = false,
                    Action::Stop => unit.active = false,
                    _ => unit.active = true,
                }
            }
            (Kind::Image, _) => {
                self.images.insert(name.to_owned());
            }
            // Packages are there, there is no swap, and what restarts is seen by the cluster.
            (
                Kind::PackageManager
                | Kind::Package
                | Kind::Swap
                | Kind::Systemd
                | Kind::StaticPod
                | Kind::EtcdData,
                _,
            ) => {}
        }
    }

    fn write_file(&mut self, path: &str, content: Option<&[u8]>) {
        let wanted = self.asked.iter().rev().find_map(|resource| match resource {
            Resource::File(file) if file.path == path => Some(file),
            _ => None,
        });
        let Some(wanted) = wanted else {
            panic!("{path} was not asked for");
        };
        let (sha256, content) = match (content, &wanted.content) {
            (Some(bytes), _) => (sha256(bytes), Some(bytes.to_vec())),
            (None, Content::Local { sha256, .. }) => (sha256.clone(), None),
            // Mode and owner only.
            (None, Content::Bytes(bytes)) => (self::sha256(bytes), Some(bytes.to_vec())),
        };
        let entry = Entry {
            is_link: false,
            mode: wanted.mode,
            owner: wanted.owner.clone(),
            sha256,
            content,
            secret: wanted.secret,
        };
        self.files.insert(path.to_owned(), entry);
    }
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
