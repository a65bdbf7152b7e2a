//! A small kubectl: what the tests, the benchmarks and the demo call.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::{Error, age, is_condition, items, name, namespace, text};
use crate::apiserver::resources::{Resource, lookup, of_kind};
use crate::client::{Client, Kubeconfig, MERGE};

#[derive(Default)]
struct Options {
    kubeconfig: String,
    namespace: String,
    all_namespaces: bool,
    output: String,
    files: Vec<String>,
    raw: String,
    server_side: bool,
    force: bool,
    words: Vec<String>,
}

/// Prints a line. A reader that has gone away (`| head`) is no error.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
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
        let value = || {
            inline
                .or_else(|| rest.next().cloned())
                .with_context(|| format!("error: flag needs an argument: {flag}"))
        };
        match flag {
            "--kubeconfig" => o.kubeconfig = value()?,
            "-n" | "--namespace" => o.namespace = value()?,
            "-o" | "--output" => o.output = value()?,
            "-f" | "--filename" => o.files.push(value()?),
            "--raw" => o.raw = value()?,
            "-A" | "--all-namespaces" => o.all_namespaces = true,
            "--server-side" => o.server_side = true,
            "--force-conflicts" => o.force = true,
            flag if flag.starts_with('-') => bail!("error: unknown flag: {flag}"),
            word => o.words.push(word.to_owned()),
        }
    }
    Ok(o)
}

async fn run(args: &[String]) -> anyhow::Result<()> {
    let o = parse(args)?;
    let home = std::env::var("HOME").unwrap_or_default();
    let path = match o.kubeconfig.as_str() {
        "" => std::env::var("KUBECONFIG").unwrap_or_else(|_| format!("{home}/.kube/config")),
        path => path.to_owned(),
    };
    let client = Client::new(&Kubeconfig::load(&path)?)?;
    let failed = |e: Error| match e.code {
        0 => anyhow::anyhow!("Unable to connect to the server: {e}"),
        _ => anyhow::anyhow!("Error from server ({}): {e}", e.reason),
    };
    let verb = o.words.first().map_or("", String::as_str);
    match verb {
        "get" if !o.raw.is_empty() => {
            let bytes = client.raw("GET", &o.raw, "", Bytes::new()).await;
            let bytes = bytes.map_err(failed)?;
            say(String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
        }
        "get" => {
            for (resource, space, own) in targets(&o)? {
                let path = resource.path(&space, &own);
                print(resource, &client.get(&path).await.map_err(failed)?, &o)?;
            }
        }
        "apply" => {
            for object in objects(&o)? {
                let (resource, space, own) = target_of(&o, &object)?;
                let manager = match o.server_side {
                    true => "kubectl",
                    false => "kubectl-client-side-apply",
                };
                let force = o.force || !o.server_side;
                let path = resource.path(&space, &own);
                let path = format!("{path}?fieldManager={manager}&force={force}");
                let kind = "application/apply-patch+yaml";
                client.patch(&path, kind, &object).await.map_err(failed)?;
                say(&format!("{}/{own} applied", resource.kind.to_lowercase()));
            }
        }
        "delete" => {
            for (resource, space, own) in targets(&o)? {
                ensure!(!own.is_empty(), "error: no name was specified");
                let path = resource.path(&space, &own);
                client.delete(&path).await.map_err(failed)?;
                say(&format!("{} {own:?} deleted", resource.kind.to_lowercase()));
            }
        }
        "cordon" | "uncordon" => {
            for node in &o.words[1..] {
                let patch = json!({"spec": {"unschedulable": verb == "cordon"}});
                let path = format!("/api/v1/nodes/{node}");
                client.patch(&path, MERGE, &patch).await.map_err(failed)?;
                say(&format!("node/{node} {verb}ed"));
            }
        }
        other => bail!("error: unknown command {other:?} for \"kubectl\" (stand-in)"),
    }
    Ok(())
}

/// A resource, a namespace and a name; either may be empty.
type Target = (&'static Resource, String, String);

/// What `-f`, and `kind name…` on the command line, mean.
fn targets(o: &Options) -> anyhow::Result<Vec<Target>> {
    let mut list = vec![];
    for object in objects(o)? {
        list.push(target_of(o, &object)?);
    }
    if let [_, kind, names @ ..] = o.words.as_slice() {
        let resource = lookup(kind)
            .with_context(|| format!("error: the server doesn't have a resource type {kind:?}"))?;
        if names.is_empty() {
            list.push((resource, space(o, ""), String::new()));
        }
        list.extend(
            names
                .iter()
                .map(|own| (resource, space(o, ""), own.clone())),
        );
    }
    Ok(list)
}

fn target_of(o: &Options, object: &Value) -> anyhow::Result<Target> {
    let (version, kind) = (text(object, "apiVersion"), text(object, "kind"));
    let resource = of_kind(version, kind).with_context(|| {
        format!("error: resource mapping not found for kind {kind} in version {version}")
    })?;
    let space = space(o, namespace(object));
    Ok((resource, space, name(object).to_owned()))
}

fn space(o: &Options, own: &str) -> String {
    match (own, o.namespace.as_str()) {
        ("", _) if o.all_namespaces => String::new(),
        ("", "") => "default".to_owned(),
        ("", space) => space.to_owned(),
        (own, _) => own.to_owned(),
    }
}

fn objects(o: &Options) -> anyhow::Result<Vec<Value>> {
    let mut all = vec![];
    for file in &o.files {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("error: the path {file:?} does not exist"))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text)
            .with_context(|| format!("error: error parsing {file}"))?;
        all.extend(documents.into_iter().filter(|d| !d.is_null()));
    }
    Ok(all)
}

/// Prints what was got, as JSON or as a table.
fn print(resource: &Resource, value: &Value, o: &Options) -> anyhow::Result<()> {
    match o.output.as_str() {
        "json" => say(&serde_json::to_string_pretty(value)?),
        "" | "wide" => {
            let list = match value.get("items") {
                Some(_) => items(value, "/items").collect(),
                None => vec![value],
            };
            let rows: Vec<Vec<String>> = std::iter::once(header(resource))
                .chain(list.into_iter().map(|item| row(resource, item)))
                .collect();
            let width = |i: usize| rows.iter().map(|row| row[i].len()).max().unwrap_or(0);
            for row in &rows {
                let cells = row.iter().enumerate();
                let line: Vec<String> = cells
                    .map(|(i, cell)| format!("{cell:0$}", width(i)))
                    .collect();
                say(line.join("   ").trim_end());
            }
        }
        other => bail!("error: unable to match a printer suitable for the output format {other:?}"),
    }
    Ok(())
}

fn header(resource: &Resource) -> Vec<String> {
    let header: &[&str] = match resource.kind {
        "Node" => &["NAME", "STATUS", "ROLES", "AGE", "VERSION", "INTERNAL-IP"],
        "Pod" => &["NAMESPACE", "NAME", "READY", "STATUS", "AGE", "NODE"],
        _ => &["NAMESPACE", "NAME", "AGE"],
    };
    header.iter().map(|h| (*h).to_owned()).collect()
}

fn row(resource: &Resource, item: &Value) -> Vec<String> {
    let own = name(item).to_owned();
    let space = namespace(item).to_owned();
    let since = age(&item["metadata"]["creationTimestamp"]).unwrap_or(0.0);
    let old = format!("{since:.0}s");
    match resource.kind {
        "Node" => {
            let mut status = match is_condition(item, "Ready") {
                true => "Ready".to_owned(),
                false => "NotReady".to_owned(),
            };
            if item["spec"]["unschedulable"] == true {
                status.push_str(",SchedulingDisabled");
            }
            let labels = item["metadata"]["labels"].as_object();
            let roles: Vec<&str> = labels
                .into_iter()
                .flatten()
                .filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/"))
                .collect();
            let version = text(&item["status"]["nodeInfo"], "kubeletVersion").to_owned();
            let address = text(&item["status"]["addresses"][0], "address").to_owned();
            vec![own, status, roles.join(","), old, version, address]
        }
        "Pod" => {
            let statuses = || items(item, "/status/containerStatuses");
            let total = items(item, "/spec/containers").count();
            let ready = statuses().filter(|c| c["ready"] == true).count();
            let waiting = statuses().find_map(|c| c["state"]["waiting"]["reason"].as_str());
            let status = waiting.unwrap_or_else(|| text(&item["status"], "phase"));
            let node = text(&item["spec"], "nodeName").to_owned();
            let ready = format!("{ready}/{total}");
            vec![space, own, ready, status.to_owned(), old, node]
        }
        _ => vec![space, own, old],
    }
}
