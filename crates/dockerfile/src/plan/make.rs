//! Instructions that make something: RUN, COPY, ADD and WORKDIR. In: a stage's state and the instruction.
//! Out: a vertex and its line of the history. Deliberately absent: the files; whether they are there is for
//! the builder to find out.

use model::{Copy, CopyFrom, Digest, Exec, Fetch, MakeDirectory, Op, SecretMount};

use super::path::resolve;
use super::stage::State;
use super::{Place, Planner, history};
use crate::address;
use crate::error::Error;
use crate::instruction::{self, Command, Instruction, Transfer};
use crate::parse::git_source;
use crate::stages::Base;
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

/// Whether a build argument means something without an ARG (Dockerfile reference, "Predefined ARGs" and
/// "BuildKit built-in build args").
pub(crate) fn is_predefined(name: &str) -> bool {
    PROXIES.contains(&name) || name == "SOURCE_DATE_EPOCH" || name.starts_with("BUILDKIT_")
}

impl State {
    pub(super) fn run(
        &mut self,
        planner: &mut Planner<'_>,
        instruction: &Instruction,
        command: &Command,
        secrets: &[instruction::SecretMount],
    ) -> Result<(), Error> {
        let args = self.with_shell(command);
        if args.is_empty() {
            return Err(Error::syntax(&instruction.text, "RUN needs a command.", ""));
        }
        let known = self.config.config.env.len() + 1;
        planner.spend(self.process_size() + known.saturating_mul(self.args.len()), &instruction.text)?;
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
        let secrets = secrets.iter().map(|secret| self.secret(planner, secret)).collect::<Result<_, _>>()?;
        let exec = Exec {
            parent: self.vertex,
            args: args.clone(),
            env,
            proxy_env,
            cwd: self.working_dir(),
            user: self.config.config.user.clone(),
            secrets,
        };
        self.make(planner, Op::Exec(exec), instruction, history::run(&args, &given))
    }

    /// A secret's defaults (Dockerfile reference, "RUN --mount=type=secret").
    fn secret(&self, planner: &Planner<'_>, mount: &instruction::SecretMount) -> Result<SecretMount, Error> {
        let expand = |text: &Option<Text>| text.as_ref().map(|text| self.expand(planner, text)).transpose();
        let (id, target, env) = (expand(&mount.id)?, expand(&mount.target)?, expand(&mount.env)?);
        let id = id.or_else(|| target.as_deref()?.rsplit('/').next().map(str::to_owned)).unwrap_or_default();
        if id.is_empty() {
            return Err(Error::syntax(&mount.text, "The secret's id is empty.", "Write id=NAME."));
        }
        let target = match (target, &env) {
            (Some(target), _) => Some(resolve(&self.working_dir(), &target)),
            (None, Some(_)) => None,
            (None, None) => Some(format!("/run/secrets/{id}")),
        };
        if target.as_deref().is_some_and(|target| target.ends_with('/')) {
            return Err(Error::syntax(
                &mount.text,
                "A secret's target is a file.",
                "Leave the `/` at its end out.",
            ));
        }
        let (required, mode, uid, gid) = (mount.required, mount.mode, mount.uid, mount.gid);
        Ok(SecretMount { id, target, env, required, mode, uid, gid })
    }

    pub(super) fn transfer(
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
        let fetches = if unpack { self.fetches(planner, transfer, &sources, &dest)? } else { Vec::new() };
        let created_by =
            history::transfer(if unpack { "ADD" } else { "COPY" }, &sources, &written, chown.as_deref());
        let from = match from {
            Some(base) => CopyFrom::Vertex { vertex: planner.copied(base, &instruction.text)? },
            None => CopyFrom::Context,
        };
        let copy = Copy { parent: self.vertex, from, sources, fetches, dest, chown, unpack };
        self.make(planner, Op::Copy(copy), instruction, created_by)
    }

    /// What of an ADD has to be fetched (Dockerfile reference, "ADD").
    fn fetches(
        &self,
        planner: &Planner<'_>,
        transfer: &Transfer,
        sources: &[String],
        dest: &str,
    ) -> Result<Vec<Fetch>, Error> {
        let checksum = match &transfer.checksum {
            Some(text) => Some(checksum(text, &self.expand(planner, text)?, sources)?),
            None => None,
        };
        let mut fetches = Vec::new();
        for (source, (text, address)) in transfer.sources.iter().zip(sources).enumerate() {
            if address::is_git(address) {
                return Err(git_source(text));
            }
            if !address::is_file(address) {
                continue;
            }
            if address::has_credential(address) {
                let hint = "Mount a secret in a RUN, and fetch it there.";
                return Err(Error::syntax(text, "An address with a user or password is not fetched.", hint));
            }
            let name = address::file_name(address);
            if name.is_none() && dest.ends_with('/') {
                let hint = "Write the file's name at the end of the destination.";
                return Err(Error::syntax(text, "This address names no file.", hint));
            }
            // BuildKit's word for it.
            let name = name.unwrap_or_else(|| "__unnamed__".to_owned());
            fetches.push(Fetch { source, name, checksum: checksum.clone() });
        }
        Ok(fetches)
    }

    pub(super) fn workdir(
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
            return self.remember(planner, instruction, created_by, None);
        }
        let make = MakeDirectory { parent: self.vertex, path, user: self.config.config.user.clone() };
        self.make(planner, Op::MakeDirectory(make), instruction, created_by)
    }

    fn make(
        &mut self,
        planner: &mut Planner<'_>,
        op: Op,
        instruction: &Instruction,
        created_by: String,
    ) -> Result<(), Error> {
        planner
            .spend(self.config.config.working_dir.len() + self.config.config.user.len(), &instruction.text)?;
        self.step += 1;
        let said = instruction.text.string();
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = Place { stage: self.stage.clone(), step: Some((self.step, self.steps)) };
        self.vertex = planner.add(op, said, place, &instruction.text);
        self.remember(planner, instruction, created_by, Some(self.vertex))
    }
}

/// BuildKit takes one for a single address only.
fn checksum(text: &Text, written: &str, sources: &[String]) -> Result<Digest, Error> {
    match sources {
        [source] if address::is_file(source) => {}
        [source] if address::is_git(source) => {
            return Err(Error::unsupported(text, "The checksum of a git repository", "Leave it out."));
        }
        [_] => {
            return Err(Error::syntax(
                text,
                "Only what is fetched has a checksum.",
                "Leave `--checksum` out.",
            ));
        }
        _ => {
            return Err(Error::syntax(text, "A checksum is of one source.", "Write an ADD for each source."));
        }
    }
    written.parse().map_err(|_| {
        Error::syntax(
            text,
            format!("`{written}` is no checksum."),
            "Write sha256: and 64 hexadecimal digits.",
        )
    })
}
