//! The YAML document: parsed into a tree with spans, checked against a JSON Schema,
//! and the diagnostics that point into it. Knows nothing about what the fields mean.

mod diagnostic;
mod diagnostics;
mod explain;
mod json_schema;
mod known_fields;
mod parse;
mod path;
mod repaired;
mod scalar;
mod shape;
mod source;
mod suggest;
mod tree;
mod words;

pub use diagnostic::Diagnostic;
pub(crate) use diagnostic::Level;
pub use diagnostics::Diagnostics;
#[cfg(test)]
pub(crate) use known_fields::KnownFields;
pub(crate) use parse::parse_document;
pub(crate) use path::FieldPath;
pub(crate) use scalar::is_plain_string;
pub(crate) use shape::{Shape, check_shape};
pub(crate) use source::{Source, Span, shorten};
pub(crate) use suggest::find_closest;
pub(crate) use tree::{Entry, Node, Value};
