//! Short words for planning a Dockerfile.

use dockerfile::{Images, Options, parse};
use model::{BuildGraph, Digest, Failure, ImageConfig, Op, ResolvedImage, RuntimeConfig};

pub(crate) fn options() -> Options {
    Options {
        build_args: [].into(),
        target: None,
        platform: "linux/amd64".parse().unwrap(),
        build_platform: "linux/amd64".parse().unwrap(),
    }
}

pub(crate) fn with_args(args: &[(&str, &str)]) -> Options {
    let build_args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Options { build_args, ..options() }
}

pub(crate) fn with_target(target: &str) -> Options {
    Options { target: Some(target.to_owned()), ..options() }
}

/// What every base image of these tests is configured as.
pub(crate) fn base_config() -> RuntimeConfig {
    RuntimeConfig {
        env: vec!["PATH=/bin".to_owned(), "BASE=yes".to_owned()],
        cmd: Some(vec!["base-cmd".to_owned()]),
        ..RuntimeConfig::default()
    }
}

pub(crate) fn plan_with(text: &str, options: &Options, base: &RuntimeConfig) -> Result<BuildGraph, Failure> {
    let dockerfile = parse("Dockerfile", text).map_err(dockerfile::Error::into_failure)?;
    let needed = dockerfile.needed_images(options).map_err(dockerfile::Error::into_failure)?;
    let images: Images = needed
        .into_iter()
        .map(|image| {
            let config = ImageConfig {
                os: image.platform.os.clone(),
                architecture: image.platform.architecture.clone(),
                config: base.clone(),
                ..ImageConfig::default()
            };
            let resolved = ResolvedImage {
                reference: image.reference.clone(),
                digest: Digest::from_sha256([7; 32]),
                platform: image.platform.clone(),
                config,
                layers: Vec::new(),
            };
            ((image.reference, image.platform), resolved)
        })
        .collect();
    dockerfile.plan(options, &images).map_err(dockerfile::Error::into_failure)
}

pub(crate) fn plan(text: &str) -> BuildGraph {
    plan_with(text, &options(), &base_config()).unwrap()
}

pub(crate) fn config(text: &str) -> RuntimeConfig {
    plan(text).output.config.config
}

/// The last operation.
pub(crate) fn last(graph: &BuildGraph) -> &Op {
    &graph.vertex(graph.output.root).op
}

pub(crate) fn names(graph: &BuildGraph) -> Vec<String> {
    graph.vertices.iter().map(model::Vertex::name).collect()
}

pub(crate) fn failure(text: &str) -> Failure {
    failure_with(text, &options())
}

pub(crate) fn failure_with(text: &str, options: &Options) -> Failure {
    plan_with(text, options, &base_config()).expect_err(text)
}
