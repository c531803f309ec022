#!/bin/sh
# A spout in a few lines of shell, exactly once: whole numbers, a hundred in a file.
# It may be killed anywhere. What it has to know when it starts again is in the names
# of the files, and those are committed in one step with what is in them.
set -eu

branch="$PPS_PIPELINE_NAME@master"
in_project() { pachctl "$@" --project "$PPS_PROJECT_NAME"; }

# Only the sidecar of this pod may write the output branch. It may start later than this does.
export PACHD_ADDRESS="grpc://127.0.0.1:$PEER_PORT"
if [ -e /pachctl/config.json ]; then # the token, where authentication is on
  export PACH_CONFIG=/pachctl/config.json
fi
until in_project inspect repo "$PPS_PIPELINE_NAME" >/dev/null 2>&1; do sleep 1; done

# A head that is still open, as 2.8 and newer leave one after a start, would swallow what is written.
in_project finish commit "$branch" >/dev/null 2>&1 || true

# Where did we get to? Anything but "nothing yet" is a reason to stop, and be started again.
if ! files=$(in_project glob file "$branch:/numbers/*" 2>&1); then
  case $files in
  *"not found"* | *"no head"*) files= ;;
  *) echo "$files" >&2 && exit 1 ;;
  esac
fi
last=$(echo "$files" | sed -n 's#^/numbers/[0-9]*-\([0-9]*\)\.txt.*#\1#p' | sort | tail -n 1)
next=$(expr "${last:--1}" + 1) || true # expr fails when it prints 0
echo "starting at $next"

# Each put file is one commit: all of it, or nothing.
while true; do
  last=$((next + 99))
  name=$(printf '%012d-%012d.txt' "$next" "$last")
  seq "$next" "$last" | in_project put file "$branch:/numbers/$name" -f -
  next=$((last + 1))
  sleep 2
done
