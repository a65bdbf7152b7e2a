# What a change replaces, kept until the new configuration has proven itself. It is not
# beside it: the kubelet runs every file in its manifests directory, whatever its name.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script
kept=./var/lib/clusterctl/previous
etcd_manifest=etc/kubernetes/manifests/etcd.yaml

# previous NAMES PATH...: keeps what is at these paths. What is kept already is older, and
# worked: a run that was cut off left it, and it stays. NAMES, each on a line, are what has
# to be restarted when it is put back.
previous() {
	attempt "can't make $kept" mkdir -p -- "$kept/files"
	mode 0700 "$state" "$kept"
	printf '%s' "$1" >>"$kept/restarts" || fail "can't write $kept/restarts"
	shift
	for path; do
		copy=$kept/files/${path#./}
		if there "$copy" || grep -qsxFe "$path" -- "$kept/absent"; then continue; fi
		if ! there "$path"; then
			printf '%s\n' "$path" >>"$kept/absent" || fail "can't write $kept/absent"
			continue
		fi
		attempt "can't keep $path" mkdir -p -- "${copy%/*}"
		# A second name takes no room, and what replaces the file has another inode.
		if [ ! -L "$path" ] && ln -- "$path" "$copy" 2>/dev/null; then continue; fi
		rm -f -- "$copy.part"
		attempt "can't keep $path" cp -Pp -- "$path" "$copy.part"
		attempt "can't keep $path" mv -f -- "$copy.part" "$copy"
	done
	find "$kept" -exec sync -- {} + 2>/dev/null || sync
}

# there PATH
there() { [ -e "$1" ] || [ -L "$1" ]; }

# forget_previous: the new configuration works, or the old one is back.
forget_previous() {
	if [ ! -d "$kept" ]; then return; fi
	# Half a set would be taken for a whole one.
	rm -rf -- "$kept.gone"
	attempt "can't remove $kept" mv -f -- "$kept" "$kept.gone"
	rm -rf -- "$kept.gone"
}

# kept_paths: what is kept, by the paths that it is from.
kept_paths() { (cd "$kept/files" && find . ! -type d ! -name '*.part'); }

# previous_safe: ends the script if others than root could redirect what goes back.
previous_safe() {
	all_safe <<END-OF-PATHS
$({ kept_paths; cat "$kept/absent"; } 2>/dev/null)
END-OF-PATHS
}

# put_back: what was replaced goes back to its place, and what reads it is restarted. Says
# "@@nothing" if nothing is kept, or if nothing was replaced yet.
put_back() {
	if [ ! -d "$kept/files" ] || ! replaced; then
		forget_previous
		echo '@@nothing'
		return
	fi
	names=$(sort -u -- "$kept/restarts" 2>/dev/null)
	putting_back=yes
	step=0
	for name in $names; do
		step=$((step + 1))
		case $name in *.*) ;; *) static_pod_runs "$step" "$name" ;; esac
	done
	drop_etcd
	give_back
	if { kept_paths; cat "$kept/absent" 2>/dev/null; } | grep -q /systemd/system/; then
		attempt "systemd can't read its units" systemctl daemon-reload
	fi
	restart_units
	step=0
	for name in $names; do
		step=$((step + 1))
		case $name in
		*.*) ;;
		*)
			if there "$kept/files/etc/kubernetes/manifests/$name.yaml"; then
				static_pod_changed "$step" "$name"
			else
				static_pod_restart "$step" "$name"
			fi
			;;
		esac
	done
	await_etcd
	forget_previous
	rm -f -- "$state/owed"
}

# drop_etcd: an API server without its etcd accepts requests and doesn't answer them, and a
# kubelet that starts waits a minute for that. So etcd's pod is not replaced by a restart of the
# kubelet, but dropped before the old one comes back.
drop_etcd() {
	etcd_dropped=
	if there "$kept/files/$etcd_manifest" && there "./$etcd_manifest"; then
		attempt "can't remove $etcd_manifest" rm -f -- "./$etcd_manifest"
		etcd_dropped=yes
		kubelet_restarted=yes
		if [ -d ./proc/1 ]; then sleep 1; fi
	fi
}

# await_etcd: if the kubelet holds it back all the same, it is restarted.
await_etcd() {
	if [ -z "$etcd_dropped" ] || [ ! -d ./proc/1 ]; then return; fi
	tries=0
	while [ -z "$(pids_of etcd)" ]; do
		tries=$((tries + 1))
		if [ $tries -ge 60 ]; then
			restart_unit kubelet.service
			return
		fi
		sleep 0.5 2>/dev/null || sleep 1
	done
}

# replaced: whether anything is not as it was.
replaced() {
	{
		if [ -e "$kept/absent" ]; then
			while read -r path; do
				if there "$path"; then echo differs; fi
			done <"$kept/absent"
		fi
		kept_paths | while read -r path; do
			[ "$(sha256sum 2>/dev/null <"$path")" = "$(sha256sum <"$kept/files/$path")" ] || echo differs
		done
	} | grep -q .
}

give_back() {
	changed=$(kept_paths)
	while read -r path; do
		temp "$path"
		rm -f -- "$new"
		temporary=$temporary$new$nl
		attempt "can't put $path back" cp -Pp -- "$kept/files/$path" "$new"
		flush "$new"
		attempt "can't put $path back" mv -f -- "$new" "$path"
		relabel "$path"
	done <<EOF
$changed
EOF
	if [ -s "$kept/absent" ]; then
		while read -r path; do rm -f -- "$path"; done <"$kept/absent"
	fi
	temporary=
}

# restart_units: containerd first, and the kubelet last. It holds back a static pod that is
# crash-looping, and with it the one that takes its place, unless it is restarted.
restart_units() {
	if kept_paths | grep '^./etc/kubernetes/manifests/' | grep -qv '/etcd.yaml$' || grep -qs /manifests/ "$kept/absent"; then
		names="$names${nl}kubelet.service"
		kubelet_restarted=yes
	fi
	for name in $(printf '%s\n' "$names" | grep -F . | sort -u); do
		if [ "$name" != kubelet.service ]; then restart_unit "$name"; fi
	done
	case $nl$names$nl in *"${nl}kubelet.service$nl"*) restart_unit kubelet.service ;; esac
}

restart_unit() {
	systemctl reset-failed -- "$1" 2>/dev/null
	if ! output=$(systemctl -q restart -- "$1" 2>&1 </dev/null); then
		fail "systemctl restart $1 failed" "$output$nl$(journalctl -u "$1" -n 20 --no-pager -o cat 2>/dev/null)"
	fi
}
