#!/bin/sh
# Installs Dovecot for the demonstration and the IMAP tests, which start a private one of their own. Never fails:
# where it cannot be installed, the tests that need it are skipped.
set -eu

cd "$(dirname "$0")/.."

if [ -x /usr/sbin/dovecot ] || command -v dovecot >/dev/null; then
    exit 0
fi
if scripts/install_debian_packages.sh dovecot-imapd; then
    # Debian starts a Dovecot for the whole machine; nobody here has asked for that one.
    if [ "$(id -u)" -eq 0 ]; then become=""; else become="sudo"; fi
    if [ -d /run/systemd/system ]; then
        $become systemctl disable --now --quiet dovecot.service dovecot.socket 2>/dev/null || true
    else
        $become service dovecot stop >/dev/null 2>&1 || true
    fi
else
    echo "There is no Dovecot here: the IMAP tests will be skipped, and the demonstration has no mail server." >&2
fi
