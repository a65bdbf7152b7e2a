//! `~/.ssh/config`, as far as it concerns reaching a host.
//!
//! Written by hand because of OpenSSH's rules, which no crate keeps: the first value found wins
//! (identity files add up), a file may include others inside a block, conditions depend on what
//! was read before them, and a line that can't be understood ends it all. `against_ssh` compares
//! the result with what `ssh -G` prints.

#[cfg(test)]
mod against_ssh;
mod conditions;
mod include;
mod keywords;
mod line;
mod reader;
mod value;
mod values;

pub(crate) use line::split_words;
pub(crate) use reader::{Question, read_config};
pub(crate) use values::{
    AddressFamily, AlgorithmLists, Canonicalize, CanonicalizeMode, HostConfig, not_none,
};
