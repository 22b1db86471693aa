#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""File handles, as an NFS server uses them: handles.py make|check|gone DIR STATE, handles.py dying DIR PID

make: files and folders below DIR, what their handles are goes to STATE. check: each handle opens the same file, whatever its name is
now, and a folder's descriptor knows its path again. gone: what was removed, and handles that are noise, are refused. dying: what
the server (PID) is just removing, too."""
import ctypes
import errno
import json
import os
import random
import signal
import sys
import time

AT_FDCWD = -100
HANDLE_BYTES = 128
libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * HANDLE_BYTES)]


def handle_of(path):
    handle = Handle(bytes=HANDLE_BYTES)
    mount_id = ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return [handle.type, bytes(handle.data[:handle.bytes]).hex()]


def open_handle(mount_fd, saved, flags=os.O_RDONLY):
    data = bytes.fromhex(saved[1])
    handle = Handle(bytes=len(data), type=saved[0])
    handle.data[:len(data)] = data
    fd = libc.open_by_handle_at(mount_fd, ctypes.byref(handle), flags)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def make(root, state):
    deep = os.path.join(root, *'abcdefgh')
    os.makedirs(deep)
    saved = {}
    for i in range(50):
        path = os.path.join(root if i % 2 else deep, 'f%d' % i)
        with open(path, 'w', encoding='ascii') as f:
            f.write('content %d' % i)
        saved[path] = handle_of(path)
    saved[deep] = handle_of(deep)
    with open(state, 'w', encoding='ascii') as f:
        json.dump(saved, f)


def check(root, state):
    mount_fd = os.open(root, os.O_RDONLY)
    for path, saved in load(state).items():
        fd = open_handle(mount_fd, saved)
        if os.path.isdir(path):
            assert os.readlink('/proc/self/fd/%d' % fd) == path, os.readlink('/proc/self/fd/%d' % fd)
            assert sorted(os.listdir(fd)) == sorted(os.listdir(path))
        else:
            want = 'content %s' % os.path.basename(path)[1:]
            assert os.read(fd, 100).decode() == want, path
        os.close(fd)


def refused(mount_fd, saved):
    try:
        os.close(open_handle(mount_fd, saved, os.O_RDONLY | os.O_NONBLOCK))
    except OSError as e:
        return e.errno == errno.ESTALE
    return False


def gone(root, state):
    mount_fd = os.open(root, os.O_RDONLY)
    saved = load(state)
    for path in saved:
        if os.path.isfile(path):
            os.unlink(path)
    # New files take the old numbers.
    for i in range(100):
        with open(os.path.join(root, 'new%d' % i), 'w', encoding='ascii'):
            pass
    for path, handle in saved.items():
        assert os.path.isdir(path) or refused(mount_fd, handle), path
    rand = random.Random(1)
    for _ in range(3000):
        kind, data = rand.choice(list(saved.values()))
        noise = bytearray(bytes.fromhex(data))
        for _ in range(rand.randint(1, 4)):
            noise[rand.randrange(len(noise))] ^= 1 << rand.randrange(8)
        noise = noise[:rand.choice([len(noise), len(noise), rand.randint(0, len(noise))])]
        try:
            os.close(open_handle(mount_fd, [kind ^ rand.choice([0, 0, 3]), noise.hex()], os.O_RDONLY | os.O_NONBLOCK))
        except OSError as e:
            assert e.errno in (errno.ESTALE, errno.EINVAL), e


def dying(root, server):
    mount_fd = os.open(root, os.O_RDONLY)
    path = os.path.join(root, 'dying')
    with open(path, 'w', encoding='ascii') as f:
        f.write('content')
    saved = handle_of(path)
    os.close(open_handle(mount_fd, saved))
    os.kill(int(server), signal.SIGSTOP)
    child = os.fork()
    if child == 0:
        os.unlink(path)
        os._exit(0)
    time.sleep(1)
    stale = refused(mount_fd, saved)
    os.kill(int(server), signal.SIGCONT)
    assert os.waitpid(child, 0)[1] == 0
    assert stale and refused(mount_fd, saved)


def load(state):
    with open(state, encoding='ascii') as f:
        return json.load(f)


{'make': make, 'check': check, 'gone': gone, 'dying': dying}[sys.argv[1]](sys.argv[2], sys.argv[3])
