#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# postgres.sh DIR: PostgreSQL as a user of its own: initdb, pgbench, a crash of the database, recovery, dump and restore.
# shellcheck source=tests/apps/common.sh
. "$(dirname "$0")/common.sh"

PGBIN=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
PGDATA=$DIR/data
RUN=$SIDE/run

as_user()
{
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- env PATH="$PGBIN:$PATH" PGHOST="$RUN" PGDATA="$PGDATA" LC_ALL=C "$@"
	else
		env PATH="$PGBIN:$PATH" PGHOST="$RUN" PGDATA="$PGDATA" LC_ALL=C "$@"
	fi
}

app_fini()
{
	[ ! -e "$PGDATA/postmaster.pid" ] || as_user pg_ctl -m immediate -w stop >/dev/null 2>&1
}

start()
{
	# -l: the log is opened by the server's user. No TCP, the socket is elsewhere.
	as_user pg_ctl -w -t 30 -l "$RUN/log" -o "-c listen_addresses='' -c unix_socket_directories='$RUN' -c fsync=on" start </dev/null ||
		{ tail -20 "$RUN/log"; return 1; }
}

init()
{
	[ -n "$PGBIN" ] || tap_fail "PostgreSQL is missing: install it with 'sudo make deps'"
	mkdir -p "$PGDATA" "$RUN"
	[ "$(id -u)" != 0 ] || chown postgres: "$PGDATA" "$RUN"
	as_user initdb -k -A trust -D "$PGDATA"
	start
	as_user createdb bench
	as_user pgbench -q -i -s 2 bench
}

# What TPC-B keeps: the four sums are one number.
sums_agree()
{
	[ "$(as_user psql -qAt bench -c "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)
		AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
		AND coalesce((SELECT sum(delta) FROM pgbench_history), 0) = (SELECT sum(bbalance) FROM pgbench_branches)")" = t ]
}

load()
{
	as_user pgbench -n -c 4 -j 2 -T 6 bench
	sums_agree
}

crash()
{
	as_user pgbench -n -c 4 -j 2 -T 3 bench >/dev/null 2>&1 &
	sleep 2
	as_user pg_ctl -m immediate -w stop
	wait || true
	start
	sums_agree
	as_user psql -q bench -c 'VACUUM FULL; REINDEX DATABASE bench' 2>&1 || as_user psql -q bench -c 'VACUUM' -c 'REINDEX DATABASE bench'
	sums_agree
}

dump_restore()
{
	as_user pg_dump -Fd -j 2 -f "$DIR/data/dump" bench
	as_user createdb again
	as_user pg_restore -j 2 -d again "$DIR/data/dump"
	[ "$(as_user psql -qAt bench -c 'SELECT sum(abalance), count(*) FROM pgbench_accounts')" = \
		"$(as_user psql -qAt again -c 'SELECT sum(abalance), count(*) FROM pgbench_accounts')" ]
	rm -rf "$DIR/data/dump"
}

checksums()
{
	as_user pg_ctl -m fast -w stop
	as_user pg_checksums --check
}

tap_case "initdb and pgbench -i" 90 init
tap_case "pgbench: the books balance" 40 load
tap_case "after a crash of the database they still do" 60 crash
tap_case "dump and restore" 60 dump_restore
tap_case "every page has its checksum" 40 checksums
tap_done
