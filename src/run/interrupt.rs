//! Interruption by the user or the system.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for Ctrl-C, for the signal that asks a process to end, or for the one that says that
/// its terminal was closed. The last is left alone where it is ignored, as `nohup` has it.
pub async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let mut hangup = match is_hangup_ignored() {
        true => None,
        false => signal(SignalKind::hangup()).ok(),
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = received(terminate.as_mut()) => {}
        () = received(hangup.as_mut()) => {}
    }
}

/// Waits for a signal; for ever if it can't be waited for.
async fn received(signal: Option<&mut Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Whether whoever started this process wants it to survive its terminal. Handling the signal
/// would undo that.
fn is_hangup_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Reads the mask of ignored signals, of which SIGHUP is the first.
fn ignores_hangup(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_known_by_the_mask() {
        let status = |mask: &str| format!("Name:\tx\nSigBlk:\t1\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores_hangup(&status("0000000000000001")));
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")));
        assert!(!ignores_hangup("Name:\tx\n"));
    }
}
