//! The file that `clusterctl-rs init` writes.

/// A short inventory to start from, with the settings that most people look
/// for as comments. It loads as it is; its addresses are placeholders.
///
/// `name` becomes `metadata.name`, so it has to be a DNS label.
pub fn starter(name: &str) -> String {
    include_str!("starter.yaml").replace("{name}", name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::inventory::parse;

    #[test]
    fn it_loads_without_a_warning() {
        let (cluster, warnings) =
            parse(&starter("demo"), "inventory.yaml", Path::new("/")).unwrap();
        assert_eq!(cluster.name, "demo");
        assert_eq!(cluster.hosts.len(), 2);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    /// Each commented setting must still be right once it is uncommented.
    #[test]
    fn its_comments_are_right() {
        let uncomment = |line: &str| match line.split_once('#') {
            Some((indent, setting)) if !indent.is_empty() && indent.trim().is_empty() => {
                let prose = setting.starts_with(' ') && !setting.starts_with("  ");
                // These need files that aren't here.
                let absent = setting.contains("privateKey") || setting.contains("artifacts");
                match prose || absent {
                    true => String::new(),
                    false => format!("{indent}{setting}\n"),
                }
            }
            _ => format!("{line}\n"),
        };
        let text: String = starter("demo").lines().map(uncomment).collect();
        assert!(text.contains("\n  controlPlaneEndpoint:"), "{text}");
        assert!(text.contains("\n    extraArgs:"), "{text}");
        let (cluster, _) = parse(&text, "inventory.yaml", Path::new("/"))
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(cluster.hosts.len(), 12);
        assert_eq!(cluster.api_server.extra_args.len(), 1);
    }
}
