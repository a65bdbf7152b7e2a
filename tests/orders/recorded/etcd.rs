//! etcd of a recorded cluster: its members, and the rules of its quorum.

use http::Response;
use kube::client::Body;
use serde_json::{Value, json};

use super::World;
use super::api::{Asked, json_response};

/// A member.
#[derive(Debug, Clone)]
pub struct EtcdMember {
    pub id: u64,
    /// The node's name; empty until it has started for the first time.
    pub name: String,
    pub peer_url: String,
    pub is_learner: bool,
}

impl EtcdMember {
    fn to_json(&self) -> Value {
        let client_urls: Vec<String> = match self.name.is_empty() {
            true => Vec::new(),
            false => vec![self.peer_url.replace("2380", "2379")],
        };
        json!({"ID": self.id.to_string(), "name": self.name, "peerURLs": [self.peer_url],
            "clientURLs": client_urls, "isLearner": self.is_learner})
    }
}

impl World {
    /// Whether most members with a vote run.
    pub fn has_quorum(&self) -> bool {
        let voters = self.etcd.iter().filter(|member| !member.is_learner);
        let (mut all, mut up) = (0, 0);
        for member in voters {
            all += 1;
            up += usize::from(self.member_runs(member));
        }
        up > all / 2
    }

    fn member_runs(&self, member: &EtcdMember) -> bool {
        let host = self.hosts.values().find(|host| host.node == member.name);
        host.is_some_and(|host| host.etcd_runs())
    }
}

/// What the member on `host` answers.
pub fn answer(world: &mut World, host: &str, request: &Asked) -> Response<Body> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let quorum = world.has_quorum();
    world.etcd_requests += 1;
    if let Some(why) = &world.etcd_refuses
        && !matches!(
            request.path.as_str(),
            "/v3/maintenance/status" | "/v3/cluster/member/list"
        )
    {
        let why = why.clone();
        return refuse(&why);
    }
    match request.path.as_str() {
        "/v3/cluster/member/list" if body["linearizable"] == true && !quorum => {
            refuse("etcdserver: request timed out")
        }
        "/v3/cluster/member/list" => list(world),
        "/v3/maintenance/status" => {
            let node = &world.hosts[host].node;
            let own = world.etcd.iter().find(|member| member.name == *node);
            let own = own.map_or(0, |member| member.id);
            let leader = world.etcd.iter().find(|member| !member.is_learner);
            let leader = leader.filter(|_| quorum).map_or(0, |leader| leader.id);
            json_response(
                200,
                &json!({"header": {"member_id": own.to_string()}, "version": "3.6.8",
                    "dbSize": "20480", "leader": leader.to_string()}),
            )
        }
        _ if !quorum => refuse("etcdserver: unhealthy cluster"),
        "/v3/cluster/member/add" => {
            if world.etcd.iter().any(|member| member.is_learner) {
                return refuse("etcdserver: too many learner members in cluster");
            }
            let url = body["peerURLs"][0].as_str().expect("a URL").to_owned();
            world.log(format!("etcd: add learner {}", world.host_at(&url)));
            let id = world.etcd.iter().map(|member| member.id).max().unwrap_or(0) + 1;
            world.etcd.push(EtcdMember {
                id,
                name: String::new(),
                peer_url: url,
                is_learner: true,
            });
            list(world)
        }
        "/v3/cluster/member/promote" => {
            let id = body["ID"].as_str().unwrap_or_default().to_owned();
            let member = world
                .etcd
                .iter_mut()
                .find(|member| member.id.to_string() == id)
                .expect("a member");
            member.is_learner = false;
            let url = member.peer_url.clone();
            world.log(format!("etcd: promote {}", world.host_at(&url)));
            list(world)
        }
        "/v3/cluster/member/remove" => {
            let id = body["ID"].as_str().unwrap_or_default();
            let at = world
                .etcd
                .iter()
                .position(|member| member.id.to_string() == id)
                .expect("a member");
            let member = world.etcd.remove(at);
            if !world.has_quorum() {
                world.etcd.insert(at, member);
                return refuse("etcdserver: unhealthy cluster");
            }
            world.log(format!("etcd: remove {}", world.host_at(&member.peer_url)));
            list(world)
        }
        other => panic!("{other} is not known to the recorded etcd"),
    }
}

fn list(world: &World) -> Response<Body> {
    let members: Vec<Value> = world.etcd.iter().map(EtcdMember::to_json).collect();
    json_response(200, &json!({"members": members}))
}

fn refuse(why: &str) -> Response<Body> {
    let body = json!({"error": why, "message": why, "code": 503, "status": "Failure",
        "reason": ""});
    json_response(503, &body)
}
