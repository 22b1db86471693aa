#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Random system calls below a directory for some seconds; every error is fine: liar_calls.py DIR SEED SECONDS"""
import fcntl
import mmap
import os
import random
import signal
import struct
import sys
import time

root, seed, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rand = random.Random(seed)
fds = []


def path():
    return os.path.join(root, *rand.choices('abcdefgh', k=rand.randint(1, 2)))


def op_open():
    flags = rand.choice([os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL])
    fds.append(os.open(path(), flags | os.O_NONBLOCK, 0o644))
    if len(fds) > 8:
        os.close(fds.pop(0))


def op_map():
    m = mmap.mmap(rand.choice(fds), 1 << 16)
    try:
        signal.alarm(2)
        for at in range(0, 1 << 16, 4096):
            m[at] = 1
    finally:
        m.close()


def op_fiemap():
    room = struct.pack('QQIIII', rand.randint(0, 1 << 20), 1 << 22, rand.randint(0, 1), 0, 50, 0)
    fcntl.ioctl(rand.choice(fds), 0xC020660B, bytearray(room + bytes(50 * 56)))  # FS_IOC_FIEMAP


OPS = [
    op_open, op_open,
    lambda: os.stat(path()),
    lambda: os.listdir(path()) if rand.random() < 0.1 else os.scandir(root).__next__(),
    lambda: os.mkdir(path()),
    lambda: os.rmdir(path()),
    lambda: os.unlink(path()),
    lambda: os.rename(path(), path()),
    lambda: os.link(path(), path()),
    lambda: os.symlink('x' * rand.randint(1, 200), path()),
    lambda: os.readlink(path()),
    lambda: os.truncate(path(), rand.randint(0, 1 << 22)),
    lambda: os.chmod(path(), 0o700),
    lambda: os.utime(path()),
    lambda: os.setxattr(path(), 'user.a', b'x' * rand.randint(1, 1000)),
    lambda: os.getxattr(path(), 'user.a'),
    lambda: os.listxattr(path()),
    lambda: os.statvfs(root),
    lambda: os.pread(rand.choice(fds), rand.randint(1, 1 << 17), rand.randint(0, 1 << 24)),
    lambda: os.pwrite(rand.choice(fds), b'y' * rand.choice([1, 4096, 60000, 300000]), rand.randint(0, 1 << 22)),
    lambda: os.pwrite(rand.choice(fds), b'y' * 300000, 1 << 30),
    lambda: os.posix_fallocate(rand.choice(fds), rand.randint(0, 1 << 20), 4096),
    lambda: os.lseek(rand.choice(fds), rand.randint(0, 1 << 20), os.SEEK_HOLE),
    lambda: os.fsync(rand.choice(fds)),
    lambda: os.copy_file_range(rand.choice(fds), rand.choice(fds), 4096, 0, 0),
    op_fiemap,
    op_map,
]
end = time.monotonic() + seconds
done = 0
signal.signal(signal.SIGALRM, lambda *_: None)
while time.monotonic() < end:
    child = os.fork() if rand.random() < 0.01 else 1
    if child == 0:
        # A mapping may raise SIGBUS: in a process of its own.
        for _ in range(50):
            try:
                op_open()
                op_map()
            except (OSError, ValueError, IndexError):
                pass
        os._exit(0)
    if child > 1:
        os.waitpid(child, 0)
    try:
        OPS[rand.randrange(len(OPS) - 1)]()
    except (OSError, ValueError, IndexError, StopIteration):
        pass
    done += 1
print(done, 'calls')
