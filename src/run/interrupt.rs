//! Interruption by the user or the system.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C, or for the signal that asks a process to end.
pub async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
