//! Every certificate on a node, judged by openssl.

use std::fmt::Write;

use crate::lab::Lab;

const PKI: &str = "/etc/kubernetes/pki";

/// Certificate, its CA, the purposes that it must serve, and further options.
const CERTIFICATES: &[(&str, &str, &[&str], &str)] = &[
    (
        "apiserver",
        "ca",
        &["sslserver"],
        "-verify_hostname kubernetes.default.svc.cluster.local",
    ),
    ("apiserver-kubelet-client", "ca", &["sslclient"], ""),
    ("front-proxy-client", "front-proxy-ca", &["sslclient"], ""),
    ("apiserver-etcd-client", "etcd/ca", &["sslclient"], ""),
    ("etcd/healthcheck-client", "etcd/ca", &["sslclient"], ""),
    (
        "etcd/server",
        "etcd/ca",
        &["sslserver", "sslclient"],
        "-verify_ip 127.0.0.1",
    ),
    (
        "etcd/peer",
        "etcd/ca",
        &["sslserver", "sslclient"],
        "-verify_ip 127.0.0.1",
    ),
    ("ca", "ca", &["any"], ""),
    ("front-proxy-ca", "front-proxy-ca", &["any"], ""),
    ("etcd/ca", "etcd/ca", &["any"], ""),
];

/// Kubeconfigs that hold a client certificate of the cluster's CA, and whose.
const KUBECONFIGS: &[(&str, &str)] = &[
    ("admin", "O = kubeadm:cluster-admins, CN = kubernetes-admin"),
    (
        "super-admin",
        "O = system:masters, CN = kubernetes-super-admin",
    ),
    ("controller-manager", "CN = system:kube-controller-manager"),
    ("scheduler", "CN = system:kube-scheduler"),
];

/// Verifies all of them, and that there are no others.
pub(crate) fn check(lab: &Lab, host: &str, control_plane: bool) {
    let found = lab.sh(host, &format!("cd {PKI} && find . -name '*.crt' | sort"));
    let mut expected: Vec<String> = CERTIFICATES
        .iter()
        .filter(|(name, ..)| control_plane || *name == "ca")
        .map(|(name, ..)| format!("./{name}.crt"))
        .collect();
    expected.sort();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{host}");

    let mut script = format!("set -euo pipefail; cd {PKI}\n");
    for (name, ca, purposes, options) in CERTIFICATES {
        if !control_plane && *name != "ca" {
            continue;
        }
        for purpose in *purposes {
            let _ = writeln!(
                script,
                "openssl verify -x509_strict -CAfile {ca}.crt -purpose {purpose} {options} {name}.crt"
            );
        }
        if control_plane {
            // A certificate and the key beside it belong together.
            let _ = writeln!(
                script,
                "cmp <(openssl x509 -in {name}.crt -noout -pubkey) <(openssl pkey -in {name}.key -pubout)"
            );
        }
    }
    let client = "openssl verify -x509_strict -CAfile ca.crt -purpose sslclient";
    if control_plane {
        for (name, subject) in KUBECONFIGS {
            let _ = writeln!(
                script,
                "sed -n 's/.*client-certificate-data: //p' ../{name}.conf | base64 -d >/tmp/client.crt; \
                 {client} /tmp/client.crt; \
                 [ \"$(openssl x509 -in /tmp/client.crt -noout -subject)\" = 'subject={subject}' ]"
            );
        }
        script.push_str("cmp <(openssl pkey -in sa.key -pubout) sa.pub; rm /tmp/client.crt\n");
    }
    let _ = writeln!(
        script,
        "kubelet=/var/lib/kubelet/pki/kubelet-client-current.pem; {client} $kubelet; \
         [ \"$(openssl x509 -in $kubelet -noout -subject)\" = 'subject=O = system:nodes, CN = system:node:{host}' ]"
    );
    lab.sh(host, &script);
}
