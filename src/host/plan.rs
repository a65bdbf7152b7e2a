//! What has to change on a host.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Content, FileResource, Receipt};

/// What has to change on one host, in the order in which it will.
#[derive(Debug, Clone)]
pub struct HostPlan {
    /// The cluster's name.
    pub cluster: String,
    /// What has to change. [`super::Progress`] counts by their positions.
    pub changes: Vec<Change>,
    /// The receipt as it will be.
    pub receipt: Receipt,
    /// Whether that is other than what stands on the host.
    pub(super) receipt_changed: bool,
    /// How each change is made, position by position.
    pub(super) steps: Vec<Step>,
    /// Lines of the stamps file that stay.
    pub(super) stamps: Vec<String>,
    /// Whether some of them are not there yet.
    pub(super) stamps_changed: bool,
}

impl HostPlan {
    /// Whether the host is as it should be.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What the change at position `at` writes, if it writes bytes of ours.
    pub fn content(&self, at: usize) -> Option<&[u8]> {
        match self.steps.get(at) {
            Some(Step::File { file, .. }) => match &file.content {
                Content::Bytes(bytes) => Some(bytes),
                Content::Local { .. } => None,
            },
            _ => None,
        }
    }

    /// Bytes that converging will send over, about: for progress bars.
    pub fn payload(&self) -> u64 {
        self.steps.iter().map(Step::payload).sum()
    }
}

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
    /// SHA-256 of what stands there, where a file's content is about to change
    /// and there is one. Of a secret, the first digits.
    pub before: Option<String>,
    /// The same of what will stand there.
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
        /// A package is installed.
        Install = "install",
        /// A kernel module is loaded.
        Load = "load",
        /// A sysctl is set.
        Set = "set",
        /// systemd reads its units anew.
        Reload = "reload",
        /// A unit will start at boot.
        Enable = "enable",
        /// A unit, or swap, is switched off for good.
        Disable = "disable",
        /// A unit that doesn't run is started.
        Start = "start",
        /// A unit that runs is started anew.
        Restart = "restart",
        /// A unit is stopped.
        Stop = "stop",
        /// An image comes out of an archive.
        Import = "import",
        /// An image is pulled by the host.
        Pull = "pull",
    }
}

words! {
    /// Kinds of things.
    Kind {
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

/// How a change is made.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Package {
        name: String,
    },
    Directory {
        path: String,
        mode: u32,
        owner: Option<String>,
    },
    File {
        file: FileResource,
        keep: bool,
    },
    Attributes {
        path: String,
        mode: u32,
        owner: String,
        keep: bool,
    },
    Link {
        path: String,
        target: String,
    },
    Remove {
        path: String,
        keep: bool,
    },
    Module {
        name: String,
        effect: String,
    },
    Sysctl {
        path: String,
        value: String,
    },
    SwapOff {
        devices: Vec<String>,
        masks: Vec<String>,
        fstab: bool,
    },
    DaemonReload,
    Unit {
        name: String,
        verb: &'static str,
        unmask: bool,
    },
    StaticPod {
        name: String,
        /// Whether its manifest changes: then the kubelet starts it anew by
        /// itself, and we only wait.
        manifest: bool,
    },
    Import {
        archive: PathBuf,
        sha256: String,
        size: u64,
        /// Full names.
        references: Vec<String>,
    },
    Pull {
        reference: String,
    },
}

impl Step {
    fn payload(&self) -> u64 {
        match self {
            Step::File { file, .. } => super::observe::size(&file.content),
            Step::Import { size, .. } => *size,
            _ => 0,
        }
    }
}
