# Which run changed this machine last: a number that only grows, and whose it is. Each
# script that changes something has its run's number.
tab=$(printf '\t')
: "${state=./var/lib/clusterctl}"

# guard NUMBER OWNER: refuses a run that another one came after, which happens where a
# workstation was asleep. Changes nothing.
guard() {
	known=
	owner=
	if [ -r "$state/lock" ]; then
		line=$(head -n 1 "$state/lock")
		known=${line%%"$tab"*}
		owner=${line#*"$tab"}
	fi
	case $known in '' | *[!0-9]* | ????????????????*) known=0 ;; esac
	if [ "$known" -gt "$1" ] || { [ "$known" -eq "$1" ] && [ "$owner" != "$2" ]; }; then
		printf '@@refused %s%s%s\n' "$known" "$tab" "$owner"
		exit 1
	fi
}

# claim NUMBER OWNER: from now on, runs with smaller numbers are refused.
claim() {
	if [ ! -d "$state" ]; then mkdir -p -- "$state" && chmod 0700 "$state"; fi &&
		printf '%s\t%s\n' "$1" "$2" >|"$state/lock.new" &&
		mv -f -- "$state/lock.new" "$state/lock"
}
