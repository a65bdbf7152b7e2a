//! What clients and servers of the API share: errors as Status objects, names, selectors, taints.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value, json};

/// A refused request.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The HTTP status; 0 if the server could not be reached at all.
    pub code: u16,
    /// The machine's word: `NotFound`, `Conflict`, …
    pub reason: &'static str,
    /// The human's sentence.
    pub message: String,
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// An [`Error`] of that code, its message formatted.
macro_rules! err {
    ($code:expr, $($arg:tt)*) => { $crate::api::Error::new($code, format!($($arg)*)) };
}
pub(crate) use err;

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// An error of that code, whose reason follows from it.
    pub fn new(code: u16, message: String) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            415 => "UnsupportedMediaType",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            _ => "",
        };
        Self {
            code,
            reason,
            message,
        }
    }

    /// `secrets "a" already exists`.
    pub fn exists(resource: &str, name: &str) -> Self {
        Self {
            reason: "AlreadyExists",
            ..err!(409, "{resource} {name:?} already exists")
        }
    }

    /// The object that the server sends.
    pub fn status(&self) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
               "message": self.message, "reason": self.reason, "code": self.code})
    }

    /// Reads such an object.
    pub fn from_status(code: u16, body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or_default();
        let message = value["message"].as_str();
        let message = message.map_or_else(|| String::from_utf8_lossy(body).into(), str::to_owned);
        let mut error = Self::new(code, message);
        if value["reason"] == "AlreadyExists" {
            error.reason = "AlreadyExists";
        }
        error
    }
}

/// Now, as objects spell it.
pub fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Now, to the microsecond, as leases spell it.
pub fn micro_now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}

/// Seconds since that moment; None if it is not one.
pub fn age(time: &Value) -> Option<f64> {
    let then: jiff::Timestamp = time.as_str()?.parse().ok()?;
    Some(jiff::Timestamp::now().duration_since(then).as_secs_f64())
}

/// A random UUID.
pub fn uid() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    uuid.unwrap_or_default().trim().to_owned()
}

/// `count` characters of the alphabet that generated names are made of.
pub fn suffix(count: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..count)
        .map(|_| ALPHABET[rand::random::<u32>() as usize % ALPHABET.len()] as char)
        .collect()
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Writes a file that only its owner may read, in one step.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// Standard base64.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Reads standard base64, line breaks forgiven; empty if it is none.
pub fn unbase64(text: &str) -> Vec<u8> {
    use base64::Engine;
    let text: String = text.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default()
}

/// A Secret's value as text.
pub fn secret_text(secret: &Value, key: &str) -> String {
    String::from_utf8_lossy(&unbase64(text(&secret["data"], key))).into_owned()
}

/// A field as text; empty if it is none.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// The name of an object.
pub fn name(object: &Value) -> &str {
    text(&object["metadata"], "name")
}

/// The namespace of an object.
pub fn namespace(object: &Value) -> &str {
    text(&object["metadata"], "namespace")
}

/// The items of a list in a field; empty if there is none.
pub fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Whether `text` is a DNS-1123 subdomain.
pub fn is_subdomain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Whether `text` may be the key of a label, annotation or taint.
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text
        .rsplit_once('/')
        .map_or((None, text), |(p, n)| (Some(p), n));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Whether `text` may be the value of a label.
pub fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Reads `key=value:Effect`.
pub fn parse_taint(text: &str) -> std::result::Result<Value, String> {
    let wrong = || format!("invalid taint spec: {text}");
    let (rest, effect) = text.split_once(':').ok_or_else(wrong)?;
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        return Err(format!(
            "invalid taint effect: {effect}, unsupported taint effect"
        ));
    }
    if !is_qualified_name(key) || !is_label_value(value) {
        return Err(wrong());
    }
    let mut taint = Map::new();
    taint.insert("key".into(), key.into());
    if !value.is_empty() {
        taint.insert("value".into(), value.into());
    }
    taint.insert("effect".into(), effect.into());
    Ok(Value::Object(taint))
}

/// Whether labels match a selector's text: `a=b,c!=d,e,!f`.
pub fn label_selector(selector: &str, labels: &Value) -> bool {
    let value = |key: &str| labels.get(key).and_then(Value::as_str);
    selector.split(',').filter(|s| !s.is_empty()).all(|part| {
        if let Some((key, wanted)) = part.split_once("!=") {
            value(key) != Some(wanted)
        } else if let Some((key, wanted)) = part.split_once('=') {
            value(key) == Some(wanted.trim_start_matches('='))
        } else if let Some(key) = part.strip_prefix('!') {
            value(key).is_none()
        } else {
            value(part).is_some()
        }
    })
}

/// Whether labels match a LabelSelector object.
pub fn object_selector(selector: &Value, labels: &Value) -> bool {
    let exact = selector["matchLabels"].as_object();
    exact
        .into_iter()
        .flatten()
        .all(|(k, v)| labels.get(k) == Some(v))
        && items(selector, "/matchExpressions").all(|e| {
            let value = labels.get(e["key"].as_str().unwrap_or_default());
            let listed = value.is_some_and(|v| items(e, "/values").any(|w| w == v));
            match e["operator"].as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("Exists") => value.is_some(),
                _ => value.is_none(),
            }
        })
}

/// Whether an object matches a field selector: `metadata.name=a,spec.nodeName!=b`.
pub fn field_selector(selector: &str, object: &Value) -> bool {
    selector.split(',').filter(|s| !s.is_empty()).all(|part| {
        let Some((path, wanted)) = part.split_once('=') else {
            return false;
        };
        let (path, equal) = match path.strip_suffix('!') {
            Some(path) => (path, false),
            None => (path, true),
        };
        let value = object.pointer(&format!("/{}", path.replace('.', "/")));
        let found = value.and_then(Value::as_str).unwrap_or_default();
        (found == wanted.trim_start_matches('=')) == equal
    })
}

/// Sets or replaces the condition of that type in `status.conditions`.
pub fn set_condition(object: &mut Value, kind: &str, status: &str, reason: &str, message: &str) {
    let old = items(object, "/status/conditions")
        .find(|c| c["type"] == kind)
        .cloned();
    let since = old
        .filter(|c| c["status"] == status)
        .and_then(|c| c["lastTransitionTime"].as_str().map(str::to_owned))
        .unwrap_or_else(now);
    let condition = json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since});
    if !object["status"].is_object() {
        object["status"] = json!({});
    }
    let conditions = &mut object["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(list) = conditions.as_array_mut() {
        match list.iter_mut().find(|c| c["type"] == kind) {
            Some(slot) => *slot = condition,
            None => list.push(condition),
        }
    }
}

/// Whether a condition is True.
pub fn is_condition(object: &Value, kind: &str) -> bool {
    items(object, "/status/conditions").any(|c| c["type"] == kind && c["status"] == "True")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select() {
        let labels = json!({"a": "b", "e": ""});
        for good in ["", "a=b", "a==b,e", "c!=d", "!f"] {
            assert!(label_selector(good, &labels), "{good}");
        }
        for bad in ["a=c", "f", "!a"] {
            assert!(!label_selector(bad, &labels), "{bad}");
        }
        let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n"}});
        assert!(field_selector("metadata.name=p,spec.nodeName!=m", &pod));
        assert!(!field_selector("spec.nodeName=", &pod));
    }

    #[test]
    fn taints_parse() {
        assert_eq!(
            parse_taint("a/b=c:NoSchedule").unwrap(),
            json!({"key": "a/b", "value": "c", "effect": "NoSchedule"})
        );
        assert!(parse_taint("a=b").is_err());
        assert!(parse_taint("a:Never").is_err());
    }
}
