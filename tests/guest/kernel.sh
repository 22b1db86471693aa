#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Fetches one Debian kernel with its headers, once, and unpacks it: kernel.sh 6.1|6.12|newest|debug
# Prints the folder, which then has: vmlinux (for a PVH boot), release, root/ (modules and headers, unpacked, paths made private).
#
# "debug" is made from Debian's source of 6.1 with debug.config: a small kernel that looks for mistakes (KASAN, lockdep and others). It
# has bzImage instead of vmlinux: what a PVH boot begins with would look into KASAN's memory before there is any.
#
# Packages come by apt-get download with an apt configuration of its own: neither the machine's lists nor its packages change.
# Cached in $ZUF_GUEST_CACHE, else ${XDG_CACHE_HOME:-~/.cache}/zuf-guest. 6.1 and 6.12 build modules with this Debian's own gcc; the
# newest (trixie-backports) needs a newer one, which gets a folder of its own by debootstrap: chroot/trixie.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
want=${1:?Usage: kernel.sh 6.1|6.12|newest|debug}
cache=${ZUF_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/zuf-guest}
mkdir -p "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial"
cache=$(cd "$cache" && pwd)
dir=$cache/$want

is_complete()
{
	[ -e "$dir/complete" ] && { [ "$want" != debug ] || cmp -s "$here/debug.config" "$dir/config"; }
}
if is_complete; then
	echo "$dir"
	exit 0
fi
exec 9>"$cache/lock"
flock 9
# Another one may have made it meanwhile.
if is_complete; then
	echo "$dir"
	exit 0
fi

# What only the debug kernel is built with is not among the packages of "make deps".
if [ "$want" = debug ]; then
	for tool in flex bison bc; do
		command -v $tool >/dev/null || { echo "kernel.sh: the debug kernel needs $tool: apt-get install $tool" >&2; exit 2; }
	done
	[ -e /usr/include/libelf.h ] || { echo "kernel.sh: the debug kernel needs libelf: apt-get install libelf-dev" >&2; exit 2; }
fi

case $want in
6.1 | debug) suite=bookworm-security ;;
6.12) suite=bookworm-backports ;;
newest) suite=trixie-backports ;;
*)
	echo "kernel.sh: no kernel '$want': 6.1, 6.12, newest or debug" >&2
	exit 2
	;;
esac

# The mirror that the machine itself uses.
mirror_of()
{
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		grep -oE 'https?://[^ ]+' | grep -E "$1" | head -1
}
main=$(mirror_of '/debian/?$' || true)
security=$(mirror_of 'debian-security/?$' || true)
main=${main:-http://deb.debian.org/debian}
security=${security:-http://deb.debian.org/debian-security}
key='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
cat >"$cache/apt/sources.list" <<END
deb $key $main bookworm main
deb $key $security bookworm-security main
deb $key $main bookworm-backports main
deb $key $main trixie-backports main
END
apt_options=(-o "Dir::Etc::sourcelist=$cache/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt/cache" -o Acquire::Languages=none
	-o "APT::Sandbox::User=$(id -un)" -qq)

depends_on() # PACKAGE PATTERN: what it depends on
{
	apt-cache "${apt_options[@]}" show "$1" | sed -n 's/^Depends: //p' | tr ',|' '\n\n' | sed 's/(.*//; s/ //g' |
		grep -E "$2" | head -1
}

# From the source: a kernel without modules of its own. Its folder, without what is only for building it, stands for the headers.
build_debug()
{
	local tree=$dir/root/usr/src/linux-source-6.1 clean=(env -i "PATH=$PATH" "HOME=$HOME") version line

	version=$(apt-cache "${apt_options[@]}" madison linux-source-6.1 | grep -F "$suite" | head -1 | awk '{print $3}')
	(cd "$dir/debs" && apt-get "${apt_options[@]}" download "linux-source-6.1=$version" >&2)
	dpkg-deb --fsys-tarfile "$dir"/debs/*.deb | tar -xO ./usr/src/linux-source-6.1.tar.xz | tar -xJ -C "$dir/root/usr/src"
	rm -rf "$dir/debs"
	"${clean[@]}" KCONFIG_ALLCONFIG="$here/debug.config" make -s -C "$tree" allnoconfig >&2
	grep '^CONFIG_.*=[^n]' "$here/debug.config" | while read -r line; do
		grep -qxF "$line" "$tree/.config" || { echo "kernel.sh: debug.config: cannot have $line" >&2; exit 1; }
	done || return 1
	"${clean[@]}" make -s -C "$tree" -j"$(nproc)" bzImage modules >&2
	"${clean[@]}" make -s -C "$tree" INSTALL_MOD_PATH="$dir/root" modules_install >&2
	release=$(cat "$tree/include/config/kernel.release")
	cp "$tree/arch/x86/boot/bzImage" "$dir/bzImage"
	rm -rf "$tree"/vmlinux "$tree"/.tmp_vmlinux* "$tree/arch/x86/boot"
	find "$tree" \( -name '*.[oaS]' -o -name '*.rst' -o -name '*.dts*' -o -name '.*.cmd' -o -path "$tree/[dfkmns]*.c" \) \
		! -path "$tree/scripts/*" ! -path "$tree/tools/*" -delete
	mv "$tree" "$dir/root/usr/src/linux-headers-$release"
	ln -sfn "$dir/root/usr/src/linux-headers-$release" "$dir/root/lib/modules/$release/build"
	rm -f "$dir/root/lib/modules/$release/source"
	cp "$here/debug.config" "$dir/config"
}

finish()
{
	echo "$release" >"$dir/release"
	touch "$dir/complete"
	echo "$dir"
}

apt-get "${apt_options[@]}" update >&2
rm -rf "$dir"
mkdir -p "$dir/debs" "$dir/root/usr/src"
if [ "$want" = debug ]; then
	build_debug
	finish
	exit 0
fi
version=$(apt-cache "${apt_options[@]}" madison linux-headers-amd64 | grep -F "$suite" | head -1 | awk '{print $3}')
headers=$(depends_on "linux-headers-amd64=$version" '^linux-headers-[0-9]')
release=${headers#linux-headers-}
common=$(depends_on "$headers=$version" '^linux-headers-.*common')
kbuild=$(depends_on "$headers=$version" '^linux-kbuild')
# Later kernels are in two packages more.
parts=$(apt-cache "${apt_options[@]}" show "linux-image-$release" | sed -n 's/^Depends: //p' | tr ',|' '\n\n' | sed 's/(.*//; s/ //g' |
	grep -E '^linux-(binary|modules)-' || true)
# shellcheck disable=SC2086
(cd "$dir/debs" && apt-get "${apt_options[@]}" download "linux-image-$release" "$headers" "$common" "$kbuild" $parts >&2)
for deb in "$dir"/debs/*.deb; do
	dpkg-deb -x "$deb" "$dir/root"
done
rm -rf "$dir/debs"
[ -e "$dir/root/lib" ] || ln -s usr/lib "$dir/root/lib"

# The headers name their parts by absolute paths.
sed -i "s|/usr/src/|$dir/root/usr/src/|g; s|/usr/lib/linux-kbuild|$dir/root/usr/lib/linux-kbuild|g" \
	"$dir/root/usr/src/$headers/Makefile" "$dir/root/usr/src/$headers/.kernelvariables" 2>/dev/null || true
depmod -b "$dir/root" "$release" 2>/dev/null

# The payload of the bzImage: xz or zstd, behind the setup code.
extract_vmlinux()
{
	local image=$1 out=$2 magic tool pos

	for magic in 'xz:\xfd7zXZ\x00' 'zstd:\x28\xb5\x2f\xfd'; do
		tool=${magic%%:*}
		for pos in $(LC_ALL=C grep -obUaP "${magic#*:}" "$image" | cut -d: -f1); do
			tail -c +$((pos + 1)) "$image" | "$tool" -dc >"$out" 2>/dev/null || true
			[ "$(head -c 4 "$out" | tr -d '\0')" != $'\x7fELF' ] || return 0
		done
	done
	echo "kernel.sh: no vmlinux found in $image" >&2
	return 1
}
image=$dir/root/boot/vmlinuz-$release
[ -e "$image" ] || image=$dir/root/lib/modules/$release/vmlinuz
extract_vmlinux "$image" "$dir/vmlinux"
if [ "$want" = newest ] && [ ! -e "$cache/chroot/complete" ]; then
	rm -rf "$cache/chroot"
	mkdir -p "$cache/chroot"
	debootstrap --variant=minbase --include=gcc-14,make,libelf1t64,kmod,libc6-dev trixie "$cache/chroot/trixie" "$main" >&2
	touch "$cache/chroot/complete"
fi
finish
