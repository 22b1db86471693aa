#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Boots a Debian kernel under QEMU (emulated: no KVM needed) and runs one script of bash in it, as root, on the host's own files:
#
#   boot.sh [-k 6.1|6.12|newest|debug] [-m MiB] [-c CPUS] [-p e820|nvdimm|none] [-s MiB] [-t SECONDS] [-a WORDS] [-i] [-f] [-o DIR] SCRIPT [ARGUMENT...]
#
#   -p   how the persistent memory is made: a memmap= range of RAM (default), or an emulated NVDIMM
#   -s   its size in MiB (default 1024)
#   -a   words for the kernel's command line
#   -i   count instructions: one CPU, one instruction is one ns of the guest's time and one tick of its TSC
#   -f   allocations are made to fail: see kernel-log.sh
#   -o   keep output, kernel log and status there
#
# The host's root is read-only below a tmpfs; /run/guest is the only folder that is shared writable. Output is printed as it comes.
# Exit code: the script's; 125 if the kernel complained (lines on stderr); 124 if the time was over or the guest died. A guest that the
# emulator loses before the script begins (kernels patch themselves while they boot, and calibrate clocks) is booted again.
set -u
here=$(cd "$(dirname "$0")" && pwd)
kernel=6.1 memory=2048 cpus=2 pmem=e820 pmem_mib=1024 limit=600 icount=0 out= words= log_args=()

usage()
{
	sed -n '3,15s/^# \{0,1\}//p' "$0" >&2
	exit 2
}
while getopts k:m:c:p:s:t:a:ifo: opt; do
	case $opt in
	k) kernel=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) cpus=$OPTARG ;;
	p) pmem=$OPTARG ;;
	s) pmem_mib=$OPTARG ;;
	t) limit=$OPTARG ;;
	a) words=$OPTARG ;;
	i) icount=1 ;;
	f) log_args=(-f) ;;
	o) out=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || usage

dir=$("$here/kernel.sh" "$kernel") || exit 2
release=$(cat "$dir/release")
work=$(mktemp -d "${TMPDIR:-/tmp}/zuf-guest.XXXXXX") || exit 2
trap 'kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
pid=
mkdir -p "$work/job" "$work/initrd/bin"

build_initrd()
{
	local m

	cp /bin/busybox "$work/initrd/bin/"
	# Where it is not the static one.
	ldd /bin/busybox 2>/dev/null | grep -oE '/[^ ]+' | while read -r m; do
		mkdir -p "$work/initrd$(dirname "$m")"
		cp -L "$m" "$work/initrd$m"
	done
	cp "$here/init" "$work/initrd/init"
	for m in virtio_pci 9pnet_virtio 9p overlay virtio_console nfit nd_e820 nd_pmem; do
		modprobe -C /dev/null -d "$dir/root" -S "$release" --show-depends "$m" 2>/dev/null
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
		while read -r m; do
			mkdir -p "$work/initrd/lib"
			case $m in
			*.xz) xz -dc "$m" >"$work/initrd/lib/$(basename "$m" .xz)"; m=${m%.xz} ;;
			*) cp "$m" "$work/initrd/lib/" ;;
			esac
			echo "/lib/$(basename "$m")"
		done >"$work/initrd/modules.list"
	(cd "$work/initrd" && find . | cpio --quiet -o -H newc) >"$work/initrd.img"
}
build_initrd

{
	# What says how long tests run goes along.
	for name in ${!GUEST_*}; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done
	echo "export BUILD=$(printf %q "${BUILD:-}") ZUF_KO=$(printf %q "${ZUF_KO:-}") GUEST_KERNEL=$kernel GUEST_RELEASE=$release GUEST_MODULES=$dir/root GUEST_PMEM=$pmem"
	echo "cd $(printf %q "$PWD") && exec $(printf '%q ' /bin/bash "$@")"
} >"$work/job/job"

image=$dir/vmlinux
[ -e "$image" ] || image=$dir/bzImage
append="console=ttyS0 quiet loglevel=6 panic=-1 oops=panic no5lvl mitigations=off tsc=reliable nokaslr no_timer_check \
random.trust_cpu=on cryptomgr.notests${words:+ $words}"
machine=q35,hpet=off,sata=off,smbus=off,max-ram-below-4g=1G
accel=tcg,thread=multi,tb-size=512
args=()
ram=$memory
case $pmem in
e820)
	# RAM: 1 GiB below 4 GiB, the rest above; the range must end where RAM ends.
	ram=$((memory + pmem_mib))
	append+=" memmap=${pmem_mib}M!$((4096 + memory - 1024))M"
	;;
nvdimm)
	machine+=,nvdimm=on
	args+=(-object "memory-backend-ram,id=nv0,share=on,size=${pmem_mib}M" -device "nvdimm,id=nvdimm0,memdev=nv0")
	;;
esac
# One more, with a driver that no guest loads by itself: what a fence does not make durable there.
[ $icount = 1 ] || [ "$pmem" = none ] ||
	args+=(-object memory-backend-ram,id=vp0,share=on,size=64M -device virtio-pmem-pci,id=vpmem0,memdev=vp0)
if [ $icount = 1 ]; then
	cpus=1
	accel=tcg,thread=single,tb-size=512
	args+=(-icount shift=0)
	append+=" norandmaps init_on_alloc=0"
fi
args=(-machine "$machine" -cpu max,la57=off,erms=off,fsrm=off -accel "$accel" -smp "$cpus"
	-m "${ram}M,slots=2,maxmem=16G" -bios qboot.rom -kernel "$image" -initrd "$work/initrd.img" -append "$append"
	-nodefaults -no-user-config -no-reboot -display none -serial "file:$work/console"
	-device isa-debug-exit
	-device virtio-serial-pci -chardev "file,id=output,path=$work/output" -device virtserialport,chardev=output,name=output
	-fsdev local,id=root,path=/,security_model=none,readonly=on,multidevs=remap
	-device virtio-9p-pci,fsdev=root,mount_tag=root
	-fsdev "local,id=job,path=$work/job,security_model=none" -device virtio-9p-pci,fsdev=job,mount_tag=job "${args[@]}")

boot()
{
	: >"$work/output"
	timeout -k 5 "$limit" nice -n 5 qemu-system-x86_64 "${args[@]}" >"$work/qemu" 2>&1 </dev/null &
	pid=$!
	tail -f --pid="$pid" -s 0.2 -n +1 "$work/output"
	wait "$pid"
	pid=
}
for try in 1 2 3; do
	boot
	[ ! -e "$work/job/started" ] || break
	echo "# boot.sh: try $try: the guest did not come up" >&2
done
status=$(cat "$work/job/status" 2>/dev/null || echo 124)
cp "$work/console" "$work/job/console" 2>/dev/null
if [ -n "$out" ]; then
	mkdir -p "$out"
	cp "$work/output" "$work/console" "$work/qemu" "$out/"
	cp -r "$work/job/." "$out/"
fi
if [ "$status" = 124 ]; then
	cat "$work/qemu" >&2
	tail -40 "$work/console" >&2
fi
if "$here/kernel-log.sh" "${log_args[@]}" "$work/console" >&2; then
	exit "$status"
fi
exit 125
