#!/bin/sh
# Runs one server and outlives the process that started it, by just long enough to clean up.
#
# Usage: supervise.sh SIGNAL TENTHS SCRAP COMMAND [ARGUMENT…]
#   SIGNAL  what asks the server to stop cleanly (TERM, INT)
#   TENTHS  how many tenths of a second it may take before SIGKILL
#   SCRAP   directory to remove at the end, or '' for none; kept when it holds a file named .keep
# fd 0 is the lifeline: nothing is ever written to it. It closes when the parent asks for the stop, and
#      also when the parent dies in any way, kill -9 included. One path for both, so both are tested.
# fd 3 takes two lines: "pid N" once the server runs, "exit STATUS" once it is gone.
signal=$1 tenths=$2 scrap=$3
shift 3
exec 4<&0 0</dev/null

"$@" 3>&- 4<&- &
server=$!
# Once the parent is dead no process reads our reports; writing one must not end this script.
trap '' PIPE
echo "pid $server" >&3

# Postgres gives every backend its own session, so the process group doesn't hold them together; the
# list of children does. Children come first: killing the parent first would lose the list.
family() {
  if [ -r "/proc/$server/task/$server/children" ]; then
    cat "/proc/$server/task/$server/children"
  else
    ps -A -o ppid= -o pid= | while read -r parent child; do [ "$parent" = "$server" ] && echo "$child"; done
  fi
  echo "$server"
}

(
  exec 3>&-
  read -r _ <&4
  # A stopped (SIGSTOP) process sees no SIGTERM until it is continued.
  kill -CONT $(family) 2>/dev/null
  kill -s "$signal" "$server" 2>/dev/null
  while kill -0 "$server" 2>/dev/null && [ "$tenths" -gt 0 ]; do
    tenths=$((tenths - 1))
    sleep 0.1
  done
  kill -KILL $(family) 2>/dev/null
) &
watcher=$!

wait "$server"
status=$?
# Killed before the pid can be given to another process.
kill -KILL "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null
echo "exit $status" 2>/dev/null >&3
exec 3>&-

# After a crash the data must stay for a restart, until the parent lets go or dies.
read -r _ <&4
if [ -n "$scrap" ] && [ ! -e "$scrap/.keep" ]; then rm -rf "$scrap"; fi
