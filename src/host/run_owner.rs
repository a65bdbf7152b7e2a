//! Whose a run is.

use jiff::Timestamp;
use text::terminal::escape;

/// Whose a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOwner {
    /// `user@machine`.
    pub holder: String,
    /// The verb.
    pub verb: String,
    /// When it began.
    pub since: Timestamp,
    /// Its process, as its machine can tell it from all others.
    pub process: String,
}

impl RunOwner {
    /// As a host keeps it: one line.
    pub fn to_line(&self) -> String {
        let since = self.since.to_string();
        let fields = [&self.holder, &self.verb, &since, &self.process];
        let plain = |field: &String| -> String {
            let visible = |c: char| if c.is_control() { ' ' } else { c };
            field.chars().take(200).map(visible).collect()
        };
        fields.map(plain).join("\t")
    }

    /// Reads such a line; what can't be read is empty.
    pub fn parse(line: &[u8]) -> Self {
        let clean = |field: &[u8]| -> String {
            let text = String::from_utf8_lossy(&field[..field.len().min(1000)]);
            escape(&text).chars().take(200).collect()
        };
        let mut fields = line.split(|&byte| byte == b'\t').map(clean);
        let mut next = || fields.next().unwrap_or_default();
        RunOwner {
            holder: next(),
            verb: next(),
            since: next().parse().unwrap_or(Timestamp::UNIX_EPOCH),
            process: next(),
        }
    }
}
