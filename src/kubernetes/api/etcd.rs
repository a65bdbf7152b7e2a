//! etcd's membership, through the JSON gateway that every member serves beside
//! gRPC on its client port (`POST /v3/cluster/…`, etcd 3.4 and later).

use std::sync::Arc;

use http::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{Dial, Identity, Server, client_of};
use super::error::ApiError;
use super::wait::Health;

/// The name in it is what etcd's serving certificate is verified against: kubeadm
/// gives it to every member.
const URL: &str = "https://localhost";

/// A client of one member.
#[derive(Clone)]
pub struct EtcdClient(kube::Client);

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub struct Member {
    /// Its number, as text: it doesn't fit a JSON number.
    #[serde(rename = "ID")]
    pub id: String,
    /// Empty until it has started for the first time.
    pub name: String,
    /// Where its peers reach it.
    #[serde(rename = "peerURLs")]
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty until it has started.
    #[serde(rename = "clientURLs")]
    pub client_urls: Vec<String>,
    /// Whether it only listens, and has no vote yet.
    pub is_learner: bool,
}

impl Member {
    /// Whether it has ever started.
    pub fn has_started(&self) -> bool {
        !self.name.is_empty()
    }

    /// Whether it is the one that its peers reach at `url`.
    pub fn is_at(&self, url: &str) -> bool {
        self.peer_urls.iter().any(|own| own == url)
    }

    /// Its number as etcdctl prints it.
    pub fn hex(&self) -> String {
        self.id
            .parse::<u64>()
            .map_or_else(|_| self.id.clone(), |id| format!("{id:x}"))
    }
}

/// What a member tells about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    header: Header,
    /// etcd's version.
    pub version: String,
    /// Bytes of its database, as text.
    pub db_size: String,
    /// The leader's number; `0` or empty if it knows none.
    pub leader: String,
    /// Whether it only listens.
    pub is_learner: bool,
    /// What is wrong with it.
    pub errors: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Header {
    cluster_id: String,
    member_id: String,
}

/// What a member tells about all of etcd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MemberView {
    header: Header,
    /// Every member that it knows of.
    pub members: Vec<Member>,
    /// What it says of itself.
    #[serde(skip)]
    pub status: MemberStatus,
}

impl MemberView {
    /// The number of the cluster that the member belongs to.
    pub fn cluster_id(&self) -> &str {
        &self.header.cluster_id
    }
}

impl MemberStatus {
    /// The number of the member that answered.
    pub fn member_id(&self) -> &str {
        &self.header.member_id
    }

    /// Whether it follows a leader, or is one.
    pub fn has_leader(&self) -> bool {
        !matches!(self.leader.as_str(), "" | "0")
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.has_leader() && self.leader == self.header.member_id
    }
}

impl EtcdClient {
    /// A client of the member behind `dial`.
    ///
    /// # Errors
    /// [`ApiError::Client`] if the certificates don't parse.
    pub fn new(dial: Arc<dyn Dial>, ca: &str, identity: &Identity) -> Result<Self, ApiError> {
        let server = Server {
            url: URL,
            ca: Some(ca),
            identity: Some(identity),
        };
        client_of(server, dial).map(EtcdClient)
    }

    /// A client that sends its requests through `client`, whose URLs lead to a member.
    pub fn from_client(client: kube::Client) -> Self {
        EtcdClient(client)
    }

    /// A client of an external etcd, behind `dial`. Without a CA it is
    /// not verified who answers: enough to ask for its version.
    ///
    /// # Errors
    /// [`ApiError::Client`] if the URL or the certificates don't parse.
    pub fn external(
        dial: Arc<dyn Dial>,
        url: &str,
        ca: Option<&str>,
        identity: Option<&Identity>,
    ) -> Result<Self, ApiError> {
        client_of(Server { url, ca, identity }, dial).map(EtcdClient)
    }

    /// Its release, such as `3.6.8`.
    ///
    /// # Errors
    /// What the server says, or the way to it; TLS that refuses either side.
    pub async fn version(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Version {
            etcdserver: String,
        }
        let request = Request::get("/version")
            .body(Vec::new())
            .map_err(|error| ApiError::Client(error.to_string()))?;
        let answer = self.0.request::<Version>(request).await;
        Ok(answer
            .map_err(ApiError::request("ask etcd for its version"))?
            .etcdserver)
    }

    /// Every member. Linearizable: only an etcd in quorum answers.
    ///
    /// # Errors
    /// What the member says, or the way to it.
    pub async fn members(&self) -> Result<Vec<Member>, ApiError> {
        Ok(self.list(true).await?.members)
    }

    /// Every member that this one knows of, in quorum or not.
    ///
    /// # Errors
    /// What the member says, or the way to it.
    pub async fn members_known_here(&self) -> Result<Vec<Member>, ApiError> {
        Ok(self.list(false).await?.members)
    }

    /// What this one knows of etcd, in quorum or not.
    ///
    /// # Errors
    /// What the member says, or the way to it.
    pub async fn view(&self) -> Result<MemberView, ApiError> {
        let (list, status) = futures::future::try_join(self.list(false), self.status()).await?;
        Ok(MemberView { status, ..list })
    }

    async fn list(&self, linearizable: bool) -> Result<MemberView, ApiError> {
        let body = json!({"linearizable": linearizable});
        self.call("list etcd's members", "/v3/cluster/member/list", &body)
            .await
    }

    /// What this member says of itself, in quorum or not.
    ///
    /// # Errors
    /// What the member says, or the way to it.
    pub async fn status(&self) -> Result<MemberStatus, ApiError> {
        let path = "/v3/maintenance/status";
        self.call("ask an etcd member how it is", path, &json!({}))
            .await
    }

    /// Whether this member works: it follows a leader, or is one.
    pub async fn health(&self) -> Health {
        match self.status().await {
            Ok(status) if !status.has_leader() => Health::No("it has no leader".into()),
            Ok(status) if !status.errors.is_empty() => Health::No(status.errors.join(", ")),
            Ok(_) => Health::Ok,
            Err(error) => Health::from_error(&error),
        }
    }

    /// Adds a member that only listens until it is promoted. Answers with all
    /// members.
    ///
    /// # Errors
    /// What etcd objects to: no quorum, another learner.
    pub async fn add_learner(&self, peer_url: &str) -> Result<Vec<Member>, ApiError> {
        let body = json!({"peerURLs": [peer_url], "isLearner": true});
        let what = format!("add {peer_url} to etcd as a learner");
        let list: MemberView = self.call(&what, "/v3/cluster/member/add", &body).await?;
        Ok(list.members)
    }

    /// Gives a learner its vote.
    ///
    /// # Errors
    /// What etcd objects to: a learner that has not caught up yet.
    pub async fn promote(&self, member: &Member) -> Result<(), ApiError> {
        let what = format!("promote etcd member {}", member.hex());
        let _: Value = self
            .call(
                &what,
                "/v3/cluster/member/promote",
                &json!({"ID": member.id}),
            )
            .await?;
        Ok(())
    }

    /// Lets a member go.
    ///
    /// # Errors
    /// What etcd objects to: what would cost its quorum.
    pub async fn remove(&self, member: &Member) -> Result<(), ApiError> {
        let what = format!("remove etcd member {}", member.hex());
        let _: Value = self
            .call(
                &what,
                "/v3/cluster/member/remove",
                &json!({"ID": member.id}),
            )
            .await?;
        Ok(())
    }

    async fn call<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &'static str,
        body: &Value,
    ) -> Result<T, ApiError> {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|error| ApiError::Client(error.to_string()))?;
        self.0
            .request::<T>(request)
            .await
            .map_err(ApiError::request(what))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::client::Stream;
    use super::*;

    /// A server that speaks TLS to clients of its CA's, and tells its version.
    struct Strict(Arc<rustls::ServerConfig>);

    impl Dial for Strict {
        fn dial(&self) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
            let (near, far) = tokio::io::duplex(1 << 16);
            let acceptor = tokio_rustls::TlsAcceptor::from(self.0.clone());
            tokio::spawn(async move {
                let mut tls = acceptor.accept(far).await?;
                let mut request = [0; 1024];
                let n = tls.read(&mut request).await?;
                assert!(request[..n].starts_with(b"GET /version HTTP/1.1\r\n"));
                let body = r#"{"etcdserver":"3.6.8","etcdcluster":"3.6.0"}"#;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                tls.write_all((head + body).as_bytes()).await?;
                tls.shutdown().await
            });
            async { Ok(Box::new(near) as Box<dyn Stream>) }.boxed()
        }
    }

    #[tokio::test]
    async fn an_etcd_of_somebody_else_knows_its_clients() {
        let made = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            let identity = Identity {
                cert: made.cert.pem(),
                key: made.signing_key.serialize_pem().into(),
            };
            (made, identity)
        };
        let ((server, trusted), (_, stranger)) = (made("etcd1"), made("etcd1"));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(server.cert.der().clone()).unwrap();
        let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots),
            provider.clone(),
        );
        let key = rustls::pki_types::PrivateKeyDer::try_from(server.signing_key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(vec![server.cert.der().clone()], key.unwrap())
            .unwrap();
        let dial = Arc::new(Strict(Arc::new(config)));
        let ask = async |ca: Option<&str>, identity| {
            let url = "https://etcd1:2379";
            let client = EtcdClient::external(dial.clone(), url, ca, identity).unwrap();
            client.version().await.map_err(|error| error.to_string())
        };
        let ca = Some(trusted.cert.as_str());
        assert_eq!(ask(ca, Some(&trusted)).await, Ok("3.6.8".into()));
        assert_eq!(ask(None, Some(&trusted)).await, Ok("3.6.8".into()));
        let refused = ask(ca, Some(&stranger)).await.unwrap_err();
        assert!(refused.contains("alert"), "{refused}");
        let refused = ask(ca, None).await.unwrap_err();
        assert!(refused.contains("CertificateRequired"), "{refused}");
        let another = ask(Some(&stranger.cert), Some(&trusted)).await.unwrap_err();
        assert!(another.contains("certificate"), "{another}");
    }

    /// As etcd 3.6 wrote it: defaults are left out.
    #[test]
    fn answers_are_read_as_etcd_writes_them() {
        let members: MemberView = serde_json::from_str(
            r#"{"header":{"cluster_id":"1","member_id":"2","raft_term":"3"},"members":[
                {"ID":"10276657743932975437","name":"cp1","peerURLs":["https://192.0.2.11:2380"],"clientURLs":["https://192.0.2.11:2379"]},
                {"ID":"2","peerURLs":["https://192.0.2.12:2380"],"isLearner":true}]}"#,
        )
        .unwrap();
        let [first, second] = &members.members[..] else {
            panic!("two members")
        };
        assert!(first.has_started() && !first.is_learner);
        assert_eq!(first.hex(), "8e9e05c52164694d");
        assert!(!second.has_started() && second.is_learner);
        assert!(second.is_at("https://192.0.2.12:2380"));

        let status: MemberStatus = serde_json::from_str(
            r#"{"header":{"member_id":"2"},"version":"3.6.5","dbSize":"20480","leader":"2","raftIndex":"9"}"#,
        )
        .unwrap();
        assert!(status.leads());
        let lost: MemberStatus =
            serde_json::from_str(r#"{"header":{"member_id":"2"},"version":"3.6.5"}"#).unwrap();
        assert!(!lost.has_leader() && !lost.leads());
    }
}
