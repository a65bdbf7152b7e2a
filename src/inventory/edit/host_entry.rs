//! A host as it is written into the file.

use super::style::{Style, flow_list};
use crate::inventory::spec::Role;

/// The entry to write for a host that is added by flags.
#[derive(Debug, Clone)]
pub struct HostEntry {
    /// Its name.
    pub name: String,
    /// What SSH connects to.
    pub address: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Who SSH logs in as, if that is said.
    pub user: Option<String>,
    /// SSH's port, if that is said.
    pub port: Option<u16>,
}

impl HostEntry {
    /// Fields in the file's order, each with its value in flow style.
    fn fields(&self, style: Style) -> Vec<(String, String)> {
        let roles: Vec<String> = self
            .roles
            .iter()
            .map(|role| role_word(*role).into())
            .collect();
        let mut fields = vec![
            (style.key("name"), style.string(&self.name)),
            (style.key("address"), style.string(&self.address)),
            (style.key("roles"), flow_list(&roles, style)),
        ];
        let user = self
            .user
            .as_ref()
            .map(|user| format!("{}: {}", style.key("user"), style.string(user)));
        let port = self
            .port
            .map(|port| format!("{}: {port}", style.key("port")));
        let ssh: Vec<String> = user.into_iter().chain(port).collect();
        if !ssh.is_empty() {
            fields.push((style.key("ssh"), format!("{{{}}}", ssh.join(", "))));
        }
        fields
    }

    /// `{name: …, address: …, roles: […]}`.
    pub(super) fn flow(&self, style: Style) -> String {
        let fields: Vec<String> = self
            .fields(style)
            .into_iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }

    /// One line for each field; all but the first start with `indent`.
    pub(super) fn block(&self, style: Style, indent: &str, newline: &str) -> String {
        let fields: Vec<String> = self
            .fields(style)
            .into_iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        fields.join(&format!("{newline}{indent}"))
    }

    /// What the entry means.
    pub(super) fn json(&self) -> serde_json::Value {
        let roles: Vec<&str> = self.roles.iter().map(|role| role_word(*role)).collect();
        let mut entry = serde_json::json!({
            "name": self.name, "address": self.address, "roles": roles,
        });
        if let Some(user) = &self.user {
            entry["ssh"]["user"] = user.as_str().into();
        }
        if let Some(port) = self.port {
            entry["ssh"]["port"] = port.into();
        }
        entry
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::ControlPlane => "control-plane",
        Role::Worker => "worker",
    }
}
