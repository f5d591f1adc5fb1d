//! `config:` of a shim: schemas that compile, and moves between places that there are.

use serde_json::Value;

use super::patterns;
use super::report::Report;
use super::subject::Subject;
use crate::capture::protocol::UpstreamSpec;
use crate::dev::schema::compile;
use crate::json::pointer;
use crate::json::schema::types;

/// Checks the section.
pub(super) fn check(subject: &Subject<'_>, report: &mut Report) {
    let section = &subject.definition.config;
    for (name, schema) in [("schema", &section.schema), ("schemaPatch", &section.schema_patch)] {
        let Some(schema) = schema else { continue };
        let wrong = patterns::wrong(schema);
        for (path, why) in &wrong {
            let keys: Vec<&str> =
                ["config", name].into_iter().chain(path.iter().map(String::as_str)).collect();
            let what = format!("the pattern is refused: {why}");
            report.error(subject.place(&keys), &what, patterns::ADVICE);
        }
        if wrong.is_empty()
            && name == "schema"
            && let Err(why) = compile(schema)
        {
            report.error(subject.place(&["config", name]), &format!("it {why}"), "correct it");
        }
    }
    moves(subject, report);
}

fn moves(subject: &Subject<'_>, report: &mut Report) {
    let (Some(seen), map) = (subject.seen_schema(), &subject.definition.config.map.0) else { return };
    let upstream = subject.upstream().and_then(UpstreamSpec::config_schema);
    // What an earlier move has put somewhere can be moved on.
    let mut there: Vec<&[String]> = Vec::new();
    for one in map {
        let (to, from) = (pointer::from_path(&one.to), pointer::from_path(&one.from));
        let place = || subject.place(&["config", "map", &to]);
        let was_put = there.iter().any(|put| one.from.starts_with(put) || put.starts_with(&one.from));
        if is_told(&seen) && types::at(&seen, &one.from).is_none() && !was_put {
            let what = format!("the config schema has nothing at {from}");
            report.error(place(), &what, "name a place of the schema, or add it in `config.schemaPatch`");
        }
        if let Some(upstream) = upstream.as_ref().filter(|schema| is_told(schema) && !one.to.is_empty())
            && types::at(upstream, &one.to).is_none()
        {
            let what = format!("upstream's config schema has nothing at {to}");
            report.warning(place(), &what, "see whether upstream still reads it");
        }
        there.push(&one.to);
    }
}

/// Whether a schema says which members there are.
fn is_told(schema: &Value) -> bool {
    ["properties", "oneOf", "anyOf", "allOf", "$ref"].iter().any(|keyword| !schema[*keyword].is_null())
}
