//! Arguments that a component of this version doesn't know. Only warned about: a build with
//! features of its own may know more.
//!
//! The names in `inventory/flags` are those of `COMPONENT --help` of Kubernetes v1.36.2 and
//! etcd 3.6.8, and the hidden ones, for which the components of v1.36.2 were asked one by one.
//! Behind a name, `35-` is the first minor and `-34` the last one that has it, as far as the
//! sources of 1.33 to 1.36 differ. etcd 3.5, which came with 1.33, has others: its arguments
//! are not checked there.

use super::fault::Fault;
use super::resolver::Resolver;
use crate::inventory::cluster::Version;
use crate::inventory::spec::{Arg, ClusterSpec};
use crate::inventory::yaml::{FieldPath, find_closest, shorten};
use crate::layout::components::{API_SERVER, CONTROLLER_MANAGER, ETCD, KUBELET, SCHEDULER};

/// The newest minor whose arguments the lists know.
const NEWEST: u32 = 36;

/// The first minor whose etcd the list is about.
const ETCD_SINCE: u32 = 34;

/// The names of a component's arguments, with the minors that have them.
fn list_of(component: &str) -> &'static str {
    match component {
        API_SERVER => include_str!("../flags/kube-apiserver.txt"),
        CONTROLLER_MANAGER => include_str!("../flags/kube-controller-manager.txt"),
        SCHEDULER => include_str!("../flags/kube-scheduler.txt"),
        KUBELET => include_str!("../flags/kubelet.txt"),
        ETCD => include_str!("../flags/etcd.txt"),
        _ => "",
    }
}

/// The names that a minor knows.
fn known(component: &str, minor: u32) -> impl Iterator<Item = &'static str> {
    list_of(component).lines().filter_map(move |line| {
        let (name, minors) = line.split_once(' ').unwrap_or((line, "-"));
        let (since, until) = minors.split_once('-')?;
        let since = since.parse().unwrap_or(0);
        let until = until.parse().unwrap_or(u32::MAX);
        (since..=until).contains(&minor).then_some(name)
    })
}

/// Warns about arguments that no component of this version knows.
pub(super) fn check_known_flags(
    spec: &ClusterSpec,
    version: Option<Version>,
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    // Of a newer minor it is not known what it knows.
    let Some(version) = version.filter(|version| version.minor <= NEWEST) else {
        return;
    };
    let args_at = |field: &str| at.key(field).key("extraArgs");
    let mut check = |component, args: &[Arg], at: &FieldPath| {
        check_args(component, version, args, at, resolver);
    };
    check(
        API_SERVER,
        &spec.api_server.extra_args,
        &args_at("apiServer"),
    );
    let manager = &spec.controller_manager.extra_args;
    check(CONTROLLER_MANAGER, manager, &args_at("controllerManager"));
    check(SCHEDULER, &spec.scheduler.extra_args, &args_at("scheduler"));
    if let Some(etcd) = &spec.etcd.local
        && etcd.image_tag.is_none()
        && version.minor >= ETCD_SINCE
    {
        let at = at.key("etcd").key("local").key("extraArgs");
        check(ETCD, &etcd.extra_args, &at);
    }
    let of_kubelet = |at: FieldPath| at.key("nodeRegistration").key("kubeletExtraArgs");
    let cluster = [(&spec.node_registration, at.clone())];
    let groups = spec.groups.iter();
    let groups = groups.map(|(name, group)| (&group.node_registration, at.key("groups").key(name)));
    let hosts = spec.hosts.iter().enumerate();
    let hosts = hosts.map(|(index, host)| (&host.node_registration, at.key("hosts").index(index)));
    for (registration, at) in cluster.into_iter().chain(groups).chain(hosts) {
        if let Some(args) = &registration.kubelet_extra_args {
            check(KUBELET, args, &of_kubelet(at));
        }
    }
}

fn check_args(
    component: &str,
    version: Version,
    args: &[Arg],
    at: &FieldPath,
    resolver: &mut Resolver<'_>,
) {
    for (index, arg) in args.iter().enumerate() {
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if arg.name.is_empty() || arg.name.starts_with('-') || !arg.name.bytes().all(word) {
            // Refused for that.
            continue;
        }
        // Kubernetes' components take `_` for `-`.
        let name = match component {
            ETCD => arg.name.clone(),
            _ => arg.name.replace('_', "-"),
        };
        if known(component, version.minor).any(|known| known == name) {
            continue;
        }
        let shown = shorten(&arg.name);
        let message = match component {
            ETCD => format!("etcd of Kubernetes {version} has no argument `{shown}`"),
            _ => format!("{component} {version} has no argument `{shown}`"),
        };
        let mut fault = Fault::warning(&at.index(index).key("name"), message);
        if let Some(closest) = find_closest(&name, known(component, version.minor)) {
            fault = fault.help(format!("did you mean `{closest}`?"));
        }
        resolver.report(fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_names_with_minors() {
        for component in [API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KUBELET, ETCD] {
            let all = list_of(component).lines().count();
            assert!(all > 50, "{component}");
            assert!(known(component, 36).count() > all - 5, "{component}");
        }
    }

    #[test]
    fn a_name_is_known_to_the_minors_that_have_it() {
        let has = |component, minor, name| known(component, minor).any(|one| one == name);
        assert!(has(API_SERVER, 36, "tls-curve-preferences"));
        assert!(!has(API_SERVER, 35, "tls-curve-preferences"));
        assert!(has(KUBELET, 34, "pod-infra-container-image"));
        assert!(!has(KUBELET, 35, "pod-infra-container-image"));
        for minor in 33..=36 {
            assert!(has(API_SERVER, minor, "audit-log-path"));
            assert!(has(KUBELET, minor, "node-ip") && has(ETCD, minor, "quota-backend-bytes"));
            assert!(!has(SCHEDULER, minor, "no-such-flag"));
        }
    }
}
