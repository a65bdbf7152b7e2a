# Tells which components of this machine end again and again, or can't start, and what
# they say about it. Changes nothing.
#
# Set before this text: since (seconds since 1970, or nothing), components (their names).

: "${since=}" "${components=}"
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
# On some distributions, others may write to /var/log: their logs would be anything.
if [ ! -O ./var/log/pods ]; then components=; fi

# What a program says of arguments that it refuses, wherever in its log.
refusals='Error: |unknown flag|unknown shorthand flag|flag provided but not defined|invalid argument|invalid value|^panic: '

# words LOG: the lines of a container's log that may say why it ended.
words() {
	if [ ! -r "$1" ]; then return; fi
	cut -d ' ' -f 4- <"$1" | grep -aE "^[EF][0-9]{4} |$refusals" | tail -n 8
	tail -n 12 "$1" 2>/dev/null | cut -d ' ' -f 4-
}

# newest COMPONENT: its newest log. The names are the kubelet's own.
newest() {
	# shellcheck disable=SC2012 # find can't sort by time
	ls -t ./var/log/pods/kube-system_"$1"-*/"$1"/*.log 2>/dev/null | head -n 1
}

echo '@@clusterctl crashes 1'
echo '@@section now'
date +%s
echo '@@section units'
systemctl show -p Id,ActiveState,SubState,NRestarts -- containerd.service kubelet.service 2>/dev/null
for unit in containerd.service kubelet.service; do
	echo "@@section unit $unit"
	journalctl -u "$unit" -n 40 --no-pager -o cat 2>/dev/null | cut -c 1-900
done
echo '@@section places'
for component in $components; do
	for place in ./var/log/pods/kube-system_"$component"-*/"$component"; do
		last=
		for log in "$place"/*.log; do
			log=${log##*/}
			log=${log%.log}
			case $log in '' | *[!0-9]*) continue ;; esac
			if [ "$log" -gt "${last:--1}" ]; then last=$log; fi
		done
		if [ -n "$last" ]; then printf '%s %s\n' "$place" "$last"; fi
	done
done
for component in $components; do
	log=$(newest "$component")
	if [ -z "$log" ]; then continue; fi
	echo "@@section pod $component"
	attempt=${log##*/}
	attempt=${attempt%.log}
	if [ -n "$(pids_of "$component")" ]; then state=running; else state=ended; fi
	printf '%s %s %s\n' "${log%/*}" "$attempt" "$state"
	case $state$attempt in
	*[!a-z0-9]* | running0) ;;
	ended*) words "$log" ;;
	*) words "${log%/*}/$((attempt - 1)).log" ;;
	esac | cut -c 1-900
done
if [ -n "$since" ]; then
	# Pods that the kubelet can't start: it says so of each attempt.
	echo '@@section kubelet'
	journalctl -u kubelet.service --since "@$since" --no-pager -o cat 2>/dev/null |
		grep -aE '^E[0-9]{4} ' |
		grep -E 'manifest|config file|MountVolume|StartContainer|CreatePodSandbox' |
		cut -c 1-900 | tail -n 40
fi
echo '@@end'
