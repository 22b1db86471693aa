#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What stat says while attributes change from several sides is what the device has: attrs.py DEVICE DIR SECONDS"""
import mmap
import os
import subprocess
import sys
import time

ROUND_S = 0.06


def chmods(path, fd, i):
    os.chmod(path, 0o600 + i % 0o100)


def old_times(path, fd, i):
    os.utime(path, ns=(10**18 + i, 10**18 + 2 * i))


def xattrs(path, fd, i):
    os.setxattr(path, "user.a", b"%d" % i)


def writes(path, fd, i):
    os.pwrite(fd, b"%d" % i, 100)


def appends(path, fd, i):
    os.pwrite(fd, b"a" * 100, os.fstat(fd).st_size)


def reads(path, fd, i):
    os.pread(fd, 100, 0)


def stores(path, fd, i, maps={}):
    if fd not in maps:
        maps[fd] = mmap.mmap(fd, 4096)
    maps[fd][i % 4096] = 1
    # Write-protects the page: the next store is a fault.
    maps[fd].flush()


def links(path, fd, i):
    os.link(path, path + ".link")
    os.rename(path + ".link", path + ".other")
    os.unlink(path + ".other")


PAIRS = [
    (stores, chmods),
    (stores, old_times),
    (stores, xattrs),
    (stores, writes),
    (stores, appends),
    (stores, links),
    (reads, writes),
    (reads, stores, old_times),
]


def fields(path):
    st = os.stat(path)
    return {name: getattr(st, name) for name in dir(st) if name.endswith("_ns") or name in ("st_mode", "st_size", "st_nlink")}


def run_pair(path, pair):
    kids = []
    start = time.time() + 0.02
    for work in pair:
        pid = os.fork()
        if not pid:
            fd = os.open(path, os.O_RDWR)
            i = 0
            while time.time() < start:
                pass
            while time.time() < start + ROUND_S:
                work(path, fd, i)
                i += 1
            os._exit(0)
        kids.append(pid)
    for pid in kids:
        assert os.waitpid(pid, 0)[1] == 0


def main(dev, top, seconds):
    end = time.time() + seconds
    rounds = 0
    while time.time() < end or not rounds:
        shown = {}
        for i, pair in enumerate(PAIRS):
            path = "%s/attr%d" % (top, i)
            with open(path, "wb") as f:
                f.write(b"x" * 8192)
            run_pair(path, pair)
            shown[path] = fields(path)
        subprocess.check_call(["umount", top])
        subprocess.check_call(["mount", "-i", "-t", "pmfs2", dev, top])
        for (path, was), pair in zip(shown.items(), PAIRS):
            now = fields(path)
            assert was == now, "%s: stat said %s, the device %s" % ([w.__name__ for w in pair], was, now)
        rounds += 1
    print("%d rounds" % rounds)


main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
