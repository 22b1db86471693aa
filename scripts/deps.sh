#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Installs the Debian packages of scripts/packages.list that are not there yet. Quick when all are. "--list" prints the names.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
mapfile -t packages < <(sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$here/packages.list")
if [ "${1:-}" = --list ]; then
	printf '%s\n' "${packages[@]}"
	exit 0
fi

if ! command -v dpkg-query >/dev/null; then
	echo "deps: this is not a Debian system; install what corresponds to: ${packages[*]}" >&2
	exit 1
fi
missing=()
for package in "${packages[@]}"; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} = 0 ]; then
	echo "deps: all ${#packages[@]} packages are installed"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: not installed: ${missing[*]}" >&2
	echo "deps: run 'sudo make deps'" >&2
	exit 1
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# postgresql-15 would make and start a cluster of its own; the tests make theirs. The setting is taken back when we are done.
conf=/etc/postgresql-common/createcluster.conf
if [ ! -e "$conf" ]; then
	mkdir -p "${conf%/*}"
	echo "create_main_cluster = false" >"$conf"
	trap 'rm -f "$conf"' EXIT
fi
apt-get -q update
apt-get -q install -y --no-install-recommends "${missing[@]}"
