#!/usr/bin/env bash
# A PostgreSQL server of the tests' own, on 127.0.0.1 only, with the database `shop` of shop.sql,
# the user `flow` (password `flow-secret`), and a wal2json slot for each of the two taps.
#
#   postgres.sh install             Debian packages, where they are missing (as root)
#   postgres.sh start DIR PORT      initialises DIR when it is new, starts, fills; returns when ready
#   postgres.sh psql DIR ARGUMENT…  psql as the superuser, on the database `shop`
#   postgres.sh stop DIR            stops the server; DIR stays, and can be started again or removed
#
# start and stop may be repeated. DIR must be short (a socket lies in it), and, as root, reachable
# for the user `postgres`, because a PostgreSQL server refuses to run as root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
password=flow-secret

say() { echo "postgres.sh: $*" >&2; }

# The newest installed server that has wal2json.
bin_dir() {
    local library
    for library in $(printf '%s\n' /usr/lib/postgresql/*/lib/wal2json.so | sort -rV); do
        if [[ -e $library && -x ${library%/lib/*}/bin/initdb ]]; then
            echo "${library%/lib/*}/bin"
            return
        fi
    done
    return 1
}

install_server() {
    bin_dir >/dev/null && return
    if [[ $(id -u) != 0 ]]; then
        say "PostgreSQL with wal2json is not installed, and installing it needs root"
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2
    if [[ ! -d /usr/lib/postgresql ]]; then
        # Debian's package would start a server of its own on port 5432.
        mkdir -p /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/flow-shim.conf
        apt-get install -q -y --no-install-recommends postgresql >&2
    fi
    local version
    version=$(basename "$(printf '%s\n' /usr/lib/postgresql/* | sort -V | tail -n 1)")
    apt-get install -q -y --no-install-recommends "postgresql-$version-wal2json" >&2
    bin_dir >/dev/null || { say "no PostgreSQL with wal2json after the installation"; exit 1; }
}

# Runs a command as the user that owns the server.
as_owner() {
    if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi
}

psql_in() {
    local dir=$1 database=$2
    shift 2
    local port
    port=$(sed -n 4p "$dir/data/postmaster.pid")
    as_owner "$(bin_dir)/psql" -X -q -v ON_ERROR_STOP=1 -h "$dir" -p "$port" -U postgres -d "$database" "$@"
}

running() {
    as_owner "$(bin_dir)/pg_ctl" -D "$1/data" status >/dev/null 2>&1
}

initialise() {
    local dir=$1
    if [[ $(id -u) == 0 ]]; then chown postgres: "$dir"; fi
    chmod 0700 "$dir"
    # A folder that a killed start left half-made is made anew.
    rm -rf "$dir/data"
    as_owner "$(bin_dir)/initdb" -D "$dir/data" -U postgres --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 --no-sync >/dev/null
    as_owner tee -a "$dir/data/postgresql.conf" >/dev/null <<SETTINGS
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
wal_level = logical
max_replication_slots = 20
max_wal_senders = 20
max_connections = 50
shared_buffers = 32MB
fsync = off
full_page_writes = off
timezone = 'UTC'
SETTINGS
    # Newer servers load only the output plugins that they are told of; older ones refuse the setting.
    if as_owner "$(bin_dir)/postgres" -D "$dir/data" -C output_plugin_libraries >/dev/null 2>&1; then
        echo "output_plugin_libraries = 'wal2json'" | as_owner tee -a "$dir/data/postgresql.conf" >/dev/null
    fi
    as_owner touch "$dir/data/initialised"
}

fill() {
    local dir=$1
    if [[ $(psql_in "$dir" postgres -tAc "select count(*) from pg_database where datname = 'shop'") == 1 ]]; then
        return
    fi
    # Filled under another name, so that an interrupted start is not taken for a finished one.
    psql_in "$dir" postgres -c "drop database if exists shop_new" \
        -c "do \$\$ begin if not exists (select from pg_roles where rolname = 'flow')
            then create role flow login replication password '$password'; end if; end \$\$" \
        -c "create database shop_new owner flow"
    psql_in "$dir" shop_new -f - <"$here/shop.sql" >/dev/null
    psql_in "$dir" postgres -c "alter database shop_new rename to shop"
}

make_slots() {
    psql_in "$1" shop -t -c "select pg_create_logical_replication_slot(name, 'wal2json')
        from unnest(array['pipelinewise_shop', 'tappostgres']) as name
        where name not in (select slot_name from pg_replication_slots)" >/dev/null
}

start() {
    local dir=$1 port=$2
    install_server
    [[ -e $dir/data/initialised ]] || initialise "$dir"
    if ! running "$dir"; then
        if ! as_owner "$(bin_dir)/pg_ctl" -D "$dir/data" -l "$dir/server.log" -o "-p $port" -w -t 60 start \
            >/dev/null </dev/null; then
            say "the server did not start on port $port; the end of its log:"
            tail -n 5 "$dir/server.log" >&2 || true
            exit 1
        fi
    elif [[ $(sed -n 4p "$dir/data/postmaster.pid") != "$port" ]]; then
        say "a server of $dir is running already, on another port; stop it first"
        exit 1
    fi
    fill "$dir"
    make_slots "$dir"
    echo "postgresql://flow:$password@127.0.0.1:$port/shop"
}

stop() {
    local dir=$1
    if [[ ! -d $dir/data ]] || ! running "$dir"; then return; fi
    # A tap that hangs in its replication connection can hold up a clean stop.
    as_owner "$(bin_dir)/pg_ctl" -D "$dir/data" -m fast -w -t 10 stop >/dev/null 2>&1 ||
        as_owner "$(bin_dir)/pg_ctl" -D "$dir/data" -m immediate -w -t 30 stop >/dev/null
}

export PGOPTIONS='-c client_min_messages=warning'
action=${1-}
case "$action:$#" in
    install:1) ;;
    start:3) mkdir -p "$2" && dir=$(cd "$2" && pwd) ;;
    stop:2) dir=$(cd "$2" 2>/dev/null && pwd) || exit 0 ;;
    psql:[2-9]* | psql:1[0-9]*) dir=$(cd "$2" && pwd) ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
# The server's user may not enter the folder that this was called from.
cd /
case "$action" in
    install) install_server ;;
    start) start "$dir" "$3" ;;
    stop) stop "$dir" ;;
    psql) psql_in "$dir" shop "${@:3}" ;;
esac
