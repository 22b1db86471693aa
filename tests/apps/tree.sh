#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# tree.sh DIR: tar and rsync -aHAX of a tree with everything in it (xattrs, ACLs, hard links, holes, devices, odd names, old times),
# compared in every attribute.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

SRC=$SIDE/src
ROOT=$([ "$(id -u)" = 0 ] && echo 1 || echo 0)

make_special_files()
{
	cd "$SRC/special" || exit
	echo text >plain
	ln plain hard1
	ln plain ../special/hard2
	ln -s plain soft
	ln -s /nowhere/at/all dangling
	ln -s "$(printf 'x%.0s' {1..1000})" long-link
	mkfifo fifo
	truncate -s 100M hole
	printf 'end' | dd of=hole bs=1 seek=50000000 conv=notrunc status=none
	head -c 3000001 /dev/urandom >odd-size
	: >"$(printf 'n%.0s' {1..255})"
	: >$'new\nline' && : >'sp ace' && : >$'\303\244\303\266' && : >$'bad\377utf'
	mkdir -m 1777 sticky && mkdir -m 2755 sgid && mkdir -p deep/{a,b,c}/{d,e,f}/{g,h,i}
	touch -d '1971-02-03 04:05:06.789012345' old
	touch -h -d '2001-01-01 00:00:00.000000001' soft
	if [ "$ROOT" = 1 ]; then
		mknod null c 1 3
		mknod block b 7 200
		python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
		cp /bin/true suid && chown 1234:5678 suid && chmod 6755 suid
		chown -h 4321:8765 dangling
	fi
}

make_xattrs()
{
	cd "$SRC/special" || exit
	setfattr -n user.small -v value plain
	setfattr -n user.binary -v 0x00ff00fe10 plain
	setfattr -n user.empty plain
	setfattr -n user.big -v "$(head -c 1500 /dev/zero | tr '\0' z)" odd-size
	setfacl -m u:1234:rw,g:5678:r,m::rw odd-size
	setfacl -m u:1234:rwx -d -m u:4321:rx,g::r deep
	mkdir deep/inherits
	if [ "$ROOT" = 1 ]; then
		setfattr -n trusted.thing -v secret plain
		setcap cap_net_raw+ep suid 2>/dev/null || true
	fi
}

make_source()
{
	tap_need setfattr setfacl rsync tar python3
	real_tree "$SRC"
	mkdir -p "$SRC/special"
	make_special_files
	make_xattrs
}

# Every attribute of a tree as text, hard links as groups of names.
describe()
{
	cd "$1" || exit
	find . -printf '%p %y %m %U %G %n %s %T@ %l\n' | awk '$2 == "d" { $7 = "-" } { print }' | LC_ALL=C sort
	find . \( -type b -o -type c \) -exec stat -c '%n %t %T' {} + | LC_ALL=C sort
	find . -type f -links +1 -printf '%i %p\n' | LC_ALL=C sort -k2 | awk '{ g[$1] = g[$1] " " $2 } END { for (i in g) print g[i] }' | sort
	getfattr -h -d -m - -R . 2>/dev/null | grep -v '^system\.' | LC_ALL=C sort
	getfacl -n -R . | LC_ALL=C sort
	find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}

compare()
{
	( describe "$SRC" ) >"$SIDE/want"
	( describe "$1" ) >"$SIDE/got"
	diff "$SIDE/want" "$SIDE/got" | head -40
	cmp -s "$SIDE/want" "$SIDE/got"
}

tar_copy()
{
	mkdir "$DIR/tar"
	tar -C "$SRC" --xattrs --xattrs-include='*' --acls --numeric-owner --sparse --sort=name -cf "$SIDE/t.tar" . 2>"$SIDE/tar.err" ||
		grep -v 'socket ignored' "$SIDE/tar.err" | (! grep .)
	tar -C "$DIR/tar" --xattrs --xattrs-include='*' --acls --numeric-owner --same-owner -p -xf "$SIDE/t.tar"
	rm -f "$SIDE/t.tar"
	# tar does not keep sockets.
	[ ! -e "$SRC/special/sock" ] || python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$DIR/tar/special/sock')"
	# An old time: within the same second rsync takes it for unchanged and leaves the nanoseconds.
	[ ! -e "$SRC/special/sock" ] || touch -d @1 "$DIR/tar/special/sock"
	rsync -aHAX --numeric-ids "$SRC/special/" --include=sock --exclude='*' "$DIR/tar/special/"
	touch -r "$SRC/special" "$DIR/tar/special"
	compare "$DIR/tar"
}

rsync_copy()
{
	mkdir "$DIR/rsync"
	rsync -aHAXS --numeric-ids "$SRC/" "$DIR/rsync/"
	compare "$DIR/rsync"
	rsync -naHAXic --numeric-ids --delete "$SRC/" "$DIR/rsync/" | (! grep .)
}

rsync_update()
{
	cp -a "$SRC/linux" "$DIR/rsync/extra"
	find "$DIR/rsync/linux" -type f | head -100 | xargs -d '\n' touch -d 2000-01-01
	rm -rf "$DIR/rsync/asm-generic"
	rsync -aHAX --numeric-ids --delete "$SRC/" "$DIR/rsync/"
	compare "$DIR/rsync"
}

holes_stay()
{
	[ "$(stat -c %b "$DIR/rsync/special/hole")" -lt 20000 ]
	[ "$(stat -c %s "$DIR/rsync/special/hole")" = 104857600 ]
}

cp_and_remove()
{
	cp -a "$DIR/rsync" "$DIR/again"
	compare "$DIR/again"
	rm -rf "$DIR/again" "$DIR/rsync" "$DIR/tar"
	[ -z "$(ls -A "$DIR")" ]
}

tap_case "the source tree is made" 60 make_source
tap_case "tar keeps every attribute" 90 tar_copy
tap_case "rsync -aHAX keeps every attribute" 90 rsync_copy
tap_case "rsync --delete brings a changed copy back" 60 rsync_update
tap_case "holes stay holes" 10 holes_stay
tap_case "cp -a keeps every attribute, rm -rf leaves nothing" 90 cp_and_remove
tap_done
