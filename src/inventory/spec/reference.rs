//! The reference of fields, made from the schema: what a field is, and how it may change.

use serde_json::Value;

use super::schema::schema;

const HEAD: &str = "\
# Fields of the inventory

Made from the schema by `clusterctl-rs schema fields`. A change to a field is

| class | what `apply` does on a running cluster |
|---|---|
| live | applies it, without a restart; or the next run works by it |
| restarts X | restarts X where it runs, one control plane at a time; with etcd, its API server, too |
| rolls through the nodes | restarts the kubelet or the container runtime, node after node (`rollout`) |
| needs `remove-node` and `add-node` | refuses it for a host that has joined; new hosts are free |
| only for new X | uses it for what is created from then on; the rest stays as it is |
| never on a running cluster | refuses it |

What is refused ends `plan`, `apply` and `add-node` with exit code 2, before anything is changed, with the line of the
inventory, what runs and what to do instead. `podSubnet` may grow to a network that contains the present one.

| field | change | what it is |
|---|---|---|
";

/// The reference as Markdown.
pub fn field_reference() -> String {
    let schema = schema();
    let mut text = HEAD.to_owned();
    write_fields(&schema, &schema, "", None, &mut text);
    text
}

/// One row for each field below `at`; a field without a class has that of the one above it.
fn write_fields(root: &Value, at: &Value, path: &str, above: Option<&str>, text: &mut String) {
    let fields = described(root, at)["properties"].as_object();
    for (name, field) in fields.into_iter().flatten() {
        let mut path = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let class = field["x-change"].as_str().or(above);
        let inner = inner(root, field, &mut path);
        let has_fields = described(root, inner)["properties"].is_object();
        if let (Some(class), true) = (class, field["x-change"].is_string() || !has_fields) {
            let about = field["description"].as_str().unwrap_or_default();
            let about = about.replace('\n', " ").replace('|', "\\|");
            let default = match &field["default"] {
                Value::String(value) if !value.is_empty() => format!(" Default: `{value}`."),
                Value::Number(value) => format!(" Default: `{value}`."),
                _ => String::new(),
            };
            text.push_str(&format!("| `{path}` | {class} | {about}{default} |\n"));
        }
        write_members(field, &path, text);
        write_fields(root, inner, &path, class, text);
    }
}

/// Members of a free-form field that are not of its class.
fn write_members(field: &Value, path: &str, text: &mut String) {
    let members = field["x-change-members"].as_object();
    for (name, class) in members.into_iter().flatten() {
        let class = class.as_str().unwrap_or_default();
        text.push_str(&format!("| `{name}` in `{path}` | {class} | |\n"));
    }
}

/// What a list or a map holds, or the field itself.
fn inner<'a>(root: &'a Value, field: &'a Value, path: &mut String) -> &'a Value {
    let field = described(root, field);
    if field["items"].is_object() {
        path.push_str("[]");
        return &field["items"];
    }
    let values = &field["additionalProperties"];
    if described(root, values)["properties"].is_object() {
        path.push_str(".NAME");
        return values;
    }
    field
}

/// Follows references, and takes the other side of "or null".
fn described<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str() {
        return described(root, &root["$defs"][name.trim_start_matches("#/$defs/")]);
    }
    let mut choices = schema["anyOf"].as_array().into_iter().flatten();
    match choices.find(|choice| choice["$ref"].is_string()) {
        Some(choice) => described(root, choice),
        None => schema,
    }
}
