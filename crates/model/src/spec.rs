//! What a build was asked to do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ImageReference, Platform, SourceSpec, limits, source, template};

/// The longest time a run may be given: 24 hours.
pub const MAX_TIMEOUT_SECONDS: u32 = 86_400;

/// A quick build: one `build` step and one `push` step. Immutable once a run exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildSpec {
    /// The context.
    pub source: SourceSpec,
    /// Name of a credential of kind `git` that the source is fetched with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_credential: Option<String>,
    /// Path of the Dockerfile within the context.
    #[serde(default = "default_dockerfile")]
    pub dockerfile: String,
    /// `repository:tag` within the run's registry, whose address is left out of them; the first names the build in
    /// lists. Empty: the image is built and pushed nowhere.
    #[serde(default)]
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
    /// What to build for.
    #[serde(default = "Platform::host")]
    pub platform: Platform,
    /// Whether cached results are left aside.
    #[serde(default)]
    pub no_cache: bool,
    /// Seconds since 1970 that every time in the image is set or clamped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_date_epoch: Option<i64>,
    /// Wall seconds from lease to end.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

fn default_dockerfile() -> String {
    "Dockerfile".to_owned()
}

fn default_timeout() -> u32 {
    3600
}

/// A specification that is refused before anything is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidSpec {
    /// The JSON field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl BuildSpec {
    /// A build of `source` with every default.
    #[must_use]
    pub fn new(source: SourceSpec) -> Self {
        Self {
            source,
            source_credential: None,
            dockerfile: default_dockerfile(),
            images: Vec::new(),
            target: None,
            build_args: BTreeMap::new(),
            secrets: BTreeMap::new(),
            platform: Platform::host(),
            no_cache: false,
            source_date_epoch: None,
            timeout_seconds: default_timeout(),
        }
    }

    /// Refuses what can't be built before a run exists.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn validate(&self) -> Result<(), InvalidSpec> {
        let refuse =
            |field, message: String, hint: &str| Err(InvalidSpec { field, message, hint: hint.to_owned() });
        if let Err(error) = self.source.validate() {
            return Err(InvalidSpec { field: "source", message: error.message, hint: error.hint });
        }
        limits::check(self)?;
        if self.source_credential.is_none() && self.source.ssh().is_some() {
            return refuse(
                "source_credential",
                "A source over ssh needs a credential: a key to sign in with, and the host's own.".to_owned(),
                "`slipway credential set NAME --kind git --secret-file KEY --known-hosts-file HOSTS` keeps one; \
                 name it as the build's source credential.",
            );
        }
        if let (Some(_), SourceSpec::Git { url, .. }) = (&self.source_credential, &self.source)
            && source::is_read_by_others(url)
        {
            return refuse(
                "source_credential",
                "A credential is not sent over plain http.".to_owned(),
                "Write the source's address with https://.",
            );
        }
        let climbs = self.dockerfile.split('/').any(|part| part == "..");
        if self.dockerfile.is_empty() || self.dockerfile.starts_with('/') || climbs {
            return refuse(
                "dockerfile",
                format!("`{}` is not a path within the context.", self.dockerfile),
                "Write it relative to the context, for instance `docker/Dockerfile`.",
            );
        }
        for image in &self.images {
            let example = match template::example(image) {
                Ok(example) => example,
                Err(error) => {
                    return Err(InvalidSpec {
                        field: "images",
                        message: error.to_string() + ".",
                        hint: error.hint(),
                    });
                }
            };
            if template::names_repository_by_commit(image) {
                return refuse(
                    "images",
                    format!(
                        "`{image}` names its repository by the commit, which is known only after the fetch."
                    ),
                    "Write `{{.Run.Commit}}` behind the `:`: whether a repository may be pushed to is asked before.",
                );
            }
            if let Err(error) = ImageReference::parse_target(&example) {
                return refuse(
                    "images",
                    error.to_string(),
                    "Write `repository:tag`; only the address of the run's own registry may stand before it.",
                );
            }
        }
        if !(1..=MAX_TIMEOUT_SECONDS).contains(&self.timeout_seconds) {
            return refuse(
                "timeout_seconds",
                format!("{} is not between 1 and {MAX_TIMEOUT_SECONDS}.", self.timeout_seconds),
                "Choose a time in that range.",
            );
        }
        if self.source_date_epoch.is_some_and(|epoch| !(0..=253_402_300_799).contains(&epoch)) {
            return refuse(
                "source_date_epoch",
                "It is out of range.".to_owned(),
                "Seconds since 1970-01-01.",
            );
        }
        if self.platform.os != "linux" {
            return refuse(
                "platform",
                format!("`{}` can't be built.", self.platform),
                "Only linux images are built.",
            );
        }
        Ok(())
    }
}
