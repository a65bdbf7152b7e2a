//! Every kind of resource.

use super::absent::{self, Absent, Withdrawn};
use super::directory::{self, Directory};
use super::etcd_data::{self, LostEtcdData};
use super::file::{self, FileResource};
use super::hold::{self, PackageHold};
use super::image::{self, ImageArchive, ImagePull};
use super::kind::{Piece, ResourceKind};
use super::link::{self, SeedLink};
use super::module::{self, KernelModule};
use super::package::{self, Package};
use super::self_check::{self, SelfCheck};
use super::static_pod;
use super::swap::{self, SwapOff};
use super::sysctl::{self, Sysctl};
use super::unit::{self, Unit};
use super::withdrawn_unit::{self, WithdrawnUnit};

/// Every kind, in the order in which they are asked for, compared and changed. Packages
/// bring what units need, files lie in directories, containerd comes before images, and the
/// kubelet after everything that it needs.
pub(in crate::host) const KINDS: [ResourceKind; 16] = [
    package::KIND,
    hold::KIND,
    directory::KIND,
    file::KIND,
    link::KIND,
    withdrawn_unit::KIND,
    absent::KIND,
    module::KIND,
    sysctl::KIND,
    swap::KIND,
    self_check::KIND,
    unit::KIND,
    image::KIND,
    unit::KUBELET,
    etcd_data::KIND,
    static_pod::KIND,
];

macro_rules! resources {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($type:ident),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub enum $name {
            $(#[doc = concat!("See [`", stringify!($type), "`].")] $variant($type),)*
        }

        impl $name {
            pub(in crate::host) fn as_piece(&self) -> &dyn Piece {
                match self { $($name::$variant(piece) => piece,)* }
            }
        }
    };
}

resources! {
    /// One piece of a host's desired state.
    ///
    /// A list of these is a pure function of cluster, PKI and facts. The order within a
    /// list matters only among equals: converging goes by kind.
    Resource {
        Package(Package),
        PackageHold(PackageHold),
        Directory(Directory),
        File(FileResource),
        SeedLink(SeedLink),
        Absent(Absent),
        Withdrawn(Withdrawn),
        KernelModule(KernelModule),
        Sysctl(Sysctl),
        SwapOff(SwapOff),
        SelfCheck(SelfCheck),
        Unit(Unit),
        WithdrawnUnit(WithdrawnUnit),
        LostEtcdData(LostEtcdData),
        ImageArchive(ImageArchive),
        ImagePull(ImagePull),
    }
}

impl Resource {
    /// What it is, on one line.
    pub fn describe(&self) -> String {
        self.as_piece().describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kinds_shell_text_has_known_parts_and_nothing_outside_of_them() {
        for kind in &KINDS {
            let mut lines = kind.shell.lines();
            let before = lines.by_ref().take_while(|line| !line.starts_with("#: "));
            for line in before {
                assert!(line.is_empty() || line.starts_with('#'), "{line}");
            }
            for line in kind.shell.lines() {
                if let Some(name) = line.strip_prefix("#: ") {
                    assert!(["observe", "converge", "reset"].contains(&name), "{name}");
                }
            }
        }
    }
}
