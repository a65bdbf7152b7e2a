//! Key revocation lists, as `ssh-keygen -k` writes them (OpenSSH's PROTOCOL.krl).

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use russh::keys::{Certificate, PublicKey};

/// What a list begins with.
const MAGIC: &[u8] = b"SSHKRL\n\0";

/// What is revoked.
#[derive(Debug, Default)]
pub(crate) struct Krl {
    /// Whole keys.
    keys: Vec<Vec<u8>>,
    /// SHA-1 or SHA-256 of keys.
    hashes: Vec<Vec<u8>>,
    certificates: Vec<RevokedCertificates>,
}

/// Certificates of one authority, or of any if `authority` is empty.
#[derive(Debug, Default)]
struct RevokedCertificates {
    authority: Vec<u8>,
    /// Serial numbers, both ends included.
    ranges: Vec<(u64, u64)>,
    /// A first serial number, and a big number whose bit N is for the Nth after it.
    bitmaps: Vec<(u64, Vec<u8>)>,
    key_ids: Vec<Vec<u8>>,
}

impl Krl {
    /// `None`: it is another kind of file. `Some(Err)`: it is one that can't be understood.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Result<Krl, String>> {
        let body = Reader(bytes.strip_prefix(MAGIC)?);
        Some(parse_body(body).and_then(|krl| krl.ok_or_else(|| "it is cut off".into())))
    }

    /// Whether a key or, if it came in a certificate, that or its authority is revoked.
    pub(crate) fn revokes(&self, key: &PublicKey, certificate: Option<&Certificate>) -> bool {
        let authority = certificate.map(|one| PublicKey::new(one.signature_key().clone(), ""));
        self.has_key(key)
            || authority.as_ref().is_some_and(|key| self.has_key(key))
            || certificate.is_some_and(|one| self.has_certificate(one))
    }

    fn has_key(&self, key: &PublicKey) -> bool {
        let Ok(blob) = key.to_bytes() else {
            // What can't be compared is not let through.
            return true;
        };
        let hashes = [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256].map(|kind| digest(kind, &blob));
        let is_listed =
            |hash: &ring::digest::Digest| self.hashes.iter().any(|one| one == hash.as_ref());
        self.keys.contains(&blob) || hashes.iter().any(is_listed)
    }

    fn has_certificate(&self, certificate: &Certificate) -> bool {
        let authority = PublicKey::new(certificate.signature_key().clone(), "").to_bytes();
        let lists = self.certificates.iter().filter(|list| {
            list.authority.is_empty() || authority.as_ref().is_ok_and(|key| *key == list.authority)
        });
        let (id, serial) = (certificate.key_id().as_bytes(), certificate.serial());
        lists
            .into_iter()
            .any(|list| list.key_ids.iter().any(|one| one == id) || list.has_serial(serial))
    }
}

impl RevokedCertificates {
    fn has_serial(&self, serial: u64) -> bool {
        // Zero: the authority doesn't number its certificates.
        serial != 0
            && (self
                .ranges
                .iter()
                .any(|(low, high)| (low..=high).contains(&&serial))
                || self.bitmaps.iter().any(|(first, bits)| {
                    serial
                        .checked_sub(*first)
                        .is_some_and(|bit| has_bit(bits, bit))
                }))
    }
}

/// Whether a bit is set in a big-endian number.
fn has_bit(number: &[u8], bit: u64) -> bool {
    let byte = usize::try_from(bit / 8).ok();
    let byte = byte.and_then(|byte| number.iter().rev().nth(byte));
    byte.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

/// `Ok(None)`: it ends too early.
fn parse_body(mut body: Reader<'_>) -> Result<Option<Krl>, String> {
    match body.u32() {
        Some(1) => {}
        Some(version) => return Err(format!("version {version} of its format is not supported")),
        None => return Ok(None),
    }
    // Version, date, flags; a reserved field and a comment.
    let header = (0..3).try_for_each(|_| body.u64().map(drop));
    if header.is_none() || body.string().is_none() || body.string().is_none() {
        return Ok(None);
    }
    let mut krl = Krl::default();
    while !body.0.is_empty() {
        let (Some(kind), Some(section)) = (body.byte(), body.string()) else {
            return Ok(None);
        };
        let mut section = Reader(section);
        let whole = match kind {
            1 => {
                let list = parse_certificates(section)?;
                let is_whole = list.is_some();
                krl.certificates.extend(list);
                is_whole
            }
            2 => section.strings_into(&mut krl.keys),
            3 | 5 => section.strings_into(&mut krl.hashes),
            4 => return Err("it is signed, which OpenSSH does not support either".into()),
            255 => section.skip_extension()?,
            other => return Err(format!("section {other} is not supported")),
        };
        if !whole {
            return Ok(None);
        }
    }
    Ok(Some(krl))
}

fn parse_certificates(mut section: Reader<'_>) -> Result<Option<RevokedCertificates>, String> {
    let (Some(authority), Some(_reserved)) = (section.string(), section.string()) else {
        return Ok(None);
    };
    let mut list = RevokedCertificates {
        authority: authority.to_vec(),
        ..RevokedCertificates::default()
    };
    while !section.0.is_empty() {
        let (Some(kind), Some(part)) = (section.byte(), section.string()) else {
            return Ok(None);
        };
        let mut part = Reader(part);
        let whole = match kind {
            0x20 => {
                let serials = std::iter::from_fn(|| part.u64());
                list.ranges.extend(serials.map(|serial| (serial, serial)));
                part.0.is_empty()
            }
            0x21 => {
                let range = part.u64().zip(part.u64());
                list.ranges.extend(range);
                range.is_some()
            }
            0x22 => {
                let bitmap = part.u64().zip(part.string().map(<[u8]>::to_vec));
                let is_whole = bitmap.is_some();
                list.bitmaps.extend(bitmap);
                is_whole
            }
            0x23 => part.strings_into(&mut list.key_ids),
            0x39 => part.skip_extension()?,
            other => return Err(format!("certificate section {other:#x} is not supported")),
        };
        if !whole {
            return Ok(None);
        }
    }
    Ok(Some(list))
}

/// SSH's encoding of numbers and strings.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }

    /// Adds all strings; false if the last is cut off.
    fn strings_into(&mut self, list: &mut Vec<Vec<u8>>) -> bool {
        while !self.0.is_empty() {
            match self.string() {
                Some(string) => list.push(string.to_vec()),
                None => return false,
            }
        }
        true
    }

    /// An extension may be skipped unless it says that it matters.
    fn skip_extension(&mut self) -> Result<bool, String> {
        let (Some(name), Some(is_critical)) = (self.string(), self.byte()) else {
            return Ok(false);
        };
        match is_critical {
            0 => Ok(self.string().is_some()),
            _ => {
                let name = String::from_utf8_lossy(name);
                let name = text::terminal::escape(&name);
                Err(format!("extension {name} is not supported"))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn ssh_keygen(dir: &Path, args: &[&str]) {
        let output = Command::new("ssh-keygen")
            .args(args)
            .current_dir(dir)
            .output()
            .expect("no ssh-keygen found: install openssh-client");
        assert!(output.status.success(), "{output:?}");
    }

    fn new_key() -> PublicKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .unwrap()
            .public_key()
            .clone()
    }

    fn list_of(dir: &Path, spec: &str) -> Krl {
        std::fs::write(dir.join("spec"), spec).unwrap();
        ssh_keygen(dir, &["-q", "-k", "-f", "krl", "-s", "ca.pub", "spec"]);
        let bytes = std::fs::read(dir.join("krl")).unwrap();
        Krl::parse(&bytes).unwrap().unwrap()
    }

    #[test]
    fn what_ssh_keygen_revokes_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        ssh_keygen(dir, &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        let certify = |serial: &str| {
            ssh_keygen(
                dir,
                &["-q", "-t", "ed25519", "-N", "", "-f", &format!("k{serial}")],
            );
            ssh_keygen(
                dir,
                &[
                    "-q",
                    "-s",
                    "ca",
                    "-h",
                    "-I",
                    &format!("id{serial}"),
                    "-z",
                    serial,
                    &format!("k{serial}.pub"),
                ],
            );
            let text = std::fs::read_to_string(dir.join(format!("k{serial}-cert.pub"))).unwrap();
            Certificate::from_openssh(&text).unwrap()
        };
        let certificates: Vec<_> = ["7", "40", "41", "9000"].map(certify).to_vec();
        let revoked = |spec: &str| -> Vec<bool> {
            let krl = list_of(dir, spec);
            let judge = |one: &Certificate| {
                let key = PublicKey::new(one.public_key().clone(), "");
                krl.revokes(&key, Some(one))
            };
            certificates.iter().map(judge).collect()
        };
        assert_eq!(revoked("serial: 7\n"), [true, false, false, false]);
        assert_eq!(revoked("serial: 40-9000\n"), [false, true, true, true]);
        assert_eq!(
            revoked("serial: 7\nserial: 9\nserial: 41\nserial: 44\n"),
            [true, false, true, false]
        );
        assert_eq!(revoked("id: id9000\n"), [false, false, false, true]);
        let key = std::fs::read_to_string(dir.join("k40.pub")).unwrap();
        for kind in ["key", "sha1", "sha256"] {
            assert_eq!(
                revoked(&format!("{kind}: {key}")),
                [false, true, false, false],
                "{kind}"
            );
        }
        let authority = std::fs::read_to_string(dir.join("ca.pub")).unwrap();
        assert_eq!(revoked(&format!("key: {authority}")), [true; 4]);
        assert!(!list_of(dir, &format!("sha256: {key}")).revokes(&new_key(), None));
    }

    #[test]
    fn other_files_and_halves_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        ssh_keygen(dir.path(), &["-q", "-t", "ed25519", "-N", "", "-f", "ca"]);
        list_of(dir.path(), "serial: 7\n");
        let bytes = std::fs::read(dir.path().join("krl")).unwrap();
        assert!(Krl::parse(b"ssh-ed25519 AAAA").is_none());
        for length in MAGIC.len()..bytes.len() {
            // A list may end after any whole section; ours has one.
            let half = Krl::parse(&bytes[..length]).unwrap();
            assert!(
                half.is_err() || half.unwrap().certificates.is_empty(),
                "{length}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [MAGIC, &[0, 0, 0, 1], &[0; 32], &bytes].concat();
            if let Some(Ok(krl)) = Krl::parse(&bytes) {
                krl.revokes(&new_key(), None);
            }
        }
    }
}
