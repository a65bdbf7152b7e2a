//! The objects of a recorded cluster, and an API server over them: what a `kube::Client` asks
//! and is answered.

use std::collections::BTreeMap;

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::{Refusal, World};

/// The lock of the cluster.
pub const RUN_LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/clusterctl-rs";

/// Objects by the path of their URL.
#[derive(Debug, Default)]
pub struct Objects {
    objects: BTreeMap<String, Value>,
    version: u64,
}

/// Path of a Node.
pub fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

impl Objects {
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.objects.get(path)
    }

    pub fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    pub fn remove(&mut self, path: &str) -> Option<Value> {
        self.version += 1;
        self.objects.remove(path)
    }

    /// Paths of the objects of one kind, such as `/secrets/`.
    pub fn paths(&self, part: &str) -> impl Iterator<Item = &String> {
        self.objects.keys().filter(move |path| path.contains(part))
    }

    /// Those of a kind with that label, in all namespaces, as items of lists are.
    fn labelled(&self, group: &str, plural: &str, label: &str, value: &str) -> Vec<Value> {
        let is_of_kind = |path: &str| {
            let rest = path.strip_prefix(group).unwrap_or_default();
            let mut words = rest.rsplit('/').skip(1);
            words.next() == Some(plural)
        };
        let found = self.objects.iter().filter(|(path, object)| {
            is_of_kind(path) && object["metadata"]["labels"][label] == value
        });
        let mut items: Vec<Value> = found.map(|(_, object)| object.clone()).collect();
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.shift_remove("kind");
            item.shift_remove("apiVersion");
        }
        items
    }

    /// Those below a collection's path that its selector lets through. Pods of all namespaces
    /// are a collection, too.
    fn list(&self, collection: &str, selector: &str) -> Vec<Value> {
        let all_pods = collection == "/api/v1/pods";
        let is_in = |path: &str| match all_pods {
            true => path.contains("/pods/"),
            false => path.strip_prefix(collection).is_some_and(|rest| {
                rest.strip_prefix('/')
                    .is_some_and(|name| !name.contains('/'))
            }),
        };
        let wanted = selector.split_once('=');
        let selected = |object: &Value| match wanted {
            Some(("metadata.name", name)) => object["metadata"]["name"] == name,
            Some(("spec.nodeName", node)) => object["spec"]["nodeName"] == node,
            _ => true,
        };
        self.objects
            .iter()
            .filter(|(path, object)| is_in(path) && selected(object))
            .map(|(_, object)| object.clone())
            .collect()
    }
}

/// What an API server answers. `None`: a watch that has nothing to tell yet.
pub fn answer(world: &mut World, request: &Asked) -> Result<Option<Response<Body>>, Refusal> {
    let path = request.path.as_str();
    match (&request.method, path) {
        (_, "/livez" | "/readyz") => Ok(Some(text(200, "ok"))),
        (_, "/version") => Ok(Some(json_response(
            200,
            &json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2", "gitCommit": "",
                "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}),
        ))),
        (method, _) if *method == Method::GET => read(world, request),
        _ => change(world, request).map(Some),
    }
}

fn read(world: &World, request: &Asked) -> Result<Option<Response<Body>>, Refusal> {
    let objects = &world.objects;
    if let Some(object) = objects.get(&request.path) {
        return Ok(Some(json_response(200, object)));
    }
    let (group, plural) = request.path.rsplit_once('/').unwrap_or_default();
    if let Some((label, value)) = request.query("labelSelector").split_once('=') {
        let items = objects.labelled(group, plural, label, value);
        let list = json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items});
        return Ok(Some(json_response(200, &list)));
    }
    if !["nodes", "pods"].contains(&plural) {
        return Ok(Some(status(404, "not found")));
    }
    let items = objects.list(&request.path, &request.query("fieldSelector"));
    if request.query("watch") == "true" {
        let since: u64 = request.query("resourceVersion").parse().unwrap_or(0);
        let news: Vec<String> = items
            .iter()
            .filter(|object| version_of(object) > since)
            .map(|object| json!({"type": "MODIFIED", "object": object}).to_string() + "\n")
            .collect();
        return Ok((!news.is_empty()).then(|| text(200, &news.concat())));
    }
    let kind = if plural == "nodes" {
        "NodeList"
    } else {
        "PodList"
    };
    let version = objects.version.to_string();
    let list = json!({"apiVersion": "v1", "kind": kind, "items": items,
        "metadata": {"resourceVersion": version}});
    Ok(Some(json_response(200, &list)))
}

fn version_of(object: &Value) -> u64 {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn change(world: &mut World, request: &Asked) -> Result<Response<Body>, Refusal> {
    let path = request.path.as_str();
    let body: Value = match request.body.as_slice() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).expect("a body of JSON"),
    };
    let dry_run = request.query("dryRun") == "All";
    let (verb, path, object) = match request.method.as_str() {
        "POST" if path.ends_with("/eviction") => return Ok(evict(world, path)),
        "POST" => {
            let name = body["metadata"]["name"].as_str().unwrap_or_default();
            let path = format!("{path}/{name}");
            if world.objects.get(&path).is_some() {
                return Ok(status(409, "already exists"));
            }
            ("create", path, body)
        }
        "PUT" => {
            let given = &body["metadata"]["resourceVersion"];
            let Some(live) = world.objects.get(path) else {
                return Ok(status(404, "not found"));
            };
            if !given.is_null() && *given != live["metadata"]["resourceVersion"] {
                return Ok(status(409, "the object has been modified"));
            }
            ("replace", path.to_owned(), body)
        }
        "DELETE" => {
            return Ok(match world.objects.remove(path) {
                Some(object) => {
                    world.log(format!("api: delete {path}"));
                    json_response(200, &object)
                }
                None => status(404, "not found"),
            });
        }
        "PATCH" => {
            let live = world.objects.get(path).cloned();
            match request.content_type.as_str() {
                "application/apply-patch+yaml" => {
                    let mut object = live.unwrap_or_else(|| json!({}));
                    merge(&mut object, &body);
                    object["metadata"]["managedFields"] =
                        json!([{"manager": request.query("fieldManager"), "operation": "Apply"}]);
                    ("apply", path.to_owned(), object)
                }
                "application/merge-patch+json" => {
                    let Some(mut object) = live else {
                        return Ok(status(404, "not found"));
                    };
                    merge(&mut object, &body);
                    ("patch", path.to_owned(), object)
                }
                "application/json-patch+json" => {
                    let Some(mut object) = live else {
                        return Ok(status(404, "not found"));
                    };
                    let patch: json_patch::Patch =
                        serde_json::from_value(body).expect("a JSON patch");
                    if json_patch::patch(&mut object, &patch).is_err() {
                        return Ok(status(422, "the patch doesn't fit"));
                    }
                    ("patch", path.to_owned(), object)
                }
                other => panic!("{other} is not known to the recorded API"),
            }
        }
        other => panic!("{other} {path} is not known to the recorded API"),
    };
    if dry_run {
        return Ok(json_response(200, &object));
    }
    // Who has the lock changes nothing of a cluster.
    if path != RUN_LEASE {
        world.log(format!("api: {verb} {path}"));
    }
    let stored = world.objects.put(&path, object);
    Ok(json_response(200, &stored))
}

fn evict(world: &mut World, path: &str) -> Response<Body> {
    let pod = path.trim_end_matches("/eviction");
    if world.evictions_refused {
        return status(429, "a budget forbids it");
    }
    world.log(format!("api: evict {pod}"));
    match world.objects.remove(pod) {
        Some(_) => json_response(
            201,
            &json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}),
        ),
        None => status(404, "not found"),
    }
}

/// As a merge patch: objects are merged, `null` removes, everything else replaces.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match value {
                    Value::Null => {
                        into.shift_remove(key);
                    }
                    value => merge(into.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A request, taken to pieces.
#[derive(Debug)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    query: String,
    content_type: String,
    pub body: Vec<u8>,
}

impl Asked {
    pub async fn read(request: Request<Body>) -> Self {
        let (head, body) = request.into_parts();
        let content_type = head.headers.get("content-type");
        let content_type = content_type.and_then(|value| value.to_str().ok());
        Asked {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: body.collect_bytes().await.expect("a body").to_vec(),
        }
    }

    fn query(&self, key: &str) -> String {
        let pairs = self.query.split('&');
        let mut values = pairs.filter_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        values
            .next()
            .unwrap_or_default()
            .replace("%3D", "=")
            .replace("%2F", "/")
    }
}

pub fn text(code: u16, body: &str) -> Response<Body> {
    Response::builder()
        .status(code)
        .body(Body::from(body.as_bytes().to_vec()))
        .expect("a response")
}

pub fn json_response(code: u16, body: &Value) -> Response<Body> {
    text(code, &body.to_string())
}

pub fn status(code: u16, message: &str) -> Response<Body> {
    let reason = match code {
        404 => "NotFound",
        409 => "AlreadyExists",
        422 => "Invalid",
        _ => "TooManyRequests",
    };
    let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure",
        "message": message, "reason": reason, "code": code});
    json_response(code, &body)
}
