#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a mapping shows behind the end of a file, in its last page:

  tail.py check FILE...         read-only, private and (where FILE may be written) shared mappings show the file, and zeros behind it
  tail.py remount FILE DIR      a mapping made while DIR is mounted read-only shows what is written when it is not any more
  tail.py race FILE SECONDS     one process appends, others map the last page anew all the time: nothing of the file may be lost
"""
import ctypes
import mmap
import os
import random
import subprocess
import sys
import time

PAGE = 4096
HUGE = 2 << 20
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class Mapping:
    """Whole pages of a file from off on, which Python's own mmap refuses to map behind the end."""

    def __init__(self, fd, off, length, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED):
        self.at = libc.mmap(None, length, prot, flags, fd, off)
        self.length = length
        if self.at == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")

    def read(self, off, n):
        return ctypes.string_at(self.at + off, n)

    def write(self, off, data):
        ctypes.memmove(self.at + off, data, len(data))

    def close(self):
        libc.munmap(self.at, self.length)


def whole(n):
    return (n + PAGE - 1) & ~(PAGE - 1)


def check_one(path, flags, prot, store):
    fd = os.open(path, os.O_RDWR if prot & mmap.PROT_WRITE and flags == mmap.MAP_SHARED else os.O_RDONLY)
    size = os.fstat(fd).st_size
    want = os.pread(fd, size, 0)
    m = Mapping(fd, 0, whole(size), prot, flags)
    if store:
        m.write(size - 1, want[-1:])
    tail = m.read(size, whole(size) - size)
    got = m.read(0, size)
    m.close()
    os.close(fd)
    if got != want:
        sys.exit(f"{path}: the mapping shows other bytes than read()")
    if tail.strip(b"\0"):
        sys.exit(f"{path}: {tail[:16]!r}... behind the end, at byte {size}")


def check(paths):
    for path in paths:
        writable = os.access(path, os.W_OK) and not os.statvfs(path).f_flag & os.ST_RDONLY
        check_one(path, mmap.MAP_SHARED, mmap.PROT_READ, False)
        check_one(path, mmap.MAP_PRIVATE, mmap.PROT_READ, False)
        check_one(path, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, True)
        if writable:
            check_one(path, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, True)


def remount(path, mountpoint):
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    m = Mapping(fd, 0, whole(size))
    if m.read(size, whole(size) - size).strip(b"\0"):
        sys.exit("read-only: not zero behind the end")
    subprocess.run(["mount", "-i", "-o", "remount,rw", mountpoint], check=True)
    w = os.open(path, os.O_WRONLY)
    os.pwrite(w, b"new", size - 3)
    if m.read(size - 3, 3) != b"new":
        sys.exit("the mapping does not show what was written behind the remount")
    os.pwrite(w, b"more", size)
    if m.read(size, 4) != b"more":
        sys.exit("the mapping does not show what was appended")
    if m.read(size + 4, whole(size) - size - 4).strip(b"\0"):
        sys.exit("read-write: not zero behind the end")


def mapper(path):
    fd = os.open(path, os.O_RDONLY)
    while True:
        size = os.fstat(fd).st_size
        if size % PAGE:
            m = Mapping(fd, size & ~(PAGE - 1), PAGE)
            m.read(size % PAGE, 1)
            m.close()


def race(path, seconds):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    mappers = []
    for _ in range(2):
        pid = os.fork()
        if not pid:
            mapper(path)
        mappers.append(pid)
    want = bytearray()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytes([random.randrange(1, 256)]) * random.choice((1, 64, 700, 3000, 5000, 20000))
        os.pwrite(fd, data, len(want))
        want += data
        if len(want) > 8 << 20:
            os.ftruncate(fd, 0)
            want.clear()
        elif random.randrange(8) == 0:
            cut = random.randrange(len(want))
            os.ftruncate(fd, cut)
            del want[cut:]
        elif random.randrange(32) == 0 and os.pread(fd, len(want), 0) != want:
            break
    for pid in mappers:
        os.kill(pid, 9)
        status = os.waitpid(pid, 0)[1]
        # A page that a truncation has just taken: SIGBUS, as it must be.
        if os.WTERMSIG(status) not in (9, 7):
            sys.exit(f"mapper: status {status}")
    if os.pread(fd, len(want) + 1, 0) != want:
        sys.exit("bytes of the file were lost")
    os.close(fd)
    check([path])


if sys.argv[1] == "check":
    check(sys.argv[2:])
elif sys.argv[1] == "remount":
    remount(sys.argv[2], sys.argv[3])
else:
    race(sys.argv[2], float(sys.argv[3]))
