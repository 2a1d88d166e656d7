//! Stages: what each is built on, and which of them the target needs. Phase one ends here: it names the
//! images that have to be resolved.

use std::collections::BTreeMap;

use model::{ImageReference, Platform};

use crate::budget::Budget;
use crate::error::{Error, near};
use crate::expand;
use crate::instruction::{Instruction, Kind, Transfer};
use crate::text::Text;
use crate::{NeededImage, Options};

/// A stage with its base and the places it copies from.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// As written after AS.
    pub(crate) name: Option<String>,
    pub(crate) from: &'a Instruction,
    pub(crate) base: Base,
    /// What `FROM --platform` says, else the target's; on another stage, that stage's.
    pub(crate) platform: Platform,
    pub(crate) instructions: &'a [Instruction],
}

/// What a stage or a copy reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    Scratch,
    Stage(usize),
    Image(ImageReference),
}

/// All stages, those that the target needs, and the ARGs before the first FROM.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    pub(crate) all: Vec<Stage<'a>>,
    pub(crate) target: usize,
    /// In the order of the file.
    pub(crate) needed: Vec<usize>,
    pub(crate) globals: BTreeMap<String, Option<String>>,
    pub(crate) budget: Budget,
}

impl<'a> Stages<'a> {
    pub(crate) fn of(
        instructions: &'a [Instruction],
        escape: char,
        options: &Options,
    ) -> Result<Self, Error> {
        let first = instructions.iter().position(|i| matches!(i.kind, Kind::From { .. })).unwrap_or(0);
        let budget = Budget::new();
        let platform = platform_args(options);
        let globals = globals(&instructions[..first], escape, options, &platform, &budget)?;
        let lookup =
            |name: &str| globals.get(name).cloned().flatten().or_else(|| platform.get(name).cloned());
        let mut all: Vec<Stage<'a>> = Vec::new();
        let starts: Vec<usize> = (first..instructions.len())
            .filter(|at| matches!(instructions[*at].kind, Kind::From { .. }))
            .chain([instructions.len()])
            .collect();
        for range in starts.windows(2) {
            let from = &instructions[range[0]];
            let Kind::From { image, name, platform } = &from.kind else { continue };
            let wanted =
                platform.as_ref().map(|text| read_platform(text, escape, &lookup, &budget)).transpose()?;
            let base = base(image, &expand::word(image, escape, &lookup, &budget)?, &all)?;
            let inherited = match base {
                Base::Stage(base) => Some(all[base].platform.clone()),
                Base::Scratch | Base::Image(_) => None,
            };
            all.push(Stage {
                name: name.as_ref().map(Text::string),
                from,
                base,
                platform: inherited.or(wanted).unwrap_or_else(|| options.platform.clone()),
                instructions: &instructions[range[0] + 1..range[1]],
            });
        }
        let target = target(&all, options)?;
        let needed = needed(&all, target)?;
        Ok(Self { all, target, needed, globals, budget })
    }

    /// The images to resolve, each once for a platform.
    pub(crate) fn images(&self, options: &Options) -> Result<Vec<NeededImage>, Error> {
        let mut images: Vec<NeededImage> = Vec::new();
        let mut add = |reference: &ImageReference, platform: &Platform, text: &Text| {
            if !images.iter().any(|image| image.reference == *reference && image.platform == *platform) {
                let (reference, platform) = (reference.clone(), platform.clone());
                images.push(NeededImage { reference, platform, location: text.line_location() });
            }
        };
        for index in &self.needed {
            let stage = &self.all[*index];
            if let Base::Image(reference) = &stage.base {
                add(reference, &stage.platform, &stage.from.text);
            }
            for (instruction, transfer) in stage.copies() {
                if let Some(Base::Image(reference)) = self.copied_from(*index, transfer)? {
                    add(&reference, &options.platform, &instruction.text);
                }
            }
        }
        Ok(images)
    }

    /// What COPY `--from` names, seen from a stage.
    pub(crate) fn copied_from(&self, stage: usize, transfer: &Transfer) -> Result<Option<Base>, Error> {
        transfer.from.as_ref().map(|from| copy_source(from, stage, &self.all)).transpose()
    }
}

impl<'a> Stage<'a> {
    fn copies(&self) -> impl Iterator<Item = (&'a Instruction, &'a Transfer)> + use<'a> {
        self.instructions.iter().filter_map(|instruction| match &instruction.kind {
            Kind::Copy(transfer) if transfer.from.is_some() => Some((instruction, transfer)),
            _ => None,
        })
    }
}

/// The variables that every build has (Dockerfile reference, "Automatic platform ARGs").
pub(crate) fn platform_args(options: &Options) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (prefix, platform) in [("TARGET", &options.platform), ("BUILD", &options.build_platform)] {
        args.insert(format!("{prefix}PLATFORM"), platform.to_string());
        args.insert(format!("{prefix}OS"), platform.os.clone());
        args.insert(format!("{prefix}ARCH"), platform.architecture.clone());
        args.insert(format!("{prefix}VARIANT"), platform.variant.clone());
    }
    args.insert("TARGETSTAGE".to_owned(), options.target.clone().unwrap_or_else(|| "default".to_owned()));
    for (name, value) in &mut args {
        if let Some(given) = options.build_args.get(name) {
            value.clone_from(given);
        }
    }
    args
}

fn globals(
    instructions: &[Instruction],
    escape: char,
    options: &Options,
    platform: &BTreeMap<String, String>,
    budget: &Budget,
) -> Result<BTreeMap<String, Option<String>>, Error> {
    let mut globals: BTreeMap<String, Option<String>> = BTreeMap::new();
    for instruction in instructions {
        let Kind::Arg(args) = &instruction.kind else { continue };
        for (name, default) in args {
            let lookup =
                |name: &str| globals.get(name).cloned().flatten().or_else(|| platform.get(name).cloned());
            let default =
                default.as_ref().map(|text| expand::word(text, escape, &lookup, budget)).transpose()?;
            let name = name.string();
            let value = options.build_args.get(&name).cloned().or(default);
            let value = value.or_else(|| platform.get(&name).cloned());
            globals.insert(name, value);
        }
    }
    Ok(globals)
}

fn read_platform(
    text: &Text,
    escape: char,
    lookup: expand::Lookup<'_>,
    budget: &Budget,
) -> Result<Platform, Error> {
    let word = expand::word(text, escape, lookup, budget)?;
    word.parse().map_err(|_| {
        let message = format!("`{word}` is no platform.");
        Error::syntax(text, message, "Write os/architecture, for instance linux/arm64.")
    })
}

fn base(text: &Text, image: &str, earlier: &[Stage<'_>]) -> Result<Base, Error> {
    if image.is_empty() {
        let message = format!("`{}` is empty here.", text.string());
        return Err(Error::syntax(
            text,
            message,
            "Declare it with ARG before the first FROM, with a default.",
        ));
    }
    if image == "scratch" {
        return Ok(Base::Scratch);
    }
    match find(image, earlier) {
        Some(index) => Ok(Base::Stage(index)),
        None => reference(text, image),
    }
}

fn reference(text: &Text, image: &str) -> Result<Base, Error> {
    let reference = image.parse::<ImageReference>();
    reference.map(Base::Image).map_err(|error| {
        Error::at(
            "image_reference_invalid",
            text,
            format!("{error}."),
            "Write it as registry/repository:tag.",
        )
    })
}

/// The last stage of that name; names don't differ by case.
fn find(name: &str, stages: &[Stage<'_>]) -> Option<usize> {
    stages.iter().rposition(|stage| stage.name.as_ref().is_some_and(|n| n.eq_ignore_ascii_case(name)))
}

fn copy_source(from: &Text, stage: usize, all: &[Stage<'_>]) -> Result<Base, Error> {
    let name = from.string();
    if name.contains('$') {
        let hint = "Name a stage with FROM $VARIABLE AS NAME, and copy --from=NAME.";
        return Err(Error::syntax(from, "`--from` takes no variables.", hint));
    }
    if name == "scratch" {
        return Ok(Base::Scratch);
    }
    if let Ok(number) = name.parse::<usize>() {
        if number < stage {
            return Ok(Base::Stage(number));
        }
        let message = format!("There is no stage {number} before this one.");
        return Err(Error::at("stage_not_found", from, message, "Stages are counted from 0."));
    }
    if let Some(index) = find(&name, &all[..stage]) {
        return Ok(Base::Stage(index));
    }
    if find(&name, &all[stage..]).is_some() {
        let message = format!("The stage `{name}` does not stand before this one.");
        return Err(Error::at("stage_not_found", from, message, "Move it up."));
    }
    // A name that is almost a stage's was hardly meant to be an image of Docker Hub.
    let names = all[..stage].iter().filter_map(|stage| stage.name.as_deref());
    match near(&name, names).filter(|_| !name.contains(['/', ':', '.'])) {
        Some(near) => {
            let message = format!("There is no stage `{name}`.");
            Err(Error::at("stage_not_found", from, message, format!("Did you mean `{near}`?")))
        }
        None => reference(from, &name),
    }
}

fn target(all: &[Stage<'_>], options: &Options) -> Result<usize, Error> {
    let Some(wanted) = &options.target else { return Ok(all.len().saturating_sub(1)) };
    let number = wanted.parse().ok().filter(|number| *number < all.len());
    find(wanted, all).or(number).ok_or_else(|| {
        let names: Vec<_> = all.iter().filter_map(|stage| stage.name.as_deref()).collect();
        let hint = match (near(wanted, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => format!("Did you mean `{near}`?"),
            (None, true) => "Its stages have no names; leave the target out for the last one.".to_owned(),
            (None, false) => format!("There is `{}`.", names.join("`, `")),
        };
        Error::bare("target_not_found", format!("The Dockerfile has no stage `{wanted}`."), hint)
    })
}

/// Those that the target is built on or copies from. Every edge leads to an earlier stage.
fn needed(all: &[Stage<'_>], target: usize) -> Result<Vec<usize>, Error> {
    let mut needed = vec![false; all.len()];
    needed[target] = true;
    for index in (0..=target).rev().filter(|index| *index < all.len()) {
        if !needed[index] {
            continue;
        }
        let stage = &all[index];
        if let Some(error) = stage.instructions.iter().find_map(|instruction| instruction.unsupported.clone())
        {
            return Err(error);
        }
        if let Base::Stage(base) = stage.base {
            needed[base] = true;
        }
        for (_, transfer) in stage.copies() {
            if let Some(from) = &transfer.from
                && let Base::Stage(from) = copy_source(from, index, all)?
            {
                needed[from] = true;
            }
        }
    }
    Ok((0..all.len()).filter(|index| needed[*index]).collect())
}
