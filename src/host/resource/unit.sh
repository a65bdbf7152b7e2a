# systemd units.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${units=0}"
echo '@@section units'
# shellcheck disable=SC2016 # the inner shell's
list "$units" sh -c '
	systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload -- "$@"
	# What systemd remembers of this may be older than what is there.
	echo "@@section boot"
	for unit; do printf "%s %s\n" "$unit" "$(systemctl is-enabled -- "$unit" 2>/dev/null | head -n 1)"; done
' sh

#: converge
# unit STEP VERB NAME
unit() {
	start "$1"
	# What is for the next boot needs no reload, which takes systemd a while.
	case $2 in
	enable | disable) reload=--no-reload ;;
	*) reload= ;;
	esac
	if ! output=$(systemctl -q "$2" $reload -- "$3" 2>&1 </dev/null); then
		log=$(journalctl -u "$3" -n 20 --no-pager -o cat 2>/dev/null)
		fail "systemctl $2 $3 failed" "$output$nl$log"
	fi
	if [ "$2" = restart ]; then
		if [ "$3" = containerd.service ]; then serves_kubelet; fi
		paid "$3"
	fi
	finish "$1"
}

# unit_gone STEP NAME: neither runs nor starts at boot.
unit_gone() {
	start "$1"
	attempt "systemctl disable --now $2 failed" systemctl -q disable --now -- "$2"
	finish "$1"
}

# serves_kubelet: containerd runs without its plugins if their configuration is wrong, and
# only the kubelet would miss them.
serves_kubelet() {
	if timeout 10 ctr plugins ls 2>/dev/null | grep 'cri' | grep -qw error; then
		log=$(journalctl -u containerd.service -n 100 --no-pager -o cat 2>/dev/null |
			grep 'failed to load plugin' | tail -n 20 | head -n 1)
		fail "containerd does not serve the kubelet" "$log"
	fi
}

# mask VERB NAME: mask or unmask a unit.
mask() { attempt "can't $1 $2" systemctl -q "$1" -- "$2"; }

daemon_reload() {
	start "$1"
	attempt "systemd can't read its units" systemctl daemon-reload
	finish "$1"
}

#: reset
# unit_down VERB UNIT: stop, disable or unmask.
unit_down() {
	quietly 120 systemctl "$1" "$2"
	if [ "$1" = stop ] && quietly 20 systemctl is-active -q "$2"; then stuck "$2 still runs"; fi
}

reload_units() {
	doing 'restore units'
	quietly 60 systemctl daemon-reload
	quietly 20 systemctl reset-failed kubelet.service
}

# unit_back VERB UNIT: enable, restart, or start without waiting for it, for
# what it needs may not be back yet.
unit_back() {
	case $1 in
	start) quietly 60 systemctl --no-block start "$2" ;;
	*) quietly 120 systemctl "$1" "$2" || stuck "can't $1 $2" ;;
	esac
}
