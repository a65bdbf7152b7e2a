//! Data that etcd must not start with: its member was replaced, so it has to begin without.

use super::comparison::Comparison;
use super::kind::{Piece, ResourceKind, Wanted};
use super::question::Question;
use super::step::{Bundle, Step, Work};
use crate::host::change::{Action, Detail, Kind};
use crate::host::error::HostError;
use crate::host::wire::{quote, relative};
use crate::layout::components::ETCD;
use crate::layout::paths;

/// What a member that is replaced has left. It is kept beside its place.
#[derive(Debug, Clone)]
pub struct LostEtcdData {
    /// etcd's data directory.
    pub data_dir: String,
}

pub(in crate::host) const KIND: ResourceKind = ResourceKind {
    shell: include_str!("etcd_data.sh"),
    compare: compare_data,
    converge: set_data_aside,
    ..ResourceKind::NOTHING
};

#[derive(Debug)]
struct SetAside {
    data_dir: String,
}

impl Step for SetAside {
    fn place(&self) -> Result<Option<String>, HostError> {
        relative(&self.data_dir).map(|path| Some(path + "/."))
    }
}

impl Piece for LostEtcdData {
    fn ask(&self, question: &mut Question) -> Result<(), HostError> {
        question.add_path(&relative(&self.data_dir)?);
        Ok(())
    }

    fn place(&self) -> Option<String> {
        Some(format!("{}/.", self.data_dir))
    }

    fn describe(&self) -> String {
        format!("set aside etcd's data in {}", self.data_dir)
    }
}

fn compare_data(wanted: &Wanted<'_>, found: &mut Comparison<'_>) {
    for LostEtcdData { data_dir } in wanted.all() {
        let step = SetAside {
            data_dir: data_dir.clone(),
        };
        found.push(
            Action::SetAside,
            Kind::EtcdData,
            data_dir,
            Detail::None,
            step,
        );
    }
}

fn set_data_aside(work: &Work, bundle: &mut Bundle) -> Result<(), HostError> {
    for (number, SetAside { data_dir }) in work.all() {
        let dir = quote(&relative(data_dir)?);
        let manifest = quote(&relative(&paths::manifest(ETCD))?);
        bundle.line(&format!("set_etcd_data_aside {number} {manifest} {dir}"));
    }
    Ok(())
}
