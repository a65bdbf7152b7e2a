# pids_of NAME: the processes of a static pod's container. A program of that
# name outside of pods is not Kubernetes'.
pids_of() {
	grep -Hnazx -e "$1" -e ".*/$1" ./proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' |
		sed -n 's#^\./proc/\([0-9]*\)/cmdline:1:.*#\1#p' |
		while read -r pid; do
			if grep -qs -e kubepods -e kubelet "./proc/$pid/cgroup"; then printf '%s ' "$pid"; fi
		done
}
