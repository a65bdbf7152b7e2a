//! Changes: what happens to what, in words. These are part of the plan document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that has to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happens.
    pub action: Action,
    /// To what kind of thing.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// What exactly.
    pub detail: Detail,
    /// SHA-256 of what is there, where a file's content is about to change
    /// and there is one. Of a secret, the first digits.
    pub before: Option<String>,
    /// The same of what will be there.
    pub after: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.action, self.kind, self.name)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($name::$variant => $word,)* })
            }
        }
    };
}

words! {
    /// What happens to a thing.
    Action {
        /// It is made.
        Create = "create",
        /// It is changed.
        Update = "update",
        /// It goes.
        Remove = "remove",
        /// What an interrupted program left half-done is completed.
        Repair = "repair",
        /// A package is installed.
        Install = "install",
        /// A package is kept from being upgraded.
        Hold = "hold",
        /// A kernel module is loaded.
        Load = "load",
        /// A sysctl is set.
        Set = "set",
        /// systemd reloads its units.
        Reload = "reload",
        /// A unit will start at boot.
        Enable = "enable",
        /// A unit, or swap, is switched off for good.
        Disable = "disable",
        /// A unit that doesn't run is started.
        Start = "start",
        /// A running unit is restarted.
        Restart = "restart",
        /// A unit is stopped.
        Stop = "stop",
        /// Something is kept beside its place, which is empty then.
        SetAside = "set aside",
        /// An image comes out of an archive.
        Import = "import",
        /// An image is pulled by the host.
        Pull = "pull",
        /// What an interrupted run replaced is kept or undone.
        Confirm = "confirm",
    }
}

words! {
    /// Kinds of things.
    Kind {
        /// The package manager's own state.
        PackageManager = "package manager",
        /// A package of the distribution.
        Package = "package",
        /// A directory.
        Directory = "directory",
        /// A file.
        File = "file",
        /// A symbolic link.
        Link = "link",
        /// A kernel module.
        Module = "module",
        /// A sysctl.
        Sysctl = "sysctl",
        /// Swap.
        Swap = "swap",
        /// systemd itself.
        Systemd = "systemd",
        /// A systemd unit.
        Unit = "unit",
        /// The data of etcd.
        EtcdData = "etcd data in",
        /// A container image.
        Image = "image",
        /// A static pod that runs already.
        StaticPod = "static pod",
    }
}

/// What exactly changes. Everything that came from a host is escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub enum Detail {
    /// The name says it all.
    #[default]
    None,
    /// A unified diff of text.
    Diff {
        /// The diff, without its header lines.
        unified: String,
    },
    /// A secret's content: only the first digits of its hashes are shown.
    Secret {
        /// Of what is there, if something is.
        before: Option<String>,
        /// Of what will be there.
        after: String,
    },
    /// Words.
    Text {
        /// The words.
        text: String,
    },
}

impl Detail {
    /// Whether there is nothing more to say.
    pub fn is_none(&self) -> bool {
        *self == Detail::None
    }
}
