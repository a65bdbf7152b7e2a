//! Who is asking: client certificate, bootstrap token, service account token, or nobody.

use std::sync::Arc;

use rustls::server::danger::ClientCertVerifier;
use serde_json::{Value, json};

use super::cache::Cache;
use crate::api::{Error, Result, age, err, secret_text};
use crate::http::Request;
use crate::jwt::Verifier;

/// A user.
#[derive(Clone, Debug, Default)]
pub struct User {
    pub name: String,
    pub groups: Vec<String>,
}

impl User {
    /// The node whose kubelet this is.
    pub fn node(&self) -> Option<&str> {
        let node = self.name.strip_prefix("system:node:");
        node.filter(|_| self.is_in("system:nodes"))
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// All ways to authenticate that are switched on.
pub struct Authenticator {
    pub client_ca: Option<Arc<dyn ClientCertVerifier>>,
    pub bootstrap_tokens: bool,
    pub anonymous: bool,
    pub account_keys: Vec<Verifier>,
    pub issuer: String,
    /// Where Secrets and ServiceAccounts are read.
    pub cache: Arc<Cache>,
}

fn unauthorized() -> Error {
    err!(401, "Unauthorized")
}

impl Authenticator {
    /// Names the user of a request.
    pub fn authenticate(&self, request: &Request) -> Result<User> {
        if let (Some(verifier), Some(leaf)) = (&self.client_ca, request.peer.certs.first()) {
            match crate::tls::verify_client(verifier.as_ref(), &request.peer.certs) {
                Ok(()) => {
                    let (name, groups) = crate::tls::subject(leaf).map_err(|_| unauthorized())?;
                    return Ok(authenticated(User { name, groups }));
                }
                Err(e) => {
                    crate::klog!(
                        error,
                        "Unable to authenticate the request: [{e}, verifying certificate]"
                    );
                    if request.header("authorization").is_empty() {
                        return Err(unauthorized());
                    }
                }
            }
        }
        if let Some(token) = request.header("authorization").strip_prefix("Bearer ") {
            return self
                .identify(token.trim())
                .map(authenticated)
                .map_err(|why| {
                    crate::klog!(error, "Unable to authenticate the request: {why}");
                    unauthorized()
                });
        }
        if !self.anonymous {
            return Err(unauthorized());
        }
        Ok(User {
            name: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
        })
    }

    /// Names the user of a bearer token.
    fn identify(&self, token: &str) -> std::result::Result<User, String> {
        if let Some((id, secret)) = token.split_once('.')
            && id.len() == 6
            && secret.len() == 16
        {
            return self.check_bootstrap_token(id, secret);
        }
        for key in &self.account_keys {
            if let Some(claims) = key.verify(token) {
                return self.find_account(&claims);
            }
        }
        Err("invalid bearer token".into())
    }

    fn check_bootstrap_token(&self, id: &str, given: &str) -> std::result::Result<User, String> {
        if !self.bootstrap_tokens {
            return Err("invalid bearer token".into());
        }
        let name = format!("bootstrap-token-{id}");
        let secret = self
            .cache
            .get(&format!("/registry/core/secrets/kube-system/{name}"))
            .ok_or_else(|| format!("token {id} is unknown"))?;
        let text = |key: &str| secret_text(&secret, key);
        if secret["type"] != "bootstrap.kubernetes.io/token" {
            return Err(format!("secret {name} has the wrong type"));
        }
        if text("token-id") != id || text("token-secret") != given {
            return Err(format!("token {id}: the secret does not match"));
        }
        let expiration = text("expiration");
        if !expiration.is_empty() && age(&json!(expiration)).is_none_or(|a| a >= 0.0) {
            return Err(format!("token {id} has expired"));
        }
        if text("usage-bootstrap-authentication") != "true" {
            return Err(format!(
                "token {id} is not marked usage-bootstrap-authentication=true"
            ));
        }
        let mut groups = vec!["system:bootstrappers".to_owned()];
        for extra in text("auth-extra-groups")
            .split(',')
            .filter(|g| !g.is_empty())
        {
            if !extra.starts_with("system:bootstrappers:") {
                return Err(format!(
                    "bootstrap group {extra:?} is invalid (must match \\Asystem:bootstrappers:[a-z0-9:-]{{0,255}}[a-z0-9]\\z)"
                ));
            }
            groups.push(extra.to_owned());
        }
        Ok(User {
            name: format!("system:bootstrap:{id}"),
            groups,
        })
    }

    fn find_account(&self, claims: &Value) -> std::result::Result<User, String> {
        if claims["iss"] != self.issuer.as_str() {
            return Err(format!("token was issued by {}", claims["iss"]));
        }
        let own = &claims["kubernetes.io"];
        let namespace = own["namespace"].as_str().unwrap_or_default();
        let account = &own["serviceaccount"];
        let name = account["name"].as_str().unwrap_or_default();
        let live = self.cache.get(&format!(
            "/registry/core/serviceaccounts/{namespace}/{name}"
        ));
        if live.is_none_or(|l| l["metadata"]["uid"] != account["uid"]) {
            return Err(format!(
                "service account {namespace}/{name} has been deleted"
            ));
        }
        Ok(User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
            ],
        })
    }
}

fn authenticated(mut user: User) -> User {
    if !user.is_in("system:authenticated") && user.name != "system:anonymous" {
        user.groups.push("system:authenticated".into());
    }
    user
}
