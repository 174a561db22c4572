#!/usr/bin/env bash
# Installs through apt what the tests need from the system, as root; otherwise says what is missing.
# With the argument `crash` also what only the long campaigns of `make crash` need.
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# program:package
needed="
mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs
losetup:util-linux mount:mount mergerfs:mergerfs fusermount3:fuse3
rsync:rsync strace:strace
setfattr:attr setfacl:acl setcap:libcap2-bin cron:cron
nbdkit:nbdkit nbdfuse:libnbd-bin
chromium:chromium npm:npm prometheus:prometheus
"
browser="$(dirname "$0")/../tests/browser"

# What the browser tests load into pages, from npm by its lock; again when the lock has changed.
install_browser_parts() {
    if command -v npm >/dev/null 2>&1 && [ "$browser/package-lock.json" -nt "$browser/node_modules/.package-lock.json" ]; then
        npm ci --silent --prefix "$browser" </dev/null >/dev/null || echo "npm could not install what the browser tests need"
    fi
}

if [ "${1:-}" = crash ]; then
    needed="$needed linux.uml:user-mode-linux dmsetup:dmsetup"
fi

missing_programs=""
missing_packages=""
for pair in $needed; do
    if ! command -v "${pair%%:*}" >/dev/null 2>&1; then
        missing_programs="$missing_programs ${pair%%:*}"
        missing_packages="$missing_packages ${pair#*:}"
    fi
done

if [ -z "$missing_programs" ]; then
    install_browser_parts
    exit 0
fi

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing what the tests need from the system, through apt:$missing_packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086  # a list of package names, to be split
    if apt-get update -qq </dev/null >/dev/null &&
        apt-get install -qq -y --no-install-recommends $missing_packages </dev/null >/dev/null; then
        install_browser_parts
        exit 0
    fi
    echo "apt could not install them; the tests that need them cannot run" >&2
    exit 0 # the tests say which; in CI each of them fails
fi

echo "Missing on this system:$missing_programs (packages:$missing_packages)."
echo "Tests that need them, or root, are skipped and listed at the end with the reason."
