//! From a logical line to an instruction.

mod flags;
mod healthcheck;
mod mounts;
mod transfer;

use crate::Warning;
use crate::error::{Error, near};
use crate::instruction::{Command, Instruction, Kind, NAMES};
use crate::lines::{Lines, Logical};
use crate::text::Text;
use crate::words;
use flags::Flags;
pub(crate) use transfer::git_source;

/// More instructions, or stages, than this are refused: each costs, and no image has so many layers.
const INSTRUCTIONS: usize = 10_000;
const STAGES: usize = 1_000;

/// Every instruction, in the order of the file.
pub(crate) fn parse(lines: Lines) -> Result<(Vec<Instruction>, Vec<Warning>), Error> {
    if let Some(line) = lines.logical.get(INSTRUCTIONS) {
        return Err(too_many(&line.text, &format!("{INSTRUCTIONS} instructions")));
    }
    let mut parser = Parser { escape: lines.escape, warnings: lines.warnings };
    let instructions =
        lines.logical.iter().map(|line| parser.instruction(line, 0)).collect::<Result<Vec<_>, _>>()?;
    let mut stages = instructions.iter().filter(|i| matches!(i.kind, Kind::From { .. }));
    if let Some(stage) = stages.nth(STAGES) {
        return Err(too_many(&stage.text, &format!("{STAGES} stages")));
    }
    if instructions.is_empty() {
        return Err(Error::bare(
            "dockerfile_empty",
            "The Dockerfile has no instruction.",
            "Begin with FROM.",
        ));
    }
    let early = instructions.iter().find(|i| !matches!(i.kind, Kind::Arg(_)));
    match early {
        Some(Instruction { kind: Kind::From { .. }, .. }) => Ok((instructions, parser.warnings)),
        Some(other) => Err(Error::syntax(
            &first_word(&other.text),
            "Before the first FROM there may be nothing but ARG.",
            "Begin the stage with FROM.",
        )),
        None => Err(Error::bare("dockerfile_empty", "The Dockerfile has no stage.", "Begin one with FROM.")),
    }
}

struct Parser {
    escape: char,
    warnings: Vec<Warning>,
}

fn too_many(text: &Text, limit: &str) -> Error {
    let message = format!("A Dockerfile has at most {limit}.");
    Error::at("dockerfile_too_large", text, message, "Split it, or join commands with `&&`.")
}

fn first_word(text: &Text) -> Text {
    let end = text.characters().position(char::is_whitespace).unwrap_or(text.len());
    text.slice(0, end)
}

impl Parser {
    fn instruction(&mut self, line: &Logical, depth: u32) -> Result<Instruction, Error> {
        let name = first_word(&line.text);
        let rest = line.text.slice(name.len(), line.text.len());
        let upper = name.string().to_uppercase();
        // Where an instruction has no flags, BuildKit still reads them, and knows none.
        let (flags, rest) = words::flags(&rest, self.escape);
        let plain = NAMES.contains(&upper.as_str())
            && !["FROM", "RUN", "COPY", "ADD", "HEALTHCHECK"].contains(&upper.as_str());
        if plain && !flags.is_empty() {
            Flags::new(&upper, flags.clone()).finish()?;
        }
        let mut flags = Flags::new(&upper, flags);
        let needs = |what: &str| match rest.is_empty() {
            true => Err(Error::syntax(&name, format!("{upper} needs {what}."), "")),
            false => Ok(()),
        };
        let kind = match upper.as_str() {
            "FROM" => needs("an image").and_then(|()| self.from(&rest, &mut flags))?,
            "RUN" => {
                let secrets = self.mounts(&mut flags)?;
                flags.refuse(
                    &["network", "security", "device"],
                    "Leave it out, or do without what it gives.",
                )?;
                needs("a command")?;
                let kind = Kind::Run { command: self.command(&rest, line)?, secrets };
                flags.refuse_script(&kind, &rest);
                kind
            }
            "CMD" => Kind::Cmd(self.command(&rest, line)?),
            "ENTRYPOINT" => Kind::Entrypoint(self.command(&rest, line)?),
            "SHELL" => Kind::Shell(self.shell(&name, &rest)?),
            "ENV" => needs("NAME=VALUE").and_then(|()| Ok(Kind::Env(self.pairs(&rest)?)))?,
            "LABEL" => needs("NAME=VALUE").and_then(|()| Ok(Kind::Label(self.pairs(&rest)?)))?,
            "ARG" => needs("a name").and_then(|()| self.arg(&rest))?,
            "COPY" => {
                needs("a source and a destination").and_then(|()| self.copy(&rest, line, &mut flags))?
            }
            "ADD" => needs("a source and a destination").and_then(|()| self.add(&rest, line, &mut flags))?,
            "WORKDIR" => needs("a path").map(|()| Kind::Workdir(rest.clone()))?,
            "USER" => needs("a user").map(|()| Kind::User(rest.clone()))?,
            "EXPOSE" => needs("a port").map(|()| Kind::Expose(words::blank_separated(&rest, self.escape)))?,
            "VOLUME" => {
                needs("a path")?;
                let paths =
                    words::json_array(&rest)?.unwrap_or_else(|| words::blank_separated(&rest, self.escape));
                Kind::Volume(paths)
            }
            "STOPSIGNAL" => needs("a signal").map(|()| Kind::StopSignal(rest.clone()))?,
            "HEALTHCHECK" => needs("NONE or CMD").and_then(|()| self.healthcheck(&rest, line, &mut flags))?,
            "MAINTAINER" => {
                needs("a name")?;
                self.warn(
                    "MaintainerDeprecated",
                    "MAINTAINER is deprecated: use LABEL org.opencontainers.image.authors.",
                    &name,
                );
                Kind::Maintainer(rest.clone())
            }
            "ONBUILD" => {
                needs("an instruction").and_then(|()| self.onbuild(&rest, line, depth, &mut flags))?
            }
            _ => return Err(unknown(&name)),
        };
        let unsupported = flags.finish()?;
        Ok(Instruction { text: line.text.trim(), kind, unsupported })
    }

    fn warn(&mut self, rule: &'static str, message: &str, text: &Text) {
        self.warnings.push(Warning { rule, message: message.to_owned(), location: text.line_location() });
    }

    fn command(&self, rest: &Text, line: &Logical) -> Result<Command, Error> {
        Ok(match words::json_array(rest)? {
            Some(words) if line.heredocs.is_empty() => {
                Command::Exec(words.iter().map(Text::string).collect())
            }
            _ => Command::Shell { text: rest.clone(), heredocs: line.heredocs.clone() },
        })
    }

    fn from(&mut self, rest: &Text, flags: &mut Flags) -> Result<Kind, Error> {
        let platform = flags.value("platform")?;
        let words = words::blank_separated(rest, self.escape);
        let is_as = |word: &Text| word.string().eq_ignore_ascii_case("as");
        let name = match words.as_slice() {
            [_] => None,
            [_, word, name] if is_as(word) => Some(name.clone()),
            [_, other, ..] => {
                let hint = "Write FROM IMAGE, or FROM IMAGE AS NAME.";
                return Err(Error::syntax(other, "FROM takes one image, and a name after AS.", hint));
            }
            [] => return Err(Error::syntax(rest, "FROM needs an image.", "")),
        };
        if let Some(name) = &name {
            check_stage_name(name)?;
        }
        Ok(Kind::From { image: words[0].clone(), name, platform })
    }

    fn shell(&self, name: &Text, rest: &Text) -> Result<Vec<String>, Error> {
        match words::json_array(rest)? {
            Some(words) if !words.is_empty() => Ok(words.iter().map(Text::string).collect()),
            _ => {
                let at = if rest.is_empty() { name } else { rest };
                Err(Error::syntax(
                    at,
                    "SHELL takes a JSON array of strings.",
                    "Write SHELL [\"/bin/bash\", \"-c\"].",
                ))
            }
        }
    }

    fn pairs(&mut self, rest: &Text) -> Result<Vec<(Text, Text)>, Error> {
        let (pairs, legacy) = words::pairs(rest, self.escape)?;
        if legacy {
            self.warn(
                "LegacyKeyValueFormat",
                "Write NAME=VALUE: a blank instead of `=` is the old form.",
                rest,
            );
        }
        Ok(pairs)
    }

    fn arg(&self, rest: &Text) -> Result<Kind, Error> {
        let mut args = Vec::new();
        for word in words::quoted_words(rest, self.escape) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.clone(), None),
            };
            if name.is_empty() {
                return Err(Error::syntax(
                    &word,
                    "A name is missing before the `=`.",
                    "Write ARG NAME=VALUE.",
                ));
            }
            args.push((name, value));
        }
        Ok(Kind::Arg(args))
    }

    fn onbuild(&mut self, rest: &Text, line: &Logical, depth: u32, flags: &mut Flags) -> Result<Kind, Error> {
        let trigger = first_word(rest).string().to_uppercase();
        if depth > 0 || ["ONBUILD", "FROM", "MAINTAINER"].contains(&trigger.as_str()) {
            let message = format!("{trigger} can't be triggered by ONBUILD.");
            return Err(Error::syntax(&first_word(rest), message, ""));
        }
        self.instruction(&Logical { text: rest.clone(), heredocs: line.heredocs.clone() }, depth + 1)?;
        let hint = "Write the instruction into the Dockerfiles that build on this image.";
        flags.unsupported(Error::unsupported(&first_word(&line.text), "ONBUILD", hint));
        Ok(Kind::Onbuild)
    }
}

fn check_stage_name(name: &Text) -> Result<(), Error> {
    let string = name.string();
    let mut characters = string.chars();
    let sane = characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    match sane && !["scratch", "context"].contains(&string.as_str()) {
        true => Ok(()),
        false => Err(Error::syntax(
            name,
            format!("`{string}` can't be a stage's name."),
            "It begins with a letter, and goes on with letters, digits and `-_.`.",
        )),
    }
}

fn unknown(name: &Text) -> Error {
    let word = name.string();
    let hint = match near(&word, NAMES) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => "The line before may lack a `\\` at its end.".to_owned(),
    };
    Error::syntax(name, format!("Unknown instruction `{word}`."), hint)
}
