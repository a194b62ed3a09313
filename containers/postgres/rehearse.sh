#!/bin/bash
# A restore for trial: marks a point in the running database, and restores it from the repository into a folder.
#   LEDGER    whose newest signed checkpoint the restored database must have; it is left in FOLDER/anchor
#   DATABASE  of the ledger
#   FOLDER    is made; the restored database becomes FOLDER/pgdata
set -euo pipefail
HERE=$(dirname "$0")
. "$HERE/steps.sh"

live() { sql "$PGBACKREST_PG1_SOCKET_PATH" "$@" || fail "point: the database does not answer"; }

newest="SELECT note FROM checkpoint WHERE ledger = (SELECT key FROM ledger WHERE name = '$LEDGER') ORDER BY size DESC LIMIT 1"
mkdir -p "$FOLDER"
anchor=$(live "$newest" "$DATABASE")
printf '%s\n' "$anchor" > "$FOLDER/anchor"
point=rehearsal-$(date -u +%Y%m%dT%H%M%SZ)
segment=$(live "SELECT pg_walfile_name(pg_create_restore_point('$point'))")
live "SELECT pg_switch_wal()" > /dev/null
archived="SELECT last_archived_wal >= '$segment' FROM pg_stat_archiver"
deadline=$((SECONDS + 120))
until [ "$(live "$archived")" = t ]; do
    [ "$SECONDS" -lt "$deadline" ] || fail "archive: WAL segment $segment is not in the repository after 120 s"
    sleep 0.5
done
recover "$FOLDER/pgdata" --type=name "--target=$point" --target-action=promote
echo "host all all 127.0.0.1/32 trust" > "$FOLDER/pg_hba.conf" # of a pod's own
