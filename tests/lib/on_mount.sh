#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# on_mount.sh KIND SIZE OPTIONS COMMAND [ARG...]: mounts a fresh file system by the product's own commands, runs the command with every
# argument "@" replaced by the mount's directory, unmounts, stops the server. OPTIONS "-" is none; channel=uring turns the kernel's
# parameter on for the time. Fails too when the server died, did not unmount, or a sanitizer spoke.
set -u
# shellcheck source=tests/lib/mount.sh
. "$(dirname "$0")/mount.sh"

[ $# -ge 4 ] || { echo "Usage: on_mount.sh KIND SIZE OPTIONS COMMAND [ARG...]" >&2; exit 2; }
kind=$1 size=$2 opts=${3#-}
shift 3

bail()
{
	echo "Bail out! $*"
	exit 1
}

work_init on-mount
case $kind in
tmpfs | ext4) ;;
*)
	[[ $opts != *channel=uring* ]] || uring_enable || bail "FUSE over io_uring cannot be used here"
	server_start || bail "the server did not start"
	;;
esac
mount_new "$kind" fs "$size" "$opts" || bail "mount of $kind ($opts) failed"
chmod 755 "$WORK/fs"

args=()
for arg in "$@"; do
	[ "$arg" = @ ] && arg=$WORK/fs
	args+=("$arg")
done
rc=0
"${args[@]}" || rc=$?

if [ -n "$SERVER_PID" ] && ! kill -0 "$SERVER_PID" 2>/dev/null; then
	echo "# the server died; the end of its log:"
	tail -30 "$WORK/zusd.log" | sed 's/^/# /'
	rc=1
fi
mount_drop fs || { echo "# $WORK/fs did not unmount"; rc=1; }
server_stop
if [ -e "$WORK/zusd.log" ] && grep -qE 'Sanitizer|runtime error:' "$WORK/zusd.log"; then
	grep -nE -A30 'Sanitizer|runtime error:' "$WORK/zusd.log" | head -80 | sed 's/^/# /'
	rc=1
fi
exit $rc
