//! Durations, as Go writes them.

use std::time::Duration;

use super::problem::Problem;

/// A duration as Go writes it: `1h30m`, `4m0s`, `0`.
pub fn parse_duration(text: &str) -> Result<Duration, Problem> {
    let problem = || "is not a valid duration, such as `90s`, `4m` or `1h30m`".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds: f64 = 0.0;
    if rest.is_empty() {
        return Err(problem());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("has no unit: write `{text}s` for seconds"))?;
        let number: f64 = rest[..end].parse().map_err(|_| problem())?;
        rest = &rest[end..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "d" => return Err("has an unknown unit `d`: use hours, such as `24h`".to_owned()),
            _ => return Err(problem()),
        };
        nanoseconds += number * unit;
        rest = &rest[end..];
    }
    // Go keeps a duration in 63 bits of nanoseconds.
    match nanoseconds < i64::MAX as f64 {
        true => Ok(Duration::from_secs_f64(nanoseconds / 1e9)),
        false => Err("is too long (more than 292 years)".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        let seconds = |text| parse_duration(text).unwrap().as_secs_f64();
        assert_eq!(seconds("0"), 0.0);
        assert_eq!(seconds("4m0s"), 240.0);
        assert_eq!(seconds("1h30m"), 5400.0);
        assert_eq!(seconds("1.5h"), 5400.0);
        assert_eq!(seconds("250ms"), 0.25);
        assert_eq!(seconds("87600h"), 315_360_000.0);
        for wrong in [
            "",
            "5",
            "5 m",
            "m",
            "-5m",
            "1d",
            "1.2.3s",
            "5x",
            "9e9h",
            "9999999999h",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
