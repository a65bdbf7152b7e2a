//! What clients see: the JSON gateway that every etcd serves beside gRPC
//! (`POST /v3/kv/range` …), plus health and version.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use serde_json::{Value, json};

use super::kv::{decode, number};
use super::node::{Node, TIMEOUT, refuse};
use super::raft::{ELECTION, Member, Role};
use crate::api::{Error, err};
use crate::http::{Request, Response, json as reply, plain, stream};

/// Answers a client's request.
pub async fn handle(node: Arc<Node>, request: Request) -> Response {
    let path = request.path.as_str();
    if request.method != "POST" || !path.starts_with("/v3/") {
        return probe(&node, path);
    }
    let answer = match serde_json::from_slice::<Value>(&request.body) {
        Ok(body) if path == "/v3/watch" => return watch(node, &body),
        Ok(body) => route(&node, path, body).await,
        Err(_) => Err(err!(400, "invalid JSON")),
    };
    match answer {
        Ok(value) => reply(200, &value),
        Err(e) => {
            let grpc = match e.code {
                400 => 9,
                404 => 5,
                503 => 14,
                _ => 2,
            };
            let body = json!({"error": e.message, "message": e.message, "code": grpc});
            reply(e.code, &body)
        }
    }
}

/// Answers a probe; these need no client certificate on the metrics listener.
pub fn probe(node: &Node, path: &str) -> Response {
    let led = node.peek(|r| r.leader != 0 && (r.has_lease() || r.heard.elapsed() < ELECTION));
    match path {
        "/version" => {
            let version = crate::version::current().etcd_version();
            reply(200, &json!({"etcdserver": version, "etcdcluster": version}))
        }
        "/health" if led => reply(200, &json!({"health": "true", "reason": ""})),
        "/health" => reply(503, &json!({"health": "false", "reason": "RAFT NO LEADER"})),
        "/livez" => plain(200, "ok\n"),
        "/readyz" if led => plain(200, "ok\n"),
        "/readyz" => plain(
            503,
            "[-]linearizable_read failed: etcdserver: request timed out\n",
        ),
        _ => plain(404, "404 page not found\n"),
    }
}

/// Answers here if this member leads, else asks the leader.
async fn route(node: &Arc<Node>, path: &str, body: Value) -> Result<Value, Error> {
    // What any member answers by itself.
    match path {
        "/v3/maintenance/status" => return Ok(status(node)),
        "/v3/cluster/member/list" if body["linearizable"] == false => return Ok(members(node)),
        _ => {}
    }
    // A leader may be lost between finding and asking it: once more then, for as long
    // as a request may take.
    let begin = Instant::now();
    while begin.elapsed() < TIMEOUT {
        let answer = match node.leader().await? {
            None => answer_as_leader(node, path, body.clone()).await,
            Some(url) => forward(node, &url, path, &body).await,
        };
        match answer {
            Err(e) if e.message == "etcdserver: leader changed" => {
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

/// Has the leader answer.
pub async fn forward(node: &Node, url: &str, path: &str, body: &Value) -> Result<Value, Error> {
    let forwarded = json!({"path": path, "body": body});
    let limit = Duration::from_secs(8);
    match node.post(url, "/standin/forward", &forwarded, limit).await {
        Ok((200, value)) => Ok(value),
        Ok((code, value)) => Err(err!(code, "{}", crate::api::text(&value, "error"))),
        Err(_) => Err(refuse(503, "leader changed")),
    }
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
               "raftIndex": r.commit.to_string(), "raftTerm": r.term.to_string(), "raftAppliedIndex": r.applied.to_string(),
               "isLearner": r.members.get(&r.id).is_some_and(|m| m.learner)})
    });
    status["header"] = header(node);
    status
}

/// Answers as the leader.
pub async fn answer_as_leader(node: &Node, path: &str, body: Value) -> Result<Value, Error> {
    match path {
        "/v3/kv/range" => {
            let mut found = node.read(|s| s.range(&body))?;
            found["header"] = header(node);
            Ok(found)
        }
        "/v3/kv/txn" => node.propose(json!({"op": "txn", "txn": body})).await,
        "/v3/kv/put" => {
            let txn = json!({"success": [{"request_put": body}]});
            node.propose(json!({"op": "txn", "txn": txn})).await
        }
        "/v3/cluster/member/list" => node.read(|_| ()).map(|()| members(node)),
        "/v3/cluster/member/add" => add_member(node, &body).await,
        "/v3/cluster/member/remove" => {
            let id = known_id(node, &body)?;
            let others = node.peek(|r| r.voters().into_iter().filter(|v| *v != id).count());
            if others == 0 {
                return Err(not_enough_members());
            }
            node.propose(json!({"op": "remove", "id": id})).await?;
            Ok(members(node))
        }
        "/v3/cluster/member/promote" => {
            let id = known_id(node, &body)?;
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
        _ => Err(err!(404, "Not Found")),
    }
}

fn not_enough_members() -> Error {
    refuse(
        400,
        "re-configuration failed due to not enough started members",
    )
}

fn known_id(node: &Node, body: &Value) -> Result<u64, Error> {
    let id = number(&body["ID"]);
    match node.peek(|r| r.members.contains_key(&id)) {
        true => Ok(id),
        false => Err(refuse(404, "member not found")),
    }
}

async fn add_member(node: &Node, body: &Value) -> Result<Value, Error> {
    let member = Member {
        id: rand::random::<u64>() >> 1,
        peer_urls: serde_json::from_value(body["peerURLs"].clone()).unwrap_or_default(),
        learner: body["isLearner"] == true,
        ..Member::default()
    };
    let urls = &member.peer_urls;
    if urls.is_empty() || !urls.iter().all(|u| u.starts_with("http")) {
        return Err(refuse(400, "given member URLs are invalid"));
    }
    node.peek(|r| {
        let mut all = r.members.values();
        if all.any(|m| m.peer_urls.iter().any(|u| urls.contains(u))) {
            return Err(refuse(400, "Peer URLs already exists"));
        }
        let mut all = r.members.values();
        if member.learner && all.any(|m| m.learner) {
            return Err(refuse(400, "too many learner members in cluster"));
        }
        let mut all = r.members.values();
        if !member.learner && all.any(|m| !m.learner && m.name.is_empty()) {
            return Err(not_enough_members());
        }
        match matches!(r.role, Role::Leader(_)) && r.has_lease() {
            true => Ok(()),
            false => Err(refuse(503, "unhealthy cluster")),
        }
    })?;
    node.propose(json!({"op": "add", "member": member})).await?;
    let mut answer = members(node);
    answer["member"] = member.json();
    Ok(answer)
}

/// A watch: one JSON line per batch of events, and one now and then without any.
fn watch(node: Arc<Node>, body: &Value) -> Response {
    let create = &body["create_request"];
    let prefix = decode(&create["key"]);
    let start = number(&create["start_revision"]).saturating_sub(1);
    let line = |value: Value| Bytes::from(format!("{}\n", json!({"result": value})));
    let created = line(json!({"header": header(&node), "created": true}));
    let revisions = node.revision.subscribe();
    let events = futures::stream::unfold(
        (node, revisions, Some(start)),
        move |(node, mut revisions, last)| {
            let prefix = prefix.clone();
            async move {
                let last = last?;
                let news = revisions.wait_for(|r| *r > last);
                let _ = tokio::time::timeout(Duration::from_secs(5), news).await;
                let store = |r: &super::raft::Raft| {
                    (
                        r.store.since(last, &prefix),
                        r.store.revision,
                        r.store.compacted,
                    )
                };
                let (events, revision, compacted) = node.peek(store);
                // What the header says is known must be in the events, not in later ones.
                let mut header = header(&node);
                header["revision"] = revision.to_string().into();
                Some(match events {
                    Some(events) => (
                        line(json!({"header": header, "events": events})),
                        (node, revisions, Some(revision)),
                    ),
                    None => (
                        line(
                            json!({"header": header, "canceled": true, "compact_revision": compacted.to_string()}),
                        ),
                        (node, revisions, None),
                    ),
                })
            }
        },
    );
    stream(futures::stream::once(async { created }).chain(events))
}
