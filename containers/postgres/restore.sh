#!/bin/bash
# Fills an empty volume from a repository, before PostgreSQL starts on it.
#   PGDATA            where the data shall be
#   RESTORE_REQUEST   what is asked for, in words; noted on the volume, so that it is done once
#   RESTORE_TIME      the moment, as "2026-01-31 12:00:00+00"; empty: the newest that there is
set -euo pipefail
HERE=$(dirname "$0")
. "$HERE/steps.sh"

noted=$(dirname "$PGDATA")/restored
if [ -s "$PGDATA/PG_VERSION" ]; then
    [ "$(cat "$noted" 2> /dev/null)" = "$RESTORE_REQUEST" ] && exit 0
    fail "the volume has data already, and nothing is written over it: remove its PersistentVolumeClaim, or take another name"
fi
target=()
[ -z "$RESTORE_TIME" ] || target=(--type=time "--target=$RESTORE_TIME" --target-action=promote)
recover "$PGDATA.unfinished" "${target[@]}"
printf '%s' "$RESTORE_REQUEST" > "$noted"
mv "$PGDATA.unfinished" "$PGDATA"
