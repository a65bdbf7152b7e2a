//! Templates: ours, embedded, and the operator's, which replace them by name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig};
use serde_json::Value;

use super::error::KubernetesError;
use super::origin::Origin;
use super::yaml;

macro_rules! embedded {
    ($($name:literal),* $(,)?) => {
        /// Our templates: the name below `templates/`, and the text.
        const EMBEDDED: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../templates/", $name)))),*
        ];
    };
}

embedded![
    "cni/bridge.conflist.j2",
    "cni/clusterctl-pod-network.service.j2",
    "cni/pod-network.sh.j2",
    "containerd/config.toml.j2",
    "haproxy/haproxy.cfg.j2",
    "kubelet/10-kubeadm.conf.j2",
    "kubelet/config.yaml.j2",
    "kubelet/kubelet.service.j2",
    "manifests/etcd.yaml.j2",
    "manifests/haproxy.yaml.j2",
    "manifests/kube-apiserver.yaml.j2",
    "manifests/kube-controller-manager.yaml.j2",
    "manifests/kube-scheduler.yaml.j2",
    "manifests/kube-vip.yaml.j2",
    "objects/bootstrap-token.yaml.j2",
    "objects/cluster-admins.yaml.j2",
    "objects/coredns.yaml.j2",
    "objects/kube-proxy-config.yaml.j2",
    "objects/kube-proxy.yaml.j2",
    "objects/upload-certs.yaml.j2",
    "objects/upload-config.yaml.j2",
];

/// A set of templates, ready to render.
pub struct Templates {
    environment: Environment<'static>,
    texts: BTreeMap<String, String>,
    replaced: BTreeMap<String, PathBuf>,
}

/// The names of what a view holds: `cluster.{name, version}, host.{name}`.
fn describe_values(view: &Value) -> String {
    let names = |value: &Value| {
        let keys = value.as_object().into_iter().flatten();
        keys.map(|(key, _)| key.clone()).collect::<Vec<_>>()
    };
    let one = |key: String| match names(&view[&key]) {
        below if below.is_empty() => key,
        below => format!("{key}.{{{}}}", below.join(", ")),
    };
    names(view)
        .into_iter()
        .map(one)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Templates {
    /// Our templates alone.
    pub fn built_in() -> Result<Self, KubernetesError> {
        Self::load(None)
    }

    /// Our templates, each replaced by the file of the same name below
    /// `directory`, if there is one. A file there that replaces nothing is an
    /// error, since it is most likely a misspelt name.
    pub fn load(directory: Option<&Path>) -> Result<Self, KubernetesError> {
        let mut texts: BTreeMap<String, String> = EMBEDDED
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let mut replaced = BTreeMap::new();
        if let Some(directory) = directory {
            for path in list_files(directory)? {
                let name = path
                    .strip_prefix(directory)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned();
                let Some(text) = texts.get_mut(&name) else {
                    return Err(KubernetesError::UnknownTemplate { path });
                };
                *text = std::fs::read_to_string(&path).map_err(|source| KubernetesError::Read {
                    path: path.clone(),
                    source,
                })?;
                replaced.insert(name, path);
            }
        }
        let mut templates = Templates {
            environment: new_environment(),
            texts,
            replaced,
        };
        for (name, text) in templates.texts.clone() {
            templates
                .environment
                .add_template_owned(name.clone(), text)
                .map_err(|error| templates.failed(&name, &error))?;
        }
        Ok(templates)
    }

    /// Whether a template of ours is replaced by the operator's.
    pub fn replaces(&self, name: &str) -> bool {
        self.replaced.contains_key(name)
    }

    /// The names of all templates, for whoever wants to replace one.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// Renders a template.
    pub(crate) fn render(&self, name: &str, context: &Value) -> Result<String, KubernetesError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(minijinja::Value::from(Serde(context))))
            .map_err(|error| self.failed(name, &error))
    }

    /// Renders the text of a file of the operator's own with the values of
    /// `view`.
    pub(crate) fn render_file(
        &self,
        path: &Path,
        text: &str,
        view: Value,
    ) -> Result<String, KubernetesError> {
        let origin = Origin::Own {
            path: path.to_path_buf(),
            values: describe_values(&view),
        };
        let context = minijinja::Value::from(Serde(view));
        self.environment
            .render_named_str(&path.to_string_lossy(), text, context)
            .map_err(|error| render_error(origin, text, &error))
    }

    /// Renders a template that makes one YAML document.
    pub(crate) fn render_yaml(
        &self,
        name: &str,
        context: &Value,
    ) -> Result<Value, KubernetesError> {
        yaml::parse(&self.render(name, context)?)
            .map_err(|reason| self.unexpected(name, "valid YAML", reason))
    }

    /// Renders a template that makes YAML documents.
    pub(crate) fn render_documents(
        &self,
        name: &str,
        context: &Value,
    ) -> Result<Vec<Value>, KubernetesError> {
        yaml::parse_all(&self.render(name, context)?)
            .map_err(|reason| self.unexpected(name, "valid YAML", reason))
    }

    /// The error for a template whose result isn't what it has to be.
    pub(crate) fn unexpected(
        &self,
        name: &str,
        expected: &'static str,
        reason: impl Into<String>,
    ) -> KubernetesError {
        KubernetesError::Rendered {
            origin: self.origin(name),
            expected,
            reason: reason.into(),
        }
    }

    fn origin(&self, name: &str) -> Origin {
        match self.replaced.get(name) {
            Some(path) => Origin::File(path.clone()),
            None => Origin::BuiltIn(name.to_owned()),
        }
    }

    fn failed(&self, name: &str, error: &minijinja::Error) -> KubernetesError {
        let text = self.texts.get(name).map_or("", String::as_str);
        render_error(self.origin(name), text, error)
    }
}

/// Says what went wrong where. The template's line is shown, which names the
/// variable at fault, but never a variable's value.
fn render_error(origin: Origin, text: &str, error: &minijinja::Error) -> KubernetesError {
    let line = error.line().unwrap_or(1);
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let reason = match text.lines().nth(line.saturating_sub(1)).map(str::trim) {
        None | Some("") => reason,
        Some(source) => format!("{reason}, in `{source}`"),
    };
    KubernetesError::Template {
        origin,
        line,
        reason,
    }
}

/// minijinja's feature `debug` stays off: with it, errors would print every
/// variable, secrets included.
fn new_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.add_filter("quote", quote_scalar);
    environment
}

/// A scalar in double quotes with everything escaped that needs it: good for
/// YAML, JSON and TOML alike.
fn quote_scalar(value: &minijinja::Value) -> String {
    Value::String(value.to_string()).to_string()
}

/// Every file below a directory, sorted by path.
fn list_files(directory: &Path) -> Result<Vec<PathBuf>, KubernetesError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| KubernetesError::Read { path, source }
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed(directory))? {
        let path = entry.map_err(failed(directory))?.path();
        // Editors' backups and version control are not templates.
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'))
        {
            continue;
        }
        if path.is_dir() {
            found.extend(list_files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
