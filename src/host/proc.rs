//! What files below /proc say.

/// Names of active swap devices in /proc/swaps, whose first line is a header.
pub(super) fn swap_devices<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    lines
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
