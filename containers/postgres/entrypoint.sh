#!/bin/sh
# Makes the data directory once, then runs PostgreSQL in the foreground.
#   PGDATA                   where the data is; its parent is the volume
#   POSTGRES_USER, _DB       role of the service, and its database
#   POSTGRES_PASSWORD_FILE   the role's password
set -eu

fail() {
    echo "postgres entrypoint: $*" >&2
    exit 1
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(cat "$POSTGRES_PASSWORD_FILE") || fail "cannot read POSTGRES_PASSWORD_FILE"
    case $password in *\'* | *\\* | '') fail "the password must not be empty, nor have quotes or backslashes" ;; esac
    [ -w "$(dirname "$PGDATA")" ] || fail "the volume is not writable for uid $(id -u): its class must honour fsGroup"
    # beside its place and renamed at the end: one that was cut off half-way is begun anew
    unfinished="$PGDATA.unfinished"
    rm -rf "$unfinished"
    initdb --pgdata="$unfinished" --username=postgres --auth=reject --encoding=UTF8 --locale=C.UTF-8 --data-checksums
    for statement in "CREATE ROLE \"$POSTGRES_USER\" LOGIN PASSWORD '$password'" \
        "CREATE DATABASE \"$POSTGRES_DB\" OWNER \"$POSTGRES_USER\""; do
        echo "$statement" | postgres --single -D "$unfinished" postgres > /dev/null
    done
    mv "$unfinished" "$PGDATA"
fi

exec postgres -D "$PGDATA" \
    -c listen_addresses='*' \
    -c hba_file=/etc/chaffinch-postgres/pg_hba.conf \
    -c unix_socket_directories=/var/run/postgresql
