//! The body of `POST …/runs`.

use std::collections::BTreeMap;
use std::fmt;

use model::{BuildSpec, SourceSpec, Trust};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Source, TrustWord};

/// A build that is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    #[serde(flatten)]
    pub build: Build,
    /// `untrusted` gives the run no secrets and a cache of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TrustWord>)]
    pub trust: Option<Trust>,
}

/// What to build. Only `source` is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The context.
    pub source: NewSource,
    /// Name of a credential of kind `git` that the source is fetched with: a token for https, a private key with
    /// host keys for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_credential: Option<String>,
    /// Path of the Dockerfile within the context.
    #[serde(default = "default_dockerfile")]
    #[schema(example = "Dockerfile")]
    pub dockerfile: String,
    /// `repository:tag` within the registry, at most 20; the registry's own address may stand before it, and is left
    /// out. None: the image is built and pushed nowhere. Fields of the run may stand in them: `{{.Run.ID}}`, `{{.Run.Commit}}`, `{{.Run.Branch}}`, ….
    #[serde(default)]
    #[schema(example = json!(["team/app:1"]))]
    pub images: Vec<String>,
    /// The stage to build; the last one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Values for ARG.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// Secrets that steps may mount: an id, and the name of a credential of kind `build`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What to build for; what the service runs on when absent.
    #[serde(default = "model::Platform::host")]
    #[schema(value_type = Option<String>, example = "linux/amd64")]
    pub platform: model::Platform,
    /// Whether cached results are left aside.
    #[serde(default)]
    pub no_cache: bool,
    /// Seconds since 1970 that every time in the image is set or clamped to; then the same inputs give
    /// the same digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub source_date_epoch: Option<i64>,
    /// Wall seconds from lease to end.
    #[serde(default = "default_timeout")]
    #[schema(minimum = 1, maximum = 86400, default = 3600)]
    pub timeout_seconds: u32,
}

/// A source as an object, or a git address as `docker build` takes it: `https://host/repo.git#ref:dir`, and the same
/// over ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSource(pub SourceSpec);

/// For the document only.
#[derive(ToSchema)]
#[schema(as = NewSource)]
#[serde(untagged)]
#[expect(dead_code, reason = "it exists for its schema")]
enum NewSourceSchema {
    /// `https://host/repository.git[#ref[:subdirectory]]`, `ssh://git@host[:port]/path[#…]` or
    /// `git@host:path[#…]`
    #[schema(example = "https://example.com/team/app.git#main")]
    Address(String),
    Source(Source),
}

impl utoipa::PartialSchema for NewSource {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        NewSourceSchema::schema()
    }
}

impl ToSchema for NewSource {
    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
        NewSourceSchema::schemas(schemas);
    }
}

impl NewRun {
    /// A build of `source` with every default.
    #[must_use]
    pub fn new(source: SourceSpec) -> Self {
        Self { build: BuildSpec::new(source).into(), trust: None }
    }
}

fn default_dockerfile() -> String {
    "Dockerfile".to_owned()
}

fn default_timeout() -> u32 {
    3600
}

impl From<Build> for BuildSpec {
    fn from(new: Build) -> Self {
        let Build {
            source: NewSource(source),
            source_credential,
            dockerfile,
            images,
            target,
            build_args,
            secrets,
            platform,
            no_cache,
            source_date_epoch,
            timeout_seconds,
        } = new;
        Self {
            source,
            source_credential,
            dockerfile,
            images,
            target,
            build_args,
            secrets,
            platform,
            no_cache,
            source_date_epoch,
            timeout_seconds,
        }
    }
}

impl From<BuildSpec> for Build {
    fn from(spec: BuildSpec) -> Self {
        let BuildSpec {
            source,
            source_credential,
            dockerfile,
            images,
            target,
            build_args,
            secrets,
            platform,
            no_cache,
            source_date_epoch,
            timeout_seconds,
        } = spec;
        let source = NewSource(source);
        Self {
            source,
            source_credential,
            dockerfile,
            images,
            target,
            build_args,
            secrets,
            platform,
            no_cache,
            source_date_epoch,
            timeout_seconds,
        }
    }
}

impl Serialize for NewSource {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NewSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = NewSource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a git address, or an object with `type`: `git` or `upload`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<NewSource, E> {
        SourceSpec::parse_git(text).map(NewSource).map_err(|e| E::custom(format!("{} {}", e.message, e.hint)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NewSource, A::Error> {
        SourceSpec::deserialize(MapAccessDeserializer::new(map)).map(NewSource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_request_has_the_models_defaults() {
        let new: Build =
            serde_json::from_str(r#"{"source":"https://example.com/a.git#main:sub"}"#).expect("it is valid");
        let source = SourceSpec::parse_git("https://example.com/a.git#main:sub").expect("it is valid");
        assert_eq!(BuildSpec::from(new), BuildSpec::new(source));
    }

    #[test]
    fn whatever_the_model_writes_is_taken() {
        let mut spec =
            BuildSpec::new(SourceSpec::parse_git("https://example.com/a.git").expect("it is valid"));
        spec.images = vec!["app:1".into()];
        spec.target = Some("build".into());
        spec.build_args.insert("A".into(), "b".into());
        spec.no_cache = true;
        spec.source_date_epoch = Some(0);
        let json = serde_json::to_string(&spec).expect("it is JSON");
        let back: Build = serde_json::from_str(&json).expect("it is taken");
        assert_eq!(BuildSpec::from(back), spec);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let error = serde_json::from_str::<NewRun>(r#"{"source":"https://e.com/a.git","image":["a"]}"#)
            .expect_err("it is refused");
        assert!(error.to_string().contains("unknown field `image`"), "{error}");
        let error = serde_json::from_str::<NewRun>(r#"{"source":7}"#).expect_err("it is refused");
        assert!(error.to_string().contains("expected a git address"), "{error}");
    }
}
