#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One operation on names that a server dies over: unsure.py prepare|change|check OPERATION DIR

The caller starts a server that dies when it has done the change and before it answers (dies_behind.so), runs "change", and then
starts another server. With wait=SECONDS "change" must succeed as if nothing had been; without it gets EIO, and "check" finds what
is true. "foreign": the server dies before it does anything, and what is there is somebody else's: EEXIST or ENODATA."""
import errno
import os
import sys

EXCL = os.O_CREAT | os.O_EXCL | os.O_RDWR
NOBODY = 65534


def put(path, text):
    with open(path, 'w', encoding='ascii') as f:
        f.write(text)


def get(path):
    with open(path, encoding='ascii') as f:
        return f.read()


def missing(path):
    """Asked for in all ways."""
    try:
        os.stat(path)
        return False
    except FileNotFoundError:
        return os.path.basename(path) not in os.listdir(os.path.dirname(path))


def there(path):
    os.stat(path)
    return os.path.basename(path) in os.listdir(os.path.dirname(path))


def open_and(path, change):
    """An open file that loses its name knows it."""
    with open(path, 'rb') as f:
        change()
        assert os.fstat(f.fileno()).st_nlink == 0, os.fstat(f.fileno())


def mkdir_counted(d):
    os.mkdir(d + '/die')
    assert os.stat(d).st_nlink == 3


def unlink_check(d):
    # Whoever has the blocks now, nobody reads them by the old name.
    for i in range(20):
        put(d + '/other%d' % i, 'other' * 10000)
    return missing(d + '/die')


def rename_check(d):
    return missing(d + '/die') and get(d + '/new') == 'moved'


def twice(change, path, want):
    """What is there, or not there, is not of our making."""
    try:
        change(path)
    except OSError as e:
        assert e.errno == want, e
        return
    raise AssertionError('succeeded')


def nothing(_):
    pass


# prepare, change, check
OPERATIONS = {
    'create': (nothing, lambda d: os.close(os.open(d + '/die', EXCL, 0o600)), lambda d: there(d + '/die')),
    'mkdir': (nothing, mkdir_counted, lambda d: there(d + '/die')),
    'symlink': (nothing, lambda d: os.symlink('x', d + '/die'), lambda d: os.readlink(d + '/die') == 'x'),
    'link': (lambda d: put(d + '/a', 'a'), lambda d: os.link(d + '/a', d + '/die'), lambda d: get(d + '/die') == 'a'),
    'unlink': (lambda d: put(d + '/die', 'mine' * 10000), lambda d: os.unlink(d + '/die'), unlink_check),
    'unlink_open': (lambda d: put(d + '/die', 'x'), lambda d: open_and(d + '/die', lambda: os.unlink(d + '/die')),
                    lambda d: missing(d + '/die')),
    'rmdir': (lambda d: os.mkdir(d + '/die'), lambda d: os.rmdir(d + '/die'), lambda d: missing(d + '/die')),
    'rename': (lambda d: put(d + '/die', 'moved'), lambda d: os.rename(d + '/die', d + '/new'), rename_check),
    'rename_over': (lambda d: (put(d + '/die', 'moved'), put(d + '/new', 'lost')),
                    lambda d: open_and(d + '/new', lambda: os.rename(d + '/die', d + '/new')), rename_check),
    'setxattr': (lambda d: put(d + '/a', 'a'), lambda d: os.setxattr(d + '/a', 'user.die', b'x', os.XATTR_CREATE),
                 lambda d: os.getxattr(d + '/a', 'user.die') == b'x'),
    'removexattr': (lambda d: (put(d + '/a', 'a'), os.setxattr(d + '/a', 'user.die', b'x')),
                    lambda d: os.removexattr(d + '/a', 'user.die'), lambda d: 'user.die' not in os.listxattr(d + '/a')),
}


def foreign_prepare(d):
    os.chmod(d, 0o1777)
    os.umask(0o77)
    put(d + '/secret', 'secret')
    os.mkdir(d + '/dir')
    put(d + '/a', 'a')
    os.setxattr(d + '/a', 'user.x', b'x')


def as_nobody(path):
    os.seteuid(NOBODY)
    os.open(path, EXCL)


FOREIGN = {
    'foreign_create': (as_nobody, '/secret', errno.EEXIST),
    'foreign_mkdir': (os.mkdir, '/dir', errno.EEXIST),
    'foreign_link': (lambda p: os.link(os.path.dirname(p) + '/a', p), '/secret', errno.EEXIST),
    'foreign_setxattr': (lambda p: os.setxattr(p, 'user.x', b'x', os.XATTR_CREATE), '/a', errno.EEXIST),
    'foreign_removexattr': (lambda p: os.removexattr(p, 'user.y'), '/a', errno.ENODATA),
}


def run(step, what, d):
    if what in FOREIGN:
        change, name, want = FOREIGN[what]
        if step == 'prepare':
            foreign_prepare(d)
        elif step == 'change':
            twice(change, d + name, want)
        else:
            assert get(d + '/secret') == 'secret' and os.stat(d + '/secret').st_uid == 0
        return
    prepare, change, check = OPERATIONS[what]
    if step == 'prepare':
        prepare(d)
    elif step == 'change':
        change(d)
    else:
        assert check(d), what


if sys.argv[1] == 'list':
    print(*(FOREIGN if sys.argv[2] == 'foreign' else OPERATIONS))
else:
    try:
        run(*sys.argv[1:])
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        print('EIO')
        sys.exit(5)
