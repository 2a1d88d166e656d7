//! A task's fields as arguments: what was said becomes a merge patch (RFC 7396), which makes a task, changes
//! one, or changes a single run of one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use model::{Platform, SourceSpec};
use serde_json::{Map, Value, json};

use super::triggers::TriggerArgs;
use crate::client::build::{build_args, secrets};
use crate::client::error::ClientError;
use crate::client::notify::NotifyArgs;
use crate::client::shared::{read_json, seconds};

/// What is built.
#[derive(Debug, Args)]
pub(crate) struct BuildFields {
    /// The repository: https://host/repository.git[#ref[:folder]]
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Name of the credential that a private repository is fetched with
    #[arg(long, value_name = "NAME")]
    source_credential: Option<String>,
    /// Name of the image, REPOSITORY[:TAG], with fields such as {{.Run.ID}}; may be repeated
    #[arg(short = 't', long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// The Dockerfile [default: Dockerfile]
    #[arg(short, long, value_name = "PATH")]
    file: Option<String>,
    /// The stage to build [default: the last one]
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// A value for ARG, NAME=VALUE; NAME alone takes it from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    build_args: Vec<String>,
    /// A secret for `RUN --mount=type=secret`: its id and the credential that holds it
    #[arg(long = "secret", value_name = "ID[=CREDENTIAL]")]
    secrets: Vec<String>,
    /// What to build for, os/architecture [default: what the service runs on]
    #[arg(long)]
    platform: Option<Platform>,
    /// Look no result up in the cache
    #[arg(long)]
    no_cache: bool,
    /// Every time in the image, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    source_date_epoch: Option<i64>,
    /// Longest time for a run: 90s, 15m, 2h [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    timeout: Option<u32>,
}

/// All of a task.
#[derive(Debug, Args)]
pub(crate) struct TaskFields {
    /// A file with a task as JSON, `-` for standard input; what else is said goes over it
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    build: BuildFields,
    #[command(flatten)]
    triggers: TriggerArgs,
    #[command(flatten)]
    notify: NotifyArgs,
    /// Triggers do not start it; a person still can
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Triggers start it
    #[arg(long)]
    enable: bool,
    /// Empty a field; may be repeated
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Clear>,
}

/// What can be emptied.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Clear {
    SourceCredential,
    Images,
    Target,
    BuildArgs,
    Secrets,
    NoCache,
    SourceDateEpoch,
    Triggers,
    Notify,
}

impl BuildFields {
    /// What was said of the build.
    ///
    /// # Errors
    /// A source, build argument or secret that is none.
    pub(crate) fn patch(&self) -> Result<Map<String, Value>, ClientError> {
        if let Some(source) = &self.source {
            SourceSpec::parse_git(source).map_err(|error| ClientError::usage(error.message, error.hint))?;
        }
        let mut patch = Map::new();
        let mut put = |name: &str, value: Option<Value>| value.map(|value| patch.insert(name.into(), value));
        put("source", self.source.as_ref().map(|it| json!(it)));
        put("source_credential", self.source_credential.as_ref().map(|it| json!(it)));
        put("images", (!self.tags.is_empty()).then(|| json!(self.tags)));
        put("dockerfile", self.file.as_ref().map(|it| json!(it)));
        put("target", self.target.as_ref().map(|it| json!(it)));
        put("build_args", (!self.build_args.is_empty()).then_some(json!(build_args(&self.build_args)?)));
        put("secrets", (!self.secrets.is_empty()).then_some(json!(secrets(&self.secrets)?)));
        put("platform", self.platform.as_ref().map(|it| json!(it)));
        put("no_cache", self.no_cache.then_some(Value::Bool(true)));
        put("source_date_epoch", self.source_date_epoch.map(|it| json!(it)));
        put("timeout_seconds", self.timeout.map(|it| json!(it)));
        Ok(patch)
    }
}

impl TaskFields {
    /// What was said of the task, the file's words first.
    ///
    /// # Errors
    /// The file, or an argument, is no such thing.
    pub(crate) fn patch(&self) -> Result<Map<String, Value>, ClientError> {
        let mut patch: Map<String, Value> =
            self.from.as_deref().map(read_json).transpose()?.unwrap_or_default();
        for shown_only in ["id", "name", "registry", "version", "created_at", "updated_at"] {
            patch.remove(shown_only);
        }
        let mut build = self.build.patch()?;
        for field in &self.clear {
            match field.within_build() {
                true => drop(build.insert(field.name(), Value::Null)),
                false => drop(patch.insert(field.name(), json!([]))),
            }
        }
        if !build.is_empty() {
            lay_over(&mut patch, build);
        }
        if let Some(triggers) = self.triggers.read()? {
            patch.insert("triggers".into(), json!(triggers));
        }
        if let Some(notify) = self.notify.read()? {
            patch.insert("notify".into(), json!(notify));
        }
        if self.disable || self.enable {
            patch.insert("enabled".into(), json!(self.enable));
        }
        Ok(patch)
    }
}

/// The arguments' fields of the build over the file's.
fn lay_over(patch: &mut Map<String, Value>, build: Map<String, Value>) {
    // What is not an object there is refused by the service, with the field's name.
    if let Value::Object(there) = patch.entry("build").or_insert_with(|| json!({})) {
        there.extend(build);
    }
}

impl Clear {
    /// As JSON has it.
    fn name(self) -> String {
        let word = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        word.replace('-', "_")
    }

    fn within_build(self) -> bool {
        !matches!(self, Self::Triggers | Self::Notify)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        fields: TaskFields,
    }

    fn patch(line: &str) -> Value {
        let line = Line::try_parse_from(line.split_whitespace()).expect("it is right");
        Value::Object(line.fields.patch().expect("it can be carried out"))
    }

    #[test]
    fn what_is_said_is_in_the_patch_and_nothing_else() {
        assert_eq!(patch("x"), json!({}));
        assert_eq!(
            patch("x --on-push main --on-push release/** --on-tag v* --path src/** --timeout 30m --disable"),
            json!({
                "enabled": false,
                "build": { "timeout_seconds": 1800 },
                "triggers": [{
                    "type": "commit", "branches": ["main", "release/**"], "tags": ["v*"], "paths": ["src/**"]
                }],
            })
        );
        assert_eq!(
            patch("x --clear target --clear triggers --build-arg A=1"),
            json!({ "build": { "target": null, "build_args": { "A": "1" } }, "triggers": [] })
        );
    }

    #[test]
    fn arguments_go_over_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), r#"{"name":"a","version":3,"build":{"target":"t","dockerfile":"d"}}"#)
            .expect("written");
        let patch = patch(&format!("x --from {} --target other", file.path().display()));
        assert_eq!(patch, json!({ "build": { "target": "other", "dockerfile": "d" } }));
    }

    #[test]
    fn paths_alone_are_refused() {
        let line = Line::try_parse_from(["x", "--path", "src/**"]).expect("it is right");
        assert!(line.fields.patch().is_err());
    }
}
