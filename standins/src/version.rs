//! Which release this copy of the program plays. `standin artifacts` appends it to
//! each copy as a trailer, so that no flag or environment variable can change it.

use std::sync::OnceLock;

use anyhow::{Context, bail};

const MARK: &str = "\nstandin-release:";

/// A Kubernetes release, `v1.36.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub minor: u32,
    pub patch: u32,
}

/// What an uncopied binary plays.
pub const DEFAULT: Release = Release {
    minor: 36,
    patch: 2,
};

impl Release {
    /// Reads `v1.36.2`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut parts = text
            .strip_prefix("v1.")
            .with_context(|| format!("{text:?} is not a version like v1.36.2"))?
            .splitn(2, '.');
        let number = |part: Option<&str>| -> anyhow::Result<u32> {
            part.and_then(|p| p.parse().ok())
                .with_context(|| format!("{text:?} is not a version like v1.36.2"))
        };
        let release = Self {
            minor: number(parts.next())?,
            patch: number(parts.next())?,
        };
        if !(33..=37).contains(&release.minor) {
            bail!("no stand-in plays {text}: 1.33 to 1.37 are known");
        }
        Ok(release)
    }

    /// The tag of the etcd image that kubeadm of this minor chooses.
    pub fn etcd_tag(self) -> &'static str {
        match self.minor {
            33 => "3.5.24-0",
            34 => "3.6.4-0",
            35 => "3.6.6-0",
            36 => "3.6.8-0",
            _ => "3.7.0-0",
        }
    }

    /// The tag of the CoreDNS image.
    pub fn coredns_tag(self) -> &'static str {
        match self.minor {
            33 => "v1.12.0",
            34 => "v1.12.1",
            35 => "v1.13.1",
            36 => "v1.14.2",
            _ => "v1.14.6",
        }
    }

    /// The tag of the pause image.
    pub fn pause_tag(self) -> &'static str {
        match self.minor {
            33 => "3.10",
            34 | 35 => "3.10.1",
            _ => "3.10.2",
        }
    }

    /// The version of etcd itself: its image's tag without the revision.
    pub fn etcd_version(self) -> &'static str {
        self.etcd_tag().trim_end_matches("-0")
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

/// How the kubelet stand-in tells a container's process which image it is from.
pub const IMAGE: &str = "STANDIN_IMAGE_TAG";

/// What this process plays: by its image's tag, else by its binary's trailer.
pub fn current() -> Release {
    static CURRENT: OnceLock<Release> = OnceLock::new();
    *CURRENT.get_or_init(|| {
        let tag = std::env::var(IMAGE).unwrap_or_default();
        of_tag(&tag).or_else(read_trailer).unwrap_or(DEFAULT)
    })
}

/// `v1.36.2`, or the release whose etcd has that tag.
fn of_tag(tag: &str) -> Option<Release> {
    if let Ok(release) = Release::parse(tag) {
        return Some(release);
    }
    let minor = match tag.split(['.', '-']).collect::<Vec<_>>().as_slice() {
        ["3", "5", ..] => 33,
        ["3", "6", patch, ..] => match patch.parse().unwrap_or(0) {
            0..=4 => 34,
            5..=7 => 35,
            _ => 36,
        },
        ["3", "7", ..] => 37,
        _ => return None,
    };
    Some(Release { minor, patch: 0 })
}

/// The bytes to append to a copy that shall play `release`.
pub fn trailer(release: Release) -> Vec<u8> {
    format!("{MARK}{:>16}", release.to_string()).into_bytes()
}

fn read_trailer() -> Option<Release> {
    use std::io::{Read, Seek, SeekFrom};
    let length = MARK.len() + 16;
    let mut file = std::fs::File::open("/proc/self/exe").ok()?;
    file.seek(SeekFrom::End(-i64::try_from(length).ok()?))
        .ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    Release::parse(text.strip_prefix(MARK)?.trim()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn releases_parse_and_print() {
        assert_eq!(Release::parse("v1.35.5").unwrap().to_string(), "v1.35.5");
        assert!(Release::parse("1.35.5").is_err());
        assert!(Release::parse("v1.20.0").is_err());
        assert_eq!(of_tag("3.6.8-0").unwrap().minor, 36);
        assert_eq!(of_tag("3.5.24-0").unwrap().minor, 33);
        assert!(of_tag("").is_none());
        assert_eq!(trailer(DEFAULT).len(), MARK.len() + 16);
    }
}
