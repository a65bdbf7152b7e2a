# What runs on the host: reads a script from standard input, runs it, and sees
# to it that nothing of it outlives the connection. This text is the constant
# part of every command line; comments and line ends are taken out, so each
# line ends in ; or an operator. It must pass unchanged through the single
# quotes of any login shell: no quote, no backslash, no exclamation mark.
#
# Standard input: noise (a password that sudo did not want), a line
# "--run-- NONCE SCRIPT-LENGTH INPUT-LENGTH", the script, its input. After that
# the client keeps it open; its end means that the client is gone.
#
# While the script leaves more input unread than a pipe holds (64 KiB), that end
# can't be seen. A script that does so notices a short read when it goes on.
#
# What hosts may have in their environment and would change what a shell does:
# TMOUT limits each read of bash, also as sh, and so would end the script.
unset TMOUT CDPATH ENV BASH_ENV;
LC_ALL=C; export LC_ALL;
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH;
echo --ready--;
while IFS= read -r line; do case $line in "--run-- "*) break;; esac; done;
# shellcheck disable=SC2086
set -- $line;
[ $# -eq 4 ] || exit 125;
script=$(head -c "$3"; echo .); script=${script%.};
[ ${#script} -eq "$3" ] || exit 125;
# All that the script starts stays in this process group, unless it asks for
# another (as daemons do).
read -r x x x x group x </proc/self/stat;
exec 3<&0;
{
# Feeds the script exactly its input, then waits for the end of ours. Signals
# for the group must not hit this process before it has sent them all.
trap "" TERM HUP;
read -r self x </proc/self/stat;
echo "$self";
[ "$4" -eq 0 ] || head -c "$4" <&3 2>/dev/null;
exec >/dev/null 2>&1;
# shellcheck disable=SC2034
while read -r x; do :; done <&3;
kill -TERM "-$group"; sleep 2; kill -KILL "-$group";
} | {
exec 3<&-;
read -r watcher;
echo "$2"; echo "$2" >&2;
( set --; eval "$script" );
status=$?;
# PIPE, since shells are silent about that one; KILL in case it is ignored.
kill -PIPE "$watcher"; kill -KILL "$watcher" 2>/dev/null;
exit "$status";
}
