//! A running member: moves Raft's messages between peers, keeps its disk, and lets
//! requests wait for their entry to be applied.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot, watch};

use super::disk::Disk;
use super::kv::{Store, number};
use super::raft::{Entry, Raft, Role, Snapshot};
use crate::api::{Error, err};
use crate::client::Pool;

const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long a request waits for a majority, as etcd: 5 s plus two elections.
pub const TIMEOUT: Duration = Duration::from_secs(7);

/// Entries whose effect somebody waits for: the term they must have, and where to tell.
type Waiters = HashMap<u64, (u64, oneshot::Sender<Value>)>;

struct State {
    raft: Raft,
    disk: Disk,
    waiters: Waiters,
    saved: (u64, u64),
}

/// A member and all its tasks.
pub struct Node {
    state: Mutex<State>,
    pub cluster: u64,
    snapshot_count: usize,
    pool: Pool,
    /// Rings when there is something to send.
    bell: Notify,
    /// The newest applied revision.
    pub revision: watch::Sender<u64>,
}

/// `etcdserver: …` with the status that the gateway gives it.
pub fn refuse(code: u16, message: &str) -> Error {
    err!(code, "etcdserver: {message}")
}

impl Node {
    /// Starts the tasks of a member.
    pub fn start(
        raft: Raft,
        disk: Disk,
        cluster: u64,
        snapshot_count: usize,
        pool: Pool,
    ) -> Arc<Self> {
        let saved = (raft.term, raft.vote);
        let revision = watch::Sender::new(raft.store.revision);
        let state = Mutex::new(State {
            raft,
            disk,
            waiters: HashMap::new(),
            saved,
        });
        let node = Arc::new(Self {
            state,
            cluster,
            snapshot_count,
            pool,
            bell: Notify::new(),
            revision,
        });
        tokio::spawn(node.clone().elections());
        tokio::spawn(node.clone().peers());
        node
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the state.
    pub fn peek<T>(&self, look: impl FnOnce(&Raft) -> T) -> T {
        look(&self.lock().raft)
    }

    /// Writes what must be on disk before anybody is answered, and applies what is
    /// committed. A disk that fails ends the process: promises could not be kept.
    fn settle(&self, state: &mut State, fresh: &[Entry]) {
        if state.saved != (state.raft.term, state.raft.vote) {
            state.saved = (state.raft.term, state.raft.vote);
            self.must(state.disk.meta(&state.raft, self.cluster));
        }
        self.must(state.disk.append(fresh));
        state.raft.advance();
        for (index, term, result) in state.raft.apply() {
            if let Some((wanted, waiter)) = state.waiters.remove(&index)
                && wanted == term
            {
                // Nobody waits any more: the request timed out.
                let _ = waiter.send(result);
            }
        }
        // Whoever leads next may or may not keep them: nobody can be told yes.
        if state.raft.role == Role::Follower {
            state.waiters.clear();
        }
        if state.disk.entries() > self.snapshot_count {
            state.raft.compact(1000);
            self.must(state.disk.snapshot(&state.raft));
        }
        self.revision.send_if_modified(|r| {
            std::mem::replace(r, state.raft.store.revision) != state.raft.store.revision
        });
        // A member that finds itself removed stops, as etcd does.
        let id = state.raft.id;
        if state.raft.applied > 1
            && !state.raft.members.is_empty()
            && !state.raft.members.contains_key(&id)
        {
            crate::klog!(
                error,
                "the member has been permanently removed from the cluster"
            );
            std::process::exit(0);
        }
    }

    fn must(&self, result: std::io::Result<()>) {
        if let Err(e) = result {
            crate::klog!(error, "etcd: failed to write: {e}");
            std::process::exit(1);
        }
    }

    /// Proposes a command and waits until it is applied; fails on followers.
    pub async fn propose(&self, command: Value) -> Result<Value, Error> {
        let (told, result) = oneshot::channel();
        {
            let mut state = self.lock();
            if !matches!(state.raft.role, Role::Leader(_)) {
                return Err(refuse(503, "leader changed"));
            }
            let entry = state.raft.append(command);
            state.waiters.insert(entry.index, (entry.term, told));
            self.settle(&mut state, &[entry]);
        }
        self.bell.notify_one();
        match tokio::time::timeout(TIMEOUT, result).await {
            Ok(Ok(value)) => Ok(value),
            _ => Err(refuse(503, "request timed out")),
        }
    }

    /// Reads the store on a leader that is sure to be one.
    pub fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> Result<T, Error> {
        let state = self.lock();
        if state.raft.has_lease() {
            Ok(look(&state.raft.store))
        } else {
            Err(refuse(503, "request timed out"))
        }
    }

    /// Waits until there is a leader: true if it is this member, else where it listens.
    pub async fn leader(&self) -> Result<Option<String>, Error> {
        let start = Instant::now();
        loop {
            {
                let state = self.lock();
                let raft = &state.raft;
                if raft.has_lease() {
                    return Ok(None);
                }
                if raft.leader != 0
                    && raft.leader != raft.id
                    && let Some(url) = raft.url_of(raft.leader)
                {
                    return Ok(Some(url));
                }
            }
            if start.elapsed() > Duration::from_secs(3) {
                return Err(refuse(503, "no leader"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends JSON to a peer.
    pub async fn post(
        &self,
        url: &str,
        path: &str,
        body: &Value,
        timeout: Duration,
    ) -> anyhow::Result<(u16, Value)> {
        let request = http::Request::post(format!("{}{path}", url.trim_end_matches('/')))
            .header("content-type", "application/json")
            .header("x-etcd-cluster-id", format!("{:x}", self.cluster))
            .body(Full::new(Bytes::from(body.to_string())))?;
        let exchange = async {
            let response = self.pool.request(request).await?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
        };
        tokio::time::timeout(timeout, exchange).await?
    }

    /// Stands for election whenever no leader is heard.
    async fn elections(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(25)).await;
            let due = self.peek(|r| {
                let voter = r.members.get(&r.id).is_some_and(|m| !m.learner);
                r.role == Role::Follower && voter && Instant::now() >= r.deadline
            });
            if due && self.campaign(true).await {
                self.campaign(false).await;
            }
            // A leader that nobody hears steps down, so that its clients learn of it.
            let mut state = self.lock();
            if matches!(state.raft.role, Role::Leader(since) if state.raft.applied >= since)
                && !state.raft.has_lease()
            {
                let term = state.raft.term;
                crate::klog!(warn, "stepped down: lost the majority");
                state.raft.follow(term, 0);
                state.raft.reset_deadline();
                self.settle(&mut state, &[]);
            }
        }
    }

    async fn campaign(self: &Arc<Self>, pre: bool) -> bool {
        let (request, others, id) = {
            let mut state = self.lock();
            let request = state.raft.candidacy(pre);
            self.settle(&mut state, &[]);
            let id = state.raft.id;
            let mut others = state.raft.voters();
            others.retain(|other| *other != id);
            (request, others, id)
        };
        let term = number(&request["term"]);
        let mut votes = vec![id];
        let asks = others.into_iter().map(|peer| {
            let (node, request) = (self.clone(), request.clone());
            async move {
                let url = node.peek(|r| r.url_of(peer)).unwrap_or_default();
                let limit = Duration::from_millis(500);
                let (_, answer) = node.post(&url, "/raft/vote", &request, limit).await?;
                anyhow::Ok((peer, answer))
            }
        });
        for (peer, answer) in futures::future::join_all(asks).await.into_iter().flatten() {
            if answer["granted"] == true {
                votes.push(peer);
            } else if number(&answer["term"]) > term {
                self.lock().raft.follow(number(&answer["term"]), 0);
            }
        }
        let mut state = self.lock();
        let still = state.raft.term == if pre { term - 1 } else { term } && state.raft.leader == 0
            || pre && state.raft.term < term;
        if !still || !state.raft.wins(&votes) {
            return false;
        }
        if !pre && state.raft.vote == id {
            let entry = state.raft.lead();
            crate::klog!(info, "{:x} became leader at term {}", id, state.raft.term);
            self.settle(&mut state, &[entry]);
            drop(state);
            self.bell.notify_one();
        }
        true
    }

    /// One task per peer sends it what it lacks while this member leads.
    async fn peers(self: Arc<Self>) {
        let mut running: HashMap<u64, (tokio::task::JoinHandle<()>, Arc<Notify>)> = HashMap::new();
        loop {
            // Either new entries or a member list that may have changed.
            let _ = tokio::time::timeout(HEARTBEAT, self.bell.notified()).await;
            let members: Vec<u64> =
                self.peek(|r| r.members.keys().copied().filter(|m| *m != r.id).collect());
            running.retain(|id, (task, _)| {
                let keep = members.contains(id);
                if !keep {
                    task.abort();
                }
                keep
            });
            for id in members {
                let entry = running.entry(id).or_insert_with(|| {
                    let bell = Arc::new(Notify::new());
                    (tokio::spawn(self.clone().feed(id, bell.clone())), bell)
                });
                entry.1.notify_one();
            }
        }
    }

    async fn feed(self: Arc<Self>, peer: u64, bell: Arc<Notify>) {
        loop {
            bell.notified().await;
            while self.send(peer).await {}
        }
    }

    /// Sends one message to a peer; true if another should follow at once.
    async fn send(&self, peer: u64) -> bool {
        let (url, path, body) = {
            let mut state = self.lock();
            if !matches!(state.raft.role, Role::Leader(_)) {
                return false;
            }
            let Some(url) = state.raft.url_of(peer) else {
                return false;
            };
            match state.raft.message(peer) {
                Some(message) => (url, "/raft/append", message),
                None => (
                    url,
                    "/raft/snapshot",
                    json!({"term": state.raft.term, "leader": state.raft.id, "snapshot": state.raft.snapshot()}),
                ),
            }
        };
        match self.post(&url, path, &body, Duration::from_secs(2)).await {
            Ok((200, answer)) => {
                let mut state = self.lock();
                let more = state.raft.on_answer(peer, &answer);
                self.settle(&mut state, &[]);
                more
            }
            Ok((status, answer)) => {
                crate::klog!(warn, "peer {peer:x} refused ({status}): {answer}");
                false
            }
            Err(_) => false,
        }
    }

    /// Answers a peer.
    pub fn on_peer(&self, path: &str, body: &Value) -> Value {
        let mut state = self.lock();
        match path {
            "/raft/vote" => {
                let answer = state.raft.on_vote(body);
                self.settle(&mut state, &[]);
                answer
            }
            "/raft/append" => {
                let (answer, fresh) = state.raft.on_append(body);
                self.settle(&mut state, &fresh);
                answer
            }
            _ => {
                let term = number(&body["term"]);
                if term < state.raft.term {
                    return json!({"term": state.raft.term, "ok": false});
                }
                state.raft.follow(term, number(&body["leader"]));
                match serde_json::from_value::<Snapshot>(body["snapshot"].clone()) {
                    Ok(snapshot) => {
                        if state.raft.restore(snapshot) {
                            let written = {
                                let State { raft, disk, .. } = &mut *state;
                                disk.snapshot(raft)
                            };
                            self.must(written);
                        }
                        self.settle(&mut state, &[]);
                        json!({"term": state.raft.term, "ok": true, "match": state.raft.commit})
                    }
                    Err(_) => {
                        json!({"term": state.raft.term, "ok": false, "hint": state.raft.commit})
                    }
                }
            }
        }
    }
}
