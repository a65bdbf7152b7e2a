//! Raft, as far as etcd's users can see it: terms, votes, a replicated log, members
//! that come and go one at a time, learners. This file only computes; `node.rs`
//! moves messages and writes files.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::kv::{Store, number};

/// A follower that hears nothing for so long stands for election (with jitter);
/// a leader that hears from no majority for so long stops answering.
pub const ELECTION: Duration = Duration::from_millis(1000);
/// At most so many entries go in one message.
const BATCH: usize = 500;

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    pub id: u64,
    /// Its name; empty until it has started.
    pub name: String,
    /// Where its peers find it.
    pub peer_urls: Vec<String>,
    /// Where clients find it.
    pub client_urls: Vec<String>,
    /// Whether it only listens.
    pub learner: bool,
}

impl Member {
    /// As etcd's JSON gateway writes it.
    pub fn json(&self) -> Value {
        let mut value = json!({"ID": self.id.to_string(), "name": self.name, "peerURLs": self.peer_urls, "clientURLs": self.client_urls});
        if self.learner {
            value["isLearner"] = true.into();
        }
        value
    }
}

/// An entry of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, from 1.
    #[serde(rename = "i")]
    pub index: u64,
    /// The term of the leader that made it.
    #[serde(rename = "t")]
    pub term: u64,
    #[serde(rename = "c")]
    pub command: Value,
}

/// Everything up to an index.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// The last entry in it.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    pub members: BTreeMap<u64, Member>,
    pub store: Store,
}

/// What a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Leads since its entry of that index.
    Leader(u64),
}

/// How far a peer is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The next entry to send.
    pub next: u64,
    /// The last entry known to be there.
    pub matched: u64,
    /// When it answered last.
    pub heard: Option<Instant>,
}

/// One member's state.
#[derive(Debug)]
pub struct Raft {
    pub id: u64,
    pub term: u64,
    /// For whom we voted in it.
    pub vote: u64,
    /// The log after `base`.
    pub log: Vec<Entry>,
    /// The last index and its term that only the snapshot holds.
    pub base: (u64, u64),
    /// The last index that a majority has.
    pub commit: u64,
    /// The last index applied to the store.
    pub applied: u64,
    pub role: Role,
    /// Who leads; 0 if nobody.
    pub leader: u64,
    pub members: BTreeMap<u64, Member>,
    /// The leader's view of the others.
    pub progress: HashMap<u64, Progress>,
    /// When to stand for election.
    pub deadline: Instant,
    /// When a leader was heard last.
    pub heard: Instant,
    pub store: Store,
}

impl Raft {
    /// A node whose disk held that.
    pub fn new(id: u64, term: u64, vote: u64, snapshot: Snapshot, log: Vec<Entry>) -> Self {
        let now = Instant::now();
        let mut raft = Self {
            id,
            term,
            vote,
            log,
            base: (snapshot.index, snapshot.term),
            commit: snapshot.index,
            applied: snapshot.index,
            role: Role::Follower,
            leader: 0,
            members: snapshot.members,
            progress: HashMap::new(),
            deadline: now,
            heard: now - ELECTION,
            store: snapshot.store,
        };
        raft.store.forget_history();
        raft.reset_deadline();
        if raft.voters() == [id] {
            raft.deadline = now;
        }
        raft
    }

    /// Waits anew, for a random time, before standing for election.
    pub fn reset_deadline(&mut self) {
        self.deadline =
            Instant::now() + ELECTION + Duration::from_millis(rand::random::<u64>() % 1000);
    }

    /// Those who vote.
    pub fn voters(&self) -> Vec<u64> {
        self.members
            .values()
            .filter(|m| !m.learner)
            .map(|m| m.id)
            .collect()
    }

    /// Where a member's peers find it.
    pub fn url_of(&self, member: u64) -> Option<String> {
        self.members.get(&member)?.peer_urls.first().cloned()
    }

    /// Index and term of the last entry.
    pub fn last(&self) -> (u64, u64) {
        self.log.last().map_or(self.base, |e| (e.index, e.term))
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.0 {
            return Some(self.base.1);
        }
        let at = index.checked_sub(self.base.0 + 1)?;
        self.log.get(usize::try_from(at).ok()?).map(|e| e.term)
    }

    fn after(&self, index: u64) -> &[Entry] {
        let from = usize::try_from(index.saturating_sub(self.base.0)).unwrap_or(usize::MAX);
        self.log.get(from..).unwrap_or_default()
    }

    /// A majority of voters says yes to `is`.
    fn quorum(&self, is: impl Fn(u64) -> bool) -> bool {
        let voters = self.voters();
        voters.iter().filter(|v| is(**v)).count() * 2 > voters.len()
    }

    /// Whether a leader may still answer reads: a majority answered it lately.
    pub fn has_lease(&self) -> bool {
        let recent = |v: u64| {
            v == self.id
                || self
                    .progress
                    .get(&v)
                    .and_then(|p| p.heard)
                    .is_some_and(|at| at.elapsed() < ELECTION)
        };
        matches!(self.role, Role::Leader(since) if self.applied >= since) && self.quorum(recent)
    }

    /// A newer term was seen.
    pub fn follow(&mut self, term: u64, leader: u64) {
        if term > self.term {
            self.term = term;
            self.vote = 0;
        }
        self.role = Role::Follower;
        self.leader = leader;
    }

    /// The vote request of a candidacy; the first round asks without raising the term.
    pub fn candidacy(&mut self, pre: bool) -> Value {
        if !pre {
            self.term += 1;
            self.vote = self.id;
            self.leader = 0;
        }
        self.reset_deadline();
        let (index, term) = self.last();
        json!({"term": if pre { self.term + 1 } else { self.term }, "candidate": self.id, "index": index, "log_term": term, "pre": pre})
    }

    /// Answers a vote request.
    pub fn on_vote(&mut self, request: &Value) -> Value {
        let (term, candidate) = (number(&request["term"]), number(&request["candidate"]));
        let newer = (number(&request["log_term"]), number(&request["index"]))
            >= (self.last().1, self.last().0);
        let led = self.heard.elapsed() < ELECTION
            || matches!(self.role, Role::Leader(_)) && self.has_lease();
        if request["pre"] == true {
            return json!({"term": self.term, "granted": term > self.term && newer && !led});
        }
        if term > self.term && !led {
            self.follow(term, 0);
        }
        let granted = term == self.term && newer && (self.vote == 0 || self.vote == candidate);
        if granted {
            self.vote = candidate;
            self.reset_deadline();
        }
        json!({"term": self.term, "granted": granted})
    }

    /// Whether these votes win.
    pub fn wins(&self, votes: &[u64]) -> bool {
        self.quorum(|v| votes.contains(&v))
    }

    /// Becomes leader with an empty entry of the new term.
    pub fn lead(&mut self) -> Entry {
        let next = self.last().0 + 1;
        self.role = Role::Leader(next);
        self.leader = self.id;
        self.progress.clear();
        self.append(json!({"op": "noop"}))
    }

    /// Appends a command to the leader's log.
    pub fn append(&mut self, command: Value) -> Entry {
        let entry = Entry {
            index: self.last().0 + 1,
            term: self.term,
            command,
        };
        self.log.push(entry.clone());
        entry
    }

    /// The next message to a peer; None if it needs the snapshot.
    pub fn message(&mut self, peer: u64) -> Option<Value> {
        let progress = Progress {
            next: self.last().0 + 1,
            matched: 0,
            heard: None,
        };
        let progress = *self.progress.entry(peer).or_insert(progress);
        let previous = progress.next - 1;
        let term = self.term_at(previous).filter(|_| previous >= self.base.0)?;
        let entries = self.after(previous);
        let entries = &entries[..entries.len().min(BATCH)];
        Some(
            json!({"term": self.term, "leader": self.id, "index": previous, "log_term": term, "entries": entries, "commit": self.commit}),
        )
    }

    /// Answers a leader's message. The entries to write to disk come second.
    pub fn on_append(&mut self, request: &Value) -> (Value, Vec<Entry>) {
        let (term, leader) = (number(&request["term"]), number(&request["leader"]));
        if term < self.term {
            return (json!({"term": self.term, "ok": false}), vec![]);
        }
        self.follow(term, leader);
        self.heard = Instant::now();
        self.reset_deadline();
        let previous = number(&request["index"]);
        if self.term_at(previous) != Some(number(&request["log_term"])) {
            // What is committed matches for sure: the leader may go back that far at once.
            return (
                json!({"term": self.term, "ok": false, "hint": self.commit.min(self.last().0)}),
                vec![],
            );
        }
        let entries: Vec<Entry> =
            serde_json::from_value(request["entries"].clone()).unwrap_or_default();
        let matched = previous + entries.len() as u64;
        let mut fresh = vec![];
        for entry in entries {
            match self.term_at(entry.index) {
                Some(term) if term == entry.term => continue,
                Some(_) => self.log.truncate((entry.index - self.base.0 - 1) as usize),
                None => {}
            }
            self.log.push(entry.clone());
            fresh.push(entry);
        }
        self.commit = self.commit.max(number(&request["commit"]).min(matched));
        (
            json!({"term": self.term, "ok": true, "match": matched}),
            fresh,
        )
    }

    /// Takes a peer's answer into account; true if it wants more at once.
    pub fn on_answer(&mut self, peer: u64, answer: &Value) -> bool {
        if number(&answer["term"]) > self.term {
            self.follow(number(&answer["term"]), 0);
            return false;
        }
        let last = self.last().0;
        let Some(progress) = self.progress.get_mut(&peer) else {
            return false;
        };
        progress.heard = Some(Instant::now());
        if answer["ok"] == true {
            progress.matched = progress.matched.max(number(&answer["match"]));
            progress.next = progress.matched + 1;
            let more = progress.next <= last;
            self.advance();
            more
        } else {
            progress.next = (number(&answer["hint"]) + 1)
                .min(progress.next.saturating_sub(1))
                .max(1);
            true
        }
    }

    /// Moves the commit index to what a majority holds in this term.
    pub fn advance(&mut self) {
        if !matches!(self.role, Role::Leader(_)) {
            return;
        }
        let mut held: Vec<u64> = self
            .voters()
            .iter()
            .map(|v| {
                if *v == self.id {
                    self.last().0
                } else {
                    self.progress.get(v).map_or(0, |p| p.matched)
                }
            })
            .collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(index) = held.get(held.len() / 2).copied()
            && index > self.commit
            && self.term_at(index) == Some(self.term)
        {
            self.commit = index;
        }
    }

    /// Applies what is committed; each index with its result.
    pub fn apply(&mut self) -> Vec<(u64, u64, Value)> {
        let mut results = vec![];
        while self.applied < self.commit {
            let Some(entry) = self.after(self.applied).first().cloned() else {
                break;
            };
            self.applied = entry.index;
            results.push((entry.index, entry.term, self.apply_one(&entry.command)));
        }
        results
    }

    fn apply_one(&mut self, command: &Value) -> Value {
        let member =
            || serde_json::from_value::<Member>(command["member"].clone()).unwrap_or_default();
        let id = number(&command["id"]);
        match command["op"].as_str() {
            Some("txn") => return self.store.txn(&command["txn"]),
            Some("add") => {
                self.members.insert(member().id, member());
            }
            Some("remove") => {
                self.members.remove(&id);
                self.progress.remove(&id);
            }
            Some("promote") => {
                if let Some(m) = self.members.get_mut(&id) {
                    m.learner = false;
                }
            }
            Some("publish") => {
                let published = member();
                if let Some(m) = self.members.get_mut(&published.id) {
                    m.name = published.name;
                    m.client_urls = published.client_urls;
                }
            }
            _ => {}
        }
        Value::Null
    }

    /// Everything applied so far.
    pub fn snapshot(&self) -> Value {
        json!({"index": self.applied, "term": self.term_at(self.applied).unwrap_or(self.base.1), "members": self.members, "store": self.store})
    }

    /// Replaces everything by a leader's snapshot, unless we are past it.
    pub fn restore(&mut self, snapshot: Snapshot) -> bool {
        self.heard = Instant::now();
        self.reset_deadline();
        if snapshot.index <= self.commit {
            return false;
        }
        self.base = (snapshot.index, snapshot.term);
        self.commit = snapshot.index;
        self.applied = snapshot.index;
        self.members = snapshot.members;
        self.store = snapshot.store;
        self.store.forget_history();
        self.log.clear();
        true
    }

    /// Forgets entries that the snapshot holds, but for the last `keep`.
    pub fn compact(&mut self, keep: u64) {
        let index = self.applied.saturating_sub(keep);
        if let Some(term) = self.term_at(index).filter(|_| index > self.base.0) {
            self.log.drain(..(index - self.base.0) as usize);
            self.base = (index, term);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn node(id: u64, members: &[u64]) -> Raft {
        let members = members
            .iter()
            .map(|id| {
                (
                    *id,
                    Member {
                        id: *id,
                        ..Member::default()
                    },
                )
            })
            .collect();
        Raft::new(
            id,
            0,
            0,
            Snapshot {
                index: 1,
                members,
                ..Snapshot::default()
            },
            vec![],
        )
    }

    fn put() -> Value {
        json!({"op": "txn", "txn": {"success": [{"request_put": {"key": "YQ==", "value": "YQ=="}}]}})
    }

    #[test]
    fn one_node_commits_alone() {
        let mut a = node(1, &[1]);
        a.candidacy(false);
        assert!(a.wins(&[1]));
        a.lead();
        a.append(put());
        a.advance();
        assert_eq!(a.apply().len(), 2);
        assert_eq!(a.store.revision, 2);
        assert!(a.has_lease());
    }

    #[test]
    fn a_majority_commits_and_a_divergent_tail_is_replaced() {
        let (mut a, mut b) = (node(1, &[1, 2, 3]), node(2, &[1, 2, 3]));
        // b led once, alone, and has an entry that nobody else has.
        b.candidacy(false);
        b.lead();
        b.append(put());
        // a wins a later term.
        a.term = 1;
        a.candidacy(false);
        a.lead();
        a.append(put());
        a.advance();
        assert_eq!(a.commit, 1);
        while {
            let message = a.message(2).unwrap();
            let (answer, _) = b.on_append(&message);
            a.on_answer(2, &answer)
        } {}
        assert_eq!(a.commit, 3);
        assert_eq!(b.last(), (3, 2));
        assert_eq!(b.role, Role::Follower);
    }

    #[test]
    fn nobody_votes_twice_or_for_a_shorter_log() {
        let mut a = node(1, &[1, 2, 3]);
        a.log.push(Entry {
            index: 2,
            term: 1,
            command: Value::Null,
        });
        a.term = 1;
        let ask = |candidate: u64, index: u64, term: u64| json!({"term": term, "candidate": candidate, "index": index, "log_term": 1});
        assert_eq!(a.on_vote(&ask(2, 1, 2))["granted"], false);
        assert_eq!(a.on_vote(&ask(2, 2, 3))["granted"], true);
        assert_eq!(a.on_vote(&ask(3, 9, 3))["granted"], false);
    }
}
