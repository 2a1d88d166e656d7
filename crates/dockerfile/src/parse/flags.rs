//! The flags of one instruction: taken by name, refused when nobody takes them.

use crate::error::{Error, near};
use crate::instruction::{Command, Kind};
use crate::text::Text;
use crate::words::Flag;

pub(crate) struct Flags {
    instruction: String,
    flags: Vec<Flag>,
    /// Names that were asked for, for hints.
    known: Vec<&'static str>,
    unsupported: Option<Error>,
}

impl Flags {
    pub(crate) fn new(instruction: &str, flags: Vec<Flag>) -> Self {
        Self { instruction: instruction.to_owned(), flags, known: Vec::new(), unsupported: None }
    }

    /// The value of `--name=value`.
    pub(crate) fn value(&mut self, name: &'static str) -> Result<Option<Text>, Error> {
        self.known.push(name);
        let Some(at) = self.flags.iter().position(|flag| flag.name == name) else { return Ok(None) };
        let flag = self.flags.remove(at);
        if let Some(again) = self.flags.iter().find(|flag| flag.name == name) {
            return Err(Error::syntax(
                &again.text,
                format!("`--{name}` is given twice."),
                "Keep one of them.",
            ));
        }
        match flag.value.filter(|value| !value.is_empty()) {
            Some(value) => Ok(Some(value)),
            None => {
                let message = format!("`--{name}` needs a value.");
                Err(Error::syntax(&flag.text, message, format!("Write --{name}=VALUE.")))
            }
        }
    }

    /// Every flag of that name.
    pub(crate) fn all(&mut self, name: &'static str) -> Vec<Flag> {
        self.known.push(name);
        let (found, rest) = std::mem::take(&mut self.flags).into_iter().partition(|flag| flag.name == name);
        self.flags = rest;
        found
    }

    /// Notes flags of the language that can't be carried out.
    pub(crate) fn refuse(&mut self, names: &[&'static str], hint: &str) -> Result<(), Error> {
        self.known.extend(names);
        let Some(at) = self.flags.iter().position(|flag| names.contains(&flag.name.as_str())) else {
            return Ok(());
        };
        let flag = self.flags[at].clone();
        self.flags.retain(|flag| !names.contains(&flag.name.as_str()));
        let what = format!("`{} --{}`", self.instruction, flag.name);
        self.unsupported(Error::unsupported(&flag.text, &what, hint));
        Ok(())
    }

    /// A here-document that is the whole command and begins with `#!` is a program, not the shell's.
    pub(crate) fn refuse_script(&mut self, kind: &Kind, rest: &Text) {
        let Kind::Run { command: Command::Shell { heredocs, text }, .. } = kind else { return };
        let [heredoc] = heredocs.as_slice() else { return };
        if heredoc.content.starts_with("#!") && heredoc.is_whole(&text.string()) {
            let hint = "Run the interpreter on it: RUN python3 <<EOF.";
            self.unsupported(Error::unsupported(rest, "A here-document with a `#!` line", hint));
        }
    }

    /// The first reason counts.
    pub(crate) fn unsupported(&mut self, error: Error) {
        self.unsupported.get_or_insert(error);
    }

    /// Refuses what is left.
    pub(crate) fn finish(self) -> Result<Option<Error>, Error> {
        let Some(flag) = self.flags.first() else { return Ok(self.unsupported) };
        let hint = match near(&flag.name, self.known.iter().copied()) {
            Some(near) => format!("Did you mean `--{near}`?"),
            None if self.known.is_empty() => format!("{} has no flags.", self.instruction),
            None => {
                let known: Vec<_> = self.known.iter().map(|name| format!("`--{name}`")).collect();
                format!("{} has {}.", self.instruction, known.join(", "))
            }
        };
        let message = format!("Unknown flag `--{}` of {}.", flag.name, self.instruction);
        Err(Error::syntax(&flag.text, message, hint))
    }
}
