//! What systemd says about units.

use std::collections::BTreeMap;

/// What systemd says about a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`.
    pub load: String,
    /// `active`, `inactive`, `activating`, `failed`.
    pub active: String,
    /// More of the same: `running`, `dead`, `auto-restart`; empty if it was not asked.
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, or empty.
    pub file: String,
}

/// Blocks of `Key=value`, as `systemctl show` prints them for several units.
pub(super) fn parse_units(lines: &[String]) -> BTreeMap<String, UnitState> {
    let mut units = BTreeMap::new();
    for block in lines.split(|line| line.is_empty()) {
        let value = |key: &str| {
            let line = block
                .iter()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        let name = value("Id");
        if !name.is_empty() {
            let state = UnitState {
                load: value("LoadState"),
                active: value("ActiveState"),
                sub: value("SubState"),
                file: value("UnitFileState"),
            };
            units.insert(name, state);
        }
    }
    units
}

/// A unit's name with its suffix.
pub(super) fn unit_name(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}
