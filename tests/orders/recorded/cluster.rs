//! A recorded cluster, and the runs over it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use clusterctl::Error;
use clusterctl::apply::certs::make_certificates;
use clusterctl::host::Owner;
use clusterctl::inventory;
use clusterctl::plan::document::PlanDocument;
use clusterctl::plan::draft::Draft;
use clusterctl::remove::node::{Removal, RemoveOptions, remove_nodes};
use clusterctl::remove::reset::{ResetHost, ResetOptions, inspect_hosts, reset_hosts};
use clusterctl::run::events::{Event, Events, Sink};
use clusterctl::run::lock::RunLock;
use clusterctl::run::selection::Selection;
use clusterctl::run::state::State;
use clusterctl::run::tracker::Tracker;
use clusterctl::run::{Options, Run};
use serde_json::json;
use tempfile::TempDir;

use super::host::{LEASE, RecordedHosts};
use super::{Host, Shared};

/// Hosts `cp1`, `cp2`, … and `w1`, `w2`, …, and an inventory that names them.
pub struct Cluster {
    pub shared: Shared,
    /// Lines below `spec` of the inventory.
    pub spec: String,
    /// The Kubernetes version in the inventory.
    pub version: &'static str,
    /// Fields of hosts in the inventory, where they are not `name`, `address` and `roles`.
    pub hosts: BTreeMap<&'static str, &'static str>,
    /// Phases that are left out.
    pub skipped: Vec<String>,
    control_planes: usize,
    workers: usize,
    directory: TempDir,
    warnings: Arc<Warnings>,
    phases: Arc<Phases>,
}

/// The certificates of three control planes.
fn make_all_certificates() -> TempDir {
    let cluster = Cluster::without_certificates(3, 0);
    // The runtime of the test that comes here first is busy with that test.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let run = cluster.run(&[]);
                let mut draft = Box::pin(Draft::new(&run)).await.expect("a draft");
                make_certificates(&run, &mut draft).expect("certificates");
            });
        });
    });
    cluster.directory
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).expect("a copy")),
        }
    }
}

/// Keeps the warnings of all runs.
#[derive(Default)]
struct Warnings(std::sync::Mutex<Vec<String>>);

impl Sink for Warnings {
    fn take(&self, event: &Event) {
        if let Event::Warning { text } = event {
            self.0.lock().expect("a lock").push(text.clone());
        }
    }
}

/// Keeps what is told of phases.
#[derive(Default)]
struct Phases(std::sync::Mutex<Vec<String>>);

impl Sink for Phases {
    fn take(&self, event: &Event) {
        let line = match event {
            Event::PhaseStarted { phase, .. } => format!("[{phase}] begins"),
            Event::PhaseFinished { phase, .. } => format!("[{phase}] ends"),
            Event::HostFailed { host, phase, .. } => format!("[{phase}] {host} failed"),
            _ => return,
        };
        self.0.lock().expect("a lock").push(line);
    }
}

impl Cluster {
    /// Bare machines, whose certificates are there already: making them takes longer than all
    /// the rest.
    pub fn bare(control_planes: usize, workers: usize) -> Self {
        static CERTIFICATES: OnceLock<TempDir> = OnceLock::new();
        let made = CERTIFICATES.get_or_init(make_all_certificates);
        let cluster = Cluster::without_certificates(control_planes, workers);
        copy(
            &made.path().join("state"),
            &cluster.directory.path().join("state"),
        );
        cluster
    }

    /// Bare machines, and an empty operator state.
    pub fn without_certificates(control_planes: usize, workers: usize) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let artifacts = directory.path().join("artifacts/linux-amd64");
        std::fs::create_dir_all(&artifacts).expect("a directory");
        std::fs::write(artifacts.join("kubelet"), "kubelet").expect("a file");
        // Of "kubelet".
        let sum = "1ca4bc7eb9b3d6f1e205da9cfab437c89d3760d0765a29a6bcbccf4ad51a2cb1";
        let list = format!("{sum}  linux-amd64/kubelet\n");
        std::fs::write(directory.path().join("artifacts/SHA256SUMS"), list).expect("a file");
        let mut cluster = Cluster {
            shared: Shared::default(),
            spec: String::new(),
            version: "v1.36.2",
            hosts: BTreeMap::new(),
            skipped: Vec::new(),
            control_planes: 0,
            workers: 0,
            directory,
            warnings: Arc::default(),
            phases: Arc::default(),
        };
        cluster.add(control_planes, workers);
        cluster
    }

    /// A cluster that runs: what an `apply` on bare machines left.
    pub async fn running(control_planes: usize, workers: usize) -> Self {
        let cluster = Cluster::bare(control_planes, workers);
        cluster.start().await;
        cluster
    }

    /// Applies, and forgets how.
    pub async fn start(&self) {
        let aside = self.apply().await.expect("an apply");
        assert!(aside.is_empty(), "{aside:?}");
        // What follows is not about the seconds after a start.
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        self.shared.lock().settle();
        self.shared.clear();
    }

    /// Adds machines, which are bare, to the inventory.
    pub fn add(&mut self, control_planes: usize, workers: usize) {
        let mut world = self.shared.lock();
        for (prefix, first, known, more) in [
            ("cp", 11, self.control_planes, control_planes),
            ("w", 21, self.workers, workers),
        ] {
            for number in known + 1..=known + more {
                let name = format!("{prefix}{number}");
                let address = format!("192.0.2.{}", first + number - 1);
                let host = Host::new(&name, address.parse().expect("an address"));
                world.hosts.insert(name, host);
            }
        }
        drop(world);
        self.control_planes += control_planes;
        self.workers += workers;
    }

    /// Deletes the last control plane from the inventory, and nothing else.
    pub fn forget_last_control_plane(&mut self) {
        self.control_planes -= 1;
    }

    /// Where the inventory is.
    pub fn directory(&self) -> String {
        self.directory.path().display().to_string()
    }

    /// Writes a file beside the inventory.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }

    fn inventory(&self) -> inventory::Cluster {
        let mut text = format!(
            "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {{name: demo}}\nspec:\n  \
             kubernetesVersion: {}\n  artifacts: {{source: directory, path: ./artifacts}}\n{}  \
             hosts:\n",
            self.version, self.spec
        );
        let control_planes =
            (1..=self.control_planes).map(|number| ("cp", number, 10, "control-plane"));
        let workers = (1..=self.workers).map(|number| ("w", number, 20, "worker"));
        for (prefix, number, base, role) in control_planes.chain(workers) {
            let name = format!("{prefix}{number}");
            let address = base + number;
            let usual = format!("name: {name}, address: 192.0.2.{address}, roles: [{role}]");
            let fields = self
                .hosts
                .get(name.as_str())
                .map_or(&*usual, |fields| fields);
            text += &format!("    - {{{fields}}}\n");
        }
        // A plan names it, and its hash.
        let path = self.directory.path().join("inventory.yaml");
        std::fs::write(path, &text).expect("a file");
        let parsed = inventory::parse(&text, "inventory.yaml", self.directory.path());
        parsed.expect("an inventory").0
    }

    /// The state directory.
    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// A run over the hosts that match `hosts`; over all, if there are none.
    pub fn run(&self, hosts: &[&str]) -> Run {
        let state = State::open(self.state_dir()).expect("a state");
        Run {
            cluster: Arc::new(self.inventory()),
            inventory: self.directory.path().join("inventory.yaml"),
            state,
            connector: Arc::new(RecordedHosts(self.shared.clone())),
            tracker: Tracker::new(Events::new(vec![
                Arc::clone(&self.warnings) as Arc<dyn Sink>,
                Arc::clone(&self.phases) as Arc<dyn Sink>,
            ])),
            journal: None,
            options: Options {
                selection: Selection::new(&[], &self.skipped).expect("a selection"),
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                cache: Some(self.directory.path().join("cache")),
                ..Options::default()
            },
            lock: RunLock::new("apply"),
            kept: None,
        }
    }

    /// Takes a file or directory of the operator state away, or all of it.
    pub fn lose_state(&self, path: &str) {
        let path = self.directory.path().join("state").join(path);
        match path.is_dir() {
            true => std::fs::remove_dir_all(path).expect("removed"),
            false => std::fs::remove_file(path).expect("removed"),
        }
    }

    /// Changes whose a host says it is.
    pub fn set_owner(&self, host: &str, owner: Owner) {
        let mut world = self.shared.lock();
        let receipt = &mut world.host(host).machine.receipt;
        receipt.as_mut().expect("a receipt").owner = owner;
    }

    /// Whom the operator state belongs to.
    pub fn owner(&self) -> Option<Owner> {
        self.run(&[]).state.owner().expect("a state")
    }

    /// What `apply` does once its question was answered. Comes back with the hosts that were
    /// set aside, and why.
    pub async fn apply(&self) -> Result<Vec<(String, String)>, Error> {
        self.apply_plan(&[], None).await
    }

    /// The same on some hosts, or for a plan that was kept.
    pub async fn apply_plan(
        &self,
        hosts: &[&str],
        kept: Option<&PlanDocument>,
    ) -> Result<Vec<(String, String)>, Error> {
        let run = self.run(hosts);
        let mut draft = Box::pin(Draft::new(&run)).await?;
        if let Some(kept) = kept {
            draft.refuse_stale(&run, kept).await?;
        }
        let mut aside = std::mem::take(&mut draft.aside);
        let mut plan = draft.plan(&run).await?;
        if !plan.is_empty() {
            if plan.changes_certs() {
                make_certificates(&run, &mut draft)?;
                plan = draft.plan(&run).await?;
            }
            let applied = Box::pin(clusterctl::apply::apply(&run, &plan));
            aside.extend(applied.await?);
        }
        let aside = aside.into_iter();
        Ok(aside.map(|one| (one.host, one.error.to_string())).collect())
    }

    /// The plan as it would be kept in a file.
    pub async fn plan(&self) -> PlanDocument {
        let run = self.run(&[]);
        let draft = Box::pin(Draft::new(&run)).await.expect("a draft");
        draft.document(&run).await.expect("a plan")
    }

    /// What would change on hosts, a line each.
    pub async fn changes(&self) -> Vec<String> {
        let plan = self.plan().await;
        let hosts = plan.hosts.iter();
        let changes = hosts.flat_map(|host| &host.changes);
        let line = |change: &clusterctl::plan::document::PlannedChange| {
            format!("{} {} {}", change.action, change.kind, change.name)
        };
        changes.map(line).collect()
    }

    pub async fn remove(&self, hosts: &[&str], options: RemoveOptions) -> Result<Removal, Error> {
        Box::pin(remove_nodes(&self.run(hosts), options)).await
    }

    pub async fn reset(&self, hosts: &[&str], options: ResetOptions) -> Vec<ResetHost> {
        let run = self.run(hosts);
        let inspection = inspect_hosts(&run).await;
        Box::pin(reset_hosts(&run, options, inspection))
            .await
            .expect("a reset")
    }

    /// A pod on a node, with a controller or without.
    pub fn run_pod(&self, node: &str, name: &str, controlled: bool) {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
            "uid": "1", "controller": true});
        let owners = if controlled { vec![owner] } else { Vec::new() };
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": "default", "name": name, "ownerReferences": owners},
            "spec": {"nodeName": node, "containers": []}, "status": {"phase": "Running"}});
        let path = format!("/api/v1/namespaces/default/pods/{name}");
        self.shared.lock().objects.put(&path, pod);
    }

    /// kube-vip holds its address on that node.
    pub fn hold_address(&self, node: &str) {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": "kube-system", "name": "plndr-cp-lock"},
            "spec": {"holderIdentity": node}});
        self.shared.lock().objects.put(LEASE, lease);
    }

    /// Warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.0.lock().expect("a lock").clone()
    }

    /// What was told of these phases, in order: when they began and ended, and who failed.
    pub fn told_of(&self, phases: &[&str]) -> Vec<String> {
        let told = self.phases.0.lock().expect("a lock");
        let is_wanted = |line: &&String| {
            let mut all = phases.iter();
            all.any(|phase| line.starts_with(&format!("[{phase}] ")))
        };
        told.iter().filter(is_wanted).cloned().collect()
    }

    pub fn lines(&self) -> Vec<String> {
        self.shared.lines()
    }

    /// Where a line of the log is.
    #[track_caller]
    pub fn position(&self, line: &str) -> usize {
        let lines = self.lines();
        let found = lines.iter().position(|one| one == line);
        found.unwrap_or_else(|| panic!("no {line:?} in {lines:#?}"))
    }

    /// Whether the log has a line that begins so.
    pub fn has(&self, start: &str) -> bool {
        self.lines().iter().any(|line| line.starts_with(start))
    }

    /// These lines are in the log, in this order.
    #[track_caller]
    pub fn assert_order(&self, wanted: &[&str]) {
        let lines = self.lines();
        let mut rest = lines.iter();
        for line in wanted {
            assert!(
                rest.any(|one| one == line),
                "no {line:?} in its place in {lines:#?}"
            );
        }
    }
}
