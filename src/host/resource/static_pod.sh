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
	await_end "$1" "$2"
	if [ "$2" = etcd ]; then end_api_server; fi
	# One that did not run is crash-looping. The kubelet starts no other in
	# its place while it holds back that one, and may do so for good.
	eval "ran=\$pod_$1"
	if [ -z "$ran" ] && [ -z "$kubelet_restarted" ]; then
		attempt "can't restart the kubelet" systemctl -q restart -- kubelet.service
		kubelet_restarted=yes
	fi
	finish "$1"
}

# static_pod_restart STEP NAME: its manifest is as it was, so it is ended here, and
# the kubelet starts it again.
static_pod_restart() {
	eval "for pid in \$pod_$1; do kill -TERM \"\$pid\" 2>/dev/null; done"
	static_pod_changed "$@"
	paid "$2"
}

# static_pod_follows STEP NAME: another step ends it.
static_pod_follows() {
	start "$1"
	await_end "$1" "$2"
	finish "$1"
	paid "$2"
}

# An API server that has been told to end accepts nothing more, answers what it has in hand, and
# then waits for clients that watch: for the whole 30 s that the kubelet gives it, or for a minute.
# Those can only connect again. So it gets 10 s, in which requests are answered.
api_server_tries=50

# await_end STEP NAME
await_end() {
	tries=0
	eval "old=\$pod_$1"
	for pid in $old; do
		while kill -0 "$pid" 2>/dev/null; do
			tries=$((tries + 1))
			if [ $tries -eq $api_server_tries ] && [ "$2" = kube-apiserver ]; then
				kill -KILL "$pid" 2>/dev/null
			fi
			if [ $tries -ge 600 ]; then
				fail "static pod $2 still runs as it was" "$(journalctl -u kubelet.service -n 20 --no-pager -o cat 2>/dev/null)"
			fi
			sleep 0.2 2>/dev/null || sleep 1
		done
	done
}

# end_api_server: without its etcd it accepts requests and doesn't answer them. The kubelet asks it
# before it starts the new etcd, and would wait for half a minute. What it has in hand is lost
# either way. One that has been started since does not accept requests before etcd is back.
end_api_server() {
	if [ -n "${putting_back-}" ]; then return; fi
	for pid in $(pids_of kube-apiserver); do kill -KILL "$pid" 2>/dev/null; done
}
