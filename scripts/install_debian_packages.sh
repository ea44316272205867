#!/bin/sh
# Installs Debian packages where that is possible without asking anybody; says so and fails where it is not.
set -eu

if ! command -v apt-get >/dev/null; then
    echo "This is no Debian: install $* (or what your system calls it) by hand." >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    become=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    become="sudo"
else
    echo "Not root, and sudo wants a password: run \`sudo apt-get install $*\` by hand." >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    $become env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@" >"$log" 2>&1
}
echo "Installing $* …"
# The package lists of a fresh machine may be missing, or name versions that are gone.
if ! install "$@"; then
    $become apt-get update --quiet >"$log" 2>&1 || true
    if ! install "$@"; then
        tail -n 20 "$log" >&2
        exit 1
    fi
fi
