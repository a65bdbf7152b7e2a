//! What peers ask of each other.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::gateway;
use super::node::Node;
use super::raft::Member;
use crate::api::text;
use crate::http::{Request, Response, json as reply, plain};

/// Answers peers, whose certificates must name the address they come from.
pub async fn handle(node: Arc<Node>, request: Request, check: bool) -> Response {
    if check && let Err(e) = check_san(&request).await {
        crate::klog!(
            warn,
            "rejected connection on peer endpoint from {}: {e}",
            request.peer.address
        );
        return plain(403, &e);
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if request.path == "/members" {
        let members: Vec<Member> = node.peek(|r| r.members.values().cloned().collect());
        return reply(200, &json!({"cluster": node.cluster, "members": members}));
    }
    if request.header("x-etcd-cluster-id") != format!("{:x}", node.cluster) {
        return plain(412, "request cluster ID mismatch");
    }
    match request.path.as_str() {
        "/raft/vote" | "/raft/append" | "/raft/snapshot" => {
            reply(200, &node.on_peer(&request.path, &body))
        }
        "/standin/forward" => {
            let answer =
                gateway::answer_as_leader(&node, text(&body, "path"), body["body"].clone()).await;
            match answer {
                Ok(value) => reply(200, &value),
                Err(e) => reply(e.code, &json!({"error": e.message})),
            }
        }
        _ => plain(404, "404 page not found\n"),
    }
}

/// What etcd's `checkCertSAN` does: the peer's address must be among the IP SANs,
/// or one of the DNS SANs must resolve to it. A certificate without SANs passes.
async fn check_san(request: &Request) -> Result<(), String> {
    let remote = request.peer.address.ip().to_canonical();
    let (mut ips, mut names) = (vec![], vec![]);
    {
        let leaf = request.peer.certs.first().ok_or("no certificate")?;
        let (_, cert) = X509Certificate::from_der(leaf).map_err(|e| e.to_string())?;
        let sans = cert.subject_alternative_name().map_err(|e| e.to_string())?;
        for san in sans.iter().flat_map(|s| &s.value.general_names) {
            match san {
                GeneralName::IPAddress(bytes) => {
                    ips.extend(<[u8; 4]>::try_from(*bytes).map(IpAddr::from));
                    ips.extend(<[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                }
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                _ => {}
            }
        }
    }
    if ips.is_empty() && names.is_empty() || ips.contains(&remote) {
        return Ok(());
    }
    for name in &names {
        if let Ok(mut found) = tokio::net::lookup_host((name.as_str(), 0)).await
            && found.any(|a| a.ip() == remote)
        {
            return Ok(());
        }
    }
    Err(format!(
        "tls: {remote:?} does not match any of DNSNames {names:?}"
    ))
}
