//! What is refused: a pure function of the inventory and of what runs.

use ipnet::IpNet;

use super::compare::{Comparison, networks};
use super::read::{Joined, Reading};
use super::rules::{RULES, Rule, Scope, Source, is_for_new_clusters};
use crate::inventory::{Cluster, Setting, Spot};

/// A change that cannot be made.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    /// Which setting.
    pub(super) source: Option<Source>,
    /// Where the inventory may write it.
    pub(super) spots: Vec<Spot>,
    /// The hosts that run with something else, in the inventory's order.
    pub(super) hosts: Vec<String>,
    /// Whether it is these hosts' own.
    pub(super) is_own: bool,
    /// Whether it is so on every host that was asked.
    pub(super) everywhere: bool,
    /// What runs; `None` where it is not set.
    pub(super) running: Option<String>,
    /// What the inventory wants.
    pub(super) wanted: Option<String>,
    /// Why it cannot be.
    pub(super) why: String,
    /// What to do instead.
    pub(super) instead: Option<String>,
}

/// Compares every setting of every host that is part of the running cluster.
pub(super) fn find_refused(cluster: &Cluster, joined: &[Joined<'_>]) -> Vec<Refused> {
    let mut refused = Vec::new();
    for rule in &RULES {
        let mut found = compare_hosts(rule, cluster, joined);
        merge(&mut found, rule.scope);
        refused.extend(found);
    }
    refused
}

/// One refusal for each host that has another value than it would get.
fn compare_hosts(rule: &Rule, cluster: &Cluster, joined: &[Joined<'_>]) -> Vec<Refused> {
    let readings: Vec<(&Joined<'_>, Reading, Reading)> = joined
        .iter()
        .map(|one| {
            let (running, wanted) = (one.running(rule.source), one.wanted(rule.source, cluster));
            (one, running, wanted)
        })
        .filter(|(_, running, wanted)| *running != Reading::Unknown && *wanted != Reading::Unknown)
        .collect();
    let value = |reading: &Reading| reading.value().or(rule.default).map(str::to_owned);
    let mut refused = Vec::new();
    for (one, running, wanted) in &readings {
        let (running, wanted) = (value(running), value(wanted));
        let allowed = rule
            .comparison
            .allows(running.as_deref(), wanted.as_deref())
            && !swallows_a_host(rule, running.as_deref(), wanted.as_deref(), joined);
        if allowed {
            continue;
        }
        // What most hosts have is the cluster's value; the others have drifted from it.
        let having = readings.iter().filter(|(_, running, _)| {
            rule.comparison
                .means(value(running).as_deref(), wanted.as_deref())
        });
        if rule.scope == Scope::Cluster && having.count() * 2 > readings.len() {
            continue;
        }
        refused.push(Refused {
            source: Some(rule.source),
            spots: rule.spots.to_vec(),
            hosts: vec![one.host.name.clone()],
            is_own: rule.scope == Scope::Host,
            everywhere: readings.len() == 1,
            running,
            wanted,
            why: rule.why.to_owned(),
            instead: rule
                .instead
                .or_else(|| is_for_new_clusters(rule))
                .map(str::to_owned),
        });
    }
    let everywhere = refused.len() == readings.len();
    for one in &mut refused {
        one.everywhere = everywhere;
    }
    refused
}

/// Whether a pod network would grow over the address of a host.
fn swallows_a_host(
    rule: &Rule,
    running: Option<&str>,
    wanted: Option<&str>,
    joined: &[Joined<'_>],
) -> bool {
    if rule.comparison != Comparison::GrowingNetworks {
        return false;
    }
    let parse = |text: Option<&str>| networks(text.unwrap_or_default()).unwrap_or_default();
    let (running, wanted) = (parse(running), parse(wanted));
    let addresses = joined.iter().flat_map(|one| &one.facts.addresses);
    addresses
        .map(|one| IpNet::from(one.address))
        .any(|address| {
            let is_in = |networks: &[IpNet]| networks.iter().any(|one| one.contains(&address));
            is_in(&wanted) && !is_in(&running)
        })
}

/// Puts hosts of the same values together, if the setting is the cluster's.
fn merge(refused: &mut Vec<Refused>, scope: Scope) {
    if scope == Scope::Host {
        return;
    }
    let mut merged: Vec<Refused> = Vec::new();
    for one in refused.drain(..) {
        let same =
            |other: &&mut Refused| (&other.running, &other.wanted) == (&one.running, &one.wanted);
        match merged.iter_mut().find(same) {
            Some(other) => other.hosts.extend(one.hosts),
            None => merged.push(one),
        }
    }
    *refused = merged;
}

impl Refused {
    /// A change of a cluster's setting that every host shares.
    pub(super) fn of_cluster(running: String, wanted: String, instead: &str) -> Self {
        Refused {
            source: None,
            spots: Vec::new(),
            hosts: Vec::new(),
            is_own: false,
            everywhere: true,
            running: Some(running),
            wanted: Some(wanted),
            why: String::new(),
            instead: Some(instead.to_owned()),
        }
    }

    /// The host whose fields count, if the setting is a host's own.
    pub(super) fn located_by(&self) -> Option<&str> {
        self.hosts.first().map(String::as_str)
    }

    /// Names the patches or templates as the place, if the inventory's fields alone would
    /// be fine.
    pub(super) fn blame_overrides(&mut self, cluster: &Cluster, by_fields: &[Refused]) {
        let same = |other: &&Refused| other.source == self.source && other.hosts == self.hosts;
        if self.source.is_none() || by_fields.iter().any(|other| same(&other)) {
            return;
        }
        let place = match (&cluster.patches_dir, &cluster.templates_dir) {
            (Some(_), _) => Spot::Spec("patches.directory"),
            (None, Some(_)) => Spot::Spec("templates.directory"),
            (None, None) => return,
        };
        let field = self.spots.last().copied();
        self.why = format!(
            "a file there sets {}: {}",
            describe_setting(self.source, field),
            self.why
        );
        self.spots = vec![place];
    }

    /// Whether another IP family would come or go.
    fn adds_family(&self) -> bool {
        let is_list = matches!(self.source, Some(Source::Flag(_, "cluster-cidr")));
        let count = |text: &Option<String>| text.as_ref().map(|text| text.split(',').count());
        is_list && count(&self.running) != count(&self.wanted)
    }

    /// What is wrong, in one line.
    pub(super) fn message(&self, place: &Setting) -> String {
        let name = &place.name;
        let default = match (place.is_written, &self.wanted) {
            (true, _) => String::new(),
            (false, Some(wanted)) => format!(" (not set; its default is `{wanted}`)"),
            (false, None) => " (not set)".to_owned(),
        };
        match self.is_own {
            true => format!(
                "{name}{default} cannot change while {} is part of the cluster",
                self.hosts.join(", ")
            ),
            false => format!("{name}{default} cannot change on a running cluster"),
        }
    }

    /// Both values.
    pub(super) fn label(&self) -> String {
        let on = match self.everywhere && !self.is_own {
            true => String::new(),
            false => format!(" on {}", self.hosts.join(", ")),
        };
        match (&self.wanted, &self.running) {
            (Some(wanted), Some(running)) => {
                format!("`{wanted}` is wanted, but `{running}` runs{on}")
            }
            (Some(wanted), None) => format!("`{wanted}` is wanted, but runs without it{on}"),
            (None, Some(running)) => format!("`{running}` runs{on}"),
            (None, None) => String::new(),
        }
    }

    /// Why it cannot be, and what to do.
    pub(super) fn helps(&self, place: &Setting) -> Vec<String> {
        let back = match (&self.running, place.is_written) {
            (Some(running), true) => format!("set it back to `{running}`"),
            (Some(running), false) => format!("set it to `{running}`"),
            (None, _) => "remove it".to_owned(),
        };
        let todo = match &self.instead {
            Some(instead) => format!("{back}; {instead}"),
            None => back,
        };
        let why = match self.adds_family() {
            true => "a Node's pod ranges are immutable, so nodes would stay without that family",
            false => self.why.as_str(),
        };
        vec![why.to_owned(), todo]
    }
}

/// What a setting is called where no field names it.
fn describe_setting(source: Option<Source>, field: Option<Spot>) -> String {
    match (source, field) {
        (Some(Source::Flag(component, name) | Source::List(component, name)), _) => {
            format!("`--{name}` of {component}")
        }
        (Some(Source::Kubelet(name)), _) => format!("the kubelet's `{name}`"),
        (_, Some(Spot::Spec(field) | Spot::Own(field) | Spot::Layered(field))) => {
            format!("what `{field}` is for")
        }
        _ => "such a setting".to_owned(),
    }
}
