# Packages of the distribution.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${commands=}"
echo '@@section commands'
for name in $commands; do
	if command -v "$name" >/dev/null 2>&1; then printf '%s\n' "$name"; fi
done

#: converge
# packages NAME...
packages() {
	tries=0
	until output=$(install_packages "$@" 2>&1 </dev/null); do
		tries=$((tries + 1))
		# Another process holds the lock: wait, up to five minutes.
		case $output in
		*'get lock'* | *'frontend lock'* | *'is locked'* | *'holding the'*lock*) if [ $tries -lt 60 ]; then sleep 5 && continue; fi ;;
		esac
		fail "can't install $*" "$(printf '%s\n' "$output" | tail -n 40)"
	done
}
