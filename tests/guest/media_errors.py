#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Touches pages of mappings, each in a process of its own: media_errors.py FILE read|write FIRST END BAD

Pages FIRST to END of FILE, but BAD, can be read (and are equal to what FILE.want holds); BAD is a SIGBUS.
"""
import mmap
import os
import signal
import sys

PAGE = 4096
path, how, first, end, bad = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])


def died_of(page):
    pid = os.fork()
    if pid:
        status = os.waitpid(pid, 0)[1]
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
    try:
        with open(path, "r+b") as f, open(path + ".want", "rb") as w:
            m = mmap.mmap(f.fileno(), 0)
            want = os.pread(w.fileno(), PAGE, page * PAGE)
            if how == "write":
                m[page * PAGE:(page + 1) * PAGE] = want
            os._exit(0 if m[page * PAGE:(page + 1) * PAGE] == want else 1)
    except BaseException as e:
        print(e)
        os._exit(2)


for page in range(first, end):
    got = died_of(page)
    if got != (signal.SIGBUS if page == bad else 0):
        sys.exit(f"{path}: page {page}, {how}: {got}")
