# Swap.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
echo '@@section swap'
grep -aHs '' ./proc/swaps
grep -aHsE '^[^#]+[[:space:]]swap[[:space:]]' ./etc/fstab
# Units that switch it on at the next boot. Those that systemd made of fstab go with its lines.
# Asked by name: `systemctl list-unit-files` reads every unit there is, which takes seconds
# on a slow disk.
for dir in ./etc/systemd/system ./run/systemd/system ./run/systemd/generator* \
	./usr/local/lib/systemd/system ./usr/lib/systemd/system ./lib/systemd/system; do
	for unit in "$dir"/*.swap; do
		if [ -e "$unit" ]; then printf '%s\n' "${unit##*/}"; fi
	done
done | sort -u | while read -r name; do
	case $(systemctl is-enabled -- "$name" 2>/dev/null) in
	enabled*) ;;
	generated)
		if grep -qsx 'SourcePath=/etc/fstab' "./run/systemd/generator/$name"; then continue; fi
		;;
	*) continue ;;
	esac
	printf 'unit:%s\n' "$name"
done

#: converge
swap_off() { attempt "can't switch off swap on $1" swapoff -- "$1"; }

# Swap stays off after a reboot: its lines in fstab become comments.
swap_fstab() {
	temp ./etc/fstab
	rm -f -- "$new"
	temporary=$temporary$new$nl
	keep ./etc/fstab
	attempt "can't change /etc/fstab" cp -p -- ./etc/fstab "$new"
	sed -E 's/^([^#]+[[:space:]]swap[[:space:]])/#\1/' ./etc/fstab >|"$new" ||
		fail "can't change /etc/fstab"
	flush "$new"
	attempt "can't change /etc/fstab" mv -f -- "$new" ./etc/fstab
	settle ./etc
}

#: reset
# swap_on DEVICE...: by fstab, which may know its options, or by hand.
swap_on() {
	doing 'switch swap back on'
	quietly 60 swapon -a
	ask "$@"
	for device; do
		if ! safe "$device/."; then
			left "swap on $device is off ($(why))"
			continue
		fi
		if grep -q "^${device}[[:space:]]" ./proc/swaps 2>/dev/null; then continue; fi
		quietly 60 swapon "$device" || left "swap on $device is off: it can't be switched on again"
	done
}

swapless() { sed -E 's/^([^#]+[[:space:]]swap[[:space:]])/#\1/'; }
