# Sourced by the scripts of backup and restore.

# Tell kubelet, and so the operator, what went wrong.
fail() {
    echo "$*" >&2
    printf '%s' "$*" > "${TERMINATION_LOG:-/dev/termination-log}" || true
    exit 1
}

# Run a command as a named step; its errors become the reason of the failure.
step() {
    local name=$1 log
    shift
    log=$(mktemp)
    "$@" 2>&1 | tee "$log" || fail "$name: $(grep -E 'ERROR|FATAL' "$log" | tail -n 3 | cut -c -300)"
    rm -f "$log"
}

# As the superuser of the database at a socket.
sql() {
    psql --host="$1" --username=postgres --dbname="${3:-postgres}" --no-psqlrc --tuples-only --no-align --quiet \
        --set=ON_ERROR_STOP=1 --command="$2"
}

# Restore into an empty folder and replay WAL until the target is reached; leaves a database that was shut down.
#   recover FOLDER OPTION...      options of `pgbackrest restore` that say the target; none: the newest that there is
recover() {
    local data=$1 log=/tmp/replay.log server
    shift
    rm -rf "$data"
    mkdir -p -m 0700 "$data"
    step restore pgbackrest --pg1-path="$data" "$@" restore
    # nothing is archived here: what becomes ready is archived by the database that uses the folder later
    postgres -D "$data" -c listen_addresses= -c unix_socket_directories=/tmp -c hba_file="$HERE/pg_hba.conf" \
        -c hot_standby=off -c archive_mode=on -c archive_command= > "$log" 2>&1 &
    server=$!
    until [ "$(sql /tmp 'SELECT pg_is_in_recovery()' 2> /dev/null)" = f ]; do
        if ! kill -0 "$server" 2> /dev/null; then
            cat "$log"
            fail "replay: $(grep -E 'FATAL|PANIC' "$log" | tail -n 1 | cut -c -300)"
        fi
        sleep 0.2
    done
    cat "$log"
    for setting in restore_command recovery_target_{action,inclusive,name,time,timeline}; do
        sql /tmp "ALTER SYSTEM RESET $setting"
    done
    step stop pg_ctl --pgdata="$data" --mode=fast --timeout=600 --wait stop
    wait "$server" || true
}
