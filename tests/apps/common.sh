# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Start of every script here: DIR is the directory under test (the first argument), SIDE a scratch directory elsewhere.
# Sets things up so that both are empty again at the end. APPS_SMALL: trees of some hundred files, for an emulated machine.

# shellcheck source=tests/lib/tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/tap.sh"
# shellcheck disable=SC2034
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

[ $# = 1 ] && [ -d "$1" ] || { echo "Usage: $(basename "$0") DIR"; echo "Bail out! no directory given"; exit 2; }
DIR=$(mktemp -d "$1/$(basename "$0" .sh).XXXXXX") || { echo "Bail out! $1 cannot be written to"; exit 1; }
SIDE=$(mktemp -d "${TMPDIR:-/tmp}/pmfs2-side.XXXXXX")
chmod 755 "$DIR" "$SIDE"

app_cleanup()
{
	local rc=$?

	[ -z "$(type -t app_fini)" ] || app_fini
	chattr -R -i -a "$DIR" 2>/dev/null
	rm -rf "$DIR" "$SIDE"
	exit $rc
}
trap app_cleanup EXIT
trap 'exit 143' TERM INT HUP

# A real source tree of some thousand files into $1: the kernel's and the C library's headers, and this repository.
real_tree()
{
	local part parts='/usr/include/linux /usr/include/asm-generic /usr/include/x86_64-linux-gnu /usr/share/perl' only=.

	if [ -n "${APPS_SMALL:-}" ]; then
		parts=/usr/include/asm-generic only=./src
		mkdir -p "$1/linux"
		cp -a /usr/include/linux/*[0-9].h /usr/include/linux/netfilter "$1/linux/"
	fi
	mkdir -p "$1/repo"
	for part in $parts; do
		[ ! -d "$part" ] || cp -a "$part" "$1/"
	done
	tar -C "$REPO" --exclude=./.git --exclude='./build*' --exclude=./.cache -cf - $only | tar -C "$1/repo" -xf -
}
