#!/bin/sh
# Makes the virtual environment `.venv` with the locked dependencies and Postroom itself, editable.
set -eu

cd "$(dirname "$0")/.."

newest_python() {
    for name in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Postroom needs Python 3.11 or later." >&2
    exit 1
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(newest_python)
    # Debian keeps the part that makes environments in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        scripts/install_debian_packages.sh python3-venv
    fi
    "$python" -m venv --clear .venv
fi
echo "Installing the locked dependencies into .venv …"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
