# Refuses runs with smaller numbers on this machine from now on, if any has ever changed it.
cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin
umask 077
state=./var/lib/clusterctl

take() {
	echo '@@clusterctl take 1'
	if [ -d "$state" ]; then
		all_safe </dev/null
		guard "$1" "$2"
		claim "$1" "$2" || exit 1
	fi
	echo '@@end'
}
