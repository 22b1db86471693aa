#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What stat says while attributes change from several sides is what the device has: attrs.py DIR SECONDS"""
import glob
import mmap
import os
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


def lookups():
    n = 0
    for name in glob.glob("/sys/kernel/zuf/mounts/*/calls"):
        with open(name) as f:
            n += sum(int(line.split()[1]) for line in f if line.startswith("lookup "))
    return n


def fields(path):
    st = os.stat(path)
    return {name: getattr(st, name) for name in dir(st) if name.endswith("_ns") or name in ("st_mode", "st_size", "st_nlink")}


def from_device(path):
    before = lookups()
    for i in range(20):
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("2")
        now = fields(path)
        if lookups() > before:
            return now
    raise AssertionError("the inode stays in memory")


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


def main(top, seconds):
    end = time.time() + seconds
    rounds = 0
    while time.time() < end or rounds < len(PAIRS):
        pair = PAIRS[rounds % len(PAIRS)]
        path = "%s/attr%d" % (top, rounds)
        with open(path, "wb") as f:
            f.write(b"x" * 8192)
        run_pair(path, pair)
        shown, device = fields(path), from_device(path)
        assert shown == device, "%s: stat says %s, the device %s" % ([w.__name__ for w in pair], shown, device)
        os.unlink(path)
        rounds += 1
    print("%d rounds" % rounds)


main(sys.argv[1], float(sys.argv[2]))
