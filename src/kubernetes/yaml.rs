//! YAML, read into and written from [`serde_json::Value`].
//!
//! What we write is read by Go programs, most of them by YAML 1.1's rules, so
//! every string that those would take for something else (`yes`, `1_000`,
//! `12:30:00`, `2026-01-01`) is quoted.

use serde_json::Value;

use super::error::KubernetesError;

/// Reads one document; the error is the parser's, in one line.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| one_line(&error.to_string()))
}

/// Reads all documents, leaving out empty ones.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Value>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| one_line(&error.to_string()))?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

/// Writes one document, keys in their order, as Kubernetes' own tools lay it
/// out.
pub fn to_string(value: &Value) -> Result<String, KubernetesError> {
    serde_saphyr::to_string_with_options(
        value,
        serde_saphyr::ser_options! {
            compact_list_indent: true,
            // Folding would break long lines at spaces: legal, but a diff of
            // one word would then show many lines.
            folded_wrap_chars: usize::MAX,
            yaml_12: false,
        },
    )
    .map_err(|error| KubernetesError::Yaml(one_line(&error.to_string())))
}

/// Writes several documents, each but the first after a `---` line.
pub fn to_string_all<'a>(
    values: impl IntoIterator<Item = &'a Value>,
) -> Result<String, KubernetesError> {
    let documents = values
        .into_iter()
        .map(to_string)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("---\n"))
}

/// A parser's message without the source snippet below it: that could show a
/// secret.
fn one_line(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    first.strip_prefix("error: ").unwrap_or(first).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Strings out of what YAML has a meaning for.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[-?:,\\[\\]{}#&*!|>'\"%@` \\n\\t\\\\a0.~=<+_]{0,12}",
            "(true|no|on|null|~|1_0|0x1f|1e3|12:30:00|2026-01-01|\\.inf|-|---|<<|=)",
            "\\PC{0,20}",
            "[a-z ]{60,120}",
            "( |\\n){0,3}[a-z]{0,3}(\\n| ){0,3}",
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text(), inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(value in value()) {
            let text = to_string(&value).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), value, "{}", text);
        }
    }

    #[test]
    fn strings_that_yaml_1_1_takes_for_something_else_are_quoted() {
        let ambiguous = [
            "true",
            "yes",
            "off",
            "10",
            "1_000",
            "0o7",
            "12:30:00",
            "2026-01-01",
            "~",
            "",
        ];
        for text in ambiguous {
            let written = to_string(&json!([text])).unwrap();
            assert!(written.contains(['"', '\'']), "{written}");
        }
        assert_eq!(to_string(&json!(["1.2.3.4:80"])).unwrap(), "- 1.2.3.4:80\n");
    }

    #[test]
    fn the_layout_is_kubernetes_own() {
        let value = json!({"a": [{"b": 1, "c": ["x"]}], "text": "one\ntwo\n", "empty": {}});
        insta::assert_snapshot!(to_string(&value).unwrap(), @r"
        a:
        - b: 1
          c:
          - x
        text: |
          one
          two
        empty: {}
        ");
    }

    #[test]
    fn faults_never_quote_the_document() {
        let error = parse("token: [secret\n").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
