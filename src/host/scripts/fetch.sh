# Tells what files hold, keys among them. Changes nothing. What follows this text says which.

cd "${CLUSTERCTL_ROOT:-/}" || exit 1
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin

# fetch PATH: nothing, if there is no such file.
fetch() {
	ask "$1/."
	if [ ! -f "$1" ] || ! safe "$1/."; then return; fi
	printf '@@section file %s\n' "$1"
	head -c 1048576 "$1" | base64
}

echo '@@clusterctl fetch 1'
