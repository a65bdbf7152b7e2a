//! Bootstrap tokens: signing `cluster-info` with them, deleting them in time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};

use super::{Context, lenient};
use crate::api::{Result, age, name, secret_text};

fn tokens(context: &Context) -> impl Iterator<Item = Value> {
    context.all("secrets").into_iter().filter(|s| {
        let id = secret_text(s, "token-id");
        s["type"] == "bootstrap.kubernetes.io/token"
            && s["metadata"]["namespace"] == "kube-system"
            && name(s) == format!("bootstrap-token-{id}")
    })
}

fn expired(secret: &Value) -> bool {
    let expiration = secret_text(secret, "expiration");
    !expiration.is_empty() && age(&json!(expiration)).is_none_or(|a| a >= 0.0)
}

/// The detached JWS of a text: HS256, key id and key from the token.
pub fn jws(id: &str, secret: &str, text: &str) -> Option<String> {
    let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
    let payload = URL_SAFE_NO_PAD.encode(text);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{header}.{payload}").as_bytes());
    Some(format!(
        "{header}..{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    ))
}

/// Keeps `jws-kubeconfig-<id>` in cluster-info for each token that may sign.
pub(super) async fn sign(context: &Context) -> Result<()> {
    let Some(mut info) = context.one("configmaps", "kube-public", "cluster-info") else {
        return Ok(());
    };
    let Some(kubeconfig) = info["data"]["kubeconfig"].as_str().map(str::to_owned) else {
        return Ok(());
    };
    let mut data: Map<String, Value> = info["data"].as_object().cloned().unwrap_or_default();
    data.retain(|key, _| !key.starts_with("jws-kubeconfig-"));
    for secret in tokens(context) {
        if secret_text(&secret, "usage-bootstrap-signing") != "true" || expired(&secret) {
            continue;
        }
        let id = secret_text(&secret, "token-id");
        if let Some(jws) = jws(&id, &secret_text(&secret, "token-secret"), &kubeconfig) {
            data.insert(format!("jws-kubeconfig-{id}"), jws.into());
        }
    }
    if info["data"].as_object() == Some(&data) {
        return Ok(());
    }
    info["data"] = Value::Object(data);
    let client = context.client("bootstrap-signer").await?;
    lenient(
        client
            .replace(
                "/api/v1/namespaces/kube-public/configmaps/cluster-info",
                &info,
            )
            .await,
    )
}

/// Deletes tokens that are out of date.
pub(super) async fn clean(context: &Context) -> Result<()> {
    for secret in tokens(context).filter(expired) {
        let client = context.client("token-cleaner").await?;
        lenient(
            client
                .delete(&format!(
                    "/api/v1/namespaces/kube-system/secrets/{}",
                    name(&secret)
                ))
                .await,
        )?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn the_signature_is_what_openssl_computes() {
        // printf '%s' "$header.$payload" | openssl dgst -sha256 -hmac 0123456789abcdef -binary | basenc --base64url
        let jws = super::jws("abcdef", "0123456789abcdef", "hello\n").unwrap();
        assert_eq!(
            jws,
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..jGfh3cAKffhbjQqP1x03VRxdhcDip6Xp1PFxbB0P9vg"
        );
    }
}
