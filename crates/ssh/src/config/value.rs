//! Values of `ssh_config` that are no plain text.

use std::time::Duration;

/// `yes` or `no`, and what OpenSSH takes for them.
pub(super) fn parse_yes_no(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{word:?} is neither `yes` nor `no`")),
    }
}

/// A port from 1 to 65535.
pub(super) fn parse_port(word: &str) -> Result<u16, String> {
    let port = word.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| format!("invalid port {word:?}"))
}

/// A number that is not negative.
pub(super) fn parse_number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("invalid number {word:?}"))
}

/// OpenSSH's time format: seconds, or numbers with units, such as `1m30s`.
pub(super) fn parse_time(word: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid time {word:?}");
    let mut total: u64 = 0;
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let mut after = rest[end..].chars();
        let unit = match after.next().map(|c| c.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86400,
            Some('w') => 604_800,
            Some(_) => return Err(wrong()),
        };
        total = number
            .checked_mul(unit)
            .and_then(|n| total.checked_add(n))
            .ok_or_else(wrong)?;
        rest = after.as_str();
    }
    // OpenSSH keeps it in an int.
    i32::try_from(total).map_err(|_| wrong())?;
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let seconds = |text| parse_time(text).map(|time| time.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("1m30s"), Ok(90));
        assert_eq!(seconds("1M30"), Ok(90));
        for wrong in ["soon", "5x", "s", "1ss", "99999999999999999999w", "9999w"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(parse_port("65535"), Ok(65535));
        assert!(parse_port("0").is_err() && parse_port("65536").is_err());
    }
}
