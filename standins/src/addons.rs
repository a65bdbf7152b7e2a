//! kube-proxy and CoreDNS, as far as the kubelet needs to know whether they would start.

use serde_json::Value;

/// The plugins that a Corefile may name.
const PLUGINS: &str = "acl any auto autopath azure bind bufsize cache cancel chaos clouddns debug dns64 \
    dnssec dnstap erratic errors etcd file forward geoip grpc header health hosts import k8s_external \
    kubernetes loadbalance local log loop metadata minimal multisocket nsid pprof prometheus quic ready \
    reload rewrite root route53 secondary sign template timeouts tls trace transfer tsig view whoami";

/// Checks a KubeProxyConfiguration.
pub fn check_kube_proxy(text: &str) -> Result<(), String> {
    let config: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    if config["kind"] != "KubeProxyConfiguration" {
        return Err(format!("no kind {} is registered", config["kind"]));
    }
    crate::schema::decode_strictly(&config)?;
    match config["mode"].as_str().unwrap_or_default() {
        "" | "iptables" | "ipvs" | "nftables" => Ok(()),
        other => Err(format!(
            "KubeProxyConfiguration.Mode: Invalid value: {other:?}: must be iptables, ipvs, nftables or blank"
        )),
    }
}

/// Checks a Corefile: balanced braces, and only plugins that CoreDNS has.
pub fn check_corefile(text: &str) -> Result<(), String> {
    let mut depth = 0i32;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let word = line.split_whitespace().next().unwrap_or_default();
        let known = matches!(word, "" | "}") || PLUGINS.split_whitespace().any(|p| p == word);
        if depth == 1 && !known {
            return Err(format!(
                "Corefile:{} - Error during parsing: Unknown directive '{word}'",
                number + 1
            ));
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
    }
    match depth {
        0 => Ok(()),
        _ => Err("Corefile - Error during parsing: Unexpected EOF".to_owned()),
    }
}
