//! Feeds a command: the script, then its input, with a count of what was sent.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;
use zeroize::Zeroizing;

use crate::protocol;
use crate::script::{Input, Script, ScriptEvent};

/// Size of the pieces in which input is sent: smaller ones are slower, larger
/// ones no faster.
const CHUNK: usize = 128 << 10;

/// Least time between two reports of what was sent: more often than this, a
/// progress bar only flickers.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The host reads no more, which is no error of this side: its exit status
/// tells what happened.
struct HostStoppedReading;

/// Sends the script and its input, and tells `events` how much of the input is
/// on its way. An error is one of this side.
pub(crate) async fn feed_script(
    stdin: &mpsc::Sender<Bytes>,
    nonce: &str,
    script: &Script,
    events: Option<mpsc::UnboundedSender<ScriptEvent>>,
) -> Result<(), String> {
    let total = script.input_len();
    let mut upload = Upload {
        stdin,
        count: SentCount::new(total, Instant::now()),
        events,
    };
    let header = protocol::feed_header(nonce, script, total);
    if stdin.send(header.into_bytes().into()).await.is_err() {
        return Ok(());
    }
    for input in &script.input {
        let sent = match input {
            Input::Bytes(bytes) => upload.send_bytes(bytes).await,
            Input::File { path, size } => upload.send_file(path, *size).await?,
        };
        if sent.is_err() {
            break;
        }
    }
    Ok(())
}

struct Upload<'a> {
    stdin: &'a mpsc::Sender<Bytes>,
    count: SentCount,
    events: Option<mpsc::UnboundedSender<ScriptEvent>>,
}

impl Upload<'_> {
    async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), HostStoppedReading> {
        for chunk in bytes.chunks(CHUNK) {
            // May hold a secret, so its copies are wiped, too.
            let chunk = Zeroizing::new(chunk.to_vec());
            self.send(Bytes::from_owner(chunk)).await?;
        }
        Ok(())
    }

    async fn send_file(
        &mut self,
        path: &Path,
        size: u64,
    ) -> Result<Result<(), HostStoppedReading>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = tokio::fs::File::open(path).await.map_err(failed)?;
        let mut left = size;
        while left > 0 {
            let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            let length = file.read(&mut chunk).await.map_err(failed)?;
            if length == 0 {
                return Err(format!(
                    "{} is {left} bytes shorter than it was",
                    path.display()
                ));
            }
            chunk.truncate(length);
            left -= length as u64;
            if let Err(stopped) = self.send(chunk.into()).await {
                return Ok(Err(stopped));
            }
        }
        Ok(Ok(()))
    }

    /// Sends a chunk. There is room for a few ahead of the connection, so the
    /// count is that of bytes on their way, not of those that have arrived.
    async fn send(&mut self, chunk: Bytes) -> Result<(), HostStoppedReading> {
        let length = chunk.len();
        self.stdin
            .send(chunk)
            .await
            .map_err(|_| HostStoppedReading)?;
        let due = self.count.add(length, Instant::now());
        if let (Some(bytes), Some(events)) = (due, &self.events) {
            let total = self.count.total;
            let _ = events.send(ScriptEvent::Sent { bytes, total });
        }
        Ok(())
    }
}

/// Counts bytes, and says when it is time to report them.
struct SentCount {
    sent: u64,
    total: u64,
    reported: Instant,
}

impl SentCount {
    fn new(total: u64, now: Instant) -> Self {
        SentCount {
            sent: 0,
            total,
            reported: now,
        }
    }

    /// Adds to the count; `Some`: it is to be reported.
    fn add(&mut self, length: usize, now: Instant) -> Option<u64> {
        self.sent += length as u64;
        let due = now.duration_since(self.reported) >= REPORT_INTERVAL || self.sent == self.total;
        if due {
            self.reported = now;
        }
        due.then_some(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_reported_ten_times_a_second_and_at_the_end() {
        let start = Instant::now();
        let mut count = SentCount::new(5_000, start);
        let reports: Vec<(u64, u64)> = (1..=500)
            .filter_map(|ms| {
                let sent = count.add(10, start + Duration::from_millis(ms))?;
                Some((ms, sent))
            })
            .collect();
        assert_eq!(
            reports,
            [
                (100, 1_000),
                (200, 2_000),
                (300, 3_000),
                (400, 4_000),
                (500, 5_000)
            ]
        );
        let mut small = SentCount::new(7, start);
        assert_eq!(small.add(7, start), Some(7));
    }
}
