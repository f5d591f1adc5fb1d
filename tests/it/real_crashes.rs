//! A real tap and a real PostgreSQL whose rows come, change and go while the shim is killed again and
//! again: in the end each collection is its table, by INCREMENTAL, `LOG_BASED` and `FULL_TABLE`.

use serde_json::{Value, json};

use crate::crash_model::{Dice, Flow, killed_after};
use crate::environment::{Postgres, installed};
use crate::harness::{Connector, open, singer};

/// How often the shim is killed.
const KILLS: usize = 50;
/// A session prints about as many messages.
const MESSAGES: usize = 60;
const TABLES: [&str; 3] = ["grows", "moves", "whole"];

/// One transaction: rows that come and change everywhere, and go where that can be seen.
fn changes(round: usize, dice: &mut Dice) -> String {
    let mut sql = vec!["begin".to_owned()];
    for table in TABLES {
        let (id, changed) = (100 + round, dice.below(100 + round));
        sql.push(format!("insert into crash_{table} values ({id}, nextval('crash_versions'))"));
        sql.push(format!(
            "update crash_{table} set version = nextval('crash_versions') where id in ({changed}, {changed} % 30)"
        ));
        if table != "grows" {
            sql.push(format!("delete from crash_{table} where id = {}", dice.below(100 + round)));
        }
    }
    sql.push("commit".to_owned());
    sql.join(";")
}

/// Id and version of all rows of a table.
fn table(database: &Postgres, name: &str) -> Vec<(i64, i64)> {
    let rows = database.query(&format!(
        "select coalesce(json_agg(json_build_array(id, version) order by id), '[]') from crash_{name}"
    ));
    serde_json::from_str(&rows).expect("rows")
}

/// The same of a collection.
fn collection(flow: &Flow, binding: usize) -> Vec<(i64, i64)> {
    let number = |row: &Value, member: &str| row[member].as_i64().expect("a number");
    let reduced = flow.reduced().swap_remove(binding);
    let mut rows: Vec<_> = reduced.values().map(|row| (number(row, "id"), number(row, "version"))).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn real_collections_are_their_tables_after_any_number_of_crashes() {
    let Some(shim) = installed("tap-postgres-pipelinewise") else { return };
    let Some(database) = Postgres::start() else { return };
    database.execute("create sequence crash_versions; grant all on sequence crash_versions to flow");
    for table in TABLES {
        let key = if table == "whole" { "" } else { "primary key" };
        database.execute(&format!(
            "create table crash_{table} (id integer {key}, version bigint not null); grant all on crash_{table} to flow; \
             insert into crash_{table} select n, nextval('crash_versions') from generate_series(1, 30) as n"
        ));
    }
    let mut bindings = [
        singer("public-crash_grows", "INCREMENTAL"),
        singer("public-crash_moves", "LOG_BASED"),
        singer("public-crash_whole", "FULL_TABLE"),
    ];
    bindings[0]["resourceConfig"]["replication_key"] = json!("version");
    bindings[2]["collection"]["key"] = json!(["/_meta/row_id"]);
    let config = json!({
        "host": "127.0.0.1", "port": database.port, "user": "flow", "password": "flow-secret", "dbname": "shop",
        "filter_schemas": "public", "logical_poll_total_seconds": 2,
    });
    let connector = Connector::new(&["run", "--shim", shim.to_str().expect("UTF-8")]);

    let mut dice = Dice::thrown();
    let (seed, mut flow) = (dice.0, Flow::new(&bindings));
    for round in 0..KILLS {
        let (sql, messages) = (changes(round, &mut dice), 1 + dice.below(MESSAGES));
        let request = open(config.clone(), &bindings, flow.state.clone());
        let read = std::thread::scope(|scope| {
            scope.spawn(|| database.execute(&sql));
            killed_after(&connector, &request, messages)
        });
        flow.commit(&read);
    }
    let last = connector.run(&[open(config, &bindings, flow.state.clone())]).succeeded();
    flow.commit(&last.responses);
    for (binding, name) in TABLES.iter().enumerate() {
        assert_eq!(collection(&flow, binding), table(&database, name), "{name}, seed {seed}");
    }
}
