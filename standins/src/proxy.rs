//! The small ones: pause, and kube-proxy and CoreDNS as far as a process would need them.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until somebody asks the process to end.
pub async fn terminated() {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Does nothing until told to stop.
pub async fn pause() -> u8 {
    terminated().await;
    0
}

/// Reads its command line and configuration as kube-proxy does, then waits.
pub async fn kube_proxy(args: &[String]) -> u8 {
    let flags = match crate::flags::parse("kube-proxy", crate::version::current(), args) {
        Ok(flags) => flags,
        Err(e) => {
            eprintln!("Error: {e}");
            return 1;
        }
    };
    let path = flags.get("config");
    let checked = std::fs::read_to_string(path)
        .map_err(|e| format!("open {path}: {e}"))
        .and_then(|text| kube_proxy_config(&text));
    if let Err(e) = checked {
        crate::klog!(error, "command failed: {e}");
        return 1;
    }
    pause().await
}

/// Checks a KubeProxyConfiguration.
pub fn kube_proxy_config(text: &str) -> Result<(), String> {
    let config: serde_json::Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    if config["kind"] != "KubeProxyConfiguration" {
        return Err(format!("no kind {} is registered", config["kind"]));
    }
    crate::schema::strict(&config)?;
    match config["mode"].as_str().unwrap_or_default() {
        "" | "iptables" | "ipvs" | "nftables" => Ok(()),
        other => Err(format!(
            "KubeProxyConfiguration.Mode: Invalid value: {other:?}: must be iptables, ipvs, nftables or blank"
        )),
    }
}

/// Reads its command line as CoreDNS does, then waits.
pub async fn coredns(args: &[String]) -> u8 {
    let path = args
        .windows(2)
        .find(|w| w[0] == "-conf")
        .map_or("Corefile", |w| w[1].as_str());
    match std::fs::read_to_string(path)
        .map_err(|e| e.to_string())
        .and_then(|text| corefile(&text))
    {
        Ok(()) => pause().await,
        Err(e) => {
            eprintln!("{e}");
            1
        }
    }
}

/// Checks a Corefile: balanced braces, and only plugins that CoreDNS has.
pub fn corefile(text: &str) -> Result<(), String> {
    const PLUGINS: &[&str] = &[
        "errors",
        "health",
        "ready",
        "kubernetes",
        "prometheus",
        "forward",
        "cache",
        "loop",
        "reload",
        "loadbalance",
        "hosts",
        "rewrite",
        "log",
        "template",
        "file",
        "import",
        "bind",
        "debug",
        "autopath",
        "any",
        "acl",
        "dns64",
        "erratic",
        "whoami",
        "root",
        "trace",
        "pprof",
        "tls",
        "timeouts",
        "bufsize",
        "cancel",
        "chaos",
        "dnssec",
        "etcd",
        "grpc",
        "header",
        "k8s_external",
        "local",
        "metadata",
        "minimal",
        "multisocket",
        "nsid",
        "quic",
        "route53",
        "secondary",
        "sign",
        "transfer",
        "tsig",
        "view",
        "auto",
        "azure",
        "clouddns",
        "dnstap",
        "geoip",
    ];
    let mut depth = 0i32;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let word = line.split_whitespace().next().unwrap_or_default();
        if depth == 1 && !matches!(word, "" | "}") && !PLUGINS.contains(&word) {
            return Err(format!(
                "Corefile:{} - Error during parsing: Unknown directive '{word}'",
                number + 1
            ));
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
    }
    if depth == 0 {
        Ok(())
    } else {
        Err("Corefile - Error during parsing: Unexpected EOF".to_owned())
    }
}
