# SPDX-License-Identifier: BSD-3-Clause
# Thin: meson builds, scripts/ test. The README's two commands are "sudo make try" and "sudo make check".
BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
MESON_ARGS ?=

.PHONY: all install deps try check check-asan check-tsan check-guest check-guest-all bench bench-guest bench-fences bench-scale clean

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

check-tsan: deps
	BUILD=$(abspath $(BUILD)) scripts/check.sh tsan

# Tables with a bar and a verdict for each row; they fail if a row is short.
bench: deps all
	BUILD=$(abspath $(BUILD)) bench/bench.sh

bench-fences: all
	$(BUILD)/bench/fences

bench-scale: deps all
	BUILD=$(abspath $(BUILD)) bench/scale.sh

# The kernel module, in QEMU guests: this machine's own kernel never loads it.
check-guest: deps all
	BUILD=$(abspath $(BUILD)) tests/guest/check.sh 6.1

check-guest-all: deps all
	BUILD=$(abspath $(BUILD)) tests/guest/check.sh all

bench-guest: deps all
	BUILD=$(abspath $(BUILD)) bench/guest_bench.sh

clean:
	rm -rf $(BUILD) $(BUILD)-clang $(BUILD)-asan $(BUILD)-tsan
