# Package managers.
# shellcheck disable=SC2154 # set by the rest of the script

# install_packages PACKAGE...: by the first of $package_managers (COMMAND,NAME each)
# that is here.
install_packages() {
	for manager in $package_managers; do
		if command -v "${manager%,*}" >/dev/null 2>&1; then
			"install_by_${manager#*,}" "$@"
			return
		fi
	done
	echo "found no package manager (COMMAND,NAME): $package_managers"
	return 1
}

# One function for each package manager that packages.rs lists.

install_by_apt() {
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
	apt_install "$@" || { apt_get update && apt_install "$@"; }
}

apt_get() { apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

apt_install() {
	apt_get --no-install-recommends -o Dpkg::Options::=--force-confdef \
		-o Dpkg::Options::=--force-confold install "$@"
}

install_by_dnf() { dnf -y --setopt=install_weak_deps=False install "$@"; }

install_by_yum() { yum -y install "$@"; }

install_by_zypper() { zypper --non-interactive install --no-recommends "$@"; }
