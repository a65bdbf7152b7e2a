//! A PKI, processes, and a cluster on 127.0.0.1 for the tests.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clusterctl_standins::{Client, Kubeconfig, base64};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

pub const RELEASE: &str = "v1.36.2";
const ETCD: &str = "3.6.8-0";

/// A certificate authority.
pub struct Ca {
    pub pem: String,
    pub key: String,
    issuer: Issuer<'static, KeyPair>,
}

pub fn ca(name: &str) -> Ca {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let cert = params.self_signed(&key).unwrap();
    let text = key.serialize_pem();
    Ca {
        pem: cert.pem(),
        key: text,
        issuer: Issuer::from_ca_cert_pem(&cert.pem(), key).unwrap(),
    }
}

impl Ca {
    /// A leaf: certificate and key.
    pub fn leaf(
        &self,
        name: &str,
        organization: &str,
        sans: &[&str],
        usages: &[Eku],
    ) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(sans.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
                .unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if !organization.is_empty() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        params.extended_key_usages = usages.to_vec();
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

/// A port that nobody has at the moment.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn standin(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // TERM first: the kubelet has children of its own.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..60 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.0.kill();
    }
}

/// Waits until `f` gives something.
pub async fn until<T>(what: &str, seconds: u64, mut f: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = f().await {
            return value;
        }
        assert!(Instant::now() < end, "{what}: not within {seconds} s");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A host's directory, with what a kubelet needs on it.
pub struct Host {
    pub dir: PathBuf,
    pub name: String,
    _socket: std::os::unix::net::UnixListener,
}

impl Host {
    pub fn path(&self, rest: &str) -> String {
        self.dir.join(rest).display().to_string()
    }
}

/// A control plane and its keys.
pub struct Cluster {
    pub root: tempfile::TempDir,
    pub ca: Ca,
    pub api_port: u16,
    pub etcd_port: u16,
    pub cp: Host,
    pub kubelet: Option<Running>,
}

pub fn write(path: impl AsRef<Path>, text: &str) {
    let path = path.as_ref();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn write_pki(own: &Ca, pki: &Path) {
    let (etcd_ca, front) = (ca("etcd-ca"), ca("front-proxy-ca"));
    let pair = |name: &str, (cert, key): (String, String)| {
        write(pki.join(format!("{name}.crt")), &cert);
        write(pki.join(format!("{name}.key")), &key);
    };
    pair("ca", (own.pem.clone(), own.key.clone()));
    pair("etcd/ca", (etcd_ca.pem.clone(), etcd_ca.key.clone()));
    pair("front-proxy-ca", (front.pem.clone(), front.key.clone()));
    let (server, client) = (&[Eku::ServerAuth][..], &[Eku::ClientAuth][..]);
    let both = &[Eku::ServerAuth, Eku::ClientAuth];
    let here = &["cp1", "localhost", "127.0.0.1"];
    for (file, ca, name, sans, usages) in [
        (
            "apiserver",
            own,
            "kube-apiserver",
            &["kubernetes", "127.0.0.1"][..],
            server,
        ),
        (
            "apiserver-kubelet-client",
            own,
            "kube-apiserver-kubelet-client",
            &[],
            client,
        ),
        (
            "apiserver-etcd-client",
            &etcd_ca,
            "kube-apiserver-etcd-client",
            &[],
            client,
        ),
        (
            "front-proxy-client",
            &front,
            "front-proxy-client",
            &[],
            client,
        ),
        ("etcd/server", &etcd_ca, "cp1", here, both),
        ("etcd/peer", &etcd_ca, "cp1", here, both),
    ] {
        pair(file, ca.leaf(name, "", sans, usages));
    }
    let sa = KeyPair::generate().unwrap();
    write(pki.join("sa.key"), &sa.serialize_pem());
    write(pki.join("sa.pub"), &sa.public_key_pem());
}

impl Cluster {
    /// Lays out the files of one control plane, as kubeadm would.
    pub fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = tempfile::Builder::new()
            .disable_cleanup(std::env::var_os("KEEP").is_some())
            .tempdir()
            .unwrap();
        let ca = ca("kubernetes");
        let cp = host(root.path(), "cp1");
        write_pki(&ca, &root.path().join("cp1/pki"));
        let cluster = Self {
            root,
            ca,
            api_port: port(),
            etcd_port: port(),
            cp,
            kubelet: None,
        };
        for (file, user, group) in [
            ("admin", "kubernetes-admin", "kubeadm:cluster-admins"),
            ("super-admin", "kubernetes-super-admin", "system:masters"),
            ("kubelet", "system:node:cp1", "system:nodes"),
            ("controller-manager", "system:kube-controller-manager", ""),
            ("scheduler", "system:kube-scheduler", ""),
        ] {
            let (cert, key) = cluster.ca.leaf(user, group, &[], &[Eku::ClientAuth]);
            let credentials = json!({"client-certificate-data": base64(cert.as_bytes()), "client-key-data": base64(key.as_bytes())});
            let path = cluster.cp.path(&format!("{file}.conf"));
            write(path, &cluster.kubeconfig(user, &credentials));
        }
        cluster
    }

    pub fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    pub fn kubeconfig(&self, user: &str, credentials: &Value) -> String {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
               "clusters": [{"name": "c", "cluster": {"server": self.server(), "certificate-authority-data": base64(self.ca.pem.as_bytes())}}],
               "contexts": [{"name": "c", "context": {"cluster": "c", "user": user}}],
               "users": [{"name": user, "user": credentials}]})
        .to_string()
    }

    /// A client of the API with a kubeconfig of the control plane.
    pub fn client(&self, file: &str) -> Client {
        Client::new(&Kubeconfig::load(&self.cp.path(file)).unwrap()).unwrap()
    }

    fn client_of(&self, credentials: Kubeconfig) -> Client {
        let config = Kubeconfig {
            server: self.server(),
            ca: self.ca.pem.clone().into(),
            ..credentials
        };
        Client::new(&config).unwrap()
    }

    /// A client with a certificate of its own.
    pub fn client_as(&self, ca: &Ca, name: &str, group: &str, usages: &[Eku]) -> Client {
        let (cert, key) = ca.leaf(name, group, &[], usages);
        self.client_of(Kubeconfig {
            cert: cert.into(),
            key: key.into(),
            ..Kubeconfig::default()
        })
    }

    /// A client with nothing but a bearer token (or none).
    pub fn client_with_token(&self, token: &str) -> Client {
        self.client_of(Kubeconfig {
            token: token.into(),
            ..Kubeconfig::default()
        })
    }

    pub fn etcd_args(&self) -> Vec<String> {
        let pki = self.cp.path("pki/etcd");
        let (client, peer, metrics) = (self.etcd_port, port(), port());
        [
            "--name=cp1".to_owned(),
            format!("--data-dir={}", self.cp.path("var/lib/etcd")),
            format!("--advertise-client-urls=https://127.0.0.1:{client}"),
            format!("--listen-client-urls=https://127.0.0.1:{client}"),
            format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"),
            format!("--listen-peer-urls=https://127.0.0.1:{peer}"),
            format!("--initial-advertise-peer-urls=https://127.0.0.1:{peer}"),
            format!("--initial-cluster=cp1=https://127.0.0.1:{peer}"),
            format!("--cert-file={pki}/server.crt"),
            format!("--key-file={pki}/server.key"),
            format!("--trusted-ca-file={pki}/ca.crt"),
            "--client-cert-auth=true".to_owned(),
            format!("--peer-cert-file={pki}/peer.crt"),
            format!("--peer-key-file={pki}/peer.key"),
            format!("--peer-trusted-ca-file={pki}/ca.crt"),
            "--peer-client-cert-auth=true".to_owned(),
            "--feature-gates=InitialCorruptCheck=true".to_owned(),
        ]
        .to_vec()
    }

    pub fn api_args(&self) -> Vec<String> {
        let pki = self.cp.path("pki");
        vec![
            "--advertise-address=127.0.0.1".into(),
            "--bind-address=127.0.0.1".into(),
            "--allow-privileged=true".into(),
            "--authorization-mode=Node,RBAC".into(),
            format!("--client-ca-file={pki}/ca.crt"),
            "--enable-admission-plugins=NodeRestriction".into(),
            "--enable-bootstrap-token-auth=true".into(),
            format!("--etcd-cafile={pki}/etcd/ca.crt"),
            format!("--etcd-certfile={pki}/apiserver-etcd-client.crt"),
            format!("--etcd-keyfile={pki}/apiserver-etcd-client.key"),
            format!("--etcd-servers=https://127.0.0.1:{}", self.etcd_port),
            format!("--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt"),
            format!("--kubelet-client-key={pki}/apiserver-kubelet-client.key"),
            format!("--proxy-client-cert-file={pki}/front-proxy-client.crt"),
            format!("--proxy-client-key-file={pki}/front-proxy-client.key"),
            format!("--requestheader-client-ca-file={pki}/front-proxy-ca.crt"),
            format!("--secure-port={}", self.api_port),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
            format!("--service-account-key-file={pki}/sa.pub"),
            format!("--service-account-signing-key-file={pki}/sa.key"),
            "--service-cluster-ip-range=10.96.0.0/12".into(),
            format!("--tls-cert-file={pki}/apiserver.crt"),
            format!("--tls-private-key-file={pki}/apiserver.key"),
        ]
    }

    pub fn kcm_args(&self) -> Vec<String> {
        let (pki, conf) = (self.cp.path("pki"), self.cp.path("controller-manager.conf"));
        vec![
            "--allocate-node-cidrs=true".into(),
            format!("--authentication-kubeconfig={conf}"),
            format!("--kubeconfig={conf}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", port()),
            "--cluster-cidr=10.244.0.0/16".into(),
            format!("--cluster-signing-cert-file={pki}/ca.crt"),
            format!("--cluster-signing-key-file={pki}/ca.key"),
            "--controllers=*,bootstrapsigner,tokencleaner".into(),
            format!("--root-ca-file={pki}/ca.crt"),
            format!("--service-account-private-key-file={pki}/sa.key"),
            "--use-service-account-credentials=true".into(),
        ]
    }

    pub fn scheduler_args(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.cp.path("scheduler.conf")),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={}", port()),
        ]
    }

    /// Writes a static pod that sees the host's directory at its own path.
    pub fn manifest(&self, name: &str, image: &str, args: &[String]) {
        let command: Vec<&str> = std::iter::once(name)
            .chain(args.iter().map(String::as_str))
            .collect();
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "kube-system", "labels": {"component": name, "tier": "control-plane"}},
            "spec": {"hostNetwork": true, "priorityClassName": "system-node-critical",
                     "containers": [{"name": name, "image": image, "command": command, "volumeMounts": [{"name": "all", "mountPath": self.cp.dir}]}],
                     "volumes": [{"name": "all", "hostPath": {"path": self.cp.dir, "type": "Directory"}}]}});
        write(
            self.cp.path(&format!("manifests/{name}.yaml")),
            &pod.to_string(),
        );
    }

    /// Starts a kubelet; the control plane comes up as its static pods.
    pub fn start(&mut self) {
        for (name, tag, args) in [
            ("etcd", ETCD, self.etcd_args()),
            ("kube-apiserver", RELEASE, self.api_args()),
            ("kube-controller-manager", RELEASE, self.kcm_args()),
            ("kube-scheduler", RELEASE, self.scheduler_args()),
        ] {
            self.manifest(name, &format!("registry.k8s.io/{name}:{tag}"), &args);
        }
        let conf = format!("--kubeconfig={}", self.cp.path("kubelet.conf"));
        self.kubelet = Some(kubelet(&self.cp, &self.ca, &[&conf]));
    }

    /// The RBAC objects with which kubeadm lets nodes join, as super-admin.
    pub async fn let_join(&self) {
        let client = self.client("super-admin.conf");
        let join = "system:bootstrappers:kubeadm:default-node-token";
        let csr = "system:certificates.k8s.io:certificatesigningrequests";
        for (name, role, group) in [
            ("cluster-admins", "cluster-admin", "kubeadm:cluster-admins"),
            ("kubelet-bootstrap", "system:node-bootstrapper", join),
            (
                "node-autoapprove-bootstrap",
                &format!("{csr}:nodeclient"),
                join,
            ),
            (
                "node-autoapprove-certificate-rotation",
                &format!("{csr}:selfnodeclient"),
                "system:nodes",
            ),
        ] {
            let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": format!("kubeadm:{name}")},
                                 "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [{"kind": "Group", "name": group}]});
            let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
            client.create(path, &binding).await.unwrap();
        }
    }
}

/// A host's directory: CNI set up, a runtime that has every image.
pub fn host(root: &Path, name: &str) -> Host {
    let dir = root.join(name);
    for plugin in ["bridge", "host-local"] {
        write(dir.join("opt/cni/bin").join(plugin), "");
    }
    write(
        dir.join("etc/cni/net.d/10-bridge.conf"),
        r#"{"cniVersion": "1.0.0", "name": "b", "type": "bridge", "ipam": {"type": "host-local"}}"#,
    );
    let images: Vec<String> = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
    ]
    .iter()
    .map(|n| format!("registry.k8s.io/{n}:{RELEASE}"))
    .collect();
    let images = format!(
        "{}\nregistry.k8s.io/etcd:{ETCD}\nregistry.k8s.io/coredns/coredns:v1.14.2\nregistry.k8s.io/pause:3.10.2",
        images.join("\n")
    );
    write(dir.join("images"), &images);
    write(
        dir.join("bin/ctr"),
        &format!(
            "#!/bin/sh\n[ \"$1\" = --version ] && echo ctr v2.1.9 || cat {}/images\n",
            dir.display()
        ),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.join("bin/ctr"), mode).unwrap();
    fs::create_dir_all(dir.join("manifests")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.join("containerd.sock")).unwrap();
    Host {
        dir,
        name: name.to_owned(),
        _socket: socket,
    }
}

pub fn kubelet_config(host: &Host) -> Value {
    json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": host.path("pki/ca.crt")}},
        "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local", "staticPodPath": host.path("manifests"), "rotateCertificates": true,
        "containerRuntimeEndpoint": format!("unix://{}", host.path("containerd.sock")),
        "healthzBindAddress": "127.0.0.1", "healthzPort": port(), "port": port(), "address": "127.0.0.1", "failSwapOn": false})
}

/// A kubelet's command line on a host.
pub fn kubelet_command(host: &Host, config: &Value, extra: &[&str]) -> Command {
    write(host.path("config.yaml"), &config.to_string());
    let mut command = standin(&["kubelet"]);
    command
        .arg(format!("--config={}", host.path("config.yaml")))
        .arg(format!("--hostname-override={}", host.name))
        .arg("--node-ip=127.0.0.1")
        .arg(format!("--cert-dir={}", host.path("kubelet-pki")))
        .args(extra)
        .env("STANDIN_ROOT", &host.dir)
        .env("PATH", format!("{}:/usr/bin:/bin", host.path("bin")));
    command
}

pub fn kubelet(host: &Host, ca: &Ca, extra: &[&str]) -> Running {
    write(host.path("pki/ca.crt"), &ca.pem);
    let log = fs::File::create(host.path("kubelet.log")).unwrap();
    Running(
        kubelet_command(host, &kubelet_config(host), extra)
            .stderr(log)
            .spawn()
            .unwrap(),
    )
}
