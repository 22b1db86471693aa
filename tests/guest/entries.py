#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What mappings know of a file while it changes under them, over zuf: what was stored is flushed, page tables are true, nobody hangs.

entries.py flush DIR      stores through mappings are flushed by fsync, whatever took their pages away
entries.py two DIR        a page of 2 MiB in one mapping, its small pages in another, and the file is cut and punched
entries.py clean DIR      writes beside what is mapped, clean, as a page of 2 MiB
entries.py pinned DIR     a page that a pipe holds outlives a truncation
entries.py holes DIR SECONDS  stores to holes against writes to the same holes
"""
import ctypes
import mmap
import os
import sys
import threading
import time

PAGE = 4096
HUGE = 2 << 20
KEEP_SIZE, PUNCH, COLLAPSE, ZERO, INSERT = 1, 2, 8, 16, 32
TRACE = "/sys/kernel/tracing/"
libc = ctypes.CDLL(None, use_errno=True)


def fallocate(fd, mode, off, length):
    if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def vmsplice(fd, m, off, length):
    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    vec = Iovec(ctypes.addressof(ctypes.c_char.from_buffer(m, off)), length)
    assert libc.vmsplice(fd, ctypes.byref(vec), 1, 0) == length


def trace_write(name, text):
    with open(TRACE + name, "w") as f:
        f.write(text)


class Flushes:
    """The pages of one file that the dax core has flushed since it was made."""

    def __init__(self, fd):
        if not os.path.exists(TRACE + "events"):
            assert os.system("mount -t tracefs nodev " + TRACE) == 0
        self.ino = "ino 0x%x" % os.fstat(fd).st_ino
        trace_write("events/fs_dax/dax_writeback_one/enable", "1")
        trace_write("trace", "")

    def has(self, page):
        with open(TRACE + "trace") as f:
            lines = [line.replace(",", " ").split() for line in f if "dax_writeback_one:" in line and self.ino in line]
        spans = [(int(w[w.index("pgoff") + 1], 16), int(w[w.index("pglen") + 1], 16)) for w in lines]
        return any(at <= page < at + n for at, n in spans)


def new_file(path, size):
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for at in range(0, size, HUGE):
        os.pwrite(fd, b"x" * min(HUGE, size - at), at)
    return fd


# --- flush ----------------------------------------------------------------------------------------


def changes(other):
    at = 10 * PAGE
    return {
        "truncate in the page": lambda fd: os.ftruncate(fd, at + 200),
        "punch in the page": lambda fd: fallocate(fd, PUNCH | KEEP_SIZE, at + 2048, 1024),
        "punch that ends in the page": lambda fd: fallocate(fd, PUNCH | KEEP_SIZE, 0, at + 10),
        "zero in the page": lambda fd: fallocate(fd, ZERO, at + 2048, 1024),
        "copy into the page": lambda fd: os.copy_file_range(other, fd, 100, 0, at + 3000),
        "collapse before it": lambda fd: fallocate(fd, COLLAPSE, 2 * PAGE, PAGE),
        "insert before it": lambda fd: fallocate(fd, INSERT, 2 * PAGE, PAGE),
    }


def flush(top):
    other = new_file(top + "/other", PAGE)
    for small in (True, False):
        for name, change in changes(other).items():
            fd = new_file(top + "/flushed", 2 * HUGE)
            m = mmap.mmap(fd, 64 * PAGE if small else 2 * HUGE)
            m[10 * PAGE + 100] = 1
            seen = Flushes(fd)
            change(fd)
            os.fsync(fd)
            assert seen.has(10), "%s: what was stored is not flushed" % name
            os.close(fd)
    # Beside the range, in the same page of 2 MiB.
    fd = new_file(top + "/flushed", 2 * HUGE)
    m = mmap.mmap(fd, 2 * HUGE)
    m[300 * PAGE] = 1
    seen = Flushes(fd)
    fallocate(fd, PUNCH | KEEP_SIZE, 5 * PAGE, PAGE)
    os.fsync(fd)
    assert seen.has(300), "a hole in another page of the 2 MiB: not flushed"


# --- two mappings ---------------------------------------------------------------------------------


def two(top):
    cuts = {
        "truncated": lambda fd: os.ftruncate(fd, HUGE // 4),
        "punched": lambda fd: fallocate(fd, PUNCH | KEEP_SIZE, HUGE // 4, HUGE // 4),
        "punched in small": lambda fd: fallocate(fd, PUNCH | KEEP_SIZE, HUGE // 4 + 17, 100),
        "collapsed": lambda fd: fallocate(fd, COLLAPSE, HUGE // 4, HUGE // 4),
    }
    for i in range(3):
        for name, cut in cuts.items():
            fd = os.open(top + "/two", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.ftruncate(fd, 2 * HUGE)
            huge, small = mmap.mmap(fd, 2 * HUGE), mmap.mmap(fd, HUGE // 2)
            for at in range(0, 2 * HUGE, PAGE):
                huge[at] = at // PAGE & 255
            for at in range(0, HUGE // 2, PAGE):
                small[at + 1] = 7
            cut(fd)
            os.fsync(fd)
            seen = Flushes(fd)
            small[PAGE] = 77
            os.fsync(fd)
            assert seen.has(1), "%s: a store is not known" % name
            for page in range(2, HUGE // 4 // PAGE):
                assert huge[page * PAGE] == page & 255 and small[page * PAGE + 1] == 7, (name, page)
            os.ftruncate(fd, 2 * HUGE)
            for at in range(0, 2 * HUGE, PAGE):
                huge[at] = 3
            for at in range(0, HUGE // 2, PAGE):
                assert small[at] == 3
            small.close()
            huge.close()
            os.close(fd)
            os.unlink(top + "/two")


# --- clean entries --------------------------------------------------------------------------------


def read_all(m):
    for at in range(0, len(m), PAGE):
        m[at]


def clean(top):
    for i in range(3):
        path = top + "/clean%d" % i
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.ftruncate(fd, HUGE)
        with mmap.mmap(fd, HUGE) as m:
            m[0] = 1
        huge, small = mmap.mmap(fd, HUGE, prot=mmap.PROT_READ), mmap.mmap(fd, HUGE // 2)
        os.ftruncate(fd, HUGE - 100)
        os.fsync(fd)
        read_all(huge)
        read_all(small)
        # At the end; and where nobody knows what is there.
        os.pwrite(fd, b"a" * 200, HUGE - 100)
        read_all(huge)
        os.pwrite(fd, b"b" * 20000, HUGE + 100)
        os.fsync(fd)
        fallocate(fd, 0, 0, PAGE)
        read_all(huge)
        read_all(small)
        os.pwrite(fd, b"c" * 100, 10 * PAGE)
        assert small[10 * PAGE : 10 * PAGE + 101] == b"c" * 100 + b"\0"
        fallocate(fd, 0, 0, PAGE)
        os.pwrite(fd, b"d" * 100000, 20 * PAGE)
        assert small[20 * PAGE] == ord("d") and huge[HUGE - 101 : HUGE] == b"\0" + b"a" * 100
        os.fsync(fd)
        seen = Flushes(fd)
        small[30 * PAGE] = 1
        os.fsync(fd)
        assert seen.has(30), "a store is not known"
        huge.close()
        small.close()
        os.close(fd)
        os.unlink(path)


# --- pinned ---------------------------------------------------------------------------------------


def pinned(top):
    for length in (64 * PAGE, 2 * HUGE):
        fd = new_file(top + "/pinned", 2 * HUGE)
        m = mmap.mmap(fd, length)
        m[20 * PAGE : 20 * PAGE + 4] = b"held"
        r, w = os.pipe()
        vmsplice(w, m, 20 * PAGE, PAGE)
        cut = threading.Thread(target=os.ftruncate, args=(fd, 10 * PAGE + 5))
        cut.start()
        time.sleep(0.5)
        assert cut.is_alive(), "the page has been taken away under the pipe"
        m[3 * PAGE] = 5
        assert os.read(r, PAGE)[:4] == b"held"
        cut.join(20)
        assert not cut.is_alive(), "the page is free, and nobody knows"
        seen = Flushes(fd)
        m[3 * PAGE] = 6
        os.fsync(fd)
        assert seen.has(3)


# --- holes ----------------------------------------------------------------------------------------


def holes_of_itself(fd, m):
    """Writes from a mapping of the holes that are written."""
    for at, length in ((0, 100), (HUGE, 100000), (PAGE, HUGE)):
        read_all(m)
        assert os.pwrite(fd, memoryview(m)[at : at + length], at) == length
        assert os.pwrite(fd, b"z", at) == 1
        assert m[at] == ord("z")


def holes(top, seconds):
    size = 4 << 20
    fd = os.open(top + "/holes", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.ftruncate(fd, size)
    m = mmap.mmap(fd, size)
    holes_of_itself(fd, m)
    end = time.time() + seconds
    rounds = 0
    while time.time() < end:
        fallocate(fd, PUNCH | KEEP_SIZE, 0, size)
        kids = []
        for who in range(3):
            pid = os.fork()
            if not pid:
                for page in range(64):
                    at = page * PAGE
                    if who == 0:
                        m[at + 8] = page + 1
                    elif who == 1:
                        os.pwrite(fd, bytes([page + 2]), at + 16)
                    else:
                        m[at]
                os._exit(0)
            kids.append(pid)
        for pid in kids:
            assert os.waitpid(pid, 0)[1] == 0
        for page in range(64):
            at = page * PAGE
            want = (page + 1, page + 2)
            assert (m[at + 8], m[at + 16]) == want, "page %d in a mapping: %d %d" % (page, m[at + 8], m[at + 16])
            assert (os.pread(fd, 9, at)[8], os.pread(fd, 17, at)[16]) == want, "page %d" % page
        rounds += 1
    print("%d rounds" % rounds)


if __name__ == "__main__":
    {"flush": flush, "two": two, "clean": clean, "pinned": pinned}.get(
        sys.argv[1], lambda top: holes(top, float(sys.argv[3]))
    )(sys.argv[2])
