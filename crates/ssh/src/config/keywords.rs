//! Keywords that are understood and make no difference here.

/// Whether `ssh` knows this keyword (in lower case), but it changes neither where a connection
/// leads nor whether it comes about.
///
/// A keyword that is neither read nor listed here is an error, as in `ssh`: it may be the one
/// that was to forbid a host.
pub(super) fn makes_no_difference(keyword: &str) -> bool {
    SILENT.contains(&keyword)
}

const SILENT: &[&str] = &[
    // What a session is used for. Ours runs scripts, and nothing else is forwarded.
    "addkeystoagent",
    "batchmode",
    "channeltimeout",
    "clearallforwardings",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "dynamicforward",
    "enableescapecommandline",
    "escapechar",
    "exitonforwardfailure",
    "forkafterauthentication",
    "forwardagent",
    "forwardx11",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "localcommand",
    "localforward",
    "obscurekeystroketiming",
    "permitlocalcommand",
    "permitremoteopen",
    "remotecommand",
    "remoteforward",
    "requesttty",
    "sendenv",
    "sessiontype",
    "setenv",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "tunnel",
    "tunneldevice",
    "xauthlocation",
    // Ways of logging in that are never tried.
    "challengeresponseauthentication",
    "enablesshkeysign",
    "gssapiauthentication",
    "gssapiclientidentity",
    "gssapidelegatecredentials",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "hostbasedacceptedalgorithms",
    "hostbasedauthentication",
    "hostbasedkeytypes",
    "kbdinteractiveauthentication",
    "kbdinteractivedevices",
    "numberofpasswordprompts",
    "passwordauthentication",
    "skeyauthentication",
    "tisauthentication",
    // Keys of security tokens are used through the agent.
    "securitykeyprovider",
    "usekeychain",
    // Host keys are always checked, and new ones are only taken by `hosts trust`.
    "nohostauthenticationforlocalhost",
    "stricthostkeychecking",
    "updatehostkeys",
    "verifyhostkeydns",
    // What is shown and written.
    "fingerprinthash",
    "hashknownhosts",
    "loglevel",
    "logverbose",
    "syslogfacility",
    "versionaddendum",
    "visualhostkey",
    "warnweakcrypto",
    // How bytes travel. A silent host is given up after a time of our own.
    "compression",
    "ipqos",
    "keepalive",
    "protocolkeepalives",
    "rekeylimit",
    "serveralivecountmax",
    "serveraliveinterval",
    "setuptimeout",
    "tcpkeepalive",
    // `ssh` ignores these, too.
    "afstokenpassing",
    "cipher",
    "compressionlevel",
    "fallbacktorsh",
    "globalknownhostsfile2",
    "kerberosauthentication",
    "kerberostgtpassing",
    "protocol",
    "rhostsauthentication",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "useprivilegedport",
    "userknownhostsfile2",
    "useroaming",
    "usersh",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_keyword_is_listed_once_and_in_lower_case() {
        for (index, keyword) in SILENT.iter().enumerate() {
            assert!(!SILENT[..index].contains(keyword), "{keyword}");
            assert_eq!(keyword.to_ascii_lowercase(), **keyword);
        }
    }
}
