//! Text for people: what a terminal may show, diffs, patterns, sizes, counts,
//! passwords in it.
//! Knows nothing of the rest of the program.

pub mod diff;
pub mod glob;
pub mod hex;
pub mod password;
pub mod size;
pub mod terminal;

/// `1 host`, `2 hosts`.
pub fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
