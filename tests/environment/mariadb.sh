#!/usr/bin/env bash
# A MariaDB server of the tests' own, on 127.0.0.1 only, with the empty database `shop` and the user
# `tapuser` (password `fake-password-1`).
#
#   mariadb.sh start DIR PORT   initialises DIR, starts; returns when ready
#   mariadb.sh sql DIR SQL      runs SQL as root, on the database `shop`; prints rows without names
#   mariadb.sh stop DIR         stops the server
#
# DIR must be short, since a socket lies in it. It takes Debian's package `mariadb-server`.
set -euo pipefail

verb=$1 dir=$2
sql() { mariadb --no-defaults --socket="$dir/socket" --user=root --skip-column-names --batch "$@"; }

case $verb in
start)
    mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$dir/data" \
        --auth-root-authentication-method=normal --skip-test-db >"$dir/log" 2>&1
    mariadbd --no-defaults --user="$(id -un)" --datadir="$dir/data" --socket="$dir/socket" --port="$3" \
        --bind-address=127.0.0.1 --pid-file="$dir/pid" --skip-name-resolve </dev/null >>"$dir/log" 2>&1 &
    for _ in $(seq 600); do
        sql -e 'select 1' >/dev/null 2>&1 && break
        sleep 0.1
    done
    sql -e "create database shop; create user tapuser@'127.0.0.1' identified by 'fake-password-1'; \
            grant all on *.* to tapuser@'127.0.0.1'" >&2
    ;;
sql) sql shop -e "$3" ;;
stop) kill "$(cat "$dir/pid")" ;;
*)
    echo "mariadb.sh: what is $verb?" >&2
    exit 2
    ;;
esac
