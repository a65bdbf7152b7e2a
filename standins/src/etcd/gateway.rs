//! What clients see: the JSON gateway that every etcd serves beside gRPC
//! (`POST /v3/kv/range` …), plus health, version and metrics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::kv::number;
use super::node::{Node, refuse};
use super::raft::{Member, Role};
use crate::api::{Error, unbase64};
use crate::http::{Request, Response, json as reply, respond, stream, text};

/// Answers a client's request.
pub async fn handle(node: Arc<Node>, request: Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/health" | "/livez" | "/readyz" | "/version" | "/metrics") => {
            probe(&node, &request.path)
        }
        ("POST", "/v3/watch") => watch(node, &request),
        ("POST", path) if path.starts_with("/v3/") => {
            let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
                return error(&Error::new(400, "invalid JSON"));
            };
            match routed(&node, path, body).await {
                Ok(value) => reply(200, &value),
                Err(e) => error(&e),
            }
        }
        _ => text(404, "404 page not found\n"),
    }
}

fn error(e: &Error) -> Response {
    let grpc = match e.code {
        400 => 9,
        404 => 5,
        503 => 14,
        _ => 2,
    };
    reply(
        e.code,
        &json!({"error": e.message, "message": e.message, "code": grpc}),
    )
}

/// Answers a probe; these need no client certificate on the metrics listener.
pub fn probe(node: &Node, path: &str) -> Response {
    let release = crate::version::current();
    let (leader, started) = node.peek(|r| {
        (
            r.leader != 0,
            r.has_lease() || r.heard.elapsed() < super::raft::ELECTION,
        )
    });
    match path {
        "/version" => reply(
            200,
            &json!({"etcdserver": release.etcd_version(), "etcdcluster": release.etcd_version(), "storage": release.etcd_version()}),
        ),
        "/health" if leader && started => reply(200, &json!({"health": "true", "reason": ""})),
        "/health" => reply(503, &json!({"health": "false", "reason": "RAFT NO LEADER"})),
        "/livez" => text(200, "ok\n"),
        "/readyz" if leader && started => text(200, "ok\n"),
        "/readyz" => text(
            503,
            "[-]linearizable_read failed: etcdserver: request timed out\n",
        ),
        _ => respond(
            200,
            "text/plain; version=0.0.4",
            format!(
                "# TYPE etcd_server_has_leader gauge\netcd_server_has_leader {}\n",
                u8::from(leader)
            ),
        ),
    }
}

/// Answers here if this member leads, else asks the leader.
async fn routed(node: &Arc<Node>, path: &str, body: Value) -> Result<Value, Error> {
    // What any member answers by itself.
    match path {
        "/v3/maintenance/status" => return Ok(status(node)),
        "/v3/cluster/member/list" if body["linearizable"] == false => return Ok(members(node)),
        _ => {}
    }
    // A leader may be lost between finding and asking it: once more then.
    for attempt in 0.. {
        let answer = match node.leader().await? {
            None => local(node, path, body.clone()).await,
            Some(url) => {
                let forwarded = json!({"path": path, "body": body});
                match node
                    .post(&url, "/standin/forward", &forwarded, Duration::from_secs(8))
                    .await
                {
                    Ok((200, value)) => Ok(value),
                    Ok((code, value)) => Err(Error::new(
                        code,
                        value["error"].as_str().unwrap_or_default(),
                    )),
                    Err(_) => Err(refuse(503, "leader changed")),
                }
            }
        };
        match answer {
            Err(e) if e.message == "etcdserver: leader changed" && attempt < 5 => {
                tokio::time::sleep(Duration::from_millis(200)).await
            }
            Ok(mut value) => {
                value["header"] = header(node);
                return Ok(value);
            }
            other => return other,
        }
    }
    Err(refuse(503, "request timed out"))
}

fn header(node: &Node) -> Value {
    node.peek(|r| {
        json!({"cluster_id": node.cluster.to_string(), "member_id": r.id.to_string(), "revision": r.store.revision.to_string(), "raft_term": r.term.to_string()})
    })
}

fn members(node: &Node) -> Value {
    let list: Vec<Value> = node.peek(|r| r.members.values().map(Member::json).collect());
    json!({"header": header(node), "members": list})
}

fn status(node: &Node) -> Value {
    let mut status = node.peek(|r| {
        json!({"version": crate::version::current().etcd_version(), "dbSize": "20480", "dbSizeInUse": "20480", "leader": r.leader.to_string(),
               "raftIndex": r.commit.to_string(), "raftTerm": r.term.to_string(), "raftAppliedIndex": r.applied.to_string()})
    });
    if node.peek(|r| r.members.get(&r.id).is_some_and(|m| m.learner)) {
        status["isLearner"] = true.into();
    }
    status["header"] = header(node);
    status
}

/// Answers as the leader.
pub async fn local(node: &Node, path: &str, body: Value) -> Result<Value, Error> {
    match path {
        "/v3/kv/range" => node.read(|s| s.range(&body)).map(|mut v| {
            v["header"] = header(node);
            v
        }),
        "/v3/kv/txn" => Ok(node.propose(json!({"op": "txn", "txn": body})).await?),
        "/v3/kv/put" => {
            node.propose(json!({"op": "txn", "txn": {"success": [{"request_put": body}]}}))
                .await?;
            Ok(json!({}))
        }
        "/v3/kv/deleterange" => {
            let done = node
                .propose(json!({"op": "txn", "txn": {"success": [{"request_delete_range": body}]}}))
                .await?;
            Ok(done["responses"][0]["response_delete_range"].clone())
        }
        "/v3/cluster/member/list" => node.read(|_| ()).map(|()| members(node)),
        "/v3/cluster/member/add" => add(node, &body).await,
        "/v3/cluster/member/remove" => {
            let id = known(node, &body)?;
            let others = node.peek(|r| r.voters().into_iter().filter(|v| *v != id).count());
            if others == 0 {
                return Err(refuse(
                    400,
                    "re-configuration failed due to not enough started members",
                ));
            }
            node.propose(json!({"op": "remove", "id": id})).await?;
            Ok(members(node))
        }
        "/v3/cluster/member/promote" => {
            let id = known(node, &body)?;
            let (learner, ready) = node.peek(|r| {
                let matched = r.progress.get(&id).map_or(0, |p| p.matched);
                (r.members[&id].learner, matched * 10 >= r.last().0 * 9)
            });
            if !learner {
                return Err(refuse(400, "can only promote a learner member"));
            }
            if !ready {
                return Err(refuse(
                    400,
                    "can only promote a learner member which is in sync with leader",
                ));
            }
            node.propose(json!({"op": "promote", "id": id})).await?;
            Ok(members(node))
        }
        "/standin/publish" => node.propose(json!({"op": "publish", "member": body})).await,
        _ => Err(Error::new(404, "Not Found")),
    }
}

fn known(node: &Node, body: &Value) -> Result<u64, Error> {
    let id = number(&body["ID"]);
    if node.peek(|r| r.members.contains_key(&id)) {
        Ok(id)
    } else {
        Err(refuse(404, "member not found"))
    }
}

async fn add(node: &Node, body: &Value) -> Result<Value, Error> {
    let peer_urls: Vec<String> =
        serde_json::from_value(body["peerURLs"].clone()).unwrap_or_default();
    if peer_urls.is_empty() || !peer_urls.iter().all(|u| u.starts_with("http")) {
        return Err(refuse(400, "given member URLs are invalid"));
    }
    let learner = body["isLearner"] == true;
    let (taken, learners, unstarted, healthy) = node.peek(|r| {
        (
            r.members
                .values()
                .any(|m| m.peer_urls.iter().any(|u| peer_urls.contains(u))),
            r.members.values().filter(|m| m.learner).count(),
            r.members
                .values()
                .filter(|m| !m.learner && m.name.is_empty())
                .count(),
            matches!(r.role, Role::Leader(_)) && r.has_lease(),
        )
    });
    if taken {
        return Err(refuse(400, "Peer URLs already exists"));
    }
    if learner && learners > 0 {
        return Err(refuse(400, "too many learner members in cluster"));
    }
    if !learner && unstarted > 0 {
        return Err(refuse(
            400,
            "re-configuration failed due to not enough started members",
        ));
    }
    if !healthy {
        return Err(refuse(503, "unhealthy cluster"));
    }
    let member = Member {
        id: rand::random::<u64>() >> 1,
        peer_urls,
        learner,
        ..Member::default()
    };
    node.propose(json!({"op": "add", "member": member})).await?;
    let mut answer = members(node);
    answer["member"] = member.json();
    Ok(answer)
}

/// A watch: one JSON line per batch of events, and one now and then without any.
fn watch(node: Arc<Node>, request: &Request) -> Response {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let create = &body["create_request"];
    let prefix =
        String::from_utf8_lossy(&unbase64(create["key"].as_str().unwrap_or_default())).into_owned();
    let start = match number(&create["start_revision"]) {
        0 => node.peek(|r| r.store.revision),
        start => start - 1,
    };
    let line = |value: Value| Bytes::from(format!("{}\n", json!({"result": value})));
    let created = line(json!({"header": header(&node), "created": true}));
    let revisions = node.revision.subscribe();
    let events = futures::stream::unfold(
        (node, revisions, start, prefix, false),
        move |(node, mut revisions, last, prefix, over)| async move {
            if over {
                return None;
            }
            let _ = tokio::time::timeout(Duration::from_secs(5), revisions.wait_for(|r| *r > last))
                .await;
            let (events, revision, compacted) = node.peek(|r| {
                (
                    r.store.since(last, &prefix),
                    r.store.revision,
                    r.store.compacted(),
                )
            });
            // What the header says is known must be in the events, not in later ones.
            let mut header = header(&node);
            header["revision"] = revision.to_string().into();
            Some(match events {
                Some(events) => (
                    line(json!({"header": header, "events": events})),
                    (node, revisions, revision, prefix, false),
                ),
                None => (
                    line(
                        json!({"header": header, "canceled": true, "compact_revision": compacted.to_string()}),
                    ),
                    (node, revisions, revision, prefix, true),
                ),
            })
        },
    );
    use futures::StreamExt;
    stream(
        "application/json",
        futures::stream::once(async { created }).chain(events),
    )
}
