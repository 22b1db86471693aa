# SPDX-License-Identifier: BSD-3-Clause
# Thin: meson builds, scripts/ test. The README's two commands are "sudo make try" and "sudo make check".
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
MESON_ARGS ?=
# Guests at a time in check-guest-all: 3.5 GiB of memory and about a core each.
GUESTS ?= 2

.PHONY: all install deps try check check-asan check-tsan check-guest check-guest-all check-guest-debug
.PHONY: bench bench-fences bench-fsck bench-guest bench-scale crash-long crash-mutate crash-seeded faults-long fuzz clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD) --prefix $(PREFIX) $(MESON_ARGS)

install: all
	DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

deps:
	scripts/deps.sh

# Installs, builds, shows a mounted file system at work, takes everything away again.
try: deps
	BUILD=$(abspath $(BUILD)) scripts/try.sh

# Installs, builds, runs every test; the last line counts.
check: deps
	BUILD=$(abspath $(BUILD)) scripts/check.sh

check-asan: deps
	BUILD=$(abspath $(BUILD)) scripts/check.sh asan

check-tsan: deps all
	BUILD=$(abspath $(BUILD)) scripts/check.sh tsan

# Tables with a bar and a verdict for each row; they fail if a row is short.
bench: deps all
	BUILD=$(abspath $(BUILD)) bench/bench.sh

bench-fences: all
	$(BUILD)/bench/fences

bench-fsck: all
	BUILD=$(abspath $(BUILD)) bench/fsck.sh

bench-scale: deps all
	BUILD=$(abspath $(BUILD)) bench/scale.sh

# Each fuzzer for TIME seconds, and every bit of small images flipped.
TIME ?= 600
fuzz: deps all
	BUILD=$(abspath $(BUILD)) tests/fuzz/run.sh --time $(TIME)

# Power loss at every fence of some thousand workloads: the whole. (make check has a quick level.)
crash-long: all
	$(BUILD)/tests/crash/crash-explore --level long --minimise
	tests/crash/seeded-bugs.sh
	BUILD=$(abspath $(BUILD)) tests/faults/faults_long.sh

# Bugs of each class that testers have found, seeded one by one into a copy of the sources: each must be caught.
crash-seeded: deps
	tests/crash/seeded-bugs.sh

# Memory, space, descriptors, threads that run out; signals; kill -9: the whole, as a table.
faults-long: all
	BUILD=$(abspath $(BUILD)) tests/faults/faults_long.sh

# Every store, flush, fence and journal entry left out or misplaced, one at a time: each must be noticed.
crash-mutate: all
	$(BUILD)/tests/crash/crash-mutate

# The kernel module, in QEMU guests: this machine's own kernel never loads it.
check-guest: deps all
	BUILD=$(abspath $(BUILD)) tests/guest/check.sh 6.1

check-guest-all: deps all
	BUILD=$(abspath $(BUILD)) tests/guest/check.sh -j $(GUESTS) --long all

# On a kernel with KASAN, lockdep and others, which is built once.
check-guest-debug: deps all
	BUILD=$(abspath $(BUILD)) tests/guest/check.sh debug

bench-guest: deps all
	BUILD=$(abspath $(BUILD)) bench/guest_bench.sh

clean:
	rm -rf $(BUILD) $(BUILD)-clang $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
