//! Numbers of bytes as people read them.

/// `557 bytes`, `12 KiB`, `3.4 MiB`, `1.5 GiB`.
pub fn human(bytes: u64) -> String {
    const KIB: f64 = 1024.0;
    #[allow(clippy::cast_precision_loss)] // One digit is shown.
    let size = bytes as f64;
    match size {
        _ if size < KIB => format!("{bytes} bytes"),
        _ if size < KIB * KIB => format!("{:.0} KiB", size / KIB),
        _ if size < KIB * KIB * KIB => format!("{:.1} MiB", size / KIB / KIB),
        _ => format!("{:.1} GiB", size / KIB / KIB / KIB),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn units_grow_with_the_number() {
        assert_eq!(super::human(557), "557 bytes");
        assert_eq!(super::human(20_480), "20 KiB");
        assert_eq!(super::human(5 << 19), "2.5 MiB");
        assert_eq!(super::human(3 << 29), "1.5 GiB");
    }
}
