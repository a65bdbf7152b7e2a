//! What etcd's members say of themselves and of each other: asked over etcd's
//! JSON gateway, through the SSH connections of the round.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::model::EtcdMemberStatus;
use crate::inventory::Host;
use crate::phases::Run;
use crate::ssh::Session;

/// Time for one question to one member.
const ANSWER: Duration = Duration::from_secs(4);

/// Lists and states are short; more than this is something else.
const MAX_ANSWER: u64 = 256 << 10;

/// Where every member listens on its own host.
const LOOPBACK: (&str, u16) = ("127.0.0.1", 2379);

/// A member, as the list of members has it, and its own word.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: u64,
    /// Empty until it has started for the first time.
    pub(super) name: String,
    pub(super) learner: bool,
    /// What it says itself, or why it doesn't.
    pub(super) said: Result<Said, String>,
}

/// What a member says itself.
#[derive(Debug, Clone)]
pub(super) struct Said {
    /// Whom it takes for the leader; 0 for nobody.
    pub(super) leader: u64,
    pub(super) db_size: u64,
    /// Its own complaints, such as an alarm.
    pub(super) errors: Vec<String>,
}

/// Members as they are shown. A member leads if it says so itself: what others
/// say may be old.
pub(super) fn statuses(members: &[Member]) -> Vec<EtcdMemberStatus> {
    members
        .iter()
        .map(|member| {
            let said = member.said.as_ref().ok();
            let mut wrong: Vec<String> = match &member.said {
                Ok(said) => said.errors.iter().map(|why| super::short(why)).collect(),
                Err(why) => vec![super::short(why)],
            };
            if said.is_some_and(|said| said.leader == 0) {
                wrong.insert(0, "it knows no leader".into());
            }
            EtcdMemberStatus {
                name: super::short(&member.name),
                id: format!("{:x}", member.id),
                leader: said.is_some_and(|said| said.leader == member.id),
                learner: member.learner,
                healthy: wrong.is_empty(),
                db_size: said.map(|said| said.db_size),
                error: (!wrong.is_empty()).then(|| wrong.join("; ")),
            }
        })
        .collect()
}

/// Asks every member. The list comes from the first control plane that
/// answers; then each is asked over its own host's connection, or from another
/// control plane if there is none.
pub(super) async fn ask(run: &Run, through: &[(&Host, Session)]) -> Result<Vec<Member>, String> {
    let mut said = Vec::new();
    for (host, session) in through {
        let listing = async {
            let tls = tls(run, host)?;
            // The member's own list will do: it answers without a quorum, too.
            let body = json!({"linearizable": false});
            let list = post(session, LOOPBACK, &tls, "/v3/cluster/member/list", &body).await?;
            Ok::<_, String>((tls, list))
        };
        match listing.await {
            Ok((tls, list)) => {
                let members = listed(&list).into_iter();
                let asking = members.map(|member| ask_one(member, &tls, session, through));
                return Ok(join_all(asking).await);
            }
            Err(why) => said.push(format!("through {}: {}", host.name, super::short(&why))),
        }
    }
    Err(match said.is_empty() {
        true => "no control plane can be reached".into(),
        false => said.join("; "),
    })
}

async fn ask_one(
    listed: Listed,
    tls: &TlsConnector,
    lister: &Session,
    through: &[(&Host, Session)],
) -> Member {
    let own = through
        .iter()
        .find(|(host, _)| host.node_name == listed.name);
    let way = match (own, &listed.client) {
        (Some((_, session)), _) => Some((session, LOOPBACK)),
        (None, Some((host, port))) => Some((lister, (host.as_str(), *port))),
        (None, None) => None,
    };
    let said = match way {
        Some((session, to)) => post(session, to, tls, "/v3/maintenance/status", &json!({}))
            .await
            .map(|answer| said(&answer)),
        None => Err("it has not started yet".into()),
    };
    Member {
        id: listed.id,
        name: listed.name,
        learner: listed.learner,
        said,
    }
}

/// A member as the list has it.
struct Listed {
    id: u64,
    name: String,
    learner: bool,
    client: Option<(String, u16)>,
}

fn listed(list: &Value) -> Vec<Listed> {
    let members = list["members"].as_array();
    members
        .into_iter()
        .flatten()
        .map(|member| Listed {
            id: number(&member["ID"]),
            name: member["name"].as_str().unwrap_or_default().to_owned(),
            learner: member["isLearner"] == true,
            client: member["clientURLs"][0].as_str().and_then(client_url),
        })
        .collect()
}

fn client_url(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?.trim_matches(['[', ']']).to_owned();
    Some((host, uri.port_u16().unwrap_or(LOOPBACK.1)))
}

fn said(answer: &Value) -> Said {
    let errors = answer["errors"].as_array();
    Said {
        leader: number(&answer["leader"]),
        db_size: number(&answer["dbSize"]),
        errors: errors
            .into_iter()
            .flatten()
            .filter_map(|error| Some(error.as_str()?.to_owned()))
            .collect(),
    }
}

/// The gateway writes 64-bit numbers as text, and leaves out zeros.
fn number(value: &Value) -> u64 {
    let text = value.as_str().and_then(|text| text.parse().ok());
    text.or(value.as_u64()).unwrap_or_default()
}

/// TLS with the certificate that kubeadm keeps for health checks.
fn tls(run: &Run, host: &Host) -> Result<TlsConnector, String> {
    let dir = run.state.dir();
    let read = |file: String| {
        let path = dir.join(file);
        let cannot = |error| format!("cannot read {}: {error}", path.display());
        fs::read(&path).map(Zeroizing::new).map_err(cannot)
    };
    let client = format!("hosts/{}/pki/etcd/healthcheck-client", host.name);
    let (ca, cert, key) = (
        read("pki/etcd/ca.crt".into())?,
        read(format!("{client}.crt"))?,
        read(format!("{client}.key"))?,
    );
    let wrong = |error: &dyn std::fmt::Display| format!("{client} can't be used: {error}");
    let mut roots = RootCertStore::empty();
    for one in CertificateDer::pem_slice_iter(&ca) {
        roots
            .add(one.map_err(|e| wrong(&e))?)
            .map_err(|e| wrong(&e))?;
    }
    let certs = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(&e))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| wrong(&e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certs, key)
        .map_err(|e| wrong(&e))?;
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn post(
    session: &Session,
    (host, port): (&str, u16),
    tls: &TlsConnector,
    path: &str,
    body: &Value,
) -> Result<Value, String> {
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let asking = async {
        let stream = session.forward(host, port).await.map_err(|error| {
            let text = error.to_string();
            text.split_once(": ")
                .map_or(text.clone(), |(_, why)| why.to_owned())
        })?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let read = async {
            let mut stream = tls.connect(name, stream).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.flush().await?;
            let mut answer = Vec::new();
            match stream.take(MAX_ANSWER).read_to_end(&mut answer).await {
                // A server that closes without TLS's farewell has still answered.
                Err(error) if answer.is_empty() => Err(error),
                _ => Ok(answer),
            }
        };
        let answer = read.await.map_err(|error: io::Error| error.to_string())?;
        parse(&answer)
    };
    match tokio::time::timeout(ANSWER, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    }
}

fn parse(answer: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let status = head.lines().next().unwrap_or_default();
    let value: Value = serde_json::from_str(body.trim()).unwrap_or_default();
    if status.split_whitespace().nth(1) == Some("200") {
        return Ok(value);
    }
    Err(value["message"].as_str().unwrap_or(status).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_as_text_and_zeros_not_at_all() {
        let list = json!({"members": [
            {"ID": "10501334649042878790", "name": "cp1", "clientURLs": ["https://192.0.2.11:2379"]},
            {"ID": "2", "clientURLs": [], "isLearner": true},
        ]});
        let members = listed(&list);
        assert_eq!(members[0].id, 10_501_334_649_042_878_790);
        assert_eq!(members[0].client.as_ref().map(|c| c.1), Some(2379));
        assert!(members[1].learner && members[1].client.is_none());
        let said = said(&json!({"dbSize": "20480", "errors": ["memberID:2 alarm:NOSPACE "]}));
        assert_eq!((said.leader, said.db_size), (0, 20480));
    }

    #[test]
    fn answers_are_taken_apart() {
        let answer = |text: &str| parse(text.as_bytes());
        assert_eq!(
            answer("HTTP/1.0 200 OK\r\n\r\n{\"a\": 1}").ok(),
            Some(json!({"a": 1}))
        );
        assert_eq!(
            answer("HTTP/1.0 503 X\r\n\r\n{\"message\": \"etcdserver: no leader\"}").err(),
            Some("etcdserver: no leader".into())
        );
        assert!(answer("SSH-2.0").is_err());
    }
}
