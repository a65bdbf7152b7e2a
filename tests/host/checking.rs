//! What scripts of ours say is missing.

#![allow(clippy::unwrap_used)]

use clusterctl::host::{Detail, Resource, SelfCheck, Unit};

use crate::converging::lines;
use crate::root::roots_and_busybox;

const SCRIPT: &str = "/usr/local/lib/clusterctl/net.sh";

#[test]
fn what_is_missing_restarts_the_unit_that_keeps_it_up_and_is_said() {
    for root in roots_and_busybox() {
        let resources = [
            Resource::SelfCheck(SelfCheck {
                script: SCRIPT.into(),
                unit: "net.service".into(),
            }),
            Resource::Unit(Unit {
                name: "net.service".into(),
                enabled: true,
                active: true,
            }),
        ];
        let state = |active: &str| {
            let text = format!(
                "Id=net.service\nLoadState=loaded\nActiveState={active}\nUnitFileState=enabled\n"
            );
            root.write("units/net.service", &text);
        };
        state("active");
        assert_eq!(
            lines(&root.plan(&resources)),
            [""; 0],
            "there is no script yet"
        );
        root.write(SCRIPT, "[ \"$1\" = check ] || exit 1\n");
        assert_eq!(lines(&root.plan(&resources)), [""; 0]);
        let said = "echo 'route 10.244.0.0/16'; echo '@@section units'; cat; exit 3\n";
        root.write(SCRIPT, said);
        let plan = root.plan(&resources);
        assert_eq!(lines(&plan), ["restart unit net.service"]);
        let text = "missing: route 10.244.0.0/16, @@section units".to_owned();
        assert_eq!(plan.changes[0].detail, Detail::Text { text });
        state("inactive");
        let plan = root.plan(&resources);
        assert_eq!(plan.changes.len(), 1);
        assert!(
            lines(&plan)[0].starts_with("start unit net.service"),
            "{:?}",
            lines(&plan)
        );
    }
}
