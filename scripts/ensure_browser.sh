#!/bin/sh
# Installs Chromium, in which the tests render hostile mail. Never fails: where it cannot be installed, they are skipped.
set -eu

cd "$(dirname "$0")/.."

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        exit 0
    fi
done
if ! scripts/install_debian_packages.sh chromium; then
    echo "There is no Chromium here: the tests that render mail in a browser will be skipped." >&2
fi
