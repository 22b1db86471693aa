#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""System calls whose allocations fail in the kernel, one after the other, until a call has none left that could fail.

    fault_calls.py files DIR               calls of all kinds below DIR, which is empty
    fault_calls.py mounts DEVICE TYPE DIR  mounting, with a server there
    fault_calls.py module KO ROOT          loading the module, mounting its root, becoming a server

A call may fail for want of memory, and must succeed when nothing fails. What the kernel says to it stands in its log. Needs a kernel
with CONFIG_FAILSLAB; /proc/thread-self/fail-nth is described in Documentation/fault-injection."""
import ctypes
import errno
import mmap
import os
import shutil
import struct
import sys

CALLS_MAX = 400
DATA = b'd' * (1 << 20)
ALLOWED = (0, errno.ENOMEM, errno.EIO, errno.ENFILE, errno.EFAULT, errno.EAGAIN)
LEAK_MAX = 255  # blocks: less than a file
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
fail_nth = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
bad = []
names = 0


def setting(name, value):
    with open(name, 'w', encoding='ascii') as f:
        f.write(value)


def faults_on():
    for kind in ('failslab', 'fail_page_alloc'):
        at = '/sys/kernel/debug/' + kind
        setting(at + '/ignore-gfp-wait', 'N')
        setting(at + '/verbose', '0')
    setting('/sys/kernel/debug/fail_page_alloc/min-order', '0')


def cold():
    setting('/proc/sys/vm/drop_caches', '2')


def check(res):
    if res < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return res


def quietly(call, *args):
    try:
        return call(*args)
    except OSError:
        return None


def attempt(n, call):
    """Whether the nth allocation was there to fail, and the error."""
    err = 0
    os.pwrite(fail_nth, b'%d' % n, 0)
    try:
        call()
    except OSError as e:
        err = e.errno
    left = int(os.pread(fail_nth, 20, 0))
    os.pwrite(fail_nth, b'0', 0)
    return left == 0, err


def try_all(name, before, call, after):
    """call(x) with x from before(), once for each of its allocations; then after(x)."""
    seen = {}
    for n in range(1, CALLS_MAX):
        x = before()
        failed, err = attempt(n, lambda: call(x))
        after(x)
        seen[err] = seen.get(err, 0) + 1
        if err not in ALLOWED or (not failed and err):
            bad.append('%s, allocation %d: %s' % (name, n, os.strerror(err)))
        if not failed:
            break
    print('%s: %s' % (name, ', '.join('%s %d' % (errno.errorcode.get(e, 'ok'), seen[e]) for e in sorted(seen))), flush=True)


# --- files ------------------------------------------------------------------------------------------------------------------------------

class Thing:
    """A file with contents, an xattr, a folder and a symlink; none of them in the kernel's caches."""

    def __init__(self, root, warm=False):
        global names
        names += 1
        self.dir = os.path.join(root, 't%d' % names)
        self.file, self.sub, self.link, self.new = (os.path.join(self.dir, n) for n in ('file', 'sub', 'link', 'new'))
        os.mkdir(self.dir)
        os.mkdir(self.sub)
        os.symlink('target' * 20, self.link)
        with open(self.file, 'wb') as f:
            f.write(DATA)
        os.setxattr(self.file, 'user.a', b'value')
        self.fd = None
        if not warm:
            cold()

    def open(self):
        self.fd = os.open(self.file, os.O_RDWR)
        return self

    def remove(self):
        if self.fd is not None:
            os.close(self.fd)
        if os.path.lexists(self.new) != ('new' in os.listdir(self.dir)):
            bad.append('%s: the kernel and the server do not agree whether it is there' % self.new)
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            quietly(os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink, path)
        quietly(os.rmdir, self.dir)


def touch_mapping(fd, write):
    with mmap.mmap(fd, 65536, mmap.MAP_SHARED) as m:
        if write:
            m[4096] = 1
            m.flush()
        else:
            assert m[4096] == DATA[0]


def handle_of(path):
    handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
    check(libc.name_to_handle_at(-100, os.fsencode(path), handle, ctypes.byref(ctypes.c_int()), 0))
    return handle


def open_handle(root, handle):
    at = os.open(root, os.O_RDONLY)
    try:
        os.close(check(libc.open_by_handle_at(at, handle, os.O_RDONLY)))
    finally:
        os.close(at)


def fallocate(fd, mode, off, length):
    check(libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)))


ACL = struct.pack('<IHHIHHIHHIHHIHHI', 2, 1, 7, 0xffffffff, 2, 6, 1, 4, 5, 0xffffffff, 16, 7, 0xffffffff, 32, 4, 0xffffffff)
# Where munmap() fails the mapping stays, and with it the file: not among those whose blocks are counted.
MAPPINGS = {
    'map and read': lambda t: touch_mapping(t.fd, False),
    'map and write': lambda t: touch_mapping(t.fd, True),
}
NAMES = {
    'stat': lambda t: os.stat(t.file),
    'create': lambda t: os.close(os.open(t.new, os.O_CREAT | os.O_WRONLY)),
    'create alone': lambda t: os.close(os.open(t.new, os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
    'tmpfile': lambda t: os.close(os.open(t.dir, os.O_TMPFILE | os.O_RDWR)),
    'mkdir': lambda t: os.mkdir(t.new),
    'mknod': lambda t: os.mkfifo(t.new),
    'symlink': lambda t: os.symlink('x' * 300, t.new),
    'readlink': lambda t: os.readlink(t.link),
    'link': lambda t: os.link(t.file, t.new),
    'rename': lambda t: os.rename(t.file, t.new),
    'rename over': lambda t: os.rename(t.file, t.link),
    'unlink': lambda t: os.unlink(t.file),
    'rmdir': lambda t: os.rmdir(t.sub),
    'list': lambda t: os.listdir(t.dir),
    'chmod': lambda t: os.chmod(t.file, 0o600),
    'chown': lambda t: os.chown(t.file, 1, 1),
    'utimes': lambda t: os.utime(t.file, (1, 2)),
    'setxattr': lambda t: os.setxattr(t.file, 'user.b', b'y' * 2000),
    'getxattr': lambda t: os.getxattr(t.file, 'user.a'),
    'listxattr': lambda t: os.listxattr(t.file),
    'removexattr': lambda t: os.removexattr(t.file, 'user.a'),
    'set ACL': lambda t: os.setxattr(t.file, 'system.posix_acl_access', ACL),
    'set default ACL': lambda t: os.setxattr(t.sub, 'system.posix_acl_default', ACL),
    'statfs': lambda t: os.statvfs(t.file),
    'handle': lambda t: handle_of(t.file),
}
CONTENTS = {
    'read': lambda t: os.pread(t.fd, 100000, 100),
    'write in place': lambda t: os.pwrite(t.fd, b'w' * 5000, 100),
    'append': lambda t: os.pwrite(t.fd, b'w' * 5000, len(DATA)),
    'append much': lambda t: os.pwrite(t.fd, DATA, len(DATA)),
    'write into a hole': lambda t: os.pwrite(t.fd, b'w', 10 << 20),
    'truncate': lambda t: os.ftruncate(t.fd, 5000),
    'extend': lambda t: os.ftruncate(t.fd, 2 << 20),
    'allocate': lambda t: fallocate(t.fd, 0, 0, 2 << 20),
    'punch': lambda t: fallocate(t.fd, 3, 4096, 8192),
    'collapse': lambda t: fallocate(t.fd, 8, 4096, 8192),
    'seek data': lambda t: os.lseek(t.fd, 0, os.SEEK_DATA),
    'sync': lambda t: os.fsync(t.fd),
    'copy': lambda t: os.copy_file_range(t.fd, t.fd, 4096, 0, 1 << 20),
}


def free_blocks(root):
    cold()
    return os.statvfs(root).f_bfree


def files(root):
    warm = Thing(root)
    warm.remove()
    before = free_blocks(root)
    for name, call in NAMES.items():
        try_all(name, lambda: Thing(root), call, Thing.remove)
    for name, call in CONTENTS.items():
        try_all(name, lambda: Thing(root).open(), call, Thing.remove)
    thing = Thing(root)
    handle = handle_of(thing.file)
    try_all('open by handle', cold, lambda _: open_handle(root, handle), lambda _: None)
    thing.remove()
    lost = before - free_blocks(root)
    print('%d blocks were not given back' % lost)
    if lost > LEAK_MAX:
        bad.append('%d blocks are lost' % lost)
    for name, call in MAPPINGS.items():
        try_all(name, lambda: Thing(root).open(), call, Thing.remove)


# --- mounts, module ---------------------------------------------------------------------------------------------------------------------

def mount(source, at, kind, options=None):
    check(libc.mount(source.encode(), at.encode(), kind.encode(), 0, options and options.encode()))


def umount(at):
    check(libc.umount2(at.encode(), 0))


def mounts(device, kind, at):
    try_all('mount', lambda: None, lambda _: mount(device, at, kind, 'wait=5'), lambda _: quietly(umount, at))
    try_all('umount', lambda: mount(device, at, kind), lambda _: umount(at), lambda _: quietly(umount, at))
    mount(device, at, kind)
    try_all('remount', lambda: None, lambda _: check(libc.mount(None, at.encode(), None, 32 | 1, None)),
            lambda _: libc.mount(None, at.encode(), None, 32, None))
    umount(at)


def insmod(ko):
    fd = os.open(ko, os.O_RDONLY)
    try:
        check(libc.syscall(313, fd, b'', 0))
    finally:
        os.close(fd)


def rmmod():
    check(libc.delete_module(b'zuf', os.O_NONBLOCK))


def ioctl(fd, number, size, arg):
    buf = ctypes.create_string_buffer(arg, size)
    direction = {1: 3, 7: 3, 4: 0, 5: 0}.get(number, 1)
    check(libc.ioctl(fd, ctypes.c_ulong(direction << 30 | size << 16 | ord('z') << 8 | number), buf))


def serve(root):
    """A server with one type and one slot, which nobody calls."""
    fds = []
    try:
        for _ in range(2):
            fds.append(os.open(root + '/channel', os.O_RDWR))
        fds.append(os.open(root + '/device', os.O_RDWR))
        ioctl(fds[0], 1, 16, struct.pack('IIQ', ABI_VERSION, 0, 0))
        ioctl(fds[0], 2, TYPE_BYTES + 8, b'faultfs')
        ioctl(fds[1], 3, 8, bytes(8))
        at = libc.mmap(None, ctypes.c_size_t(65536), 3, mmap.MAP_SHARED, fds[1], ctypes.c_long(0))
        if at == ctypes.c_void_p(-1).value:
            check(-1)
        libc.munmap(ctypes.c_void_p(at), ctypes.c_size_t(65536))
        ioctl(fds[0], 4, 0, b'')
    finally:
        for fd in fds:
            os.close(fd)


def module(ko, root):
    # Not from a file system whose own calls fail.
    ko = shutil.copy(ko, '/run/fault.ko')
    try_all('insmod', lambda: None, lambda _: insmod(ko), lambda _: quietly(rmmod))
    insmod(ko)
    try_all('mount root', lambda: None, lambda _: mount('nodev', root, 'zuf'), lambda _: quietly(umount, root))
    mount('nodev', root, 'zuf')
    try_all('serve', lambda: None, lambda _: serve(root), lambda _: None)
    umount(root)
    try_all('rmmod', lambda: quietly(insmod, ko), lambda _: rmmod(), lambda _: None)
    quietly(rmmod)


ABI_VERSION = int(os.environ['ZUF_ABI_VERSION'])
TYPE_BYTES = 32
faults_on()
{'files': files, 'mounts': mounts, 'module': module}[sys.argv[1]](*sys.argv[2:])
for what in bad:
    print('FAILED', what)
sys.exit(bool(bad))
