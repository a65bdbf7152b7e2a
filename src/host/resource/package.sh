# Packages of the distribution.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
: "${commands=}"
echo '@@section commands'
for name in $commands; do
	if command -v "$name" >/dev/null 2>&1; then printf '%s\n' "$name"; fi
done
echo '@@section package_state'
package_state

#: converge
jobs=$state/packages

# package_program, with its text on file descriptor 3. It runs beside this script, and goes on if
# this one ends; it has the proxies of this one, but is not told them in words that others see.
package_program() {
	attempt "can't make $jobs" mkdir -p -m 0700 -- "$jobs"
	here=$(cd "$jobs" && pwd)
	# What an earlier run left at work is waited for, whatever it is.
	while package_job_runs; do sleep 1; done
	{
		printf "cd '%s' || exit 1\\njobs=.\\n" "$here"
		echo "PATH='$PATH'"
		export -p | grep -iE '^(export|declare -x) [a-z]*_proxy='
		cat <&3
	} >|"$jobs/program.sh" || fail "can't write $jobs/program.sh"
}

# package_job_runs: whether the package manager is at work for us.
package_job_runs() {
	pid=
	if [ -e "$jobs/pid" ]; then read -r pid since 2>/dev/null <"$jobs/pid"; fi
	[ -n "$pid" ] && [ "$(born "$pid")" = "$since" ]
}

# package_job WHY repair|install PACKAGE...
package_job() {
	why=$1
	shift
	rm -f -- "$jobs/pid" "$jobs/result" "$jobs/warnings" "$jobs/log"
	start_package_job "$@"
	silent=0
	until [ -e "$jobs/result" ]; do
		sleep 0.2 2>/dev/null || sleep 1
		if package_job_runs; then
			silent=0
			continue
		fi
		silent=$((silent + 1))
		if [ $silent -ge 50 ] && [ ! -e "$jobs/result" ]; then
			fail "$why: the package manager was stopped" "$(tail -n 40 "$jobs/log" 2>/dev/null)"
		fi
	done
	read -r result <"$jobs/result"
	if [ "$result" != 0 ]; then fail "$why" "$(tail -n 40 "$jobs/log")"; fi
	if [ -e "$jobs/warnings" ]; then
		while IFS= read -r line; do warn "$line"; done <"$jobs/warnings"
	fi
}

# start_package_job WORD...: as a unit of its own, else in a session of its own.
start_package_job() {
	program=$here/program.sh
	if [ -d ./run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
		unit=clusterctl-packages.service
		systemctl reset-failed "$unit" >/dev/null 2>&1
		if systemd-run --quiet --collect --unit="$unit" \
			--description='Packages for clusterctl-rs' /bin/sh "$program" "$@" </dev/null >/dev/null 2>&1; then
			return
		fi
	fi
	detached=
	if command -v setsid >/dev/null 2>&1; then detached=setsid; fi
	$detached /bin/sh "$program" "$@" </dev/null >/dev/null 2>&1 &
}
