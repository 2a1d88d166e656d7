//! What starts a task, as groups of a form.

use model::{PathFilter, Trigger};
use serde_json::{Value, json};

use crate::http::kind;
use crate::http::problem::Problem;
use crate::page::form::{Field, Form, Values};

const LISTS: [(&str, &str, &str); 4] = [
    ("branches", "Branches", "One name or pattern a line: main, release/*"),
    ("tags", "Tags", "Of a push: v*"),
    ("paths", "Only with changes in", "Of a push: src/**"),
    ("ignore_paths", "Not for changes in", "Of a push: docs/**"),
];

/// A group for each that is there, and one more.
pub(super) fn groups(mut form: Form, values: &Values) -> Form {
    let there = values.count("triggers");
    for slot in 0..=there {
        let name = |field: &str| format!("triggers[{slot}].{field}");
        let kinds = [("", "nothing"), ("commit", "a push"), ("pull_request", "a pull (merge) request")];
        let kind = Field::choice(name("type"), "What starts it", kinds)
            .help("A push without branches and tags: to the source's own branch.");
        let lists = LISTS.map(|(field, label, help)| Field::lines(name(field), label).help(help));
        let mut fields: Vec<Field> = [kind].into_iter().chain(lists).collect();
        if slot < there {
            fields.push(Field::check(name("remove"), "Remove this trigger"));
            form = form.group(format!("Trigger {}", slot + 1), fields);
        } else {
            form = form.folded(if slot == 0 { "Add a trigger" } else { "Add another trigger" }, fields);
        }
    }
    form
}

/// What the form is filled with.
pub(super) fn fill(values: &mut Values, triggers: &[Trigger]) {
    for (slot, trigger) in triggers.iter().enumerate() {
        let none = Vec::new();
        let (kind, branches, tags, PathFilter { paths, ignore_paths }) = match trigger {
            Trigger::Commit { branches, tags, paths } => ("commit", branches, tags, paths),
            Trigger::PullRequest { branches, paths } => ("pull_request", branches, &none, paths),
        };
        values.set(format!("triggers[{slot}].type"), kind);
        for ((field, ..), list) in LISTS.into_iter().zip([branches, tags, paths, ignore_paths]) {
            values.set(format!("triggers[{slot}].{field}"), list.join("\n"));
        }
    }
}

/// As the API takes it, of a form whose empty ones are left out.
pub(super) fn body(values: &Values) -> Result<Value, Problem> {
    (0..values.count("triggers")).map(|slot| one(values, slot)).collect()
}

fn one(values: &Values, slot: usize) -> Result<Value, Problem> {
    let name = |field: &str| format!("triggers[{slot}].{field}");
    let refuse = |field: &str, detail: &str, hint: &str| {
        Err(Problem::new(&kind::TASK_INVALID, detail, hint).in_field(name(field)))
    };
    let kind = values.line(&name("type"));
    if kind.is_empty() {
        let hint = "Choose a push or a pull request, or empty its fields.";
        return refuse("type", "The trigger does not say what starts it.", hint);
    }
    if kind == "pull_request" && values.optional(&name("tags")).is_some() {
        return refuse("tags", "A pull request goes to a branch, never to a tag.", "Leave it empty.");
    }
    let mut trigger = json!({ "type": kind });
    for (field, ..) in LISTS {
        let list = values.lines(&name(field));
        if !list.is_empty() {
            trigger[field] = list.into();
        }
    }
    Ok(trigger)
}
