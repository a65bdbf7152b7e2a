# Data that etcd must not start with.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: converge
# set_etcd_data_aside STEP MANIFEST DIRECTORY: etcd has stopped before its data moves, and starts
# again without. The manifest is moved out of the kubelet's sight for that time.
set_etcd_data_aside() {
	start "$1"
	aside=$state/etcd.yaml
	if [ -e "$2" ]; then attempt "can't move $2 away" mv -f -- "$2" "$aside"; fi
	tries=0
	while [ -n "$(pids_of etcd)" ]; do
		tries=$((tries + 1))
		if [ $tries -ge 600 ]; then
			mv -f -- "$aside" "$2"
			fail "etcd still runs without its manifest" "$(journalctl -u kubelet.service -n 20 --no-pager -o cat 2>/dev/null)"
		fi
		sleep 0.2 2>/dev/null || sleep 1
	done
	for place in "$3/member" "$(sed -n 's/^ *- --wal-dir=/./p' "$aside" | tail -n 1)"; do
		if [ ! -e "$place" ]; then continue; fi
		kept=$place.lost
		number=1
		while [ -e "$kept" ]; do
			number=$((number + 1))
			kept=$place.lost.$number
		done
		attempt "can't move $place away" mv -- "$place" "$kept"
	done
	attempt "can't put $2 back" mv -f -- "$aside" "$2"
	# The kubelet has dropped the old pod, so that it takes this one for a new one, and need not be
	# restarted for it: that would take a minute while its API server is down.
	tries=0
	while [ -d ./proc/1 ] && [ $tries -lt 75 ]; do
		tries=$((tries + 1))
		if [ -n "$(pids_of etcd)" ]; then
			kubelet_restarted=yes
			break
		fi
		sleep 0.2 2>/dev/null || sleep 1
	done
	finish "$1"
}
