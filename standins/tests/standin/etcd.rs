//! Several members of etcd: quorum, loss of the leader, learners, and certificates.

use std::time::Duration;

use clusterctl_standins::{Client, Kubeconfig, base64, items, unbase64};
use rcgen::ExtendedKeyUsagePurpose as Eku;
use serde_json::{Value, json};

use crate::support::{Ca, Running, ca, port, standin, until, write};

struct Members {
    root: tempfile::TempDir,
    ca: Ca,
    members: Vec<Member>,
}

struct Member {
    name: String,
    client: u16,
    peer: u16,
    process: Option<Running>,
}

impl Members {
    fn new(count: usize) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = tempfile::tempdir().unwrap();
        let ca = ca("etcd-ca");
        write(root.path().join("ca.crt"), &ca.pem);
        let members = (0..count)
            .map(|i| Member {
                name: format!("m{i}"),
                client: port(),
                peer: port(),
                process: None,
            })
            .collect();
        let this = Self { root, ca, members };
        for member in &this.members {
            this.certificate(&member.name);
        }
        this
    }

    fn path(&self, rest: &str) -> String {
        self.root.path().join(rest).display().to_string()
    }

    fn certificate(&self, name: &str) {
        let both = [Eku::ServerAuth, Eku::ClientAuth];
        let (cert, key) = self.ca.leaf(name, "", &["localhost", "127.0.0.1"], &both);
        write(self.path(&format!("{name}.crt")), &cert);
        write(self.path(&format!("{name}.key")), &key);
    }

    fn start(&mut self, i: usize, initial: &[usize], state: &str) {
        let cluster: Vec<String> = initial
            .iter()
            .map(|i| &self.members[*i])
            .map(|m| format!("{}=https://127.0.0.1:{}", m.name, m.peer))
            .collect();
        let (name, client, peer) = {
            let m = &self.members[i];
            (m.name.clone(), m.client, m.peer)
        };
        let (cert, key, ca) = (
            self.path(&format!("{name}.crt")),
            self.path(&format!("{name}.key")),
            self.path("ca.crt"),
        );
        let args = [
            format!("--name={name}"),
            format!("--data-dir={}", self.path(&format!("data-{name}"))),
            format!("--initial-cluster={}", cluster.join(",")),
            format!("--initial-cluster-state={state}"),
            format!("--initial-advertise-peer-urls=https://127.0.0.1:{peer}"),
            format!("--listen-peer-urls=https://127.0.0.1:{peer}"),
            format!("--listen-client-urls=https://127.0.0.1:{client}"),
            format!("--advertise-client-urls=https://127.0.0.1:{client}"),
            format!("--cert-file={cert}"),
            format!("--key-file={key}"),
            format!("--trusted-ca-file={ca}"),
            "--client-cert-auth".to_owned(),
            format!("--peer-cert-file={cert}"),
            format!("--peer-key-file={key}"),
            format!("--peer-trusted-ca-file={ca}"),
            "--peer-client-cert-auth".to_owned(),
        ];
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let mut command = standin(&["etcd"]);
        let process = command.args(args).stderr(log).spawn().unwrap();
        self.members[i].process = Some(Running(process));
    }

    /// Kills without a chance to say goodbye.
    fn kill(&mut self, i: usize) {
        if let Some(mut running) = self.members[i].process.take() {
            running.0.kill().unwrap();
            running.0.wait().unwrap();
        }
    }

    fn client_with(&self, i: usize, ca: &Ca, usages: &[Eku]) -> Client {
        let (cert, key) = ca.leaf("healthcheck", "", &[], usages);
        let config = Kubeconfig {
            server: format!("https://127.0.0.1:{}", self.members[i].client),
            ca: self.ca.pem.clone().into(),
            cert: cert.into(),
            key: key.into(),
            ..Kubeconfig::default()
        };
        Client::new(&config).unwrap()
    }

    fn client(&self, i: usize) -> Client {
        self.client_with(i, &self.ca, &[Eku::ClientAuth])
    }

    /// A member without a leader may not even answer: that is a refusal, too.
    async fn put(&self, i: usize, value: &str) -> Option<Value> {
        let body = json!({"key": base64(b"/k"), "value": base64(value.as_bytes())});
        let client = self.client(i);
        let put = client.create("/v3/kv/put", &body);
        tokio::time::timeout(Duration::from_secs(4), put)
            .await
            .ok()?
            .ok()
    }

    async fn get(&self, i: usize) -> Option<String> {
        let body = json!({"key": base64(b"/k")});
        let answer = self.client(i).create("/v3/kv/range", &body).await.ok()?;
        let value = answer["kvs"][0]["value"].as_str()?;
        String::from_utf8(unbase64(value)).ok()
    }

    async fn status(&self, i: usize) -> Option<Value> {
        let client = self.client(i);
        client
            .create("/v3/maintenance/status", &json!({}))
            .await
            .ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_outlive_their_leader() {
    let mut etcd = Members::new(3);
    etcd.start(0, &[0, 1, 2], "new");
    // One of three is no majority: it serves nobody.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert!(etcd.put(0, "alone").await.is_none());
    etcd.start(1, &[0, 1, 2], "new");
    etcd.start(2, &[0, 1, 2], "new");
    until("a majority", 20, async || etcd.put(0, "one").await).await;
    until("all three", 10, async || etcd.get(2).await).await;
    assert_eq!(etcd.get(1).await.as_deref(), Some("one"));

    let status = etcd.status(0).await.unwrap();
    let mut leader = 0;
    for i in 0..3 {
        if etcd.status(i).await.unwrap()["header"]["member_id"] == status["leader"] {
            leader = i;
        }
    }
    let (next, last) = ((leader + 1) % 3, (leader + 2) % 3);
    etcd.kill(leader);
    until("a new leader", 15, async || etcd.put(next, "two").await).await;
    etcd.kill(last);
    assert!(
        etcd.put(next, "lost").await.is_none(),
        "one of three took a write"
    );
    etcd.start(last, &[0, 1, 2], "new");
    etcd.start(leader, &[0, 1, 2], "new");
    until("the old leader back", 20, async || {
        etcd.get(leader).await.filter(|v| v == "two" || v == "lost")
    })
    .await;
    until("a write", 10, async || etcd.put(last, "three").await).await;
    assert_eq!(etcd.get(leader).await.as_deref(), Some("three"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_joins_and_is_promoted() {
    let mut etcd = Members::new(3);
    etcd.start(0, &[0], "new");
    until("the first member", 10, async || etcd.put(0, "one").await).await;
    let urls = |i: usize| json!({"peerURLs": [format!("https://127.0.0.1:{}", etcd.members[i].peer)], "isLearner": true});
    let (first, second) = (urls(1), urls(2));
    let client = etcd.client(0);

    // A member that nobody announced is refused.
    etcd.start(1, &[0, 1], "existing");
    let told = etcd.path("m1.log");
    until("the refusal", 10, async || {
        let log = std::fs::read_to_string(&told).ok()?;
        log.contains("member count is unequal").then_some(())
    })
    .await;
    etcd.kill(1);

    let added = client
        .create("/v3/cluster/member/add", &first)
        .await
        .unwrap();
    let id = added["member"]["ID"].as_str().unwrap().to_owned();
    assert_eq!(added["member"]["isLearner"], true);
    let again = client.create("/v3/cluster/member/add", &first).await;
    assert_eq!(
        again.unwrap_err().message,
        "etcdserver: Peer URLs already exists"
    );
    let two = client.create("/v3/cluster/member/add", &second).await;
    assert_eq!(
        two.unwrap_err().message,
        "etcdserver: too many learner members in cluster"
    );
    let early = client
        .create("/v3/cluster/member/promote", &json!({"ID": id}))
        .await;
    assert!(early.unwrap_err().message.contains("in sync with leader"));

    etcd.start(1, &[0, 1], "existing");
    until("the promotion", 15, async || {
        let promote = json!({"ID": id});
        client
            .create("/v3/cluster/member/promote", &promote)
            .await
            .ok()
    })
    .await;
    until("the value on the new member", 10, async || {
        etcd.get(1).await.filter(|v| v == "one")
    })
    .await;
    let list = client
        .create("/v3/cluster/member/list", &json!({}))
        .await
        .unwrap();
    let started = items(&list, "/members").filter(|m| m["name"] != "" && m["isLearner"].is_null());
    assert_eq!(started.count(), 2);

    // Two members, and one of them gone: no majority.
    etcd.kill(1);
    assert!(etcd.put(0, "lost").await.is_none());
    etcd.start(1, &[0, 1], "existing");
    until("both again", 15, async || etcd.put(0, "two").await).await;
    client
        .create("/v3/cluster/member/remove", &json!({"ID": id}))
        .await
        .unwrap();
    etcd.put(0, "alone").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_need_a_good_certificate() {
    let mut etcd = Members::new(1);
    etcd.start(0, &[0], "new");
    until("etcd", 10, async || etcd.put(0, "one").await).await;
    let ask = async |client: Client| client.create("/v3/kv/range", &json!({"key": ""})).await;
    let server_only = etcd.client_with(0, &etcd.ca, &[Eku::ServerAuth]);
    assert_eq!(
        ask(server_only).await.unwrap_err().code,
        0,
        "a server's certificate was taken"
    );
    let strange = etcd.client_with(0, &ca("etcd-ca"), &[Eku::ClientAuth]);
    assert_eq!(
        ask(strange).await.unwrap_err().code,
        0,
        "another CA's certificate was taken"
    );
    let bare = Kubeconfig {
        server: format!("https://127.0.0.1:{}", etcd.members[0].client),
        ca: etcd.ca.pem.clone().into(),
        ..Kubeconfig::default()
    };
    let bare = Client::new(&bare).unwrap();
    assert_eq!(
        ask(bare).await.unwrap_err().code,
        0,
        "no certificate was taken"
    );
}
