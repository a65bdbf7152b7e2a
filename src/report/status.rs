//! The status of a cluster as text, on one screen.

use console::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use text::count;

use super::escaped::escaped;
use super::table;
use crate::status::{
    CertificateStatus, ClusterStatus, ComponentStatus, EtcdStatus, Health, HostStatus, NodeStatus,
    Validity,
};

/// How many certificates are shown; those that need attention are always shown.
const CERTIFICATES: usize = 4;

/// The whole screen.
pub fn status(status: &ClusterStatus, color: bool) -> String {
    match escaped(status) {
        Ok(shown) => screen(&shown, color),
        Err(error) => format!("cannot show the status: {error}"),
    }
}

fn screen(status: &ClusterStatus, color: bool) -> String {
    let painter = Painter(color);
    let mut parts = vec![header(status, &painter), hosts(status, &painter)];
    parts.extend(unknown_nodes(&status.unknown_nodes));
    parts.extend(wrong(status, &painter));
    parts.extend(etcd(&status.etcd));
    parts.extend(certificates(&status.certificates, status.time, &painter));
    parts.push(drift(status, &painter));
    parts.join("\n\n")
}

fn header(status: &ClusterStatus, painter: &Painter) -> String {
    let verdict = match (status.healthy, status.drifted) {
        (true, Some(false)) => painter.good("healthy"),
        (true, Some(true)) => painter.odd("healthy, but differs from the inventory"),
        (true, None) => painter.odd("healthy; whether it differs from the inventory is unknown"),
        (false, _) => painter.bad("unhealthy"),
    };
    let time = status.time.to_zoned(TimeZone::system());
    let first = format!(
        "{}  cluster {} ({}): {verdict}",
        time.strftime("%Y-%m-%d %H:%M:%S"),
        status.cluster,
        status.kubernetes_version
    );
    let api = match (&status.api.through, &status.api.error) {
        (Some(host), _) => format!("the API server is reachable through {host}"),
        (None, why) => painter.bad(&format!(
            "the API server is unreachable: {}",
            why.as_deref().unwrap_or("unknown reason")
        )),
    };
    let Some(one) = &status.api.endpoint else {
        return format!("{first}\n{api}");
    };
    let held = match one.held_by.as_deref() {
        None => String::new(),
        Some([]) => "; no host holds the address".into(),
        Some(hosts) => format!(", held by {}", hosts.join(" and ")),
    };
    let endpoint = match one.reachable {
        true => format!("{} (controlPlaneEndpoint) reaches it{held}", one.address),
        false => painter.bad(&format!(
            "{} (controlPlaneEndpoint) does not reach it{held}: {}",
            one.address,
            one.error.as_deref().unwrap_or("unknown reason")
        )),
    };
    format!("{first}\n{api}\n{endpoint}")
}

fn hosts(status: &ClusterStatus, painter: &Painter) -> String {
    let rows: Vec<Vec<String>> = status
        .hosts
        .iter()
        .map(|host| {
            vec![
                host.name.clone(),
                host.roles.join(","),
                host.address.clone(),
                if host.reachable { "yes" } else { "NO" }.into(),
                host.kubelet_version.clone().unwrap_or("-".into()),
                ready(host),
                components(host),
                changes(host.drift.changes),
            ]
        })
        .collect();
    let text = table(
        &[
            "HOST",
            "ROLES",
            "ADDRESS",
            "REACHABLE",
            "KUBELET",
            "READY",
            "COMPONENTS",
            "DRIFT",
        ],
        &rows,
    );
    // Colours are added after laying out the columns, because escapes have no width.
    let mut lines = text.lines().map(str::to_owned);
    let mut painted: Vec<String> = lines.next().map(|l| painter.dim(&l)).into_iter().collect();
    painted.extend(lines.zip(&status.hosts).map(|(line, host)| {
        match (host.is_well(), host.drift.changes) {
            (false, _) => painter.bad(&line),
            (true, Some(0)) => line,
            (true, _) => painter.odd(&line),
        }
    }));
    painted.join("\n")
}

fn ready(host: &HostStatus) -> String {
    let word = match host.ready {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "?",
    };
    match host.schedulable {
        Some(false) => format!("{word}, cordoned"),
        _ => word.into(),
    }
}

/// `6 ok`, or which are not.
fn components(host: &HostStatus) -> String {
    let names = |health: Health| {
        let names: Vec<&str> = host
            .components
            .iter()
            .filter(|one| one.health == health)
            .map(|one| one.name.as_str())
            .collect();
        names.join(", ")
    };
    let healthy = |one: &&ComponentStatus| one.health == Health::Healthy;
    let ok = host.components.iter().filter(healthy).count();
    let all = host.components.len();
    let (down, unknown) = (names(Health::Unhealthy), names(Health::Unknown));
    if ok == all {
        return format!("{ok} ok");
    }
    if ok == 0 && down.is_empty() {
        return "?".into();
    }
    let mut text = format!("{ok} of {all} ok");
    if !down.is_empty() {
        text.push_str(&format!("; DOWN: {down}"));
    }
    if !unknown.is_empty() {
        text.push_str(&format!("; unknown: {unknown}"));
    }
    text
}

fn changes(changes: Option<usize>) -> String {
    match changes {
        Some(0) => "none".into(),
        Some(n) => count(n, "change"),
        None => "?".into(),
    }
}

fn unknown_nodes(nodes: &[NodeStatus]) -> Option<String> {
    if nodes.is_empty() {
        return None;
    }
    let dash = |text: &Option<String>| text.clone().unwrap_or("-".into());
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|node| {
            let roles = match node.roles.is_empty() {
                true => "-".into(),
                false => node.roles.join(","),
            };
            vec![
                node.name.clone(),
                roles,
                dash(&node.address),
                dash(&node.kubelet_version),
                if node.ready { "yes" } else { "NO" }.into(),
            ]
        })
        .collect();
    Some(table(
        &[
            "NODE NOT IN THE INVENTORY",
            "ROLES",
            "ADDRESS",
            "KUBELET",
            "READY",
        ],
        &rows,
    ))
}

/// The reasons for everything that the tables show as unhealthy.
fn wrong(status: &ClusterStatus, painter: &Painter) -> Option<String> {
    let mut lines = Vec::new();
    for host in &status.hosts {
        let mut say = |text: String| lines.push(format!("{}: {text}", host.name));
        if let Some(why) = &host.error {
            say(format!("unreachable: {why}"));
        }
        if let (Some(false), Some(why)) = (host.ready, &host.ready_reason) {
            say(format!("Node is not Ready: {why}"));
        }
        // The components of an unreachable host are unknown.
        for one in host.components.iter().filter(|_| host.reachable) {
            if let (true, Some(why)) = (one.health != Health::Healthy, &one.reason) {
                say(format!("{}: {why}", one.name));
            }
        }
    }
    for node in &status.unknown_nodes {
        if let Some(why) = &node.ready_reason {
            lines.push(format!("{}: Node is not Ready: {why}", node.name));
        }
    }
    (!lines.is_empty()).then(|| painter.bad(&lines.join("\n")))
}

fn etcd(etcd: &EtcdStatus) -> Option<String> {
    if etcd.external {
        return Some(format!("external etcd: {}", etcd.endpoints.join(", ")));
    }
    if let Some(why) = &etcd.error {
        return Some(format!("etcd members unknown: {why}"));
    }
    let rows: Vec<Vec<String>> = etcd
        .members
        .iter()
        .map(|member| {
            let role = match (member.leader, member.learner) {
                (true, _) => "leader",
                (_, true) => "learner",
                // A member that does not respond may have any role.
                _ if member.db_size.is_none() => "?",
                _ => "follower",
            };
            let name = match member.name.is_empty() {
                true => member.id.clone(),
                false => member.name.clone(),
            };
            let health = match &member.error {
                None => "healthy".into(),
                Some(why) => format!("UNHEALTHY: {why}"),
            };
            let size = member.db_size.map_or("-".into(), bytes);
            vec![name, role.into(), size, health]
        })
        .collect();
    let mut text = table(&["ETCD MEMBER", "ROLE", "DB SIZE", "HEALTH"], &rows);
    if etcd.leader.is_none() {
        text.push_str("\netcd has no leader: the API server can neither read nor write");
    }
    Some(text)
}

fn bytes(size: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let size = size as f64;
    match size {
        _ if size < 1024.0 * 1024.0 => format!("{:.0} KiB", size / 1024.0),
        _ if size < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", size / 1024.0 / 1024.0),
        _ => format!("{:.1} GiB", size / 1024.0 / 1024.0 / 1024.0),
    }
}

fn certificates(all: &[CertificateStatus], now: Timestamp, painter: &Painter) -> Option<String> {
    let shown: Vec<&CertificateStatus> = all
        .iter()
        .enumerate()
        .filter(|(index, one)| *index < CERTIFICATES || one.state != Validity::Valid)
        .map(|(_, one)| one)
        .collect();
    if shown.is_empty() {
        return None;
    }
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|one| vec![one.name.clone(), one.place(), expiry(one, now)])
        .collect();
    let text = table(&["CERTIFICATE", "ON", "EXPIRES"], &rows);
    let mut lines = text.lines().map(str::to_owned);
    let mut painted: Vec<String> = lines.next().into_iter().collect();
    painted.extend(lines.zip(shown).map(|(line, one)| match one.state {
        Validity::Valid => line,
        Validity::Expiring => painter.odd(&line),
        Validity::Expired => painter.bad(&line),
    }));
    if all.len() > CERTIFICATES && painted.len() <= all.len() {
        let rest = all.len() + 1 - painted.len();
        painted.push(format!(
            "and {} that expire later",
            count(rest, "certificate")
        ));
    }
    Some(painted.join("\n"))
}

fn expiry(one: &CertificateStatus, now: Timestamp) -> String {
    let left = one.not_after.as_second() - now.as_second();
    let time = match left.abs() {
        seconds if seconds >= 2 * 86400 => format!("{} days", seconds / 86400),
        seconds if seconds >= 2 * 3600 => format!("{} hours", seconds / 3600),
        seconds => format!("{} minutes", seconds / 60),
    };
    let date = one.not_after.strftime("%Y-%m-%d").to_string();
    match one.state {
        Validity::Expired => format!("{date}, EXPIRED {time} ago"),
        Validity::Expiring => format!("{date}, in {time}: SOON"),
        Validity::Valid => format!("{date}, in {time}"),
    }
}

fn drift(status: &ClusterStatus, painter: &Painter) -> String {
    let drift = &status.drift;
    if let Some(why) = &drift.error {
        return painter.odd(&format!("drift: unknown ({why})"));
    }
    let hosts: usize = status.hosts.iter().filter_map(|h| h.drift.changes).sum();
    let mut known = Vec::new();
    for (changes, what) in [
        (Some(hosts), "on hosts"),
        (drift.objects, "in the API"),
        (drift.operator, "on this machine"),
    ] {
        if let Some(changes) = changes.filter(|changes| *changes > 0) {
            known.push(format!("{} {what}", count(changes, "change")));
        }
    }
    let unknown: Vec<&str> = status
        .hosts
        .iter()
        .filter(|host| host.drift.changes.is_none())
        .map(|host| host.name.as_str())
        .chain(drift.objects.is_none().then_some("the API"))
        .collect();
    let mut text = match (known.is_empty(), unknown.is_empty()) {
        (true, true) => return "drift: none".into(),
        (true, false) => "drift: none found".to_owned(),
        (false, _) => format!("drift: {}; see `clusterctl-rs plan`", known.join(", ")),
    };
    if !unknown.is_empty() {
        text.push_str(&format!("; unknown: {}", unknown.join(", ")));
    }
    painter.odd(&text)
}

/// Adds colours, if enabled.
struct Painter(bool);

impl Painter {
    fn paint(&self, text: &str, style: Style) -> String {
        if !self.0 {
            return text.to_owned();
        }
        // Line by line, because screens are cut into lines.
        let style = style.force_styling(true);
        let lines: Vec<String> = text
            .lines()
            .map(|line| style.apply_to(line).to_string())
            .collect();
        lines.join("\n")
    }

    fn good(&self, text: &str) -> String {
        self.paint(text, Style::new().green())
    }

    fn odd(&self, text: &str) -> String {
        self.paint(text, Style::new().yellow())
    }

    fn bad(&self, text: &str) -> String {
        self.paint(text, Style::new().red())
    }

    fn dim(&self, text: &str) -> String {
        self.paint(text, Style::new().dim())
    }
}

#[cfg(test)]
mod tests {
    use super::super::escaped::hostile;
    use super::*;
    use crate::status::{EndpointStatus, samples};

    // Local time would make the snapshots depend on the machine.
    fn shown(sample: &ClusterStatus) -> String {
        let text = status(sample, false);
        let (_, rest) = text.split_at(19);
        rest.trim_start().to_owned()
    }

    #[test]
    fn no_text_of_others_steers_the_terminal() {
        for sample in [
            samples::healthy(),
            samples::a_dead_worker(),
            samples::a_lost_leader(),
        ] {
            let hostile = hostile::with_hostile_texts(&sample);
            hostile::assert_harmless(&status(&hostile, true));
        }
    }

    #[test]
    fn a_healthy_cluster() {
        insta::assert_snapshot!(shown(&samples::healthy()));
    }

    #[test]
    fn a_dead_worker_and_a_stopped_kubelet() {
        insta::assert_snapshot!(shown(&samples::a_dead_worker()));
    }

    #[test]
    fn a_lost_leader() {
        insta::assert_snapshot!(shown(&samples::a_lost_leader()));
    }

    #[test]
    fn nothing_is_there_yet() {
        insta::assert_snapshot!(shown(&samples::nothing_yet()));
    }

    #[test]
    fn the_way_to_the_api_has_a_line() {
        let line = |reachable: bool, held_by: Option<&[&str]>| {
            let mut sample = samples::healthy();
            sample.api.endpoint = Some(EndpointStatus {
                address: "192.0.2.10:6443".into(),
                reachable,
                error: (!reachable).then(|| "refused".into()),
                held_by: held_by.map(|hosts| hosts.iter().map(|host| (*host).into()).collect()),
            });
            shown(&sample).lines().nth(2).unwrap_or_default().to_owned()
        };
        insta::assert_snapshot!(line(true, None), @"192.0.2.10:6443 (controlPlaneEndpoint) reaches it");
        insta::assert_snapshot!(line(false, None), @"192.0.2.10:6443 (controlPlaneEndpoint) does not reach it: refused");
        insta::assert_snapshot!(line(true, Some(&["cp2"])), @"192.0.2.10:6443 (controlPlaneEndpoint) reaches it, held by cp2");
        insta::assert_snapshot!(line(true, Some(&["cp1", "cp2"])), @"192.0.2.10:6443 (controlPlaneEndpoint) reaches it, held by cp1 and cp2");
        insta::assert_snapshot!(line(false, Some(&[])), @"192.0.2.10:6443 (controlPlaneEndpoint) does not reach it; no host holds the address: refused");
    }

    #[test]
    fn colours_change_no_text() {
        let sample = samples::a_dead_worker();
        let painted = status(&sample, true);
        assert_ne!(painted, status(&sample, false));
        assert_eq!(console::strip_ansi_codes(&painted), status(&sample, false));
    }
}
