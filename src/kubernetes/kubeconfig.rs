//! Kubeconfigs: kubeadm's own, and the operator's, into which we merge ours.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::context::KeyPair;
use super::endpoint::Endpoints;
use super::error::KubernetesError;
use super::tokens::Token;
use super::{tree, yaml};
use crate::inventory::Cluster;

/// A kubeconfig with one cluster, one user and one context.
#[derive(Clone, Copy)]
pub struct Kubeconfig<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The API's URL.
    pub server: &'a str,
    /// The CA's certificate, PEM.
    pub ca: &'a str,
    /// The user's name, for humans; the certificate or token says who it is.
    pub user: &'a str,
    /// How the user proves it.
    pub credentials: Credentials<'a>,
}

/// How a user proves who it is.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// A client certificate and its key, embedded.
    Certificate(KeyPair<'a>),
    /// A file that holds both.
    File(&'a str),
    /// A bootstrap token.
    Token(&'a Token),
}

impl Kubeconfig<'_> {
    /// The file's text, as Kubernetes' own tools lay it out. Secret unless its
    /// credentials are in a file.
    pub fn render(&self) -> Zeroizing<String> {
        let credentials = self.credentials.render();
        // One buffer of the full size, so that growing leaves no copies behind.
        let mut text = Zeroizing::new(String::with_capacity(
            1024 + 2 * self.ca.len()
                + credentials.len()
                + 8 * (self.cluster.len() + self.user.len()),
        ));
        let cluster = quote_scalar(self.cluster);
        let user = quote_scalar(self.user);
        let context = quote_scalar(&context_name(self.user, self.cluster));
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "apiVersion: v1\n\
             clusters:\n\
             - cluster:\n    \
                 certificate-authority-data: {ca}\n    \
                 server: {server}\n  \
               name: {cluster}\n\
             contexts:\n\
             - context:\n    \
                 cluster: {cluster}\n    \
                 user: {user}\n  \
               name: {context}\n\
             current-context: {context}\n\
             kind: Config\n\
             users:\n\
             - name: {user}\n  \
               user:\n{credentials}",
            ca = STANDARD.encode(self.ca),
            server = self.server,
            credentials = credentials.as_str(),
        );
        text
    }
}

impl Credentials<'_> {
    fn render(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Credentials::Certificate(pair) => {
                let mut text = String::with_capacity(128 + 2 * (pair.cert.len() + pair.key.len()));
                text.push_str("    client-certificate-data: ");
                STANDARD.encode_string(pair.cert, &mut text);
                text.push_str("\n    client-key-data: ");
                STANDARD.encode_string(pair.key, &mut text);
                text.push('\n');
                text
            }
            Credentials::File(path) => {
                let path = quote_scalar(path);
                format!("    client-certificate: {path}\n    client-key: {path}\n")
            }
            Credentials::Token(token) => format!("    token: {}\n", token.expose()),
        })
    }
}

fn context_name(user: &str, cluster: &str) -> String {
    format!("{user}@{cluster}")
}

/// A scalar, quoted only if it must be.
fn quote_scalar(text: &str) -> String {
    yaml::to_string(&text.into()).map_or_else(
        |_| Value::String(text.to_owned()).to_string(),
        |quoted| quoted.trim_end().to_owned(),
    )
}

/// The operator's own kubeconfig.
pub fn admin_kubeconfig(
    cluster: &Cluster,
    endpoints: &Endpoints,
    ca: &str,
    admin: KeyPair<'_>,
) -> Zeroizing<String> {
    Kubeconfig {
        cluster: &cluster.cluster_name,
        server: &endpoints.outside.url(),
        ca,
        user: "kubernetes-admin",
        credentials: Credentials::Certificate(admin),
    }
    .render()
}

/// kubelet.conf as the kubelet itself writes it at the end of its bootstrap:
/// its identity is the file that it replaces by itself.
pub(crate) fn of_kubelet(server: &str, ca: &str, identity: &str) -> String {
    format!(
        "apiVersion: v1\n\
         clusters:\n\
         - cluster:\n    \
             certificate-authority-data: {ca}\n    \
             server: {server}\n  \
           name: default-cluster\n\
         contexts:\n\
         - context:\n    \
             cluster: default-cluster\n    \
             namespace: default\n    \
             user: default-auth\n  \
           name: default-context\n\
         current-context: default-context\n\
         kind: Config\n\
         users:\n\
         - name: default-auth\n  \
           user:\n    \
             client-certificate: {identity}\n    \
             client-key: {identity}\n",
        ca = STANDARD.encode(ca),
        identity = quote_scalar(identity),
    )
}

/// What `cluster-info` publishes: where the API is and how to trust it, for
/// those who know nothing yet.
pub(crate) fn cluster_info(server: &str, ca: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "clusters": [{
            "cluster": {"certificate-authority-data": STANDARD.encode(ca), "server": server},
            "name": "",
        }],
        "contexts": null,
        "current-context": "",
        "kind": "Config",
        "users": null,
    })
}

/// Merges our kubeconfig into one of the operator's (empty text for none yet).
///
/// Whatever else is in there stays, unknown fields included; comments get lost.
/// Our user takes the context's name, since every kubeadm cluster calls its
/// administrator `kubernetes-admin`. An entry of ours replaces one that an
/// earlier merge made; one that some other context uses is an error, never
/// replaced. The current context is set only if there is none.
pub fn merge_into(existing: &str, ours: &str) -> Result<Zeroizing<String>, KubernetesError> {
    let wrong = |reason: String| KubernetesError::Kubeconfig { reason };
    let mut merged = match existing.trim() {
        "" => json!({"apiVersion": "v1", "kind": "Config"}),
        _ => yaml::parse(existing).map_err(wrong)?,
    };
    if !merged.is_object() {
        return Err(wrong("not a mapping".into()));
    }
    let ours = yaml::parse(ours).map_err(wrong)?;
    let (mut cluster, mut context, mut user) = (
        single_entry(&ours, "clusters")?,
        single_entry(&ours, "contexts")?,
        single_entry(&ours, "users")?,
    );
    let name = context["name"].clone();
    tree::set_field(&mut user, "name", name.clone());
    tree::set_field(&mut context["context"], "user", name.clone());

    for (kind, entry) in [("cluster", &mut cluster), ("user", &mut user)] {
        if is_foreign(&merged, kind, entry, &name) {
            return Err(wrong(format!(
                "another of its contexts uses a different {kind} named {}",
                entry["name"]
            )));
        }
    }
    put_entry(&mut merged, "clusters", cluster)?;
    put_entry(&mut merged, "contexts", context)?;
    put_entry(&mut merged, "users", user)?;
    if merged["current-context"].as_str().is_none_or(str::is_empty) {
        tree::set_field(&mut merged, "current-context", name);
    }
    Ok(Zeroizing::new(yaml::to_string(&merged)?))
}

/// The one entry of a list of ours.
fn single_entry(ours: &Value, list: &str) -> Result<Value, KubernetesError> {
    match ours[list].as_array().map(Vec::as_slice) {
        Some([entry]) => Ok(entry.clone()),
        _ => Err(KubernetesError::Kubeconfig {
            reason: format!("`{list}` of the new one does not have exactly one entry"),
        }),
    }
}

/// Whether an entry of this name differs from ours and a context other than
/// ours uses it.
fn is_foreign(merged: &Value, kind: &str, ours: &Value, context: &Value) -> bool {
    let entries = |list: &str| merged[list].as_array().into_iter().flatten();
    let differs = entries(&format!("{kind}s"))
        .any(|entry| entry["name"] == ours["name"] && entry[kind] != ours[kind]);
    let used = entries("contexts")
        .any(|other| other["name"] != *context && other["context"][kind] == ours["name"]);
    differs && used
}

/// Replaces the entry of this name, or adds it.
fn put_entry(merged: &mut Value, list: &str, entry: Value) -> Result<(), KubernetesError> {
    let entries = &mut merged[list];
    if entries.is_null() {
        *entries = json!([]);
    }
    let entries = entries
        .as_array_mut()
        .ok_or_else(|| KubernetesError::Kubeconfig {
            reason: format!("`{list}` is not a list"),
        })?;
    match entries
        .iter_mut()
        .find(|other| other["name"] == entry["name"])
    {
        Some(other) => *other = entry,
        None => entries.push(entry),
    }
    Ok(())
}

/// The CA's certificate and the client's certificate and key of a kubeconfig of
/// ours, all PEM; `None` if it doesn't embed them.
pub fn read_embedded(kubeconfig: &str) -> Option<(String, String, Zeroizing<String>)> {
    let value = yaml::parse(kubeconfig).ok()?;
    let field = |list: &str, kind: &str, name: &str| -> Option<Zeroizing<String>> {
        let text = value[list].get(0)?[kind][name].as_str()?;
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()))
    };
    Some((
        field("clusters", "cluster", "certificate-authority-data")?.to_string(),
        field("users", "user", "client-certificate-data")?.to_string(),
        field("users", "user", "client-key-data")?,
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_comes_out_again() {
        let (ca, cert, key) = read_embedded(&ours("demo", "A")).unwrap();
        assert_eq!((&*ca, &*cert, key.as_str()), ("A", "C", "K"));
        assert!(read_embedded("users: [{user: {tokenFile: /x}}]").is_none());
    }

    fn ours(cluster: &str, ca: &str) -> Zeroizing<String> {
        Kubeconfig {
            cluster,
            server: "https://192.0.2.11:6443",
            ca,
            user: "kubernetes-admin",
            credentials: Credentials::Certificate(KeyPair {
                cert: "C",
                key: "K",
            }),
        }
        .render()
    }

    #[test]
    fn names_that_look_like_something_else_are_quoted() {
        let text = ours("1234", "A");
        let config = yaml::parse(&text).unwrap();
        assert_eq!(config["clusters"][0]["name"], "1234");
        assert_eq!(config["current-context"], "kubernetes-admin@1234");
    }

    #[test]
    fn a_new_file_holds_ours() {
        let merged = merge_into("", &ours("demo", "A")).unwrap();
        insta::assert_snapshot!(merged.as_str());
    }

    #[test]
    fn everything_else_stays() {
        let existing = "\
apiVersion: v1
kind: Config
preferences: {colors: true}
current-context: work
extensions:
- name: x
clusters:
- name: work
  cluster: {server: 'https://work', proxy-url: socks5://p}
contexts:
- name: work
  context: {cluster: work, user: kubernetes-admin, namespace: 'on'}
users:
- name: kubernetes-admin
  user:
    exec: {command: aws, args: ['yes']}
";
        let merged = merge_into(existing, &ours("demo", "A")).unwrap();
        insta::assert_snapshot!(merged.as_str());
        let again = merge_into(&merged, &ours("demo", "A")).unwrap();
        assert_eq!(*again, *merged, "merging twice is merging once");
    }

    #[test]
    fn a_reinstalled_cluster_replaces_its_former_self() {
        let before = merge_into("", &ours("demo", "A")).unwrap();
        let after = merge_into(&before, &ours("demo", "B")).unwrap();
        let config = yaml::parse(&after).unwrap();
        assert_eq!(config["clusters"].as_array().unwrap().len(), 1);
        assert_eq!(
            config["clusters"][0]["cluster"]["certificate-authority-data"],
            STANDARD.encode("B")
        );
    }

    #[test]
    fn a_stranger_of_the_same_name_is_not_touched() {
        let existing = "\
clusters: [{name: demo, cluster: {server: 'https://elsewhere'}}]
contexts: [{name: other, context: {cluster: demo, user: me}}]
";
        let error = merge_into(existing, &ours("demo", "A")).unwrap_err();
        insta::assert_snapshot!(error, @r#"cannot merge into the kubeconfig: another of its contexts uses a different cluster named "demo""#);
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        for wrong in ["[]", "a: [", "clusters: 5", "just text"] {
            assert!(merge_into(wrong, &ours("demo", "A")).is_err(), "{wrong}");
        }
    }
}
