//! The Dockerfile language, in two pure phases: [`parse`] and [`Dockerfile::needed_images`] say what has
//! to be looked up, [`Dockerfile::plan`] makes the graph. In: text, options, resolved images. Out: a
//! [`BuildGraph`], or a refusal with the user's own line. Deliberately absent: files, network, and
//! whatever is not in the text.

mod address;
mod budget;
mod checks;
mod error;
mod expand;
mod glob;
mod instruction;
mod lines;
mod parse;
mod plan;
mod stages;
mod text;
mod words;

use std::collections::BTreeMap;

use model::{BuildGraph, ImageReference, Location, Platform, ResolvedImage};

pub use error::Error;
use instruction::{Instruction, Kind};
use stages::Stages;

/// What was resolved between the two phases.
pub type Images = BTreeMap<(ImageReference, Platform), ResolvedImage>;

/// What a build chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Values for ARG; those that no ARG declares have no effect.
    pub build_args: BTreeMap<String, String>,
    /// Name or number of the stage to build; the last one when absent.
    pub target: Option<String>,
    /// What to build for.
    pub platform: Platform,
    /// What the build runs on.
    pub build_platform: Platform,
}

/// An image that has to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededImage {
    pub reference: ImageReference,
    pub platform: Platform,
    /// The line that names it first.
    pub location: Location,
}

/// Something questionable that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// As Docker's build checks name it.
    pub rule: &'static str,
    pub message: String,
    pub location: Location,
}

/// A parsed Dockerfile.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    instructions: Vec<Instruction>,
    escape: char,
    warnings: Vec<Warning>,
    checks: checks::Checks,
}

/// Reads a Dockerfile; `name` is the path that people are shown.
///
/// # Errors
/// The first thing that can't be read.
pub fn parse(name: &str, text: &str) -> Result<Dockerfile, Error> {
    let lines = lines::read(name, text)?;
    let (escape, checks) = (lines.escape, lines.checks.clone());
    let (instructions, warnings) = parse::parse(lines)?;
    Ok(Dockerfile { instructions, escape, warnings: checks.keep(warnings), checks })
}

impl Dockerfile {
    /// What is questionable.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Names of build arguments that no ARG declares and nobody predefines, sorted.
    #[must_use]
    pub fn unused_args(&self, options: &Options) -> Vec<String> {
        let declared = |name: &str| {
            let args = self.instructions.iter().filter_map(|instruction| match &instruction.kind {
                Kind::Arg(args) => Some(args),
                _ => None,
            });
            args.flatten().any(|(declared, _)| declared.string() == name)
        };
        let names = options.build_args.keys().filter(|name| !plan::is_predefined(name) && !declared(name));
        names.cloned().collect()
    }

    /// Phase one: the images that the target needs, each once for a platform.
    ///
    /// # Errors
    /// The target or a stage is not there, an instruction that the target needs is not supported, or a
    /// variable has no value where one is needed. Or there is a warning, and the file's `check` directive makes
    /// it an error.
    pub fn needed_images(&self, options: &Options) -> Result<Vec<NeededImage>, Error> {
        if let Some(error) = self.checks.failure(&self.warnings) {
            return Err(error);
        }
        Stages::of(&self.instructions, self.escape, options)?.images(options)
    }

    /// Phase two: the graph. `images` holds what [`Dockerfile::needed_images`] asked for.
    ///
    /// # Errors
    /// As phase one; or an instruction makes no sense with its values.
    pub fn plan(&self, options: &Options, images: &Images) -> Result<BuildGraph, Error> {
        let stages = Stages::of(&self.instructions, self.escape, options)?;
        plan::plan(&stages, self.escape, options, images)
    }
}
