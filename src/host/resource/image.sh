# Container images.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${images=}"
if [ -n "$images" ] && [ -e ./run/containerd/containerd.sock ]; then
	echo '@@section images'
	timeout 20 ctr -n k8s.io images ls -q 2>/dev/null </dev/null
fi

#: converge
containerd_answers=

await_containerd() {
	if [ -n "$containerd_answers" ]; then return; fi
	tries=0
	until output=$(timeout 5 ctr version 2>&1 </dev/null); do
		tries=$((tries + 1))
		if [ $tries -ge 60 ]; then fail "containerd doesn't answer" "$output"; fi
		sleep 0.5 2>/dev/null || sleep 1
	done
	containerd_answers=yes
}

# image STEP BYTES SHA256 REFERENCE...
# No registry may hold what came as an archive, so the kubelet must not collect
# it as garbage: it keeps what is pinned. A containerd before 1.7 ignores that.
image() {
	current=$1
	await_containerd
	archive=./var/lib/containerd/archive
	if [ ! -d ./var/lib/containerd ]; then archive=$state/archive; fi
	receive "$1" "$2" "$archive"
	verify 3<<EOF
$3  $new
EOF
	attempt "containerd refused the archive" ctr -n k8s.io images import "$new"
	rm -f -- "$new"
	step=$1
	shift 3
	for reference in "$@"; do
		ctr -n k8s.io images label "$reference" io.cri-containerd.pinned=pinned >/dev/null 2>&1 || :
	done
	finish "$step"
}

# pull_begin STEP REFERENCE, pull_end STEP REFERENCE: all begin before the
# first is waited for.
pull_begin() {
	start "$1"
	await_containerd
	log=$state/pull-$1.clusterctl-new
	rm -f -- "$log"
	temporary=$temporary$log$nl
	pull "$2" >"$log" 2>&1 </dev/null &
	eval "pull_$1=$!"
}

pull() {
	for pause in 1 3 10 0; do
		if command -v crictl >/dev/null 2>&1; then
			crictl --runtime-endpoint unix:///run/containerd/containerd.sock pull "$1"
		elif [ -d ./etc/containerd/certs.d ]; then
			ctr -n k8s.io images pull --hosts-dir ./etc/containerd/certs.d "$1"
		else
			ctr -n k8s.io images pull "$1"
		fi && return
		sleep $pause
	done
	return 1
}

pull_end() {
	current=$1
	eval "wait \$pull_$1" || fail "can't pull $2" "$(tail -n 5 "$state/pull-$1.clusterctl-new")"
	finish "$1"
}

#: reset
# images SOCKET REFERENCE...: and the names by digest that the CRI gives to
# them, unless a name of the host's own is for the same image.
images() {
	socket=$1
	shift
	doing 'remove imported images'
	list=$(limited 30 ctr -a "$socket" -n k8s.io images ls 2>/dev/null |
		sed -nE 's/^([^ ]+) +[^ ]+ +(sha256:[0-9a-f]+) .*/\2 \1/p')
	wanted=" $* "
	ours=' '
	foreign=' '
	while read -r digest name; do
		case $wanted,$name in
		*" $name "*) ours="$ours$digest " ;;
		*,sha256:* | *,*@sha256:*) ;;
		*) foreign="$foreign$digest " ;;
		esac
	done <<EOF
$list
EOF
	set --
	while read -r digest name; do
		case $wanted in *" $name "*) set -- "$@" "$name" && continue ;; esac
		case $name in sha256:* | *@sha256:*) ;; *) continue ;; esac
		case $foreign in *" $digest "*) continue ;; esac
		case $ours in *" $digest "*) set -- "$@" "$name" ;; esac
	done <<EOF
$list
EOF
	if [ $# -gt 0 ]; then
		quietly 120 ctr -a "$socket" -n k8s.io images rm --sync "$@" || stuck 'imported images'
	fi
}
