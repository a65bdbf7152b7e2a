//! Which algorithms may be used: ours, as far as `ssh_config` allows them.

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, kex, mac};
use text::glob::matches;

use crate::config::AlgorithmLists;

/// Host key algorithms that we accept, best first. No SHA-1 signatures, as in
/// OpenSSH since 8.8.
pub(crate) const HOST_KEY_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// Ciphers by measured speed: AES-GCM is a fifth to a third faster than
/// ChaCha20 where the processor has AES instructions.
const CIPHERS: [cipher::Name; 4] = [
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
];

/// Kinds of keys to log in with. The first, RSA with SHA-1, only if `ssh_config` asks for it.
const LOGIN_KEYS: [&str; 9] = [
    "ssh-rsa",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// OpenSSH's own minimum.
const MIN_RSA_BITS: u32 = 1024;

/// What may be used with one host.
#[derive(Debug, Clone)]
pub(crate) struct Algorithms {
    pub(crate) kex: Vec<kex::Name>,
    pub(crate) ciphers: Vec<cipher::Name>,
    pub(crate) macs: Vec<mac::Name>,
    pub(crate) host_keys: Vec<Algorithm>,
    pub(crate) host_certificates: Vec<Algorithm>,
    /// Signatures of authorities under host certificates.
    ca_signatures: Vec<String>,
    /// Signatures to log in with.
    login: Vec<String>,
    /// RSA keys with fewer bits are refused.
    min_rsa_bits: u32,
}

impl Algorithms {
    /// What the lists leave of ours.
    ///
    /// # Errors
    ///
    /// One of them leaves nothing.
    pub(crate) fn choose(
        lists: &AlgorithmLists,
        min_rsa_bits: Option<u32>,
    ) -> Result<Self, String> {
        let ca_default: Vec<String> = LOGIN_KEYS[1..].iter().map(ToString::to_string).collect();
        let ca_all: Vec<String> = LOGIN_KEYS.iter().map(ToString::to_string).collect();
        let with_certificates = |names: &[String]| -> Vec<String> {
            let certificates = names.iter().map(|name| certificate_name(name));
            names.iter().cloned().chain(certificates).collect()
        };
        let (login_default, login_all) =
            (with_certificates(&ca_default), with_certificates(&ca_all));
        let (host_keys, host_certificates) = choose_host_keys(lists.host_key.as_deref())?;
        Ok(Algorithms {
            kex: choose_kex(lists.kex.as_deref())?,
            ciphers: choose_named(
                "Ciphers",
                lists.ciphers.as_deref(),
                &CIPHERS,
                cipher::ALL_CIPHERS,
            )?,
            macs: choose_named(
                "MACs",
                lists.macs.as_deref(),
                &Preferred::DEFAULT.mac,
                mac::ALL_MAC_ALGORITHMS,
            )?,
            host_keys,
            host_certificates,
            ca_signatures: choose(
                "CASignatureAlgorithms",
                lists.ca_signature.as_deref(),
                &ca_default,
                &ca_all,
            )?,
            login: choose(
                "PubkeyAcceptedAlgorithms",
                lists.pubkey.as_deref(),
                &login_default,
                &login_all,
            )?,
            min_rsa_bits: min_rsa_bits.unwrap_or(MIN_RSA_BITS).max(MIN_RSA_BITS),
        })
    }

    /// Whether a host certificate may be signed in this way.
    pub(crate) fn accept_ca_signature(&self, algorithm: &Algorithm) -> bool {
        self.ca_signatures
            .iter()
            .any(|one| one == algorithm.as_str())
    }

    /// Whether a key or, with `certificate`, a certificate may be offered that signs like this.
    pub(crate) fn accept_login(&self, algorithm: &Algorithm, certificate: bool) -> bool {
        let name = match certificate {
            true => certificate_name(algorithm.as_str()),
            false => algorithm.as_str().to_string(),
        };
        self.login.contains(&name)
    }

    /// The smallest RSA key that may be used, in bits.
    pub(crate) fn min_rsa_bits(&self) -> u32 {
        self.min_rsa_bits
    }
}

fn certificate_name(plain: &str) -> String {
    let plain = plain.strip_suffix("@openssh.com").unwrap_or(plain);
    format!("{plain}-cert-v01@openssh.com")
}

/// The key exchanges, and behind them russh's markers, which are no algorithms.
fn choose_kex(list: Option<&str>) -> Result<Vec<kex::Name>, String> {
    let ours = &Preferred::DEFAULT.kex;
    let is_kex = |name: &&kex::Name| kex::ALL_KEX_ALGORITHMS.contains(name);
    let default: Vec<kex::Name> = ours.iter().filter(is_kex).copied().collect();
    let mut chosen = choose_named("KexAlgorithms", list, &default, kex::ALL_KEX_ALGORITHMS)?;
    chosen.extend(ours.iter().filter(|name| !is_kex(name)).copied());
    Ok(chosen)
}

/// The plain algorithms, and those of certificates.
fn choose_host_keys(list: Option<&str>) -> Result<(Vec<Algorithm>, Vec<Algorithm>), String> {
    let plain = HOST_KEY_ALGORITHMS.map(|one| one.as_str().to_string());
    let certificates = plain.clone().map(|name| certificate_name(&name));
    let all: Vec<String> = certificates.iter().chain(&plain).cloned().collect();
    let chosen = choose("HostKeyAlgorithms", list, &all, &all)?;
    let pick = |names: &[String]| -> Vec<Algorithm> {
        let index = |name: &String| names.iter().position(|one| one == name);
        let chosen = chosen.iter().filter_map(index);
        chosen.map(|at| HOST_KEY_ALGORITHMS[at].clone()).collect()
    };
    Ok((pick(&plain), pick(&certificates)))
}

fn choose_named<N: AsRef<str> + Copy>(
    keyword: &str,
    list: Option<&str>,
    default: &[N],
    all: &[&N],
) -> Result<Vec<N>, String> {
    let names = |names: &mut dyn Iterator<Item = &N>| -> Vec<String> {
        let names = names.map(|name| name.as_ref().to_string());
        names
            .filter(|name| name != "none" && name != "clear")
            .collect()
    };
    let all_names = names(&mut all.iter().copied());
    let chosen = choose(keyword, list, &names(&mut default.iter()), &all_names)?;
    let find = |name: &String| all.iter().find(|one| one.as_ref() == name).map(|one| **one);
    Ok(chosen.iter().filter_map(find).collect())
}

/// What a list leaves: `+` adds to the default, `^` puts in front of it, `-` takes from it;
/// without any of these, the list replaces it. Its items are patterns.
fn choose(
    keyword: &str,
    list: Option<&str>,
    default: &[String],
    all: &[String],
) -> Result<Vec<String>, String> {
    let Some(list) = list else {
        return Ok(default.to_vec());
    };
    let find = |items: &str| -> Vec<String> {
        let items: Vec<&str> = items.split(',').collect();
        let found = items
            .iter()
            .flat_map(|item| all.iter().filter(|name| matches(item, name)));
        found.cloned().collect()
    };
    let mut chosen = match list.split_at_checked(1) {
        Some(("+", items)) => [default.to_vec(), find(items)].concat(),
        Some(("^", items)) => [find(items), default.to_vec()].concat(),
        Some(("-", items)) => {
            let gone = find(items);
            let kept = default.iter().filter(|name| !gone.contains(name));
            kept.cloned().collect()
        }
        _ => find(list),
    };
    let mut seen = Vec::new();
    chosen.retain(|name| {
        let new = !seen.contains(name);
        seen.push(name.clone());
        new
    });
    if chosen.is_empty() {
        return Err(format!("`{keyword} {list}` leaves no supported algorithm"));
    }
    Ok(chosen)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lists(change: impl FnOnce(&mut AlgorithmLists)) -> Result<Algorithms, String> {
        let mut lists = AlgorithmLists::default();
        change(&mut lists);
        Algorithms::choose(&lists, None)
    }

    fn names<N: AsRef<str>>(names: &[N]) -> Vec<&str> {
        names.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn without_lists_ours_are_used() {
        let ours = lists(|_| {}).unwrap();
        assert_eq!(ours.ciphers, CIPHERS);
        assert_eq!(ours.host_keys, HOST_KEY_ALGORITHMS);
        assert_eq!(ours.host_certificates, HOST_KEY_ALGORITHMS);
        assert_eq!(ours.kex, *Preferred::DEFAULT.kex);
        let sha1 = Algorithm::Rsa { hash: None };
        assert!(!ours.accept_login(&sha1, false) && !ours.accept_ca_signature(&sha1));
        assert!(ours.accept_login(&Algorithm::Ed25519, true));
        assert!(ours.accept_login(&Algorithm::SkEd25519, true));
    }

    #[test]
    fn lists_replace_add_take_away_and_prefer() {
        let ciphers = |list: &str| {
            let chosen = lists(|all| all.ciphers = Some(list.into()));
            chosen.map(|chosen| names(&chosen.ciphers).join(" "))
        };
        assert_eq!(ciphers("aes256-ctr,nonsense").unwrap(), "aes256-ctr");
        assert_eq!(
            ciphers("-aes*-gcm@openssh.com").unwrap(),
            "chacha20-poly1305@openssh.com aes256-ctr"
        );
        assert!(
            ciphers("+aes128-cbc")
                .unwrap()
                .ends_with("aes256-ctr aes128-cbc")
        );
        assert!(
            ciphers("^aes256-ctr")
                .unwrap()
                .starts_with("aes256-ctr aes128-gcm")
        );
        assert_eq!(
            ciphers("3des-cbc").unwrap_err(),
            "`Ciphers 3des-cbc` leaves no supported algorithm"
        );
        assert!(ciphers("none").is_err());
    }

    #[test]
    fn markers_stay_with_any_key_exchange() {
        let kex = lists(|all| all.kex = Some("ecdh-sha2-nistp256".into()))
            .unwrap()
            .kex;
        assert_eq!(kex[0].as_ref(), "ecdh-sha2-nistp256");
        assert!(names(&kex).contains(&"kex-strict-c-v00@openssh.com"));
    }

    #[test]
    fn certificates_of_hosts_are_named_apart() {
        let only = |list: &str| lists(|all| all.host_key = Some(list.into())).unwrap();
        let ed25519 = only("ssh-ed25519");
        assert_eq!(ed25519.host_keys, [Algorithm::Ed25519]);
        assert!(ed25519.host_certificates.is_empty());
        let certificate = only("ssh-ed25519-cert-v01@openssh.com");
        assert!(certificate.host_keys.is_empty());
        assert_eq!(certificate.host_certificates, [Algorithm::Ed25519]);
    }

    #[test]
    fn sha1_is_used_where_it_is_asked_for() {
        let sha1 = Algorithm::Rsa { hash: None };
        let more = lists(|all| all.pubkey = Some("+ssh-rsa".into())).unwrap();
        assert!(more.accept_login(&sha1, false));
        let one = lists(|all| all.pubkey = Some("rsa-sha2-256".into())).unwrap();
        assert!(!one.accept_login(&Algorithm::Ed25519, false));
    }
}
