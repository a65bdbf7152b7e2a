//! Hosts as the world has them: each oddity is told by preflight, or handled.

use serde_json::json;

use crate::components::Components;
use crate::lab::Lab;
use crate::operator::Operator;
use crate::scenario;

/// A repository on the host itself, whose containerd is the one that it had; a source that can't
/// be reached beside it; and a dpkg that was killed.
const BROKEN_PACKAGES: &str = r#"
set -e
mkdir -p /root/repo/pkg/DEBIAN && cd /root/repo
dpkg -L containerd | while read -r file; do
	if [ -f "$file" ]; then cp --parents "$file" pkg; fi
done
printf 'Package: containerd\nVersion: 99\nArchitecture: all\nMaintainer: x <x@example.com>\nDescription: x\n' >pkg/DEBIAN/control
dpkg-deb --root-owner-group -b pkg containerd.deb >/dev/null
{ cat pkg/DEBIAN/control
printf 'Filename: ./containerd.deb\nSize: %s\nSHA256: %s\n' "$(stat -c %s containerd.deb)" "$(sha256sum <containerd.deb | cut -d ' ' -f 1)"
} >Packages
systemctl stop containerd
dpkg --purge --force-all containerd >/dev/null 2>&1
! command -v containerd
rm -rf /var/lib/apt/lists/* /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/root/repo ./' >/etc/apt/sources.list
echo 'deb http://127.0.0.1:9/debian broken main' >/etc/apt/sources.list.d/third-party.list
sed -i '/^Package: tzdata$/,/^$/s/^Status: .*/Status: install ok half-configured/' /var/lib/dpkg/status
"#;

/// As behind the NAT of a hypervisor: every machine has this address on its default route.
const SAME_ADDRESS: &str = "ip address add 10.0.2.15/32 dev eth0 && \
    ip route replace $(ip route show default) src 10.0.2.15";

const READ_ONLY_USR: &str = "mkdir -p /usr/lib/modules && mount --bind /usr /usr && \
    mount -o remount,bind,ro /usr && ! touch /usr/x 2>/dev/null";

#[test]
fn odd_hosts_are_told_of_or_handled() {
    let components = Components::find();
    let lab = Lab::up('o', 3);
    let operator = Operator::new(&components);
    let [first, second, third] = [1, 2, 3].map(|number| lab.name(number));
    let mut inventory = lab.inventory(&components);
    inventory["spec"]["networking"] = json!({"cni": {"type": "bridge"}});
    inventory["spec"]["sysctls"] = json!({"net.netfilter.nf_conntrack_tcp_timeout_close": "11"});
    operator.write_inventory(&inventory);

    let says = |what| scenario("odd hosts", what);
    says("what preflight tells");
    let sshd = "/etc/ssh/sshd_config.d/odd.conf";
    lab.sh(
        &first,
        &format!("echo 'AllowTcpForwarding no' >{sshd}; systemctl reload ssh"),
    );
    lab.sh(
        &first,
        "ip route del default; mkdir -p /var/lib/etcd/lost+found",
    );
    lab.sh(&second, READ_ONLY_USR);
    lab.sh(&third, BROKEN_PACKAGES);
    for host in [&second, &third] {
        lab.sh(host, SAME_ADDRESS);
    }
    lab.sh(&third, "echo TMOUT=3 >>/etc/environment; mkdir -p /etc/cni/net.d; echo '{}' >/etc/cni/net.d/00-old.conflist");
    let told = operator.run(&["preflight"]).exits(5);
    for line in [
        format!("{first}: TCPForwarding: sshd does not allow TCP forwarding"),
        format!("{first}: NodeAddress: there is no default route"),
        format!("{second}: ReadOnlyUsr: /usr is read-only"),
        format!("{third}: PackageManager: dpkg was interrupted"),
        format!("{third}: OtherCNIConfiguration: /etc/cni/net.d/00-old.conflist"),
        format!("{second} and {third} have the same address behind their default route, 10.0.2.15"),
    ] {
        assert!(told.stdout.contains(&line), "no {line} in {told:?}");
    }
    assert!(!told.stdout.contains("DirAvailable"), "{told:?}");

    says("a control plane that forwards nothing gets nothing");
    operator
        .run(&["apply", "--yes"])
        .exits(5)
        .says(&["AllowTcpForwarding local"]);
    lab.sh(
        &first,
        "! test -e /var/lib/clusterctl && ! test -e /usr/bin/kubelet",
    );

    says("what is handled");
    lab.sh(
        &first,
        &format!("echo 'AllowTcpForwarding local' >{sshd}; systemctl reload ssh"),
    );
    lab.sh(&third, "rm /etc/cni/net.d/00-old.conflist");
    operator.run(&["plan"]).exits(0).says(&[
        "repair package manager dpkg",
        "install package containerd",
        "/opt/bin/kubelet",
    ]);
    operator.run(&["apply", "--yes"]).exits(0).says(&[
        &format!("{third}: install package containerd: "),
        "127.0.0.1:9",
    ]);
    let again = operator.run(&["plan"]).exits(0);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");
    assert_eq!(lab.sh(&third, "dpkg --audit"), "");
    let placed = "ls /opt/bin/kubelet /etc/systemd/system/kubelet.service && ! ls /usr/bin/kubelet";
    lab.sh(&second, placed);
    for host in [&first, &second, &third] {
        let flags = lab.sh(host, "cat /var/lib/kubelet/kubeadm-flags.env");
        assert!(flags.contains("--node-ip=10.78."), "{host}: {flags}");
    }

    says("where /usr is writable again, everything stays in its place");
    lab.sh(&second, "mount -o remount,bind,rw /usr");
    let again = operator.run(&["plan"]).exits(0);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");

    says("reset finds it");
    lab.sh(&second, "mount -o remount,bind,ro /usr");
    operator.run(&["reset", "--all", "--yes"]).exits(0);
    lab.sh(
        &second,
        "! ls -d /opt/bin /opt/clusterctl /opt/libexec /etc/systemd/system/kubelet.service*",
    );
}
