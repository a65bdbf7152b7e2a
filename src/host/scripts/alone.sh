# Two scripts never change a machine at once. One whose operator was killed
# works on until it next reads its input, and has files of the same names under
# way as the one that comes after it.
busy=./run/clusterctl.busy

# born PID: when a process started, in ticks since boot; nothing if it is gone.
born() { cut -d ' ' -f 22 "/proc/$1/stat" 2>/dev/null; }

# alone SECONDS: waits until no other script is at work here.
alone() {
	if [ ! -d ./run ]; then return 0; fi
	waited=0
	printf '%s\n' "$$ $(born $$)" >"$busy.$$" || return 1
	until ln -- "$busy.$$" "$busy" 2>/dev/null; do
		pid=
		read -r pid since 2>/dev/null <"$busy"
		if [ -n "$pid" ] && [ "$(born "$pid")" != "$since" ]; then
			rm -f -- "$busy"
			continue
		fi
		if [ $waited -ge "$1" ]; then break; fi
		waited=$((waited + 1))
		sleep 1
	done
	rm -f -- "$busy.$$"
	[ $waited -lt "$1" ]
}

# over: the next one may begin.
over() {
	pid=
	if [ -e "$busy" ]; then read -r pid since 2>/dev/null <"$busy"; fi
	if [ "$pid" = "$$" ]; then rm -f -- "$busy"; fi
}

