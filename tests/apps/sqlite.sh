#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# sqlite.sh DIR: concurrent writers and readers in WAL and in rollback mode; nothing lost, integrity_check says ok.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

WRITERS=4
ROWS=${APPS_SMALL:+40}
ROWS=${ROWS:-150}

# Transactions of one writer: each moves money between accounts and appends a row; the sum stays.
writer()
{
	local i

	echo ".timeout 60000"
	echo "PRAGMA synchronous=FULL;"
	for ((i = 0; i < ROWS; i++)); do
		cat <<-SQL
			BEGIN IMMEDIATE;
			UPDATE account SET v = v - $i WHERE id = $((i % 50));
			UPDATE account SET v = v + $i WHERE id = $(((i * 7 + $1) % 50));
			INSERT INTO log(writer, i, body) VALUES ($1, $i, hex(randomblob(300)));
			COMMIT;
		SQL
	done
}

# The writers' own numbers, in order, without a gap.
check_log()
{
	sqlite3 "$1" "SELECT writer, count(*), min(i), max(i) FROM log GROUP BY writer ORDER BY writer" >"$SIDE/log"
	cat "$SIDE/log"
	[ "$(wc -l <"$SIDE/log")" = $WRITERS ]
	[ "$(grep -c "|$ROWS|0|$((ROWS - 1))\$" "$SIDE/log")" = $WRITERS ]
	[ "$(sqlite3 "$1" 'SELECT sum(v) FROM account')" = 50000 ]
	[ "$(sqlite3 "$1" 'PRAGMA integrity_check')" = ok ]
}

concurrent()
{
	local mode=$1 db=$DIR/$1.db pids=() w

	tap_need sqlite3
	sqlite3 "$db" "PRAGMA journal_mode=$mode; CREATE TABLE account(id INTEGER PRIMARY KEY, v INTEGER);
		CREATE TABLE log(n INTEGER PRIMARY KEY, writer INTEGER, i INTEGER, body TEXT);
		CREATE INDEX log_i ON log(writer, i);
		WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM c WHERE x < 49) INSERT INTO account SELECT x, 1000 FROM c;"
	for ((w = 1; w <= WRITERS; w++)); do
		writer "$w" | sqlite3 -bail "$db" >/dev/null &
		pids+=($!)
	done
	for ((w = 0; w < 10; w++)); do
		[ "$(sqlite3 -cmd '.timeout 60000' "$db" 'SELECT sum(v) FROM account')" = 50000 ]
		sleep 0.1
	done
	for w in "${pids[@]}"; do
		wait "$w"
	done
	check_log "$db"
	sqlite3 "$db" "DELETE FROM log WHERE n % 2; VACUUM; PRAGMA integrity_check" | grep -qx ok
}

mapped()
{
	local db=$DIR/mapped.db

	sqlite3 "$db" "PRAGMA journal_mode=WAL; PRAGMA mmap_size=268435456; CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB);
		WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000) INSERT INTO t SELECT x, randomblob(500) FROM c;
		UPDATE t SET b = zeroblob(700) WHERE a % 3 = 0;"
	[ "$(sqlite3 "$db" 'PRAGMA mmap_size=268435456; SELECT count(*), sum(length(b)) FROM t' | tail -1)" = "20000|11333200" ]
	[ "$(sqlite3 "$db" 'PRAGMA integrity_check')" = ok ]
}

tap_case "sqlite in WAL mode under $WRITERS writers" 90 concurrent wal
tap_case "sqlite in rollback mode under $WRITERS writers" 90 concurrent delete
tap_case "sqlite with TRUNCATE journal under $WRITERS writers" 90 concurrent truncate
tap_case "sqlite with a memory-mapped database" 60 mapped
tap_done
