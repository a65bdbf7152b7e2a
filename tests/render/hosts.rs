//! What hosts of odd kinds get: a read-only /usr, no default route, both families, a proxy.

use clusterctl::host::{Address, Resource};
use clusterctl::inventory::{CniType, Role};

use super::fixture::Fixture;

fn paths(fixture: &Fixture, host: &str) -> Vec<String> {
    let resources = fixture.resources(host).unwrap();
    let path = |(_, resource)| match resource {
        Resource::File(file) => Some(file.path),
        Resource::Directory(directory) => Some(directory.path),
        Resource::SelfCheck(check) => Some(check.script),
        _ => None,
    };
    resources.into_iter().filter_map(path).collect()
}

#[test]
fn where_usr_is_read_only_nothing_is_put_below_it() {
    let mut fixture = Fixture::new(35);
    fixture.cluster.networking.cni = CniType::Bridge;
    let usual = paths(&fixture, "cp1");
    assert!(
        usual
            .iter()
            .any(|path| path.starts_with("/usr/lib/systemd/system/kubelet"))
    );
    fixture.facts("cp1").uses_opt = true;
    let all = paths(&fixture, "cp1");
    assert!(!all.iter().any(|path| path.starts_with("/usr/")), "{all:?}");
    for path in [
        "/etc/systemd/system/kubelet.service",
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
        "/opt/clusterctl/pod-network.sh",
    ] {
        assert!(all.iter().any(|one| one == path), "{path}: {all:?}");
    }
    let unit = fixture.text("cp1", "/etc/systemd/system/kubelet.service");
    assert!(unit.contains("ExecStart=/opt/bin/kubelet\n"), "{unit}");
    let drop_in = fixture.text(
        "cp1",
        "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    );
    assert!(
        drop_in.contains("\nExecStart=/opt/bin/kubelet $KUBELET_KUBECONFIG_ARGS"),
        "{drop_in}"
    );
    assert!(drop_in.contains(":/opt/bin\"\nExecStart=\n"), "{drop_in}");
    let config = fixture.text("cp1", "/var/lib/kubelet/config.yaml");
    let plugins = "/opt/libexec/kubernetes/kubelet-plugins/volume/exec";
    assert!(
        config.contains(&format!("volumePluginDir: {plugins}")),
        "{config}"
    );
    assert!(
        fixture
            .manifest("kube-controller-manager")
            .contains(plugins)
    );
}

#[test]
fn without_a_default_route_the_kubelet_is_told_its_address() {
    let mut fixture = Fixture::new(36);
    let flags = "/var/lib/kubelet/kubeadm-flags.env";
    assert!(!fixture.text("cp1", flags).contains("--node-ip"));
    fixture.facts("cp1").default_ip = None;
    fixture.facts("cp1").default_interface = String::new();
    assert!(fixture.text("cp1", flags).contains("--node-ip=192.0.2.11"));
    assert!(
        fixture
            .manifest("kube-apiserver")
            .contains("--advertise-address=192.0.2.11")
    );
}

#[test]
fn in_a_cluster_of_both_families_the_kubelet_is_told_both_addresses() {
    let mut fixture = Fixture::new(36);
    fixture.cluster.networking.cni = CniType::None;
    let flags = "/var/lib/kubelet/kubeadm-flags.env";
    let interface = fixture.facts("cp1").default_interface.clone();
    for (interface, address) in [("eth9", "2001:db8:9::1"), (&interface, "2001:db8::11")] {
        fixture.facts("cp1").addresses.push(Address {
            interface: interface.into(),
            address: address.parse().unwrap(),
            prefix: 64,
        });
    }
    assert!(
        !fixture.text("cp1", flags).contains("--node-ip"),
        "of one family"
    );
    fixture
        .cluster
        .networking
        .pod_subnets
        .push("fd00:10:244::/56".parse().unwrap());
    fixture
        .cluster
        .networking
        .service_subnets
        .push("fd00:10:96::/112".parse().unwrap());
    let text = fixture.text("cp1", flags);
    assert!(text.contains("--node-ip=192.0.2.11,2001:db8::11"), "{text}");
}

#[test]
fn containerd_gets_the_hosts_proxy_with_the_cluster_excepted() {
    let mut fixture = Fixture::new(36)
        .with_host("w1", "192.0.2.21", Role::Worker)
        .with_host("w2", "198.51.100.21", Role::Worker);
    let path = "/etc/systemd/system/containerd.service.d/50-clusterctl-proxy.conf";
    assert!(!paths(&fixture, "cp1").iter().any(|one| one == path));
    fixture.cluster.networking.cni = CniType::None;
    fixture.host("w1").address = "far.example.com".into();
    fixture.host("w1").advertise_address = None;
    fixture.facts("cp1").runtime_proxies = vec![
        ("NO_PROXY".into(), "intra.example, localhost".into()),
        ("https_proxy".into(), r#"http://u:p%40"\@proxy:3128"#.into()),
    ];
    let file = fixture.file("cp1", path);
    assert!(file.secret && file.mode == 0o600 && file.notify == ["containerd.service"]);
    insta::assert_snapshot!(fixture.text("cp1", path), @r#"
    # Written by clusterctl-rs: the proxies of this host, and what is reached without them.
    [Service]
    Environment="HTTPS_PROXY=http://u:p%%40\"\\@proxy:3128"
    Environment="NO_PROXY=intra.example,localhost,127.0.0.0/8,::1,10.244.0.0/16,10.96.0.0/12,192.0.2.0/24,far.example.com,198.51.100.21,192.0.2.11,.svc,.cluster.local"
    "#);
    fixture.cluster.containerd.managed = false;
    assert!(!paths(&fixture, "cp1").iter().any(|one| one == path));
}
