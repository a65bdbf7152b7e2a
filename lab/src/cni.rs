//! CNI plugins that read what they are given as real ones do, and set up nothing.

use std::io::Read;

use serde_json::{Value, json};

/// Plays a plugin; the exit status.
pub fn main(name: &str) -> u8 {
    let env = |key: &str| std::env::var(key).unwrap_or_default();
    match env("CNI_COMMAND").as_str() {
        "" => {
            eprintln!(
                "CNI {name} plugin stand-in\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
            );
            0
        }
        "VERSION" => {
            println!(
                "{}",
                json!({"cniVersion": "1.1.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]})
            );
            0
        }
        command => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            let conf: Value = serde_json::from_str(&text).unwrap_or_default();
            if read.is_err() || conf["type"] != name {
                println!(
                    "{}",
                    json!({"cniVersion": "1.0.0", "code": 6, "msg": "failed to decode network configuration"})
                );
                return 1;
            }
            if command == "ADD" {
                println!(
                    "{}",
                    json!({"cniVersion": conf["cniVersion"], "interfaces": [{"name": env("CNI_IFNAME")}], "ips": []})
                );
            }
            0
        }
    }
}
