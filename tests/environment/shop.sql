-- What the database taps of the tests read. Every value is fixed, so that two runs agree.

set role flow;
create schema sales;

create type order_status as enum ('new', 'paid', 'shipped');

-- A plain table with a replication key.
create table public.orders (
    id         integer primary key,
    customer   text not null,
    amount     numeric(12, 4) not null,
    status     order_status not null,
    note       varchar(40),
    created_at timestamptz not null,
    updated_at timestamptz not null
);
insert into public.orders
select n, 'customer ' || n % 7, n * 1.25, (array['new', 'paid', 'shipped'])[1 + n % 3]::order_status,
       case when n % 4 = 0 then null else 'note ' || n end,
       timestamptz '2024-01-01 00:00:00+00' + n * interval '1 hour',
       timestamptz '2024-02-01 00:00:00+00' + n * interval '1 minute'
from generate_series(1, 50) as n;

-- A composite key.
create table public.order_lines (
    order_id integer not null references public.orders,
    line     smallint not null,
    article  text not null,
    quantity integer not null,
    primary key (order_id, line)
);
insert into public.order_lines
select o, l, 'article ' || (o * 3 + l) % 11, 1 + l from generate_series(1, 20) as o, generate_series(1, 2) as l;

-- The same table name in another schema.
create table sales.orders (
    id     integer primary key,
    region text not null,
    total  bigint not null
);
insert into sales.orders select n, 'region ' || n, n * 9007199254740993 from generate_series(1, 5) as n;

create view public.open_orders as select id, customer, amount from public.orders where status <> 'shipped';

-- One column of each type that is hard to carry.
create table public.all_types (
    id              integer primary key,
    small           smallint,
    big             bigint,
    exact           numeric(38, 12),
    unbounded       numeric,
    single          real,
    double          double precision,
    flag            boolean,
    fixed           char(5),
    bytes           bytea,
    day             date,
    clock           time,
    moment          timestamp,
    moment_tz       timestamptz,
    object          jsonb,
    text_object     json,
    uid             uuid,
    numbers         integer[],
    words           text[],
    empty           text
);
insert into public.all_types values
(1, 32767, 9223372036854775807, 12345678901234567890123456.789012345678, 0.1, 1.5, 0.1, true, 'ab',
 '\x00ff10', '2024-02-29', '23:59:59.999999', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56.789012+02',
 '{"a": [1, 2.50, {"b": null}], "quote\"": "line\nbreak", "big": 12345678901234567890}', '{"z": 1, "a": 2}',
 '6f9619ff-8b86-d011-b42d-00c04fc964ff', '{1,2,null}', '{"a,b","c\"d",null}', ''),
(2, -32768, -9223372036854775808, -0.000000000001, 1e-20, '-0', 1e308, false, '', '\x', '0001-01-01', '00:00',
 '1970-01-01 00:00:00', '1970-01-01 00:00:00+00', '[]', 'null', null, '{}', '{}', U&'\00e4\+01F600 \2028'),
(3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);

-- No key, with true duplicates.
create table public.visits (
    page text not null,
    at   timestamptz not null
);
insert into public.visits
select 'page ' || n % 3, timestamptz '2024-03-01 00:00:00+00' + n / 2 * interval '1 minute'
from generate_series(0, 9) as n;

-- Names that need escaping in JSON pointers and in SQL; one of them is the key.
create table public."Odd Names" (
    "Weird/Name" integer primary key,
    "til~de"     text,
    "select"     text,
    "Größe"      text
);
insert into public."Odd Names" values (1, 'tilde', 'keyword', 'umlaut'), (2, null, null, null);

-- For log-based replication: tests insert, update and delete here.
create table public.stock (
    id       integer primary key,
    name     text not null,
    quantity integer not null,
    detail   jsonb
);
insert into public.stock select n, 'article ' || n, n * 10, '{"shelf": 1}' from generate_series(1, 5) as n;
