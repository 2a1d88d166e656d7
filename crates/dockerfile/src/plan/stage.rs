//! One stage: its instructions, in order, on the file system and configuration they begin with.

use std::collections::BTreeMap;

use model::{
    Copy, CopyFrom, Exec, HistoryEntry, ImageConfig, MakeDirectory, Op, Platform, RuntimeConfig, VertexId,
};

use super::{DEFAULT_PATH, Planner, config, history};
use crate::error::Error;
use crate::expand;
use crate::instruction::{Command, Instruction, Kind, Transfer};
use crate::stages::{Base, Stage, platform_args};
use crate::text::Text;

/// Given to every RUN when they are among the build arguments, in no key and no history (Dockerfile
/// reference, "Predefined ARGs").
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Where a stage stands after an instruction.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) vertex: VertexId,
    pub(crate) config: ImageConfig,
    pub(crate) history: Vec<HistoryEntry>,
    /// Declared in this stage, in order.
    args: Vec<(String, Option<String>)>,
    /// Whether this stage has a CMD: then an ENTRYPOINT leaves it.
    cmd_set: bool,
    label: String,
    step: usize,
    steps: usize,
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
        let label = match (&stage.name, planner.stages.all.len()) {
            (Some(name), _) => format!("{} ", name.to_lowercase()),
            (None, 1) => String::new(),
            (None, _) => format!("stage-{index} "),
        };
        let makes = |i: &&Instruction| {
            matches!(i.kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
        };
        let steps = 1 + stage.instructions.iter().filter(makes).count();
        let name = |image: &str| format!("[{label}1/{steps}] FROM {image}");
        let text = &stage.from.text;
        let (vertex, config, history) = match &stage.base {
            Base::Scratch => {
                let vertex = planner.add(Op::Scratch, name("scratch"), text);
                let runtime =
                    RuntimeConfig { env: vec![DEFAULT_PATH.to_owned()], ..RuntimeConfig::default() };
                (vertex, ImageConfig { config: runtime, ..ImageConfig::default() }, Vec::new())
            }
            Base::Stage(base) => {
                let base = planner.states.get(base).cloned().ok_or_else(|| {
                    Error::at(
                        "internal",
                        text,
                        "A stage was planned too late.",
                        "Report this: it is a defect.",
                    )
                })?;
                (base.vertex, base.config, base.history)
            }
            Base::Image(reference) => {
                let vertex = planner.image(reference, &stage.platform, name(&reference.to_string()), text)?;
                (vertex, config_of(planner, vertex, text)?, Vec::new())
            }
        };
        let mut state =
            Self { vertex, config, history, args: Vec::new(), cmd_set: false, label, step: 1, steps };
        state.set_platform(&stage.platform);
        Ok(state)
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
            Kind::Run(command) => self.run(planner, instruction, command),
            Kind::Copy(transfer) => {
                let from = planner.stages.copied_from(index, transfer)?;
                self.transfer(planner, instruction, transfer, from.as_ref(), false)
            }
            Kind::Add(transfer) => self.transfer(planner, instruction, transfer, None, true),
            Kind::Workdir(path) => self.workdir(planner, instruction, path),
            Kind::Arg(args) => self.arg(planner, args),
            _ => {
                let created_by = config::apply(self, planner, instruction)?;
                self.history.push(HistoryEntry { created_by, layer: None });
                Ok(())
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

    pub(super) fn expand(&self, planner: &Planner<'_>, text: &Text) -> Result<String, Error> {
        expand::word(text, planner.escape, &|name| self.value(name))
    }

    pub(super) fn expand_words(&self, planner: &Planner<'_>, text: &Text) -> Result<Vec<String>, Error> {
        expand::words(text, planner.escape, &|name| self.value(name))
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

    fn arg(&mut self, planner: &Planner<'_>, args: &[(Text, Option<Text>)]) -> Result<(), Error> {
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
            self.args.retain(|(known, _)| *known != name);
            self.args.push((name, value));
        }
        self.history.push(HistoryEntry { created_by: format!("ARG {}", said.join(" ")), layer: None });
        Ok(())
    }

    fn run(
        &mut self,
        planner: &mut Planner<'_>,
        instruction: &Instruction,
        command: &Command,
    ) -> Result<(), Error> {
        let args = self.with_shell(command);
        if args.is_empty() {
            return Err(Error::syntax(&instruction.text, "RUN needs a command.", ""));
        }
        let mut env = self.config.config.env.clone();
        let set = |env: &[String], name: &str| {
            env.iter().any(|v| v.split_once('=').is_some_and(|(key, _)| key == name))
        };
        let given: Vec<(String, String)> = self
            .args
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .filter(|(name, _)| !set(&env, name))
            .collect();
        env.extend(given.iter().map(|(name, value)| format!("{name}={value}")));
        let proxies = PROXIES.iter().filter(|name| !set(&env, name));
        let proxies = proxies.filter_map(|name| Some((name, planner.options.build_args.get(*name)?)));
        let proxy_env = proxies.map(|(name, value)| format!("{name}={value}")).collect();
        let exec = Exec {
            parent: self.vertex,
            args: args.clone(),
            env,
            proxy_env,
            cwd: self.working_dir(),
            user: self.config.config.user.clone(),
        };
        self.make(planner, Op::Exec(exec), instruction, history::run(&args, &given));
        Ok(())
    }

    fn transfer(
        &mut self,
        planner: &mut Planner<'_>,
        instruction: &Instruction,
        transfer: &Transfer,
        from: Option<&Base>,
        unpack: bool,
    ) -> Result<(), Error> {
        let expand = |text: &Text| self.expand(planner, text);
        let sources = transfer.sources.iter().map(expand).collect::<Result<Vec<_>, _>>()?;
        let written = expand(&transfer.dest)?;
        let chown = transfer.chown.as_ref().map(expand).transpose()?.filter(|chown| !chown.is_empty());
        if written.is_empty() || sources.iter().any(String::is_empty) {
            let hint = "A variable in it has no value: declare it with ARG or ENV in this stage.";
            return Err(Error::syntax(&instruction.text, "A path is empty.", hint));
        }
        let dest = resolve(&self.working_dir(), &written);
        if sources.len() > 1 && !dest.ends_with('/') {
            let message =
                format!("Several sources need a folder to go to; `{written}` does not end with `/`.");
            return Err(Error::syntax(&transfer.dest, message, format!("Write `{written}/`.")));
        }
        let created_by =
            history::transfer(if unpack { "ADD" } else { "COPY" }, &sources, &written, chown.as_deref());
        let from = match from {
            Some(base) => CopyFrom::Vertex { vertex: planner.copied(base, &instruction.text)? },
            None => CopyFrom::Context,
        };
        let copy = Copy { parent: self.vertex, from, sources, dest, chown, unpack };
        self.make(planner, Op::Copy(copy), instruction, created_by);
        Ok(())
    }

    fn workdir(
        &mut self,
        planner: &mut Planner<'_>,
        instruction: &Instruction,
        path: &Text,
    ) -> Result<(), Error> {
        let written = self.expand(planner, path)?;
        if written.is_empty() {
            let hint = "A variable in it has no value: declare it with ARG or ENV in this stage.";
            return Err(Error::syntax(path, "The path is empty.", hint));
        }
        let path = resolve(&self.working_dir(), &written);
        let path = if path == "/" { path } else { path.trim_end_matches('/').to_owned() };
        self.config.config.working_dir.clone_from(&path);
        let created_by = format!("WORKDIR {path}");
        if path == "/" {
            self.step += 1;
            self.history.push(HistoryEntry { created_by, layer: None });
            return Ok(());
        }
        let make = MakeDirectory { parent: self.vertex, path, user: self.config.config.user.clone() };
        self.make(planner, Op::MakeDirectory(make), instruction, created_by);
        Ok(())
    }

    fn make(&mut self, planner: &mut Planner<'_>, op: Op, instruction: &Instruction, created_by: String) {
        self.step += 1;
        let said = instruction.text.string();
        let name = format!(
            "[{}{}/{}] {}",
            self.label,
            self.step,
            self.steps,
            said.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        self.vertex = planner.add(op, name, &instruction.text);
        self.history.push(HistoryEntry { created_by, layer: Some(self.vertex) });
    }

    fn working_dir(&self) -> String {
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
    let mut config = image.config.clone();
    if !config.config.env.iter().any(|variable| variable.starts_with("PATH=")) {
        config.config.env.push(DEFAULT_PATH.to_owned());
    }
    Ok(config)
}

/// What the shell is given: the command and its here-documents, or, where the command is nothing but one
/// here-document, its content.
fn shell_text(text: &str, heredocs: &[crate::lines::Heredoc]) -> String {
    let only = |heredoc: &crate::lines::Heredoc| {
        let rest = text.strip_prefix("<<").map(|rest| rest.trim_start_matches('-').trim_matches(['"', '\'']));
        rest == Some(heredoc.name.as_str())
    };
    match heredocs {
        [] => text.to_owned(),
        [heredoc] if only(heredoc) => heredoc.content.clone(),
        several => {
            let mut whole = format!("{text}\n");
            several.iter().for_each(|heredoc| whole.push_str(&heredoc.raw));
            whole
        }
    }
}

/// `path` seen from `base`: absolute, without `.`, `..` and doubled slashes; a `/` at the end stays where
/// it says that this is a folder.
pub(super) fn resolve(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let folder =
        path.ends_with('/') || path == "." || path == ".." || path.ends_with("/.") || path.ends_with("/..");
    let end = if folder && !parts.is_empty() { "/" } else { "" };
    format!("/{}{end}", parts.join("/"))
}
