//! A small kubectl: get, apply, delete, wait, version, cordon, uncordon, drain.

mod get;
mod wait;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::{name, namespace};
use crate::apiserver::resources::{RESOURCES, Resource, lookup};
use crate::client::{Client, Kubeconfig, MERGE};

/// Prints a line. A reader that has gone away (`| head`) is no error.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[derive(Default)]
struct Options {
    kubeconfig: String,
    namespace: String,
    all: bool,
    output: String,
    selector: String,
    files: Vec<String>,
    raw: String,
    client_only: bool,
    ignore_missing: bool,
    server_side: bool,
    force: bool,
    condition: String,
    timeout: String,
    ignore_daemonsets: bool,
    words: Vec<String>,
}

/// Runs one command.
pub async fn main(args: &[String]) -> u8 {
    match run(args).await {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("{e:#}");
            1
        }
    }
}

fn parse(args: &[String]) -> anyhow::Result<Options> {
    let mut o = Options::default();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) if arg.starts_with('-') => (flag, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| rest.next().cloned())
                .with_context(|| format!("error: flag needs an argument: {flag}"))
        };
        match flag {
            "--kubeconfig" => o.kubeconfig = value()?,
            "-n" | "--namespace" => o.namespace = value()?,
            "-o" | "--output" => o.output = value()?,
            "-l" | "--selector" => o.selector = value()?,
            "-f" | "--filename" => o.files.push(value()?),
            "--raw" => o.raw = value()?,
            "-A" | "--all-namespaces" => o.all = true,
            "--client" => o.client_only = inline.is_none_or(|v| v == "true"),
            "--ignore-not-found" => o.ignore_missing = inline.is_none_or(|v| v == "true"),
            "--server-side" => o.server_side = true,
            "--force-conflicts" => o.force = true,
            "--for" => o.condition = value()?,
            "--timeout" => o.timeout = value()?,
            "--all" => {}
            "--ignore-daemonsets" => o.ignore_daemonsets = true,
            "--request-timeout" | "--grace-period" => {
                value()?;
            }
            "--wait" | "--no-headers" | "--delete-emptydir-data" | "--force" => {}
            flag if flag.starts_with('-') && flag.len() > 1 => bail!("error: unknown flag: {flag}"),
            word => o.words.push(word.to_owned()),
        }
    }
    Ok(o)
}

async fn run(args: &[String]) -> anyhow::Result<()> {
    let o = parse(args)?;
    let verb = o.words.first().map_or("", String::as_str);
    if verb == "version" && o.client_only {
        return version(&o, None);
    }
    let path = if !o.kubeconfig.is_empty() {
        o.kubeconfig.clone()
    } else if let Ok(path) = std::env::var("KUBECONFIG") {
        path
    } else {
        format!("{}/.kube/config", std::env::var("HOME").unwrap_or_default())
    };
    let client = Client::new(&Kubeconfig::load(&path)?)?;
    let failed = |e: crate::api::Error| {
        let reason = if e.code == 0 {
            "Unable to connect to the server".to_owned()
        } else {
            format!("Error from server ({})", e.reason)
        };
        anyhow::anyhow!("{reason}: {e}")
    };
    match verb {
        "version" => version(&o, Some(client.get("/version").await.map_err(failed)?)),
        "get" if !o.raw.is_empty() => {
            let bytes = client
                .raw("GET", &o.raw, "", Bytes::new())
                .await
                .map_err(failed)?;
            say(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
            Ok(())
        }
        "get" => get::get(&client, &o).await,
        "wait" => wait::wait(&client, &o).await,
        "drain" => wait::drain(&client, &o).await,
        "create" => {
            for object in objects(&o)? {
                let resource = resource_of(&object)?;
                let path = path_of(resource, &space_of(&o, &object), "");
                client.create(&path, &object).await.map_err(failed)?;
                say(&format!(
                    "{}/{} created",
                    resource.kind.to_lowercase(),
                    name(&object)
                ));
            }
            Ok(())
        }
        "apply" => {
            for object in objects(&o)? {
                apply(&client, &o, object).await?;
            }
            Ok(())
        }
        "delete" => {
            for (resource, space, own) in targets(&o)? {
                if own.is_empty() {
                    bail!("error: resource(s) were provided, but no name was specified");
                }
                match client.delete(&path_of(resource, &space, &own)).await {
                    Err(e) if e.code == 404 && o.ignore_missing => {}
                    other => {
                        other.map_err(failed)?;
                        say(&format!("{} {own:?} deleted", resource.kind.to_lowercase()));
                    }
                }
            }
            Ok(())
        }
        "cordon" | "uncordon" => {
            for node in &o.words[1..] {
                client
                    .patch(
                        &format!("/api/v1/nodes/{node}"),
                        MERGE,
                        &json!({"spec": {"unschedulable": verb == "cordon"}}),
                    )
                    .await
                    .map_err(failed)?;
                say(&format!("node/{node} {verb}ed"));
            }
            Ok(())
        }
        other => bail!("error: unknown command {other:?} for \"kubectl\" (stand-in)"),
    }
}

fn version(o: &Options, server: Option<Value>) -> anyhow::Result<()> {
    let own = crate::version::current().to_string();
    if o.output == "json" {
        let mut info = json!({"clientVersion": {"major": "1", "minor": crate::version::current().minor.to_string(), "gitVersion": own, "platform": "linux/amd64"}});
        if let Some(server) = server {
            info["serverVersion"] = server;
        }
        say(&info.to_string());
    } else {
        say(&format!("Client Version: {own}"));
        if let Some(server) = server {
            say(&format!(
                "Server Version: {}",
                server["gitVersion"].as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

fn path_of(resource: &Resource, space: &str, own: &str) -> String {
    let base = if resource.group.is_empty() {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{}/v1", resource.group)
    };
    let space = if resource.namespaced && !space.is_empty() {
        format!("/namespaces/{space}")
    } else {
        String::new()
    };
    let own = if own.is_empty() {
        String::new()
    } else {
        format!("/{own}")
    };
    format!("{base}{space}/{}{own}", resource.plural)
}

fn find(word: &str) -> anyhow::Result<&'static Resource> {
    lookup(word).with_context(|| format!("error: the server doesn't have a resource type {word:?}"))
}

fn space(o: &Options) -> String {
    match o.namespace.as_str() {
        _ if o.all => String::new(),
        "" => "default".to_owned(),
        space => space.to_owned(),
    }
}

fn space_of(o: &Options, object: &Value) -> String {
    match namespace(object) {
        "" => space(o),
        own => own.to_owned(),
    }
}

/// What `kind name…` and `kind/name` on the command line, or `-f`, mean.
fn targets(o: &Options) -> anyhow::Result<Vec<(&'static Resource, String, String)>> {
    let mut list = vec![];
    for object in objects(o)? {
        let resource = resource_of(&object)?;
        let space = space_of(o, &object);
        list.push((resource, space, name(&object).to_owned()));
    }
    let words = &o.words[1..];
    if let Some(first) = words.first() {
        if first.contains('/') {
            for word in words {
                let (kind, own) = word.split_once('/').unwrap_or((word, ""));
                list.push((find(kind)?, space(o), own.to_owned()));
            }
        } else {
            for kind in first.split(',') {
                let resource = find(kind)?;
                let names = &words[1..];
                if names.is_empty() {
                    list.push((resource, space(o), String::new()));
                }
                list.extend(names.iter().map(|own| (resource, space(o), own.clone())));
            }
        }
    }
    Ok(list)
}

fn objects(o: &Options) -> anyhow::Result<Vec<Value>> {
    let mut all = vec![];
    for file in &o.files {
        let text = if file == "-" {
            std::io::read_to_string(std::io::stdin())?
        } else {
            std::fs::read_to_string(file)
                .with_context(|| format!("error: the path {file:?} does not exist"))?
        };
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .with_context(|| format!("error: error parsing {file}"))?;
        for document in documents.into_iter().filter(|d| !d.is_null()) {
            match document["items"].as_array() {
                Some(items) => all.extend(items.clone()),
                None => all.push(document),
            }
        }
    }
    Ok(all)
}

fn resource_of(object: &Value) -> anyhow::Result<&'static Resource> {
    RESOURCES
        .iter()
        .find(|r| r.kind == object["kind"] && object["apiVersion"] == r.api_version().as_str())
        .with_context(|| {
            format!(
                "error: resource mapping not found for kind {} in version {}",
                object["kind"], object["apiVersion"]
            )
        })
}

async fn apply(client: &Client, o: &Options, object: Value) -> anyhow::Result<()> {
    let resource = resource_of(&object)?;
    let own_space = space_of(o, &object);
    let manager = if o.server_side {
        "kubectl"
    } else {
        "kubectl-client-side-apply"
    };
    let force = o.force || !o.server_side;
    let path = format!(
        "{}?fieldManager={manager}&force={force}&fieldValidation=Strict",
        path_of(resource, &own_space, name(&object))
    );
    client
        .patch(&path, "application/apply-patch+yaml", &object)
        .await
        .map_err(|e| anyhow::anyhow!("Error from server ({}): {e}", e.reason))?;
    say(&format!(
        "{}/{} {}",
        resource.kind.to_lowercase(),
        name(&object),
        if o.server_side {
            "serverside-applied"
        } else {
            "configured"
        }
    ));
    Ok(())
}
