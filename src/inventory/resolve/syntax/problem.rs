//! What is wrong with a value.

/// What is wrong with a value, such as "may be 63 characters long at most".
pub(crate) type Problem = String;
