# What works with the package manager, on its own: a connection that is lost, or a run that is
# stopped, must not leave packages half-installed. See package.sh, which starts it and waits.
#
# Set before this text: package_managers (COMMAND,NAME each), jobs (the directory in which it
# leaves what it did).

: "${package_managers=}" "${jobs=.}"

# The first of $package_managers that is here.
find_manager() {
	for manager in $package_managers; do
		if command -v "${manager%,*}" >/dev/null 2>&1; then
			manager=${manager#*,}
			return
		fi
	done
	manager=
	echo "found no package manager (COMMAND,NAME): $package_managers"
	return 1
}

# try COMMAND...: again, up to five minutes, while another process holds the lock.
try() {
	tries=0
	while :; do
		"$@" >"$jobs/attempt" 2>&1
		status=$?
		cat "$jobs/attempt"
		if [ $status -eq 0 ] || [ $tries -ge 60 ]; then return $status; fi
		tries=$((tries + 1))
		case $(cat "$jobs/attempt") in
		*'get lock'* | *'frontend lock'* | *'is locked'* | *'holding the'*lock* | *'acquire the'*lock*) sleep 5 ;;
		*) return $status ;;
		esac
	done
}

# complain HOW: what was wrong, and did no harm.
complain() {
	first=$(grep -E "$1" "$jobs/attempt" | head -n 3 | tr '\n' ' ')
	if [ -n "$first" ]; then printf '%s\n' "$first" >>"$jobs/warnings"; fi
}

# One function for each package manager that packages.rs lists. Lists of packages that can't be
# brought up to date are no failure, be it that of a third party's source: what
# counts is whether the packages can be had.

install_by_apt() {
	if try apt_install "$@"; then return; fi
	if grep -q 'dpkg was interrupted' "$jobs/attempt"; then repair; fi
	if are_installed "$@"; then
		complain '^(E|dpkg): |^ [^ ]+$'
		return
	fi
	try apt_get update
	complain '^(E|Err)'
	if try apt_install "$@"; then return; fi
	are_installed "$@"
}

apt_get() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

apt_install() {
	apt_get --no-install-recommends -o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold install "$@"
}

# are_installed PACKAGE...: though another package's own script failed.
are_installed() {
	for package; do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
		'install ok installed' | 'hold ok installed') ;;
		*) return 1 ;;
		esac
	done
}

install_by_dnf() {
	if try dnf -y --setopt=install_weak_deps=False install "$@"; then return; fi
	complain '^(Error|Failed)'
	try dnf -y --setopt=install_weak_deps=False --setopt='*.skip_if_unavailable=1' install "$@"
}

install_by_yum() {
	if try yum -y install "$@"; then return; fi
	complain '^(Error|Failed)|Cannot|failure'
	try yum -y --setopt='*.skip_if_unavailable=1' install "$@"
}

install_by_zypper() {
	ZYPP_LOCK_TIMEOUT=300
	export ZYPP_LOCK_TIMEOUT
	if try zypper --non-interactive install --no-recommends "$@"; then return; fi
	complain '(rror|annot|ailed)'
	try zypper --non-interactive --no-refresh install --no-recommends "$@"
}

# repair: what an interrupted run of the package manager left. Whether it could finish every
# package is seen when ours are installed.
repair() {
	case $manager in
	apt) try dpkg --force-confdef --force-confold --configure -a || complain '^(E|dpkg)' ;;
	esac
	return 0
}

# main repair|install PACKAGE...
main() {
	DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
	export DEBIAN_FRONTEND NEEDRESTART_MODE
	find_manager || return
	verb=$1
	shift
	case $verb in
	repair) repair ;;
	install) "install_by_$manager" "$@" ;;
	esac
}

# work repair|install PACKAGE...: the whole, with its result where package.sh looks for it.
work() {
	# Packages' own scripts make files that everybody reads; ours are in a directory of root's.
	umask 022
	printf '%s %s\n' "$$" "$(cut -d ' ' -f 22 "/proc/$$/stat" 2>/dev/null)" >"$jobs/pid.new"
	mv -f -- "$jobs/pid.new" "$jobs/pid"
	main "$@" >"$jobs/log" 2>&1
	echo "$?" >"$jobs/result.new"
	mv -f -- "$jobs/result.new" "$jobs/result"
}
