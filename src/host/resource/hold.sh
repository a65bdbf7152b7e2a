# Packages that are held back from upgrades.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${held=}"
# Each line is a word and a package: `present`, `held`. `able` says that this host can hold one.
if [ -n "$held" ]; then
	echo '@@section holds'
	if command -v apt-mark >/dev/null 2>&1; then
		echo 'able apt'
		# shellcheck disable=SC2086 # words
		dpkg-query -W -f '${Package} ${db:Status-Want} ${db:Status-Status}\n' $held 2>/dev/null |
			while read -r name want status; do
				if [ "$status" = installed ]; then echo "present $name"; fi
				if [ "$want" = hold ]; then echo "held $name"; fi
			done
	elif command -v rpm >/dev/null 2>&1; then
		# What is asked of the programs themselves takes seconds.
		for path in ./etc/dnf/plugins/versionlock.conf ./etc/yum/pluginconf.d/versionlock.conf; do
			if [ -e "$path" ]; then echo 'able rpm'; fi
		done
		if command -v dnf5 >/dev/null 2>&1 || command -v zypper >/dev/null 2>&1; then echo 'able rpm'; fi
		for name in $held; do
			if rpm -q "$name" >/dev/null 2>&1; then echo "present $name"; fi
			if grep -qsE "(^|[^!]*[0-9]+:|\"|: )$name(-[0-9]|\"|\$)" ./etc/dnf/plugins/versionlock.list \
				./etc/yum/pluginconf.d/versionlock.list ./etc/dnf/versionlock.toml ./etc/zypp/locks; then
				echo "held $name"
			fi
		done
	fi
fi

#: converge
# hold STEP NAME...: those of them that are installed.
hold() {
	start "$1"
	step=$1
	shift
	for package; do
		if command -v apt-mark >/dev/null 2>&1; then
			if ! dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed; then
				continue
			fi
			set_hold "$package" apt-mark hold "$package"
		elif ! rpm -q "$package" >/dev/null 2>&1; then
			continue
		elif command -v zypper >/dev/null 2>&1; then
			set_hold "$package" zypper --non-interactive addlock "$package"
		elif command -v dnf >/dev/null 2>&1; then
			set_hold "$package" dnf -q versionlock add "$package"
		else
			set_hold "$package" yum -q versionlock add "$package"
		fi
	done
	finish "$step"
}

# set_hold PACKAGE COMMAND...: again while another process holds the lock.
set_hold() {
	package=$1
	shift
	tries=0
	until output=$("$@" 2>&1 </dev/null); do
		tries=$((tries + 1))
		if [ $tries -ge 12 ]; then fail "can't hold $package" "$output"; fi
		sleep 5
	done
}

#: reset
# unhold NAME...: what we held may be upgraded again.
unhold() {
	doing 'release packages'
	for package; do
		if has apt-mark; then
			quietly 60 apt-mark unhold "$package"
		elif has zypper; then
			quietly 60 zypper --non-interactive removelock "$package"
		elif has dnf; then
			quietly 60 dnf -q versionlock delete "$package"
		elif has yum; then
			quietly 60 yum -q versionlock delete "$package"
		fi || left "package $package is held: it could not be released"
	done
}
