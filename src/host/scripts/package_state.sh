# package_state: whether the package manager was interrupted: dpkg's journal, and packages that are
# half there. One that is at work right now was not.
package_state() {
	inode=$(stat -c %i ./var/lib/dpkg/lock-frontend 2>/dev/null)
	if [ -n "$inode" ] && grep -qs ":$inode " ./proc/locks; then return; fi
	for path in ./var/lib/dpkg/updates/[0-9]*; do
		if [ -e "$path" ]; then echo interrupted; fi
		break
	done
	if grep -aqsE '^Status: [a-z]+ [a-z]+ (half-installed|half-configured|unpacked)$' ./var/lib/dpkg/status; then
		echo half
	fi
}
