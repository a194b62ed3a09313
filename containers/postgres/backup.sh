#!/bin/bash
# One full backup of the running database, at its socket; then what is older than its retention goes.
set -euo pipefail
HERE=$(dirname "$0")
. "$HERE/steps.sh"

step stanza pgbackrest stanza-create
step archive pgbackrest check
step backup pgbackrest --type=full --start-fast --repo1-bundle backup
pgbackrest info
