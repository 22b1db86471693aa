#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""scale_mount.py DIR [N]: what a create and a first lookup cost, as system calls on a mount, in one directory of N entries (1,000,000)
against one of 1,000. Lookups are of names that do not exist and were never asked for, so that each makes a request. Medians of
rounds in turns. Exit code 1 if a ratio is above 1.5."""
import os
import statistics
import sys
import time

BATCH = 500
ROUNDS = 15
BAR = 1.5


def fill(path, n):
    os.mkdir(path)
    fd = os.open(path, os.O_RDONLY)
    for i in range(n):
        os.mknod("file-%07d" % i, 0o100644, dir_fd=fd)
    os.close(fd)


def timed(fn, names, fd):
    start = time.perf_counter_ns()
    for name in names:
        fn(name, fd)
    return (time.perf_counter_ns() - start) / len(names)


def create(name, fd):
    os.mknod(name, 0o100644, dir_fd=fd)


def lookup(name, fd):
    try:
        os.stat(name, dir_fd=fd)
    except FileNotFoundError:
        return
    raise RuntimeError(name + " exists")


def main():
    top = sys.argv[1]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 1000000
    dirs = {"small": 1000, "big": n}
    cost = {(d, op): [] for d in dirs for op in ("create", "lookup")}
    fds = {}
    for d, entries in dirs.items():
        fill(os.path.join(top, d), entries)
        fds[d] = os.open(os.path.join(top, d), os.O_RDONLY)
    for r in range(ROUNDS):
        for d, fd in fds.items():
            names = ["new-%d-%d" % (r, i) for i in range(BATCH)]
            cost[d, "create"].append(timed(create, names, fd))
            cost[d, "lookup"].append(timed(lookup, ["no-%d-%d" % (r, i) for i in range(BATCH)], fd))
            for name in names:
                os.unlink(name, dir_fd=fd)
    short = 0
    for op in ("create", "lookup"):
        small, big = (statistics.median(cost[d, op]) for d in ("small", "big"))
        verdict = "ok" if big / small <= BAR else "short"
        short += verdict == "short"
        print("# %s, system call: %.0f ns with 1000 entries, %.0f ns with %d" % (op, small, big, n))
        what = "%s on the mount: one directory of %d / of 1000" % (op, n)
        print("%-58s %10.3f %8g %-4s %s" % (what, big / small, BAR, "x", verdict))
    return 1 if short else 0


sys.exit(main())
