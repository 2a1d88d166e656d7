//! What a worker, a publisher and a server of the last release call is there for them: they work on while the database
//! is migrated, and beside newer ones. `fixtures/functions.txt` is what that release called; a release replaces it.

use std::collections::BTreeSet;

use crate::world::World;

const PROMISED: &str = include_str!("fixtures/functions.txt");

/// `role name(types of the arguments) columns of the answer`, a line each.
const OFFERED: &str = "
    SELECT string_agg(format('%s %s(%s) %s', r.role, p.proname, pg_get_function_identity_arguments_types(p.oid), pg_get_function_result(p.oid)),
        E'\\n' ORDER BY r.role, p.proname)
    FROM pg_proc p, unnest(ARRAY['publisher', 'server', 'worker']) r(role)
    WHERE p.pronamespace = 'slipway'::regnamespace AND has_function_privilege('slipway_' || r.role, p.oid, 'EXECUTE')";

async fn offered(world: &World) -> String {
    let types = "(SELECT coalesce(string_agg(format_type(t, NULL), ', ' ORDER BY n), '') FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(t, n))";
    world.db.text(&OFFERED.replace("pg_get_function_identity_arguments_types(p.oid)", types)).await.unwrap()
}

/// The call, and what it answers: a column more does no harm, for columns are asked for by name.
fn parts(line: &str) -> (&str, BTreeSet<&str>) {
    let end = line.find(") ").expect("arguments") + 1;
    let answer = line[end..].trim();
    let columns =
        answer.strip_prefix("TABLE(").and_then(|columns| columns.strip_suffix(')')).unwrap_or(answer);
    (&line[..end], columns.split(", ").collect())
}

#[tokio::test]
async fn what_the_last_release_calls_is_still_there() {
    let world = World::new().await;
    let offered = offered(&world).await;
    let promised: Vec<&str> =
        PROMISED.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert!(promised.len() > 30, "{}", promised.len());
    for promise in promised {
        let (call, columns) = parts(promise);
        let kept =
            offered.lines().map(parts).any(|(now, answer)| now == call && answer.is_superset(&columns));
        assert!(kept, "the last release calls `{promise}`; now there are\n{offered}");
    }
}

const COLUMNS: &str = include_str!("fixtures/columns.txt");

/// `table.column type`, and whether an older server may leave it out.
const THERE: &str = "
    SELECT string_agg(format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
        || CASE WHEN a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' THEN '!' ELSE '' END, E'\\n')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'slipway'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped";

#[tokio::test]
async fn what_the_last_releases_server_reads_and_writes_is_still_there() {
    let world = World::new().await;
    let there = world.db.text(THERE).await.unwrap();
    let promised: BTreeSet<&str> = COLUMNS.lines().filter(|line| !line.starts_with('#')).collect();
    let now: BTreeSet<&str> = there.lines().map(|column| column.trim_end_matches('!')).collect();
    let gone: Vec<_> = promised.difference(&now).collect();
    assert!(promised.len() > 100 && gone.is_empty(), "the last release uses {gone:?}");
    // A new column of an old table must not be asked of a server that knows nothing of it.
    let tables: BTreeSet<&str> =
        promised.iter().filter_map(|column| column.split_once('.')).map(|(table, _)| table).collect();
    let new = there
        .lines()
        .filter(|column| column.ends_with('!') && !promised.contains(column.trim_end_matches('!')));
    let asked: Vec<_> = new
        .filter(|column| column.split_once('.').is_some_and(|(table, _)| tables.contains(table)))
        .collect();
    assert!(asked.is_empty(), "an older server does not write {asked:?}");
}
