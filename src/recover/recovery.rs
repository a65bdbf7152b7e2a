//! What was found, compared with the state directory, and written into it.

use std::fs;
use std::io;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use pki::{Action, Ca, Request, Store, node_file, shared_file, spki_pin};
use zeroize::Zeroizing;

use super::agreement::{Authority, agree, fingerprint, missing_keys, read_authorities};
use super::credentials::{Credentials, KUBELET, StateFiles, fetch};
use crate::cluster::survey::{Aside, Surveyed, survey_hosts};
use crate::desired::certificates;
use crate::desired::target::facts_of;
use crate::host::{HostError, Owner};
use crate::kubernetes::{Endpoints, KeyPair, admin_kubeconfig};
use crate::run::Run;
use crate::run::error::Error;

/// What is in the state directory beside runs and known hosts, all of it recovered together.
const REPLACED: [&str; 4] = ["pki", "hosts", "kubeconfig", "cluster.json"];

/// A file that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its name, relative to the state directory.
    pub file: String,
    /// Whether it replaces another one.
    pub replaces: bool,
}

/// What was found on the control planes.
pub struct Recovery {
    /// Control planes that it comes from.
    pub hosts: Vec<String>,
    /// The cluster's authorities.
    pub authorities: Vec<Authority>,
    /// What will be written.
    pub changes: Vec<FileChange>,
    /// What the state directory has of another cluster, a line each.
    pub conflicts: Vec<String>,
    /// What could not be recovered, and what that means.
    pub warnings: Vec<String>,
    files: StateFiles,
    kubeconfig: Option<Zeroizing<String>>,
    request: Request,
    owner: Owner,
}

/// What was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Where what the state directory had before was moved to.
    pub moved_to: Option<PathBuf>,
    /// What could not be recovered, and will be made by the next `apply`.
    pub notes: Vec<String>,
}

/// Connects to the control planes and fetches what they hold: two commands each, which change
/// nothing. Writes nothing on this machine either.
///
/// # Errors
/// No control plane that has joined; control planes of different clusters.
pub async fn find_state(run: &Run) -> Result<Recovery, Error> {
    let (surveyed, mut aside) = survey_hosts(run).await;
    aside.retain(|one| {
        let mut control_planes = run.cluster.control_planes();
        control_planes.any(|host| host.name == one.host)
    });
    let reached: Vec<&Surveyed> = surveyed
        .iter()
        .filter(|one| one.host.is_control_plane())
        .collect();
    let (joined, bare): (Vec<&Surveyed>, Vec<&Surveyed>) =
        reached.iter().partition(|one| one.gathered.facts.joined);
    if joined.is_empty() {
        return Err(match aside.is_empty() {
            false => {
                let one = aside.swap_remove(0);
                one.error.on(&one.host)
            }
            true => Error::Refused {
                message: "there is nothing to recover: no control plane in the inventory has \
                          joined a cluster"
                    .into(),
                hint: "run `clusterctl-rs apply` to create the cluster".into(),
            },
        });
    }
    refuse_other_names(run, &joined)?;
    let mut warnings = name_missing(&aside, &bare);
    let request = certificates::request(&run.cluster, &facts_of(&joined))?;
    let found = fetch_all(run, &joined, &request, &mut warnings).await?;
    let shared = agree(&found)?;
    refuse_foreign_kubelets(&joined, &shared)?;
    let authorities = read_authorities(&shared)?;
    warnings.extend(missing_keys(&authorities, &shared));
    let kubeconfig = render_kubeconfig(run, &joined, &shared, &found, &mut warnings);
    let hosts = found.iter().map(|one| one.host.clone()).collect();
    let conflicts = find_conflicts(run, &shared)?;
    let owner = read_owner(run, &joined, &shared);
    let mut files = shared;
    files.extend(found.into_iter().flat_map(|one| one.own));
    let mut recovery = Recovery {
        hosts,
        authorities,
        changes: Vec::new(),
        conflicts,
        warnings,
        files,
        kubeconfig,
        request,
        owner,
    };
    recovery.changes = recovery.compare(run)?;
    Ok(recovery)
}

/// The cluster's identity: its id as the receipts have it, and its CA.
fn read_owner(run: &Run, joined: &[&Surveyed], shared: &StateFiles) -> Owner {
    let mut receipts = joined
        .iter()
        .filter_map(|one| one.gathered.receipt_owner.as_ref());
    let ca = shared.get(&shared_file(Ca::Kubernetes.base(), "crt"));
    Owner {
        cluster: run.cluster.name.clone(),
        cluster_id: receipts
            .find(|owner| !owner.cluster_id.is_empty())
            .map_or_else(String::new, |owner| owner.cluster_id.clone()),
        ca: ca.and_then(|pem| spki_pin(pem).ok()).unwrap_or_default(),
    }
}

/// A warning for each control plane that nothing can be recovered from.
fn name_missing(aside: &[Aside], bare: &[&Surveyed]) -> Vec<String> {
    let lost = aside.iter().map(|one| {
        let error = one.error.to_string();
        let why = error.trim_start_matches(&format!("{}: ", one.host));
        format!(
            "{}: its certificates were not recovered: {why}; run the same command again once it \
             is reachable",
            one.host
        )
    });
    let bare = bare
        .iter()
        .map(|one| format!("{}: has not joined the cluster", one.host.name));
    lost.chain(bare).collect()
}

/// Refuses hosts that say by their receipt that they are another cluster's.
fn refuse_other_names(run: &Run, joined: &[&Surveyed]) -> Result<(), Error> {
    for one in joined {
        if let Some(found) = &one.gathered.receipt_owner
            && found.cluster != run.cluster.name
        {
            let other = HostError::OtherCluster {
                found: Box::new(found.clone()),
                wanted: Box::new(Owner::named(&run.cluster.name)),
            };
            return Err(Error::from(other).on(&one.host.name));
        }
    }
    Ok(())
}

/// Refuses a control plane whose kubelet trusts another authority than that in its files.
fn refuse_foreign_kubelets(joined: &[&Surveyed], shared: &StateFiles) -> Result<(), Error> {
    let Some(ca) = shared.get(&shared_file(Ca::Kubernetes.base(), "crt")) else {
        return Err(Error::Refused {
            message: "no control plane has a ca.crt in its certificatesDir".into(),
            hint: "check `certificatesDir` in the inventory".into(),
        });
    };
    for one in joined {
        let encoded = one.gathered.kubelet_ca.as_deref().unwrap_or_default();
        let theirs = STANDARD.decode(encoded).unwrap_or_default();
        let theirs = String::from_utf8_lossy(&theirs);
        if !theirs.is_empty() && theirs.trim() != ca.trim() {
            return Err(Error::Refused {
                message: format!(
                    "{}: its kubelet trusts the CA {}, but its ca.crt is {}",
                    one.host.name,
                    fingerprint(&theirs),
                    fingerprint(ca)
                ),
                hint: "restore the ca.crt and ca.key of the running cluster on this host first"
                    .into(),
            });
        }
    }
    Ok(())
}

/// Fetches what each holds. One that fails is a warning, unless all do.
async fn fetch_all(
    run: &Run,
    joined: &[&Surveyed],
    request: &Request,
    warnings: &mut Vec<String>,
) -> Result<Vec<Credentials>, Error> {
    let fetches = joined
        .iter()
        .map(|one| async { (&one.host, fetch(&run.cluster, one, request).await) });
    let mut found = Vec::new();
    let mut failed = Vec::new();
    for (host, result) in join_all(fetches).await {
        match result {
            Ok(one) => found.push(one),
            Err(error) => failed.push(error.on(&host.name)),
        }
    }
    if found.is_empty()
        && let Some(first) = failed.pop()
    {
        return Err(first);
    }
    warnings.extend(failed.iter().map(ToString::to_string));
    Ok(found)
}

/// The admin kubeconfig, with the certificate of the first control plane that was read: the
/// inventory's first one, if possible.
fn render_kubeconfig(
    run: &Run,
    joined: &[&Surveyed],
    shared: &StateFiles,
    found: &[Credentials],
    warnings: &mut Vec<String>,
) -> Option<Zeroizing<String>> {
    let base = "kubeconfig/admin";
    let ca = shared.get(&shared_file(Ca::Kubernetes.base(), "crt"))?;
    let pair = found.iter().find_map(|one| {
        let cert = one.own.get(&node_file(&one.host, base, "crt"))?;
        let key = one.own.get(&node_file(&one.host, base, "key"))?;
        Some((cert, key))
    });
    let Some((cert, key)) = pair else {
        warnings.push(
            "no control plane has an admin.conf: the kubeconfig is made by the next \
             `clusterctl-rs apply`"
                .into(),
        );
        return None;
    };
    let facts = |host: &crate::inventory::Host| {
        let mut joined = joined.iter();
        let one = joined.find(|one| one.host.name == host.name)?;
        Some(&one.gathered.facts)
    };
    match Endpoints::from_facts(&run.cluster, facts) {
        Ok(endpoints) => Some(admin_kubeconfig(
            &run.cluster,
            &endpoints,
            ca,
            KeyPair { cert, key },
        )),
        Err(error) => {
            warnings.push(format!("the kubeconfig was not recovered: {error}"));
            None
        }
    }
}

/// What the state directory has of what control planes share, and is not theirs.
fn find_conflicts(run: &Run, shared: &StateFiles) -> Result<Vec<String>, Error> {
    let store = Store::new(run.state.dir());
    let mut conflicts = Vec::new();
    for (file, theirs) in shared {
        let Some(ours) = store.read(file)? else {
            continue;
        };
        if ours.trim() == theirs.trim() {
            continue;
        }
        conflicts.push(match file.ends_with(".crt") {
            true => format!(
                "{file} is {}, that of the cluster is {}",
                fingerprint(&ours),
                fingerprint(theirs)
            ),
            false => format!("{file} is not the cluster's"),
        });
    }
    Ok(conflicts)
}

impl Recovery {
    /// What is not yet in the state directory.
    fn compare(&self, run: &Run) -> Result<Vec<FileChange>, Error> {
        let store = Store::new(run.state.dir());
        let mut changes = Vec::new();
        let change = |file: &str, before: Option<&str>, after: &str| {
            (before != Some(after)).then(|| FileChange {
                file: file.to_owned(),
                replaces: before.is_some(),
            })
        };
        for (file, text) in &self.files {
            let before = store.read(file)?;
            let before = before.as_deref().map(String::as_str);
            changes.extend(change(file, before, text));
        }
        if let Some(text) = &self.kubeconfig {
            let before = store.read("kubeconfig")?;
            let before = before.as_deref().map(String::as_str);
            changes.extend(change("kubeconfig", before, text));
        }
        Ok(changes)
    }

    /// Refuses to write over the keys of another cluster.
    ///
    /// # Errors
    /// The conflicts, if there are any.
    pub fn refuse_conflicts(&self, run: &Run) -> Result<(), Error> {
        if self.conflicts.is_empty() {
            return Ok(());
        }
        let lines: String = self
            .conflicts
            .iter()
            .map(|line| format!("\n  {line}"))
            .collect();
        Err(Error::Refused {
            message: format!(
                "the state directory {} holds another cluster's keys{lines}",
                run.state.dir().display()
            ),
            hint: "check that this is the right inventory; to move those keys aside, into a \
                   directory named by the date, pass `--replace`"
                .into(),
        })
    }

    /// Writes what was found. With `replace`, what the state directory has of another cluster is
    /// first moved aside; without, nothing of it may be there.
    ///
    /// # Errors
    /// Conflicts, an error of the file system.
    pub fn write(&self, run: &Run, replace: bool) -> Result<Written, Error> {
        let mut written = Written::default();
        let mut changes = self.changes.clone();
        if !self.conflicts.is_empty() {
            if !replace {
                self.refuse_conflicts(run)?;
            }
            written.moved_to = Some(move_aside(run)?);
            changes = self.compare(run)?;
        }
        let store = Store::new(run.state.dir());
        changes.sort_by_key(|change| rank(&change.file));
        for change in &changes {
            if let Some(text) = self.files.get(&change.file) {
                store.adopt(&change.file, text)?;
            }
        }
        if let Some(text) = &self.kubeconfig {
            run.state.write(&run.state.kubeconfig(), text.as_bytes())?;
        }
        // A cluster of before there were ids gets one with the next `apply`.
        if !self.owner.cluster_id.is_empty() {
            run.state.remember_owner(&self.owner)?;
        }
        self.complete(&store, &mut written);
        Ok(written)
    }

    /// Makes what no host is compared with; notes what the next run will make.
    fn complete(&self, store: &Store, written: &mut Written) {
        let is_seed = |file: &str| {
            let mut nodes = self.request.nodes.iter();
            nodes.any(|node| {
                let mut ends = ["crt", "key"].iter();
                ends.any(|end| file == node_file(&node.name, KUBELET, end))
            })
        };
        let made = store.ensure_only(&self.request, is_seed);
        let planned = made.and_then(|()| store.plan(&self.request));
        match planned {
            Ok(pki) => {
                let missing = pki.decisions.into_iter();
                let missing = missing.filter(|decision| decision.action != Action::Kept);
                written.notes.extend(missing.map(|decision| {
                    let (file, why) = (decision.file, decision.why);
                    format!("the next `clusterctl-rs apply` issues {file}: {why}")
                }));
            }
            Err(error) => written.notes.push(error.to_string()),
        }
    }
}

/// In which order files are written: a run that is cut short must leave a directory that is
/// refused, and never one to which a new authority would be added. That it refuses is up to
/// certificates without their authority, and a public key without its private half.
fn rank(file: &str) -> (bool, bool, bool) {
    let shared = file.starts_with("pki/");
    (shared, file.ends_with(".crt"), file.ends_with(".key"))
}

/// Moves what is recovered out of the way, into a directory that has the date in its name.
fn move_aside(run: &Run) -> Result<PathBuf, Error> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let dir = run.state.dir().join(format!("replaced-{now}"));
    let cannot = |what, path: &PathBuf, source| Error::File {
        what,
        path: path.clone(),
        source,
    };
    files::create_private_dir(&dir).map_err(|error| cannot("create", &dir, error))?;
    for name in REPLACED {
        let from = run.state.dir().join(name);
        match fs::rename(&from, dir.join(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot("move", &from, error)),
        }
    }
    Ok(dir)
}
