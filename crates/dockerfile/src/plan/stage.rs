//! One stage: its instructions, in order, on the file system and configuration they begin with.

use std::collections::BTreeMap;

use model::{HistoryEntry, ImageConfig, Op, Platform, RuntimeConfig, VertexId};

use super::command::shell_text;
use super::path::resolve;
use super::{DEFAULT_PATH, Place, Planner, config};
use crate::error::Error;
use crate::expand;
use crate::instruction::{Command, Instruction, Kind};
use crate::stages::{Base, Stage, platform_args};
use crate::text::Text;

/// Where a stage stands after an instruction.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) vertex: VertexId,
    pub(crate) config: ImageConfig,
    pub(crate) history: Vec<HistoryEntry>,
    /// Declared in this stage, or in those it is built on, in order.
    pub(super) args: Vec<(String, Option<String>)>,
    /// Whether this stage has a CMD: then an ENTRYPOINT leaves it.
    cmd_set: bool,
    /// As the vertices show it.
    pub(super) stage: Option<String>,
    pub(super) step: usize,
    pub(super) steps: usize,
}

impl State {
    pub(crate) fn plan(planner: &mut Planner<'_>, index: usize) -> Result<Self, Error> {
        let stages = planner.stages;
        let stage = &stages.all[index];
        let mut state = Self::begin(planner, stage, index)?;
        for instruction in stage.instructions {
            state.apply(planner, index, instruction)?;
        }
        Ok(state)
    }

    fn begin(planner: &mut Planner<'_>, stage: &Stage<'_>, index: usize) -> Result<Self, Error> {
        let shown = match (&stage.name, planner.stages.all.len()) {
            (Some(name), _) => Some(name.to_lowercase()),
            (None, 1) => None,
            (None, _) => Some(format!("stage-{index}")),
        };
        let makes = |i: &&Instruction| {
            matches!(i.kind, Kind::Run { .. } | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
        };
        let steps = 1 + stage.instructions.iter().filter(makes).count();
        let place = Place { stage: shown.clone(), step: Some((1, steps)) };
        let text = &stage.from.text;
        let (vertex, config, history, args) = match &stage.base {
            Base::Scratch => {
                let vertex = planner.add(Op::Scratch, "FROM scratch".to_owned(), place, text);
                let runtime = RuntimeConfig {
                    env: vec![DEFAULT_PATH.to_owned()],
                    working_dir: "/".to_owned(),
                    ..RuntimeConfig::default()
                };
                (vertex, ImageConfig { config: runtime, ..ImageConfig::default() }, Vec::new(), Vec::new())
            }
            Base::Stage(base) => {
                let base = planner.states.get(base).ok_or_else(|| {
                    Error::at(
                        "internal",
                        text,
                        "A stage was planned too late.",
                        "Report this: it is a defect.",
                    )
                })?;
                planner.spend(base.size(), text)?;
                (base.vertex, base.config.clone(), base.history.clone(), base.args.clone())
            }
            Base::Image(reference) => {
                let vertex = planner.image(reference, &stage.platform, place, text)?;
                let config = config_of(planner, vertex, text)?;
                (vertex, config, Vec::new(), Vec::new())
            }
        };
        let mut state = Self { vertex, config, history, args, cmd_set: false, stage: shown, step: 1, steps };
        planner.spend(state.size(), text)?;
        state.set_platform(&stage.platform);
        Ok(state)
    }

    /// What a process of it takes: environment, folder and user, about.
    pub(super) fn process_size(&self) -> usize {
        let config = &self.config.config;
        let env: usize = config.env.iter().map(|variable| variable.len() + 32).sum();
        env + config.working_dir.len() + config.user.len()
    }

    /// What a copy of it takes, about.
    fn size(&self) -> usize {
        let config = &self.config.config;
        let history: usize = self.history.iter().map(|entry| entry.created_by.len() + 64).sum();
        let args: usize = self
            .args
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len) + 64)
            .sum();
        let labels = config.labels.iter().flatten();
        let labels: usize = labels.map(|(name, value)| name.len() + value.len() + 64).sum();
        let ports = config.exposed_ports.as_ref().map_or(0, |ports| ports.len() * 64);
        let volumes = config.volumes.iter().flatten().map(|(path, _)| path.len() + 64);
        let commands = [&config.cmd, &config.entrypoint, &config.shell];
        let commands: usize = commands.into_iter().flatten().flatten().map(|word| word.len() + 32).sum();
        history + self.process_size() + args + labels + ports + volumes.sum::<usize>() + commands
    }

    fn set_platform(&mut self, platform: &Platform) {
        self.config.os.clone_from(&platform.os);
        self.config.architecture.clone_from(&platform.architecture);
        self.config.variant = Some(platform.variant.clone()).filter(|variant| !variant.is_empty());
    }

    fn apply(
        &mut self,
        planner: &mut Planner<'_>,
        index: usize,
        instruction: &Instruction,
    ) -> Result<(), Error> {
        match &instruction.kind {
            Kind::Run { command, secrets } => self.run(planner, instruction, command, secrets),
            Kind::Copy(transfer) => {
                let from = planner.stages.copied_from(index, transfer)?;
                self.transfer(planner, instruction, transfer, from.as_ref(), false)
            }
            Kind::Add(transfer) => self.transfer(planner, instruction, transfer, None, true),
            Kind::Workdir(path) => self.workdir(planner, instruction, path),
            Kind::Arg(args) => self.arg(planner, instruction, args),
            _ => {
                let created_by = config::apply(self, planner, instruction)?;
                self.remember(planner, instruction, created_by, None)
            }
        }
    }

    /// What a name stands for: ENV before ARG.
    fn value(&self, name: &str) -> Option<String> {
        let env = self.config.config.env.iter().find_map(|variable| {
            let (key, value) = variable.split_once('=')?;
            (key == name).then(|| value.to_owned())
        });
        let arg = || self.args.iter().find(|(arg, _)| arg == name).and_then(|(_, value)| value.clone());
        env.or_else(arg)
    }

    fn lookup<'s>(&'s self, planner: &'s Planner<'_>) -> impl Fn(&str) -> Option<String> + 's {
        |name| {
            planner.stages.budget.drain(self.config.config.env.len() + self.args.len());
            self.value(name)
        }
    }

    pub(super) fn expand(&self, planner: &Planner<'_>, text: &Text) -> Result<String, Error> {
        let lookup = self.lookup(planner);
        expand::word(text, planner.escape, &lookup, &planner.stages.budget)
    }

    pub(super) fn expand_words(&self, planner: &Planner<'_>, text: &Text) -> Result<Vec<String>, Error> {
        let lookup = self.lookup(planner);
        expand::words(text, planner.escape, &lookup, &planner.stages.budget)
    }

    /// Sets a variable of the configuration in its place, or behind the others.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        let variable = format!("{name}={value}");
        let env = &mut self.config.config.env;
        match env.iter().position(|known| known.split_once('=').is_some_and(|(key, _)| key == name)) {
            Some(at) => env[at] = variable,
            None => env.push(variable),
        }
    }

    pub(super) fn set_cmd(&mut self, cmd: Vec<String>) {
        self.config.config.cmd = Some(cmd);
        self.cmd_set = true;
    }

    pub(super) fn set_entrypoint(&mut self, entrypoint: Vec<String>) {
        self.config.config.entrypoint = Some(entrypoint);
        // A CMD of the base image was meant for the base image's entry point.
        if !self.cmd_set {
            self.config.config.cmd = None;
        }
    }

    /// A command with its shell, if it is in the shell's form.
    pub(super) fn with_shell(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(args) => args.clone(),
            Command::Shell { text, heredocs } => {
                let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
                let mut args = self.config.config.shell.clone().unwrap_or_else(default);
                args.push(shell_text(&text.string(), heredocs));
                args
            }
        }
    }

    fn arg(
        &mut self,
        planner: &Planner<'_>,
        instruction: &Instruction,
        args: &[(Text, Option<Text>)],
    ) -> Result<(), Error> {
        let automatic: BTreeMap<String, String> = platform_args(planner.options);
        let mut said = Vec::new();
        for (text, default) in args {
            let name = text.string();
            let default = default.as_ref().map(|text| self.expand(planner, text)).transpose()?;
            let value = planner.options.build_args.get(&name).cloned().or(default);
            let value = value.or_else(|| planner.stages.globals.get(&name).cloned().flatten());
            let value = value.or_else(|| automatic.get(&name).cloned());
            said.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            planner.spend(self.args.len() + value.as_ref().map_or(0, String::len), text)?;
            self.args.retain(|(known, _)| *known != name);
            self.args.push((name, value));
        }
        self.remember(planner, instruction, format!("ARG {}", said.join(" ")), None)
    }

    pub(super) fn remember(
        &mut self,
        planner: &Planner<'_>,
        instruction: &Instruction,
        created_by: String,
        layer: Option<VertexId>,
    ) -> Result<(), Error> {
        planner.spend(created_by.len(), &instruction.text)?;
        self.history.push(HistoryEntry { created_by, layer });
        Ok(())
    }

    pub(super) fn working_dir(&self) -> String {
        match self.config.config.working_dir.as_str() {
            "" => "/".to_owned(),
            path => resolve("/", path),
        }
    }
}

/// The configuration that an image's stage begins with.
fn config_of(planner: &Planner<'_>, vertex: VertexId, text: &Text) -> Result<ImageConfig, Error> {
    let Op::Image(image) = &planner.vertices[vertex.0].op else { return Ok(ImageConfig::default()) };
    if image.config.config.on_build.as_ref().is_some_and(|triggers| !triggers.is_empty()) {
        let what = format!("The base image {} has ONBUILD triggers, which", image.reference);
        return Err(Error::at(
            "dockerfile_unsupported",
            text,
            format!("{what} are not supported yet."),
            "Write what the triggers do into this Dockerfile, on another base image.",
        ));
    }
    // Its history stays with the image; copied into each stage it could only cost.
    let mut config = ImageConfig {
        author: image.config.author.clone(),
        config: image.config.config.clone(),
        ..ImageConfig::default()
    };
    if !config.config.env.iter().any(|variable| variable.starts_with("PATH=")) {
        config.config.env.push(DEFAULT_PATH.to_owned());
    }
    Ok(config)
}
