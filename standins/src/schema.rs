//! What the objects look like: `data/schema.json` is boiled down from the OpenAPI
//! document and the configuration types of v1.36.2. It drives strict decoding,
//! strategic merge and the ownership of fields.

use std::sync::OnceLock;

use serde_json::{Map, Value};

/// A type in the schema.
#[derive(Clone, Copy)]
pub struct Type(&'static Value);

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        serde_json::from_str(include_str!("../data/schema.json")).unwrap_or_default()
    })
}

/// The type of a kind; None if the schema doesn't hold it.
pub fn kind(api_version: &str, kind: &str) -> Option<Type> {
    let name = document()["kinds"]
        .get(format!("{api_version}/{kind}"))?
        .as_str()?;
    named(name)
}

/// The type of that name in the schema, as `clientcmd.Config`.
pub fn named(name: &str) -> Option<Type> {
    document()["types"].get(name).map(Type)
}

/// How a list is merged.
pub enum ListKind {
    /// Replaced whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// Items told apart by these fields.
    Map(Vec<String>),
}

impl Type {
    /// Follows a reference to a struct.
    fn resolve(self) -> Type {
        match self.0.as_str().and_then(|s| s.strip_prefix('@')) {
            Some(name) => named(name).unwrap_or(self),
            None => self,
        }
    }

    fn fields(self) -> Option<&'static Map<String, Value>> {
        self.resolve().0.get("p")?.as_object()
    }

    /// The type of a field or of a map's values; None if there is no such field.
    pub fn field(self, name: &str) -> Option<Type> {
        let this = self.resolve();
        if let Some(fields) = this.fields() {
            return fields.get(name).map(Type);
        }
        this.0.get("map").map(Type)
    }

    /// The type of a list's items.
    pub fn item(self) -> Option<Type> {
        self.0.get("list").map(Type)
    }

    /// Whether a struct is replaced whole by apply.
    pub fn is_atomic(self) -> bool {
        self.resolve().0.get("a").is_some()
    }

    /// How apply merges this list.
    pub fn list_kind(self) -> ListKind {
        if self.0.get("set").is_some() {
            return ListKind::Set;
        }
        match self.0.get("keys").and_then(Value::as_array) {
            Some(keys) => ListKind::Map(
                keys.iter()
                    .filter_map(|k| k.as_str().map(str::to_owned))
                    .collect(),
            ),
            None => ListKind::Atomic,
        }
    }

    /// Decodes strictly: collects unknown fields into `unknown`; a value of the
    /// wrong type is an error at once, as in Go.
    pub fn decode(
        self,
        value: &Value,
        path: &str,
        unknown: &mut Vec<String>,
    ) -> Result<(), String> {
        let this = self.resolve();
        let (list, map) = (this.item(), this.0.get("map").map(Type));
        let (good, go) = match (this.fields(), list, map) {
            (Some(_), ..) => (value.is_object(), "struct"),
            (_, Some(_), _) => (value.is_array(), "slice"),
            (.., Some(_)) => (value.is_object(), "map[string]"),
            _ => this.takes(value),
        };
        if value.is_null() {
            return Ok(());
        }
        if !good {
            let found = match value {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) => "bool",
                Value::Array(_) => "array",
                _ => "object",
            };
            return Err(format!(
                "json: cannot unmarshal {found} into Go struct field {} of type {go}",
                path.trim_start_matches('.')
            ));
        }
        for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
            if let Some(item) = list {
                item.decode(inner, &format!("{path}[{i}]"), unknown)?;
            }
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            match this.field(name) {
                Some(t) => t.decode(inner, &path, unknown)?,
                None if this.fields().is_none() => {}
                None => unknown.push(format!("unknown field {:?}", path.trim_start_matches('.'))),
            }
        }
        Ok(())
    }

    /// Whether this is a value of a scalar type, and what Go calls the type.
    fn takes(self, value: &Value) -> (bool, &'static str) {
        let is = |check: &dyn Fn(&str) -> bool| value.as_str().is_some_and(check);
        let is_integer = value.is_i64() || value.is_u64();
        let kind = self.0.as_str().unwrap_or("any");
        let good = match kind {
            "string" => value.is_string(),
            "bool" => value.is_boolean(),
            "int" => is_integer || value.as_f64().is_some_and(|f| f.fract() == 0.0),
            "number" => value.is_number(),
            "bytes" => is(&decodes),
            "time" => is(&|s| s.parse::<jiff::Timestamp>().is_ok()),
            "quantity" => value.is_number() || is(&is_quantity),
            "intstr" => value.is_string() || is_integer,
            // A number is one of nanoseconds.
            "duration" => is_integer || is(&|s| crate::flags::duration(s).is_some()),
            _ => true,
        };
        (good, kind)
    }

    /// Drops unknown fields, as a decoder that is not strict does.
    pub fn prune(self, value: &mut Value) {
        let this = self.resolve();
        if let (Some(fields), Some(object)) = (this.fields(), value.as_object_mut()) {
            object.retain(|name, _| fields.contains_key(name));
            for (name, inner) in object {
                Type(&fields[name]).prune(inner);
            }
        } else if let Some(item) = this.item() {
            value
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|v| item.prune(v));
        } else if let Some(t) = this.0.get("map") {
            value
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, v)| Type(t).prune(v));
        }
    }

    /// Lists required fields that are missing or empty, but for what stands under `status`.
    pub fn missing(self, value: &Value, path: &str, out: &mut Vec<String>) {
        let this = self.resolve();
        if let Some(fields) = this.fields() {
            let required = this.0.get("r").and_then(Value::as_array);
            for name in required.into_iter().flatten().filter_map(Value::as_str) {
                if value.get(name).is_none_or(Value::is_null) {
                    out.push(format!("{path}.{name}").trim_start_matches('.').to_owned());
                }
            }
            for (name, inner) in value.as_object().into_iter().flatten() {
                if let Some(t) = fields
                    .get(name)
                    .filter(|_| !(inner.is_null() || path.is_empty() && name == "status"))
                {
                    Type(t).missing(inner, &format!("{path}.{name}"), out);
                }
            }
        } else if let Some(item) = this.item() {
            for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
                item.missing(inner, &format!("{path}[{i}]"), out);
            }
        }
    }
}

fn decodes(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .is_ok()
}

fn is_quantity(text: &str) -> bool {
    let number = text.trim_start_matches(['+', '-']);
    let digits = number
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(number.len());
    let suffix = &number[digits..];
    let known = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    digits > 0 && (known.contains(&suffix) || suffix.starts_with(['e', 'E']))
}

/// Decodes an object of a known kind strictly; the error is what the real decoder says.
pub fn decode_strictly(object: &Value) -> Result<(), String> {
    let api_version = object["apiVersion"].as_str().unwrap_or_default();
    let name = object["kind"].as_str().unwrap_or_default();
    let Some(t) = kind(api_version, name) else {
        return Err(format!(
            "no kind {name:?} is registered for version {api_version:?} in scheme"
        ));
    };
    let mut unknown = vec![];
    t.decode(object, "", &mut unknown)?;
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("strict decoding error: {}", unknown.join(", ")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_fields_and_wrong_types_are_told() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "imgae": "b"}]}});
        assert_eq!(
            decode_strictly(&pod).unwrap_err(),
            "strict decoding error: unknown field \"spec.containers[0].imgae\""
        );
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"hostNetwork": "true"}});
        assert!(
            decode_strictly(&pod)
                .unwrap_err()
                .contains("cannot unmarshal string into Go struct field spec.hostNetwork")
        );
        let kubelet = json!({"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "maxpods": 5});
        assert!(
            decode_strictly(&kubelet)
                .unwrap_err()
                .contains("unknown field \"maxpods\"")
        );
    }

    #[test]
    fn required_fields_are_missed() {
        let mut out = vec![];
        let pod =
            json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "b"}]}});
        kind("v1", "Pod").unwrap().missing(&pod, "", &mut out);
        assert_eq!(out, ["spec.containers[0].name"]);
    }
}
