//! Which cluster something belongs to.

use serde::{Deserialize, Serialize};

/// Which cluster a host, or a state directory, belongs to. A name proves nothing: every
/// second cluster is called `demo`. The id is random and made once, and the CA is what every
/// certificate of the cluster hangs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// Its random id. Empty in what was written before there were ids.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    /// The pin of its CA: `sha256:` and the hash of the public key, as `kubeadm join` takes
    /// it. Empty in what was written before this was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca: String,
}

impl Owner {
    /// A cluster of which no more than the name is known.
    pub fn named(cluster: &str) -> Self {
        Owner {
            cluster: cluster.into(),
            ..Owner::default()
        }
    }

    /// Whether both can be the same cluster: nothing that both know differs.
    pub fn agrees_with(&self, other: &Owner) -> bool {
        let agree = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
        self.cluster == other.cluster
            && agree(&self.cluster_id, &other.cluster_id)
            && agree(&self.ca, &other.ca)
    }

    /// What both know together.
    pub(super) fn completed_by(&self, other: &Owner) -> Owner {
        let known = |one: &String, other: &String| match one.is_empty() {
            true => other.clone(),
            false => one.clone(),
        };
        Owner {
            cluster: self.cluster.clone(),
            cluster_id: known(&self.cluster_id, &other.cluster_id),
            ca: known(&self.ca, &other.ca),
        }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.cluster)?;
        let known: Vec<String> = [("id", &self.cluster_id), ("CA", &self.ca)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        match known.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", known.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(cluster_id: &str, ca: &str) -> Owner {
        Owner {
            cluster: "demo".into(),
            cluster_id: cluster_id.into(),
            ca: ca.into(),
        }
    }

    #[test]
    fn a_name_alone_proves_nothing_against_an_id_or_a_ca() {
        assert!(owner("1", "a").agrees_with(&owner("1", "a")));
        assert!(owner("", "").agrees_with(&owner("1", "a")));
        assert!(!owner("1", "a").agrees_with(&owner("2", "a")));
        assert!(!owner("1", "a").agrees_with(&owner("1", "b")));
        assert!(!owner("1", "a").agrees_with(&Owner::named("other")));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        assert_eq!(owner("", "").to_string(), "`demo`");
        assert_eq!(
            owner("1", "sha256:a").to_string(),
            "`demo` (id 1, CA sha256:a)"
        );
    }
}
