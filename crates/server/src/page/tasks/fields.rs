//! A task as a form: its fields, what they are filled with, and what the API is asked for by them. Absent: any
//! check that the API makes itself.

use model::{CredentialKind, Platform, SourceSpec};
use serde_json::{Map, Value, json};

use super::triggers;
use crate::api::{Credential, Task};
use crate::http::kind;
use crate::http::problem::Problem;
use crate::page::form::{Field, Form, Values};
use crate::page::notify;

/// The fields of a task that is there, or with `name` of a new one.
pub(super) fn form(form: Form, is_new: bool, values: &Values, credentials: &[Credential]) -> Form {
    let name = is_new.then(|| Field::line("name", "Name").required());
    let basic = [
        Field::line("build.source", "Source")
            .help("https://host/team/app.git#branch:folder, or git@host:team/app.git")
            .required(),
        notify::credential(
            "build.source_credential",
            "Fetched with the credential",
            CredentialKind::Git,
            credentials,
        ),
        Field::lines("build.images", "Images").help(
            "One repository:tag a line. {{.Run.Commit}}, {{.Run.Branch}}, {{.Run.ID}} may stand in them.",
        ),
        Field::line("build.dockerfile", "Dockerfile").usual("Dockerfile"),
    ];
    let further = [
        Field::line("build.target", "Target").help("The stage to build; the last one when empty."),
        Field::lines("build.build_args", "Build arguments").help("One a line: NAME=value"),
        Field::lines("build.secrets", "Secrets").help("One a line: ID=CREDENTIAL, of kind build."),
        Field::line("build.platform", "Platform")
            .help("Such as linux/arm64; what the service runs on when empty.")
            .usual(&Platform::host().to_string()),
        Field::number("build.timeout_seconds", "Longest time of a run, in seconds").usual("3600"),
        Field::number("build.source_date_epoch", "Time of every file, in seconds since 1970")
            .help("For images that are the same, digit by digit."),
        Field::check("build.no_cache", "Leave cached results aside"),
    ];
    let form = form
        .group("", name.into_iter().chain(basic))
        .folded("More of the build", further)
        .group("Triggers", [Field::check("enabled", "Triggers start it")]);
    let form = triggers::groups(form, values);
    notify::groups(form, values, credentials).filled(values)
}

/// What the form of a new one is filled with.
pub(super) fn fresh() -> Values {
    let mut values = Values::default();
    values.set("build.dockerfile", "Dockerfile");
    values.set("build.platform", Platform::host().to_string());
    values.set("build.timeout_seconds", "3600");
    values.check("enabled", true);
    values
}

/// What the form of one that is there is filled with.
pub(super) fn values(task: &Task) -> Values {
    let mut values = Values::default();
    let build = &task.build;
    let lines = |pairs: &std::collections::BTreeMap<String, String>| {
        pairs.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>()
    };
    values.set("build.source", source(&build.source.0));
    values.set("build.source_credential", build.source_credential.as_deref().unwrap_or_default());
    values.set("build.dockerfile", &build.dockerfile);
    values.set("build.images", build.images.join("\n"));
    values.set("build.target", build.target.as_deref().unwrap_or_default());
    values.set("build.build_args", lines(&build.build_args));
    values.set("build.secrets", lines(&build.secrets));
    values.set("build.platform", build.platform.to_string());
    values.set("build.timeout_seconds", build.timeout_seconds.to_string());
    let epoch = build.source_date_epoch.map(|epoch| epoch.to_string());
    values.set("build.source_date_epoch", epoch.unwrap_or_default());
    values.check("build.no_cache", build.no_cache);
    values.check("enabled", task.enabled);
    triggers::fill(&mut values, &task.triggers);
    notify::fill(&mut values, &task.notify);
    values
}

/// All of a task but its name, as the API takes it.
pub(super) fn body(values: &Values) -> Result<Map<String, Value>, Problem> {
    let source = SourceSpec::parse_git(values.line("build.source"));
    let wrong = |detail: String, hint: String, field: &str| {
        Problem::new(&kind::TASK_INVALID, detail, hint).in_field(field)
    };
    let source = source.map_err(|error| wrong(error.message, error.hint, "build.source"))?;
    let platform = values.optional("build.platform").map(|text| text.parse::<Platform>());
    let platform =
        platform.transpose().map_err(|error| wrong(error.to_string(), String::new(), "build.platform"))?;
    let mut build = json!({
        "source": source,
        "dockerfile": values.line("build.dockerfile"),
        "images": values.lines("build.images"),
        "build_args": values.pairs("build.build_args")?,
        "secrets": values.pairs("build.secrets")?,
        "no_cache": values.is_checked("build.no_cache"),
    });
    // What was left empty is left out, and is what the API has for it.
    let optional = [
        ("source_credential", values.optional("build.source_credential").map(Value::from)),
        ("target", values.optional("build.target").map(Value::from)),
        ("platform", platform.map(|platform| platform.to_string().into())),
        ("timeout_seconds", values.number("build.timeout_seconds")?.map(Value::from)),
        ("source_date_epoch", values.number("build.source_date_epoch")?.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            build[name] = value;
        }
    }
    Ok(Map::from_iter([
        ("build".to_owned(), build),
        ("enabled".to_owned(), values.is_checked("enabled").into()),
        ("triggers".to_owned(), triggers::body(values)?),
        ("notify".to_owned(), notify::body(values)),
    ]))
}

/// As `docker build` takes it.
fn source(source: &SourceSpec) -> String {
    match source {
        SourceSpec::Git { url, reference, subdirectory } => {
            let folder = subdirectory.iter().map(|folder| format!(":{folder}"));
            let behind: String = reference.iter().cloned().chain(folder).collect();
            if behind.is_empty() { url.clone() } else { format!("{url}#{behind}") }
        }
        SourceSpec::Upload { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_it_is_written() {
        for text in [
            "https://e.com/a.git",
            "https://e.com/a.git#main",
            "https://e.com/a.git#:sub",
            "git@e.com:a#v1:b/c",
        ] {
            assert_eq!(source(&SourceSpec::parse_git(text).expect(text)), text);
        }
    }
}
