//! Bootstrap tokens.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::error::KubernetesError;
use crate::inventory::BootstrapToken;
use crate::layout::names;

/// How long a token of the operator's lives unless the inventory says otherwise.
const DEFAULT_TTL: SignedDuration = SignedDuration::from_hours(24);

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;

/// A bootstrap token, `[a-z0-9]{6}.[a-z0-9]{16}`. Its first half is public, its
/// second is not and never shows in `Debug`.
#[derive(Clone)]
pub struct Token {
    text: Zeroizing<String>,
}

impl Token {
    /// Makes a new one with the operating system's random numbers.
    pub fn generate() -> Result<Self, KubernetesError> {
        let mut text = Zeroizing::new(String::with_capacity(ID_LENGTH + 1 + SECRET_LENGTH));
        while text.len() < ID_LENGTH + 1 + SECRET_LENGTH {
            if text.len() == ID_LENGTH {
                text.push('.');
            }
            text.push(random_character()?);
        }
        Ok(Token { text })
    }

    /// The public half.
    pub fn id(&self) -> &str {
        &self.text[..ID_LENGTH]
    }

    /// The secret half.
    pub fn secret(&self) -> &str {
        &self.text[ID_LENGTH + 1..]
    }

    /// All of it: what goes into a kubeconfig. A secret.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// A letter or digit, each as likely as every other.
fn random_character() -> Result<char, KubernetesError> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    // Bytes from here on would favour the alphabet's beginning.
    const LIMIT: u8 = 252;
    let random = SystemRandom::new();
    let mut byte = [0];
    loop {
        random
            .fill(&mut byte)
            .map_err(|_| KubernetesError::Random)?;
        if byte[0] < LIMIT {
            return Ok(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
}

impl FromStr for Token {
    type Err = KubernetesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, secret) = text.split_once('.').ok_or(KubernetesError::Token)?;
        let plain = |half: &str| {
            half.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH && plain(id) && plain(secret) {
            Ok(Token {
                text: Zeroizing::new(text.to_owned()),
            })
        } else {
            Err(KubernetesError::Token)
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}.…)", self.id())
    }
}

/// A token with what the cluster knows of it.
#[derive(Debug, Clone)]
pub struct TokenSecret {
    /// The token.
    pub token: Token,
    /// For humans.
    pub description: Option<String>,
    /// When the token cleaner removes it; `None` for never.
    pub expiration: Option<Timestamp>,
    /// `signing`, `authentication`.
    pub usages: Vec<String>,
    /// Groups that it authenticates as, beside `system:bootstrappers`.
    pub groups: Vec<String>,
}

impl TokenSecret {
    /// A token that nodes join with, as kubeadm makes it.
    pub fn for_join(token: Token, expiration: Timestamp, description: impl Into<String>) -> Self {
        TokenSecret {
            token,
            description: Some(description.into()),
            expiration: Some(expiration),
            usages: default_usages(),
            groups: vec![names::NODE_TOKEN_GROUP.into()],
        }
    }

    /// The token that owns the Secret `kubeadm-certs` and is good for nothing
    /// else: when the token cleaner removes it, the Secret goes too.
    pub fn for_uploaded_certs(token: Token, now: Timestamp) -> Self {
        TokenSecret {
            token,
            description: Some("Proxy for managing TTL for the kubeadm-certs secret".into()),
            expiration: now.checked_add(super::upload_certs::LIFETIME).ok(),
            usages: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// A token of the operator's, its lifetime counted from `now`.
    pub fn from_inventory(spec: &BootstrapToken, now: Timestamp) -> Result<Self, KubernetesError> {
        let token: Token = spec.token.parse()?;
        let wrong = || KubernetesError::TokenTtl {
            id: token.id().to_owned(),
            ttl: spec.ttl.clone().unwrap_or_default(),
        };
        let ttl = match spec.ttl.as_deref() {
            None => DEFAULT_TTL,
            Some("0") => SignedDuration::ZERO,
            Some(ttl) => ttl.parse().map_err(|_| wrong())?,
        };
        let expiration = match ttl {
            SignedDuration::ZERO => None,
            ttl => Some(now.checked_add(ttl).map_err(|_| wrong())?),
        };
        Ok(TokenSecret {
            description: spec.description.clone(),
            expiration,
            usages: spec.usages.clone().unwrap_or_else(default_usages),
            groups: spec
                .groups
                .clone()
                .unwrap_or_else(|| vec![names::NODE_TOKEN_GROUP.into()]),
            token,
        })
    }

    /// The name of its Secret in `kube-system`.
    pub fn name(&self) -> String {
        format!("{}{}", names::BOOTSTRAP_TOKEN_PREFIX, self.token.id())
    }

    /// Its Secret.
    pub fn object(&self) -> Value {
        let mut data = Map::new();
        let mut put = |key: String, value: &str| {
            data.insert(key, STANDARD.encode(value).into());
        };
        if !self.groups.is_empty() {
            put("auth-extra-groups".into(), &self.groups.join(","));
        }
        if let Some(description) = self.description.as_deref().filter(|text| !text.is_empty()) {
            put("description".into(), description);
        }
        if let Some(expiration) = self.expiration {
            // RFC 3339 in UTC without fractions, as kubeadm prints it.
            let text = expiration.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            put("expiration".into(), &text);
        }
        put("token-id".into(), self.token.id());
        put("token-secret".into(), self.token.secret());
        for usage in &self.usages {
            put(format!("usage-bootstrap-{usage}"), "true");
        }
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name(), "namespace": names::KUBE_SYSTEM},
            "type": "bootstrap.kubernetes.io/token",
            "data": data,
        })
    }
}

fn default_usages() -> Vec<String> {
    vec!["authentication".into(), "signing".into()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(ttl: Option<&str>) -> BootstrapToken {
        BootstrapToken {
            token: "abcdef.0123456789abcdef".into(),
            ttl: ttl.map(str::to_owned),
            usages: None,
            groups: None,
            description: None,
        }
    }

    #[test]
    fn generated_tokens_are_tokens() {
        let one = Token::generate().unwrap();
        let two = Token::generate().unwrap();
        assert!(one.expose().parse::<Token>().is_ok());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(format!("{}.{}", one.id(), one.secret()), one.expose());
    }

    #[test]
    fn other_forms_are_refused() {
        for wrong in [
            "",
            ".",
            "abcdef",
            "abcde.0123456789abcdef",
            "ABCDEF.0123456789abcdef",
            "abcdef.0123456789abcdef0",
            "abcdeé.0123456789abcdef",
            "abcdef.0123456789abcde\n",
        ] {
            assert!(wrong.parse::<Token>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_secret_half_is_never_shown() {
        let secret = TokenSecret::from_inventory(&spec(None), Timestamp::UNIX_EPOCH).unwrap();
        assert!(!format!("{secret:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn the_token_of_uploaded_certificates_is_good_for_nothing_else() {
        let token = "abcdef.0123456789abcdef".parse().unwrap();
        let secret = TokenSecret::for_uploaded_certs(token, Timestamp::UNIX_EPOCH).object();
        let keys: Vec<_> = secret["data"].as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["description", "expiration", "token-id", "token-secret"]
        );
        assert_eq!(
            secret["data"]["expiration"],
            STANDARD.encode("1970-01-01T02:00:00Z")
        );
    }

    #[test]
    fn lifetimes_are_counted_from_now() {
        let at = |ttl| {
            TokenSecret::from_inventory(&spec(ttl), Timestamp::UNIX_EPOCH)
                .map(|secret| secret.expiration.map(|at| at.as_second()))
        };
        assert_eq!(at(None).unwrap(), Some(86_400));
        assert_eq!(at(Some("1h30m")).unwrap(), Some(5_400));
        assert_eq!(at(Some("4m0s")).unwrap(), Some(240));
        assert_eq!(at(Some("0")).unwrap(), None);
        assert_eq!(at(Some("0s")).unwrap(), None);
        insta::assert_snapshot!(at(Some("soon")).unwrap_err(), @"bootstrap token `abcdef`: invalid duration `soon`");
    }
}
