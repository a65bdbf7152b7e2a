//! What runs on a host: a script, and the bytes that it reads.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::capture::OutputLine;

/// A POSIX shell script with the bytes that it reads from its standard input.
///
/// Neither is ever in an argv or environment: the host's shell is started with
/// a constant command line and is fed both over its standard input.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What `-v` and errors call it, such as `converge hosts`.
    pub name: String,
    /// The script's text.
    pub text: String,
    /// What the script reads from standard input, in this order.
    pub input: Vec<Input>,
}

impl Script {
    /// Bytes of input in all.
    pub(crate) fn input_len(&self) -> u64 {
        self.input.iter().map(Input::len).sum()
    }
}

/// A piece of a script's standard input.
#[derive(Debug, Clone)]
pub enum Input {
    /// These bytes.
    Bytes(Zeroizing<Vec<u8>>),
    /// A file of the workstation, streamed; exactly `size` bytes are sent, and
    /// it is an error if the file has fewer.
    File {
        /// Its path.
        path: PathBuf,
        /// How many bytes to send.
        size: u64,
    },
}

impl Input {
    fn len(&self) -> u64 {
        match self {
            Input::Bytes(bytes) => bytes.len() as u64,
            Input::File { size, .. } => *size,
        }
    }
}

/// What happens while a script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptEvent {
    /// It wrote a line.
    Line(OutputLine),
    /// Part of its input is on the way. Comes at most ten times a second, and
    /// once more when all of it is; not at all if there is no input.
    Sent {
        /// How many bytes so far.
        bytes: u64,
        /// Of how many.
        total: u64,
    },
}

/// How to run a script.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Time for the whole run; past it the processes on the host are killed.
    pub timeout: Duration,
    /// Whether it needs root (by sudo, unless the login user is root).
    pub root: bool,
    /// Output past this many bytes ends the run with an error. Per stream.
    pub max_output: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        RunOptions {
            timeout: Duration::from_secs(120),
            root: true,
            max_output: 8 << 20,
        }
    }
}

/// What a script said and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit status; 128 + number for a signal.
    pub status: u32,
    /// Standard output after the start marker (login noise is cut off).
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub elapsed: Duration,
}
