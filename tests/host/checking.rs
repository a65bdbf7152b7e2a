//! What scripts of ours say is missing, and what else would change the host.

#![allow(clippy::unwrap_used)]

use clusterctl::host::{
    Detail, ManifestFile, Resource, SelfCheck, SwapOff, Unit, Withdrawn, WithdrawnUnit, converge,
    gather, parse_gathered,
};

use crate::converging::{file, lines};
use crate::root::{roots, roots_and_busybox};

const SCRIPT: &str = "/usr/local/lib/clusterctl/net.sh";

#[test]
fn what_is_missing_restarts_the_unit_that_keeps_it_up_and_is_said() {
    for root in roots_and_busybox() {
        let resources = [
            Resource::SelfCheck(SelfCheck {
                script: SCRIPT.into(),
                unit: "clusterctl-pod-network.service".into(),
            }),
            Resource::Unit(Unit {
                name: "clusterctl-pod-network.service".into(),
                enabled: true,
                active: true,
            }),
        ];
        let state = |active: &str| {
            let text = format!(
                "Id=clusterctl-pod-network.service\nLoadState=loaded\nActiveState={active}\nUnitFileState=enabled\n"
            );
            root.write("units/clusterctl-pod-network.service", &text);
        };
        state("active");
        assert_eq!(
            lines(&root.plan(&resources)),
            [""; 0],
            "there is no script yet"
        );
        root.write(SCRIPT, "[ \"$1\" = check ] || exit 1\n");
        assert_eq!(lines(&root.plan(&resources)), [""; 0]);
        let said = "echo 'route 10.244.0.0/16'; echo '@@section units'; cat; exit 3\n";
        root.write(SCRIPT, said);
        let plan = root.plan(&resources);
        assert_eq!(
            lines(&plan),
            ["restart unit clusterctl-pod-network.service"]
        );
        let text = "missing: route 10.244.0.0/16, @@section units".to_owned();
        assert_eq!(plan.changes[0].detail, Detail::Text { text });
        state("inactive");
        let plan = root.plan(&resources);
        assert_eq!(plan.changes.len(), 1);
        assert!(
            lines(&plan)[0].starts_with("start unit clusterctl-pod-network.service"),
            "{:?}",
            lines(&plan)
        );
    }
}

#[test]
fn units_that_would_switch_swap_on_at_the_next_boot_are_masked() {
    for root in roots() {
        let unit = |dir: &str, name: &str, state: &str, text: &str| {
            root.write(&format!("{dir}/{name}"), text);
            root.write(
                &format!("units/{name}"),
                &format!("UnitFileState={state}\n"),
            );
        };
        let (generated, system) = ("run/systemd/generator", "etc/systemd/system");
        let fstab = "[Unit]\nSourcePath=/etc/fstab\n";
        unit(generated, "dev-vdb1.swap", "generated", "");
        unit(generated, "dev-vda2.swap", "generated", fstab);
        unit(system, "swapfile.swap", "enabled", "");
        unit(system, "old.swap", "masked", "");
        unit("usr/lib/systemd/system", "no.swap", "disabled", "");
        let plan = root.plan(&[Resource::SwapOff(SwapOff)]);
        assert_eq!(lines(&plan), ["disable swap dev-vdb1.swap, swapfile.swap"]);
        let output = root.run(&converge(&plan).unwrap());
        assert_eq!(
            output.status,
            0,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let log = root.log();
        assert!(
            log.contains("mask -- dev-vdb1.swap") && log.contains("mask -- swapfile.swap"),
            "{log}"
        );
        for name in ["dev-vdb1.swap", "swapfile.swap"] {
            unit(system, name, "masked", "");
        }
        assert_eq!(lines(&root.plan(&[Resource::SwapOff(SwapOff)])), [""; 0]);
    }
}

#[test]
fn what_kubelet_and_runtime_read_beside_ours_is_gathered() {
    let text = "apiVersion: clusterctl.rs/v1alpha1\nkind: Cluster\nmetadata: {name: demo}\nspec:\n  \
                kubernetesVersion: v1.36.2\n  hosts:\n    - {name: cp1, address: 192.0.2.11, roles: \
                [control-plane]}\n";
    let parsed = clusterctl::inventory::parse(text, "inventory.yaml", std::path::Path::new("/"));
    let cluster = parsed.unwrap().0;
    for root in roots_and_busybox() {
        let manifests = "etc/kubernetes/manifests";
        let pod = "kind: Pod\nmetadata:\n  labels:\n    component: kube-apiserver\n  name: x\n";
        root.write(&format!("{manifests}/kube-apiserver.yaml"), pod);
        root.write(&format!("{manifests}/kube-apiserver.yaml.bak"), pod);
        root.write(
            &format!("{manifests}/own pod.json"),
            "{\"metadata\": {\"name\": \"own\"}}",
        );
        root.write(&format!("{manifests}/.hidden.yaml"), pod);
        root.write(&format!("{manifests}/directory/x.yaml"), pod);
        root.write(
            "var/lib/clusterctl/receipt.json",
            "{\"files\": {\"/etc/kubernetes/manifests/kube-apiserver.yaml\": {}}}",
        );
        root.write("etc/cni/net.d/05-other.conflist", "{}");
        root.write("etc/cni/net.d/readme.txt", "");
        root.write("etc/systemd/system/kubelet.service.d/20-x.conf", "");
        root.write(
            "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
            "",
        );
        root.write("etc/default/kubelet", "KUBELET_EXTRA_ARGS=--v=9\n");
        root.write("etc/sysconfig/kubelet", "KUBELET_EXTRA_ARGS=\"\"\n");
        let pki = "var/lib/kubelet/pki/kubelet-client-current.pem";
        let pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
        root.write(pki, &format!("{pem}-----BEGIN PRIVATE KEY-----\nkey\n"));
        let output = root.run(&gather(&cluster, &cluster.hosts[0]).unwrap());
        assert!(!String::from_utf8_lossy(&output.stdout).contains("PRIVATE"));
        let gathered = parse_gathered(&output.stdout).unwrap();
        let beside = &gathered.beside;
        let manifest = |name: &str, is_ours, component: Option<&str>| ManifestFile {
            path: format!("/{manifests}/{name}"),
            is_ours,
            component: component.map(str::to_owned),
        };
        let api = Some("kube-apiserver");
        assert_eq!(
            beside.manifests,
            [
                manifest("kube-apiserver.yaml", true, api),
                manifest("kube-apiserver.yaml.bak", false, api),
                manifest("own pod.json", false, None),
            ],
            "{}",
            root.shell()
        );
        assert_eq!(beside.networks, ["05-other.conflist"]);
        assert_eq!(
            beside.units,
            [
                "/etc/systemd/system/kubelet.service.d/20-x.conf",
                "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
            ]
        );
        let arguments = (
            "/etc/default/kubelet".to_owned(),
            "KUBELET_EXTRA_ARGS=--v=9".to_owned(),
        );
        assert_eq!(beside.arguments, [arguments]);
        let certificate = &gathered.kubelet_certificates[&format!("/{pki}")];
        assert_eq!(certificate.trim_end(), pem.trim_end());
    }
}

#[test]
fn what_left_the_inventory_goes_and_what_was_there_before_comes_back() {
    for root in roots_and_busybox() {
        root.write("etc/motd", "theirs\n");
        let files = [
            Resource::File(file(&root, "/etc/motd", "ours\n")),
            Resource::File(file(&root, "/etc/new", "ours\n")),
            Resource::File(file(
                &root,
                "/etc/systemd/system/clusterctl-pod-network.service",
                "[Unit]\n",
            )),
        ];
        root.converge(&files);
        let unit = "Id=clusterctl-pod-network.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n";
        root.write("units/clusterctl-pod-network.service", unit);
        let withdrawn = |path: &str| Resource::Withdrawn(Withdrawn { path: path.into() });
        let left = [
            withdrawn("/etc/motd"),
            withdrawn("/etc/new"),
            withdrawn("/etc/theirs"),
            withdrawn("/etc/systemd/system/clusterctl-pod-network.service"),
            Resource::WithdrawnUnit(WithdrawnUnit {
                name: "clusterctl-pod-network.service".into(),
                file: "/etc/systemd/system/clusterctl-pod-network.service".into(),
            }),
        ];
        root.write("etc/theirs", "theirs\n");
        let plan = root.plan(&left);
        assert_eq!(
            lines(&plan),
            [
                "stop unit clusterctl-pod-network.service",
                "remove file /etc/motd",
                "remove file /etc/new",
                "remove file /etc/systemd/system/clusterctl-pod-network.service",
                "reload systemd unit files",
            ]
        );
        // Cut off before the end, all is still listed.
        assert!(
            root.read("var/lib/clusterctl/receipt.json")
                .contains("/etc/motd")
        );
        root.log();
        root.converge(&left);
        assert!(
            root.log()
                .contains("systemctl disable --now -- clusterctl-pod-network.service")
        );
        assert_eq!(root.read("etc/motd"), "theirs\n", "{}", root.shell());
        assert_eq!(root.read("etc/theirs"), "theirs\n");
        assert!(!root.path("etc/new").exists());
        assert!(!root.path("var/lib/clusterctl/originals/etc/motd").exists());
        let receipt = root.read("var/lib/clusterctl/receipt.json");
        assert!(
            !receipt.contains("/etc/motd") && !receipt.contains("/etc/new"),
            "{receipt}"
        );
    }
}
