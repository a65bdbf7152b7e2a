# What a host can tell about components that don't get healthy. Reads only.
#
# Set before this text: components (their names; `kubelet` and `containerd` are units).
: "${components=}"

kubelet() {
    state=$(systemctl show kubelet.service -p ActiveState -p SubState -p NRestarts -p ExecMainStatus 2>/dev/null |
        tr '\n' ' ')
    echo "--- kubelet: $state"
    # A kubelet that fails at each start says why at its end, and all else is of before.
    case $state in
    *SubState=auto-restart* | *ActiveState=failed*) lines=3 ;;
    *) lines=8 ;;
    esac
    journalctl -u kubelet.service --no-pager -n 200 -o cat 2>/dev/null |
        grep -E '^[EF][0-9]{4}|rror:|^Error' |
        # What follows from an API server that does not answer is no cause.
        grep -vE 'mirror pod because node is not registered|Failed to (ensure|update) lease|Unable to (write event|register node)' |
        cut -c 1-600 | tail -n $lines
}

for component in $components; do
    case $component in
    kubelet)
        kubelet
        continue
        ;;
    containerd)
        echo "--- containerd"
        journalctl -u containerd.service --no-pager -n 8 -o cat 2>/dev/null | cut -c 1-600
        continue
        ;;
    esac
    # On some distributions, others may write to /var/log: their logs would be anything.
    if [ ! -O /var/log/pods ]; then continue; fi
    # Not what an earlier cluster left. The newest first, which find can't do;
    # the names are the kubelet's own.
    # shellcheck disable=SC2010,SC2012,SC2046
    for log in $(ls -t $(find /var/log/pods/kube-system_"$component"-*/"$component" \
        -name '*.log' -mmin -15 2>/dev/null) /dev/null 2>/dev/null | grep -v '^/dev/null$' | head -n 1); do
        echo "--- $component: $log"
        tail -n 40 "$log" | grep -vE ' (I[0-9]{4}|[^ ]+ [^ ]+ F \{"level":"(info|debug)")' |
            cut -d ' ' -f 4- | cut -c 1-400 | tail -n 6
    done
done
exit 0
