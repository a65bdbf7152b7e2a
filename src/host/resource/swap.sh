# Swap.
# shellcheck disable=SC2154,SC2034 # set, or used, by the rest of the script

#: observe
echo '@@section swap'
grep -aHs '' ./proc/swaps
grep -aHsE '^[^#]+[[:space:]]swap[[:space:]]' ./etc/fstab
# Units that switch it on at the next boot. Those that systemd made of fstab go with its lines.
systemctl list-unit-files --type=swap --no-legend --no-pager 2>/dev/null |
	while read -r name file _; do
		case $file in
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
