# Says what will never come up on this machine, however long one waits: how often the
# kubelet was started again, then a line for each component that refuses its
# arguments, for the second time at least. Reads only.
systemctl show kubelet.service -p NRestarts --value
for component in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    # The newest first, which find can't do; the names are the kubelet's own. What an
    # earlier manifest left is older.
    # shellcheck disable=SC2010,SC2012,SC2046
    newest=$(ls -t $(find /var/log/pods/kube-system_"$component"-*/"$component" \
        -name '*.log' -mmin -2 2>/dev/null) /dev/null 2>/dev/null | grep -v '^/dev/null$' | head -n 1)
    case $newest in
    '' | */0.log) ;;
    # Kubernetes' components say "Error: " of arguments and of nothing else; etcd
    # has the words of Go.
    *) grep -qsE ' F (Error: |flag provided but not defined)' "$newest" && echo "$component" ;;
    esac
done
exit 0
