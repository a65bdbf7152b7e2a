//! Text of others, escaped: the one place that all of a result passes before it is printed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use text::terminal::sanitize;

/// A copy of a result in which every text is safe to print, whichever field it is in. Colours
/// are added afterwards.
///
/// # Errors
/// None for what is written as JSON and read again anyway.
pub(super) fn escaped<T: Serialize + DeserializeOwned>(result: &T) -> serde_json::Result<T> {
    let mut value = serde_json::to_value(result)?;
    escape_texts(&mut value);
    serde_json::from_value(value)
}

fn escape_texts(value: &mut Value) {
    match value {
        Value::String(text) => *text = sanitize(text).into_owned(),
        Value::Array(items) => items.iter_mut().for_each(escape_texts),
        Value::Object(fields) => fields.values_mut().for_each(escape_texts),
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod hostile {
    use super::*;

    /// A result with what steers a terminal behind every text that may be anything.
    pub(in crate::report) fn with_hostile_texts<T>(result: &T) -> T
    where
        T: Serialize + DeserializeOwned,
    {
        let mut value = serde_json::to_value(result).unwrap_or_default();
        let mut at = 0;
        loop {
            let before = value.clone();
            let mut left = at;
            if !poison(&mut value, &mut left) {
                return serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"));
            }
            at += 1;
            // Words of a fixed set, and times.
            if serde_json::from_value::<T>(value.clone()).is_err() {
                value = before;
            }
        }
    }

    /// Changes the text after `left` others, if there are so many.
    fn poison(value: &mut Value, left: &mut usize) -> bool {
        match value {
            Value::String(text) if *left == 0 => {
                text.push_str("\x1b[2J\u{9b}8m\u{202e}\x1b[8m");
                true
            }
            Value::String(_) => {
                *left -= 1;
                false
            }
            Value::Array(items) => items.iter_mut().any(|item| poison(item, left)),
            Value::Object(fields) => fields.values_mut().any(|field| poison(field, left)),
            _ => false,
        }
    }

    /// That nothing of it reaches a terminal, and that it is told all the same.
    pub(in crate::report) fn assert_harmless(shown: &str) {
        for code in ["\x1b[2J", "\u{9b}", "\u{202e}", "\x1b[8m"] {
            assert!(!shown.contains(code), "{shown:?}");
        }
        assert!(shown.contains("\\u{1b}[2J"), "{shown:?}");
    }
}
