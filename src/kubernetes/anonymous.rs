//! Whether an API server answers `/livez` and `/readyz` to those without credentials, as the
//! kubelet's probes are.

use serde_json::Value;

use crate::inventory::Arg;
use crate::inventory::listen::last_value;
use crate::layout::health::{API_SERVER, API_SERVER_READY};

/// The argument that names the file with an `AuthenticationConfiguration`.
pub(crate) const AUTHENTICATION_CONFIG: &str = "authentication-config";
/// The argument that names the file with an `AuthorizationConfiguration`.
pub(crate) const AUTHORIZATION_CONFIG: &str = "authorization-config";

/// Whether health may be asked for without credentials. `read` returns the text of a file
/// that an argument names, if the inventory brings it to the host.
///
/// In doubt it may not: a probe that is refused has the kubelet restart the API server for
/// good. Of authorization only what is known to refuse counts, so that kubeadm's manifest
/// stays as it is.
pub fn may_ask_health(args: &[Arg], read: impl Fn(&str) -> Option<String>) -> bool {
    let parsed = |path| -> Option<Value> { serde_saphyr::from_str(&read(path)?).ok() };
    if last_value(args, "anonymous-auth").is_some_and(is_false) {
        return false;
    }
    if let Some(modes) = last_value(args, "authorization-mode") {
        let mut modes = modes.split(',').map(str::trim);
        // With AlwaysAllow, the API server turns anonymous requests off.
        let all: Vec<&str> = modes.by_ref().collect();
        if all.contains(&"AlwaysAllow") || !all.contains(&"RBAC") {
            return false;
        }
    }
    if let Some(config) = last_value(args, AUTHORIZATION_CONFIG).and_then(parsed) {
        let authorizers = config["authorizers"].as_array();
        let mut authorizers = authorizers.into_iter().flatten();
        if !authorizers.any(|one| one["type"] == "RBAC") {
            return false;
        }
    }
    match last_value(args, AUTHENTICATION_CONFIG) {
        None => true,
        Some(path) => parsed(path).is_some_and(|config| admits(&config["anonymous"])),
    }
}

/// Whether the `anonymous` field of an `AuthenticationConfiguration` admits requests to both
/// paths. Without it, `--anonymous-auth` counts.
fn admits(anonymous: &Value) -> bool {
    if anonymous.is_null() {
        return true;
    }
    let conditions = anonymous["conditions"].as_array();
    let conditions = conditions.map_or(&[][..], Vec::as_slice);
    let listed = |path: &str| conditions.iter().any(|one| one["path"] == path);
    let paths = conditions.is_empty() || listed(API_SERVER) && listed(API_SERVER_READY);
    anonymous["enabled"] == true && paths
}

/// Words that Go reads as false.
fn is_false(word: &str) -> bool {
    matches!(word, "0" | "f" | "F" | "false" | "FALSE" | "False")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(args: &[(&str, &str)], file: Option<&str>) -> bool {
        let args: Vec<Arg> = args
            .iter()
            .map(|(name, value)| Arg {
                name: (*name).into(),
                value: (*value).into(),
            })
            .collect();
        may_ask_health(&args, |_| file.map(str::to_owned))
    }

    #[test]
    fn health_is_open_until_it_is_closed() {
        assert!(may(&[], None));
        assert!(may(&[("anonymous-auth", "true")], None));
        assert!(!may(
            &[("anonymous-auth", "true"), ("anonymous-auth", "f")],
            None
        ));
        assert!(may(&[("authorization-mode", "Node,RBAC,Webhook")], None));
        assert!(!may(&[("authorization-mode", "AlwaysAllow")], None));
        assert!(!may(&[("authorization-mode", "Node,Webhook")], None));
        let rbac = "authorizers: [{type: Webhook, name: w}, {type: RBAC, name: r}]";
        let only = "authorizers: [{type: Webhook, name: w}]";
        assert!(may(&[("authorization-config", "/a")], Some(rbac)));
        assert!(may(&[("authorization-config", "/a")], None));
        assert!(!may(&[("authorization-config", "/a")], Some(only)));
    }

    #[test]
    fn an_authentication_configuration_decides_by_path() {
        let may = |text| may(&[("authentication-config", "/a")], text);
        assert!(!may(None), "it is not known what it says");
        assert!(may(Some("kind: AuthenticationConfiguration\njwt: []")));
        assert!(may(Some("anonymous: {enabled: true}")));
        assert!(!may(Some("anonymous: {enabled: false}")));
        assert!(!may(Some("anonymous: {}")));
        assert!(!may(Some(
            "anonymous: {enabled: true, conditions: [{path: /livez}, {path: /healthz}]}"
        )));
        assert!(may(Some(
            "anonymous: {enabled: true, conditions: [{path: /livez}, {path: /readyz}]}"
        )));
    }
}
