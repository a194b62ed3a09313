#!/bin/bash
# Make or refresh .venv with exactly what requirements.lock names. Usage: venv.sh PYTHON STAMP
# Needs nothing but a Python >= 3.11; on Debian, root may lack ensurepip, which is then installed.
set -euo pipefail
python=$1 stamp=$2

if [[ -z $python ]]; then
    echo "no Python >= 3.11 on PATH; on Debian 12: apt-get install python3" >&2
    exit 1
fi

mkdir -p build
exec 9>build/venv.lock # another make may be at it
flock 9

install_venv_package() {
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "$python has no ensurepip: install your system's package for it (Debian: python3-venv)" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -yq --no-install-recommends python3-venv ||
        { apt-get update -q && apt-get install -yq --no-install-recommends python3-venv; }
}

[[ -x .venv/bin/pip ]] || {
    "$python" -c 'import ensurepip' 2>/dev/null || install_venv_package
    "$python" -m venv .venv
}
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/pip install -q --require-hashes -r requirements.lock
.venv/bin/pip install -q --no-deps --no-build-isolation --editable .
touch "$stamp"
