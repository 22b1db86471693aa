#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Prints the table of doc/fsck.md from fsck.pmfs2 --list-problems: table.sh FSCK
"$1" --list-problems | awk 'NR > 2 {
	if (NR % 2) {
		code = $1; safe = $2; sub(/^[A-Z_]+ +(yes|no) +/, ""); what = $0
	} else {
		sub(/^ +/, ""); printf "| `%s` | %s | %s | %s |\n", code, safe, what, $0
	}
}'
