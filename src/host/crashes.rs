//! The probe for components that end again and again, or can't start: one script, cheap
//! enough to be run every few seconds while a run waits.

use std::collections::BTreeMap;

use super::error::HostError;
use super::wire::{Sections, clean};
use crate::layout::components;
use ssh::Script;

/// Static pods that are looked at.
const STATIC_PODS: [&str; 6] = [
    components::ETCD,
    components::API_SERVER,
    components::CONTROLLER_MANAGER,
    components::SCHEDULER,
    components::KUBE_VIP,
    components::HAPROXY,
];

/// How often components have ended, and what they said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crashes {
    /// The host's clock, in seconds since 1970.
    pub now: i64,
    /// containerd's and the kubelet's units, by name.
    pub units: BTreeMap<String, UnitLife>,
    /// Static pods, by the component's name.
    pub pods: BTreeMap<String, PodLife>,
    /// The newest attempt by the place of its logs, those of earlier manifests included.
    pub places: BTreeMap<String, PodLife>,
    /// What the kubelet says of pods that it can't start.
    pub kubelet: Vec<String>,
}

/// How a unit is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitLife {
    /// How often systemd has restarted it since it was last started on purpose.
    pub restarts: u32,
    /// Whether it has ended, and not on purpose.
    pub ended: bool,
    /// The end of its journal.
    pub said: Vec<String>,
}

impl UnitLife {
    /// How often it has ended since it was last started on purpose.
    pub fn exits(&self) -> u32 {
        self.restarts + u32::from(self.ended)
    }
}

/// How a static pod's container is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodLife {
    /// Where its logs are: another place for each manifest.
    pub place: String,
    /// The number of its newest attempt; the first is 0.
    pub attempt: u32,
    /// Whether that one has ended.
    pub ended: bool,
    /// What the attempt that ended last said.
    pub said: Vec<String>,
}

impl PodLife {
    /// How often it has ended since it was as in `before`.
    pub fn exits_since(&self, before: Option<&PodLife>) -> u32 {
        match before {
            // The next attempt may have begun right after that look, and is no exit.
            Some(before) if before.place == self.place => {
                (self.attempt + u32::from(self.ended)).saturating_sub(before.attempt + 1)
            }
            _ => self.attempt + u32::from(self.ended),
        }
    }
}

/// The script that asks a host; `since`, by its own clock, is how far back the kubelet's
/// journal is of interest.
pub fn crashes(since: Option<i64>) -> Script {
    let since = since.map(|since| since.to_string()).unwrap_or_default();
    Script {
        name: "look for crash loops".into(),
        text: format!(
            "since={since}\ncomponents='{}'\n{}{}",
            STATIC_PODS.join(" "),
            include_str!("scripts/processes.sh"),
            include_str!("scripts/crashes.sh")
        ),
        input: Vec::new(),
    }
}

/// Reads what [`crashes`]'s script said.
///
/// # Errors
///
/// An answer that isn't one, or that was cut off.
pub fn parse_crashes(raw: &[u8]) -> Result<Crashes, HostError> {
    let sections = Sections::parse(raw, "crashes")?;
    let now = sections.text("now");
    let mut units = parse_lives(&sections.text("units"));
    for (name, lines) in sections.starting("unit ") {
        if let Some(unit) = units.get_mut(name) {
            unit.said = texts(lines);
        }
    }
    let pods = sections.starting("pod ").filter_map(|(name, lines)| {
        let (first, said) = lines.split_first()?;
        let first = clean(first);
        let mut words = first.rsplitn(3, ' ');
        let ended = words.next()? == "ended";
        let life = PodLife {
            attempt: words.next()?.parse().ok()?,
            place: words.next()?.to_owned(),
            ended,
            said: texts(said),
        };
        Some((clean(name.as_bytes()), life))
    });
    let places = sections.text("places");
    let places = places.iter().filter_map(|line| {
        let (place, attempt) = line.rsplit_once(' ')?;
        let life = PodLife {
            attempt: attempt.parse().ok()?,
            place: place.to_owned(),
            ..PodLife::default()
        };
        Some((place.to_owned(), life))
    });
    Ok(Crashes {
        places: places.collect(),
        now: now.first().and_then(|now| now.parse().ok()).unwrap_or(0),
        pods: pods.collect(),
        kubelet: sections.text("kubelet"),
        units,
    })
}

fn texts(lines: &[&[u8]]) -> Vec<String> {
    let lines = lines.iter().map(|line| clean(line));
    lines.filter(|line| !line.trim().is_empty()).collect()
}

/// Blocks of `systemctl show`, each of which has a line with the unit's name.
fn parse_lives(lines: &[String]) -> BTreeMap<String, UnitLife> {
    let blocks = lines.split(|line| line.is_empty());
    let lives = blocks.filter_map(|block| {
        let value = |key: &str| {
            let mut pairs = block.iter().filter_map(|line| line.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let ended = value("ActiveState") == Some("failed")
            || value("SubState").is_some_and(|state| state.starts_with("auto-restart"));
        let life = UnitLife {
            restarts: value("NRestarts").and_then(|n| n.parse().ok()).unwrap_or(0),
            ended,
            said: Vec::new(),
        };
        Some((value("Id")?.to_owned(), life))
    });
    lives.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SAID: &[u8] = b"@@clusterctl crashes 1
@@section now
1700000000
@@section units
Id=containerd.service
ActiveState=active
SubState=running
NRestarts=0

Id=kubelet.service
ActiveState=activating
SubState=auto-restart
NRestarts=2
@@section unit containerd.service
@@section unit kubelet.service
E1 run.go:72] \"command failed\" err=\"x\"

@@section places
./var/log/pods/kube-system_kube-apiserver-cp1_abc/kube-apiserver 1
@@section pod kube-apiserver
./var/log/pods/kube-system_kube-apiserver-cp1_abc/kube-apiserver 1 ended
Error: unknown flag: --no-such-flag
@@section kubelet
@@end
";

    #[test]
    fn what_a_host_says_is_read() {
        let crashes = parse_crashes(SAID).unwrap();
        assert_eq!(crashes.now, 1_700_000_000);
        assert_eq!(crashes.units["kubelet.service"].exits(), 3);
        assert_eq!(crashes.units["kubelet.service"].said.len(), 1);
        assert_eq!(crashes.units["containerd.service"].exits(), 0);
        let pod = &crashes.pods["kube-apiserver"];
        assert_eq!((pod.attempt, pod.ended), (1, true));
        assert_eq!(pod.said, ["Error: unknown flag: --no-such-flag"]);
        assert_eq!(pod.exits_since(None), 2);
        assert_eq!(crashes.places[&pod.place].attempt, 1);
    }

    #[test]
    fn only_what_ended_since_counts() {
        let life = |place: &str, attempt, ended| PodLife {
            place: place.into(),
            attempt,
            ended,
            said: Vec::new(),
        };
        let before = life("a", 3, true);
        assert_eq!(life("a", 3, true).exits_since(Some(&before)), 0);
        assert_eq!(life("a", 4, false).exits_since(Some(&before)), 0);
        assert_eq!(life("a", 4, true).exits_since(Some(&before)), 1);
        assert_eq!(life("b", 0, false).exits_since(Some(&before)), 0);
        assert_eq!(life("b", 1, true).exits_since(Some(&before)), 2);
    }
}
