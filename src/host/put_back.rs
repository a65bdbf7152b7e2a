//! What becomes of the configuration that a change replaced: it is forgotten once the new
//! one has proven itself, or put back.

use super::converge::functions;
use super::error::HostError;
use super::loose::refused_loose;
use super::turn::{Turn, refused};
use super::wire::clean;
use ssh::{Output, Script};

/// The script that puts back what a change replaced, and restarts what reads it. A host that
/// another run came to after `turn` refuses: what it keeps is that run's.
pub fn put_back(turn: Option<&Turn>) -> Script {
    script("put the previous configuration back", "put_back", turn)
}

/// The script that forgets what a change replaced, refused in the same way.
pub fn forget_previous(turn: Option<&Turn>) -> Script {
    script("confirm the new configuration", "forget_previous", turn)
}

fn script(name: &str, function: &str, turn: Option<&Turn>) -> Script {
    let guard = turn.map_or(String::new(), |turn| format!("guard {}\n", turn.words()));
    Script {
        name: name.into(),
        text: format!(
            "{}\nbegin\nprevious_safe\n{guard}{function}\necho '@@end'\n",
            functions()
        ),
        input: Vec::new(),
    }
}

/// Judges how either of them ended. Says whether anything had to be put back.
///
/// # Errors
///
/// What failed, with what the host said.
pub fn was_put_back(output: &Output) -> Result<bool, HostError> {
    refused(&output.stdout).map_or(Ok(()), Err)?;
    refused_loose(&output.stdout).map_or(Ok(()), Err)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status == 0 && stdout.lines().any(|line| line == "@@end") {
        return Ok(!stdout.lines().any(|line| line == "@@nothing"));
    }
    let failed = stdout.lines().rev().find_map(|line| {
        let (_, why) = line.strip_prefix("@@step failed ")?.split_once(' ')?;
        Some(clean(why.as_bytes()))
    });
    let said = output.stderr.split(|&b| b == b'\n').rev();
    let said = said.map(clean).find(|line| !line.is_empty());
    let why = failed.unwrap_or_else(|| format!("the script ended with status {}", output.status));
    Err(HostError::Step {
        step: "put the previous configuration back".into(),
        why: match said {
            Some(said) => format!("{why}: {said}"),
            None => why,
        },
    })
}
