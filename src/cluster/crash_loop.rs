//! Finds components that start again and again, or can't start: waiting for them is in vain.

use std::collections::BTreeMap;
use std::time::Duration;

use super::log_line::{is_consequence, is_refusal, telling_line};
use super::survey::Surveyed;
use crate::host::{Crashes, PodLife};
use crate::layout::components::{
    API_SERVER, CONTROLLER_MANAGER, ETCD, HAPROXY, KUBE_VIP, KUBELET, SCHEDULER,
};

/// A component that won't come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Its name.
    pub(crate) component: String,
    /// What it does instead of running: *is crash-looping*.
    pub(crate) state: &'static str,
    /// The line of its log that says why.
    pub(crate) line: Option<String>,
}

/// What is waited for: what depends on it may end until it is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// etcd and the API server.
    Api,
    /// The others, once the API server is healthy.
    Rest,
    /// The kubelet alone.
    Kubelet,
}

/// Looks at the components of a host while they are waited for.
#[derive(Debug)]
pub(crate) struct CrashWatch {
    /// Whether a running cluster is changed: then each second counts, and what others need
    /// to start is in place.
    live: bool,
    /// How the host was before its change.
    before: Option<Crashes>,
    /// How it was when the API server became healthy.
    api_healthy: Option<Crashes>,
    /// When the kubelet was first seen to be unable to start a pod, by the host's clock.
    stuck: BTreeMap<&'static str, i64>,
}

impl CrashWatch {
    /// Looks at the host before anything changes there.
    pub(crate) async fn begin(one: &Surveyed, live: bool) -> Self {
        CrashWatch {
            live,
            before: one.session.look_for_crashes(None).await.ok(),
            api_healthy: None,
            stuck: BTreeMap::new(),
        }
    }

    /// One without an earlier look, for a host without a control plane.
    pub(crate) fn of_kubelet(live: bool) -> Self {
        CrashWatch {
            live,
            before: None,
            api_healthy: None,
            stuck: BTreeMap::new(),
        }
    }

    /// Whether a running cluster is changed.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Ends when a component is found that won't come up.
    pub(crate) async fn find(&mut self, one: &Surveyed, stage: Stage) -> Crash {
        let every = match self.live {
            true => Duration::from_secs(3),
            // A new control plane takes longer, and a healthy one shall cost few commands.
            false => Duration::from_secs(10),
        };
        let since = self.before.as_ref().map(|before| before.now);
        loop {
            if stage == Stage::Rest && self.api_healthy.is_none() {
                self.api_healthy = one.session.look_for_crashes(since).await.ok();
            }
            tokio::time::sleep(every).await;
            if let Ok(seen) = one.session.look_for_crashes(since).await
                && let Some(crash) = self.judge(&seen, stage)
            {
                return crash;
            }
        }
    }

    fn judge(&mut self, seen: &Crashes, stage: Stage) -> Option<Crash> {
        if let Some(crash) = judge_units(seen) {
            return Some(crash);
        }
        let pods: &[&'static str] = match stage {
            Stage::Kubelet => &[HAPROXY],
            _ => &[ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KUBE_VIP],
        };
        let ended = pods.iter().find_map(|name| {
            let life = seen.pods.get(*name)?;
            let line = telling_line(&life.said);
            let crash_loops = self.is_crash_looping(name, life, line.as_deref(), stage)
                || *name == API_SERVER && self.ended_alone(seen, life);
            crash_loops.then(|| crash(name, "is crash-looping", line))
        });
        ended.or_else(|| pods.iter().find_map(|name| self.judge_start(name, seen)))
    }

    fn is_crash_looping(
        &self,
        name: &str,
        life: &PodLife,
        line: Option<&str>,
        stage: Stage,
    ) -> bool {
        let exits = life.exits_since(attempt_before(self.before.as_ref(), life));
        if exits >= 1 && is_refusal(&life.said) {
            return true;
        }
        let consequence = line.is_some_and(is_consequence);
        let needs_api = matches!(name, CONTROLLER_MANAGER | SCHEDULER | KUBE_VIP);
        let enough = if self.live { 2 } else { 3 };
        if needs_api {
            // Without an API server they end, too.
            let since = life.exits_since(attempt_before(self.api_healthy.as_ref(), life));
            return match (stage, consequence) {
                (Stage::Rest, false) => since >= 1 && exits >= 2,
                (Stage::Rest, true) => since >= 3,
                _ => exits >= 3 && !consequence,
            };
        }
        // In a new cluster, API servers end until the slowest host's etcd has come.
        exits >= enough && (self.live || !consequence)
    }

    /// Whether the API server of a running cluster has ended although its etcd is as it was:
    /// then a first end says as much as a second one, which may be half a minute away.
    fn ended_alone(&self, seen: &Crashes, life: &PodLife) -> bool {
        let etcd = seen.pods.get(ETCD);
        let as_before = etcd.is_none_or(|etcd| {
            let before = attempt_before(self.before.as_ref(), etcd);
            !etcd.ended && before.is_some_and(|before| before.attempt == etcd.attempt)
        });
        let exits = life.exits_since(attempt_before(self.before.as_ref(), life));
        self.live && self.before.is_some() && as_before && life.ended && exits >= 1
    }

    /// Whether the kubelet can't even start a pod: a volume or an image is missing, or
    /// its manifest isn't one.
    fn judge_start(&mut self, name: &'static str, seen: &Crashes) -> Option<Crash> {
        let runs = seen.pods.get(name).is_some_and(|life| !life.ended);
        let line = seen.kubelet.iter().rev().find(|line| is_about(line, name));
        let line = match line {
            Some(line) if !runs => line,
            _ => {
                self.stuck.remove(name);
                return None;
            }
        };
        // A registry may answer the next time.
        let pulls = line.contains("ErrImagePull") || line.contains("ImagePullBackOff");
        if pulls && !self.live {
            return None;
        }
        let first = *self.stuck.entry(name).or_insert(seen.now);
        let patience = if self.live { 8 } else { 40 };
        let line = telling_line(std::slice::from_ref(line));
        (seen.now - first >= patience).then(|| crash(name, "cannot start", line))
    }
}

/// Where a pod was in an earlier look, wherever its logs are now.
fn attempt_before<'a>(before: Option<&'a Crashes>, life: &PodLife) -> Option<&'a PodLife> {
    before?.places.get(&life.place)
}

fn crash(component: &str, state: &'static str, line: Option<String>) -> Crash {
    Crash {
        component: component.to_owned(),
        state,
        line,
    }
}

/// containerd's unit and the kubelet's. A kubelet may fail once while its container runtime
/// starts.
fn judge_units(seen: &Crashes) -> Option<Crash> {
    for (unit, name) in [
        ("containerd.service", "containerd"),
        ("kubelet.service", KUBELET),
    ] {
        let Some(life) = seen.units.get(unit) else {
            continue;
        };
        // Of its last start, if that is among the lines.
        let start = life
            .said
            .iter()
            .rposition(|line| line.starts_with("Started "));
        let said = &life.said[start.map_or(0, |at| at + 1)..];
        let refuses = life.ended && life.exits() >= 1 && is_refusal(said);
        if life.exits() >= 3 || refuses {
            let said = if said.is_empty() { &life.said } else { said };
            return Some(crash(name, "is crash-looping", telling_line(said)));
        }
    }
    None
}

/// Whether a line of the kubelet's journal says that it can't start this pod.
fn is_about(line: &str, name: &str) -> bool {
    const FAILURES: [&str; 9] = [
        "MountVolume.SetUp failed",
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainer",
        "RunContainerError",
        "CreatePodSandbox",
        "rocess manifest file",
    ];
    let named = line.contains(&format!("kube-system/{name}-"))
        || line.contains(&format!("pod \"{name}-"))
        || line.contains(&format!("/{name}.yaml"));
    let fails = FAILURES.iter().any(|word| line.contains(word)) || line.contains("config file");
    named && fails && !line.contains("CrashLoopBackOff")
}
