#!/bin/sh
# Makes the data directory once, then runs PostgreSQL in the foreground.
#   PGDATA                   where the data is; its parent is the volume
#   POSTGRES_USER, _DB       role of the service, and its database
#   POSTGRES_PASSWORD_FILE   the role's password: set at every start, so that a new one counts after a restart
#   PGBACKREST_STANZA        with it, WAL is archived by pgBackRest, which has its settings from PGBACKREST_*
set -eu

fail() {
    echo "postgres entrypoint: $*" >&2
    exit 1
}

password=$(cat "$POSTGRES_PASSWORD_FILE") || fail "cannot read POSTGRES_PASSWORD_FILE"
case $password in *\'* | *\\* | '') fail "the password must not be empty, nor have quotes or backslashes" ;; esac
volume=$(dirname "$PGDATA")

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -w "$volume" ] || fail "the volume is not writable for uid $(id -u): its class must honour fsGroup"
    # beside its place and renamed at the end: one that was cut off half-way is begun anew
    unfinished="$PGDATA.unfinished"
    rm -rf "$unfinished"
    initdb --pgdata="$unfinished" --username=postgres --auth=reject --encoding=UTF8 --locale=C.UTF-8 --data-checksums
    for statement in "CREATE ROLE \"$POSTGRES_USER\" LOGIN" "CREATE DATABASE \"$POSTGRES_DB\" OWNER \"$POSTGRES_USER\""; do
        echo "$statement" | postgres --single -D "$unfinished" postgres > /dev/null
    done
    mv "$unfinished" "$PGDATA"
fi
chmod 0700 "$PGDATA" # a volume that is mounted with fsGroup opens it to the group, and PostgreSQL refuses that

set -- -D "$PGDATA" -c listen_addresses='*' -c hba_file="$(dirname "$0")/pg_hba.conf"
sockets=/var/run/postgresql
if [ -n "${PGBACKREST_STANZA:-}" ]; then
    sockets="$sockets,$PGBACKREST_PG1_SOCKET_PATH"
    mkdir -p -m 0700 "$PGBACKREST_PG1_SOCKET_PATH" "$PGBACKREST_LOCK_PATH"
    set -- "$@" -c archive_mode=on -c 'archive_command=pgbackrest archive-push %p' -c archive_timeout=60
    # a repository that is away stops archiving, not the database; each backup tries this again
    timeout 30 pgbackrest --no-online stanza-create || echo "postgres entrypoint: no WAL is archived yet" >&2
fi

# with all settings, so that WAL that is written here is archived too
echo "ALTER ROLE \"$POSTGRES_USER\" PASSWORD '$password'" | postgres --single "$@" postgres > /dev/null

exec postgres "$@" -c unix_socket_directories="$sockets"
