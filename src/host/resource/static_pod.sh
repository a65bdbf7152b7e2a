# Static pods that run already.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: converge
# static_pod_runs STEP NAME: which processes it is before anything changes.
static_pod_runs() { eval "pod_$1=\$(pids_of \"\$2\")"; }

kubelet_restarted=

# static_pod_changed STEP NAME: the kubelet takes the old one down. Until that is
# done, its answers say nothing about the new one.
static_pod_changed() {
	start "$1"
	eval "set -- \"\$1\" \"\$2\" \$pod_$1"
	step=$1
	name=$2
	shift 2
	tries=0
	for pid in "$@"; do
		while kill -0 "$pid" 2>/dev/null; do
			tries=$((tries + 1))
			if [ $tries -ge 600 ]; then
				fail "static pod $name still runs as it was" "$(journalctl -u kubelet.service -n 20 --no-pager -o cat 2>/dev/null)"
			fi
			sleep 0.2 2>/dev/null || sleep 1
		done
	done
	# One that did not run is crash-looping. The kubelet starts no other in
	# its place while it holds back that one, and may do so for good.
	if [ $# -eq 0 ] && [ -z "$kubelet_restarted" ]; then
		attempt "can't restart the kubelet" systemctl -q restart -- kubelet.service
		kubelet_restarted=yes
	fi
	finish "$step"
}

# static_pod_restart STEP NAME: its manifest is as it was, so it is ended here, and
# the kubelet starts it again.
static_pod_restart() {
	eval "for pid in \$pod_$1; do kill -TERM \"\$pid\" 2>/dev/null; done"
	static_pod_changed "$@"
	paid "$name"
}
