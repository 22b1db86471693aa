#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pages of a file that others still have when the file goes: pinned.py unlink|rename|shrink|exit DIR

A page of a mapping is put into a pipe, the mapping and the descriptor are closed, the file's blocks are freed: nobody may get them
before the pipe has let go, and nobody may wait for that but who shortens a file."""
import ctypes
import errno
import mmap
import os
import signal
import sys
import time

PAGE = 4096
SIZE = 256 * PAGE
# A piece of the inode table, for another CPU, stays.
SLACK = 64 * PAGE
LEFT = 4 << 20
libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('len', ctypes.c_size_t)]


def pipe_page(path):
    """A file of pages of A, one of which is in a pipe, and nothing else that knows it."""
    r, w = os.pipe()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, b'A' * SIZE)
    m = mmap.mmap(fd, SIZE)
    for at in range(0, SIZE, PAGE):
        assert m[at] == ord('A')
    first = ctypes.c_char.from_buffer(m)
    iov = Iovec(ctypes.addressof(first), PAGE)
    if libc.vmsplice(w, ctypes.byref(iov), 1, 0) != PAGE:
        raise OSError(ctypes.get_errno(), 'vmsplice')
    del first
    m.close()
    os.close(fd)
    return r, w


def free_bytes(root):
    st = os.statvfs(root)
    return st.f_bfree * st.f_frsize


def fill(root):
    """Nearly no space is left."""
    with open(os.path.join(root, 'filler'), 'wb') as f:
        os.posix_fallocate(f.fileno(), 0, free_bytes(root) * 255 // 256 - LEFT)


def victim_make(root):
    """A file that takes every free block, mapped."""
    with open(os.path.join(root, 'victim'), 'w+b', buffering=0) as f:
        try:
            while True:
                f.write(b'B' * PAGE)
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
        with mmap.mmap(f.fileno(), 0) as m:
            for at in range(0, len(m), PAGE):
                m[at] = ord('B')


def victim_check(root):
    path = os.path.join(root, 'victim')
    with open(path, 'rb') as f:
        assert set(f.read()) == {ord('B')}, path
    os.unlink(path)


def comes_true(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, 'does not happen'
        time.sleep(0.05)


def gone(root, how):
    path = os.path.join(root, 'pinned')
    os.close(os.open(path + '2', os.O_CREAT, 0o600))
    fill(root)
    before = free_bytes(root)
    r, _ = pipe_page(path)
    if how == 'rename':
        os.rename(path + '2', path)
    else:
        os.unlink(path)
    victim_make(root)
    assert os.read(r, PAGE) == b'A' * PAGE, 'the page is another file\'s'
    victim_check(root)
    comes_true(lambda: free_bytes(root) >= before - SLACK)


def shrink(root):
    path = os.path.join(root, 'pinned')
    fill(root)
    r, _ = pipe_page(path)
    child = os.fork()
    if child == 0:
        os.truncate(path, 0)
        os._exit(0)
    time.sleep(0.5)
    assert os.waitpid(child, os.WNOHANG) == (0, 0), 'does not wait for the page'
    victim_make(root)
    assert os.read(r, PAGE) == b'A' * PAGE
    comes_true(lambda: os.waitpid(child, os.WNOHANG) == (child, 0))
    victim_check(root)


def leave(root):
    """Who has the pipe ends; the file is closed first."""
    before = free_bytes(root)
    child = os.fork()
    if child == 0:
        path = os.path.join(root, 'pinned')
        pipe_page(path)
        # Highest, and lowest: whatever order descriptors are closed in.
        fd = os.open(path, os.O_RDWR)
        os.dup2(fd, 0)
        os.dup2(fd, 500)
        os.close(fd)
        os.unlink(path)
        os.kill(os.getpid(), signal.SIGKILL)
    comes_true(lambda: os.waitpid(child, os.WNOHANG)[0] == child)
    comes_true(lambda: free_bytes(root) >= before - SLACK)


if sys.argv[1] == 'shrink':
    shrink(sys.argv[2])
elif sys.argv[1] == 'exit':
    leave(sys.argv[2])
else:
    gone(sys.argv[2], sys.argv[1])
