//! `RUN --mount=…`: comma-separated `name=value` (Dockerfile reference, "RUN --mount"). Secrets are carried out;
//! the other types are right, and refused when their stage is needed.

use super::Parser;
use super::flags::Flags;
use crate::error::{Error, near};
use crate::instruction::SecretMount;
use crate::text::Text;
use crate::words::Flag;

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const OPTIONS: [&str; 11] =
    ["type", "id", "target", "dst", "destination", "required", "mode", "uid", "gid", "env", "source"];

impl Parser {
    /// The secrets among a RUN's mounts.
    pub(super) fn mounts(&self, flags: &mut Flags) -> Result<Vec<SecretMount>, Error> {
        let mut secrets = Vec::new();
        for flag in flags.all("mount") {
            let Some(value) = flag.value.clone() else {
                let hint = "Write --mount=type=secret,id=NAME.";
                return Err(Error::syntax(&flag.text, "`--mount` needs a value.", hint));
            };
            let options = options(&value);
            let kind =
                options.iter().find(|(name, _)| name.string() == "type").and_then(|(_, kind)| kind.clone());
            match kind.as_ref().map(Text::string).as_deref() {
                Some("secret") => secrets.push(secret(&flag, &options)?),
                None | Some("bind" | "cache" | "tmpfs" | "ssh") => {
                    let kind = kind.map_or_else(|| "bind".to_owned(), |kind| kind.string());
                    let what = format!("`RUN --mount=type={kind}`");
                    let hint =
                        "Leave it out, or do without what it gives. Of the mounts, `type=secret` works.";
                    flags.unsupported(Error::unsupported(&flag.text, &what, hint));
                }
                Some(other) => {
                    let message = format!("Unknown type of mount `{other}`.");
                    let hint = near(other, TYPES).map_or_else(
                        || format!("The types are {}.", TYPES.join(", ")),
                        |near| format!("Did you mean `type={near}`?"),
                    );
                    return Err(Error::syntax(kind.as_ref().unwrap_or(&value), message, hint));
                }
            }
        }
        Ok(secrets)
    }
}

/// Name and value, if it has one.
type Pair = (Text, Option<Text>);

fn options(value: &Text) -> Vec<Pair> {
    let (mut options, mut rest) = (Vec::new(), Some(value.clone()));
    while let Some(text) = rest {
        let (option, after) = match text.split_once(',') {
            Some((option, after)) => (option, Some(after)),
            None => (text, None),
        };
        options.push(match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        });
        rest = after;
    }
    options
}

fn secret(flag: &Flag, options: &[Pair]) -> Result<SecretMount, Error> {
    let mut mount = SecretMount {
        text: flag.text.clone(),
        id: None,
        target: None,
        env: None,
        required: false,
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    for (name, value) in options {
        let needed = || {
            let message = format!("`{}` needs a value.", name.string());
            value.clone().filter(|value| !value.is_empty()).ok_or_else(|| Error::syntax(name, message, ""))
        };
        match name.string().as_str() {
            "type" => {}
            "id" => mount.id = Some(needed()?),
            "target" | "dst" | "destination" => mount.target = Some(needed()?),
            "env" => mount.env = Some(needed()?),
            "required" => mount.required = is_true(name, value.as_ref())?,
            "mode" => mount.mode = number(&needed()?, 8, 0o7777)?,
            "uid" => mount.uid = number(&needed()?, 10, u32::MAX)?,
            "gid" => mount.gid = number(&needed()?, 10, u32::MAX)?,
            other => {
                let hint =
                    near(other, OPTIONS).map(|near| format!("Did you mean `{near}`?")).unwrap_or_default();
                return Err(Error::syntax(name, format!("Unknown option `{other}` of a secret."), hint));
            }
        }
    }
    match mount.id.is_some() || mount.target.is_some() {
        true => Ok(mount),
        false => {
            Err(Error::syntax(&flag.text, "A secret needs an id.", "Write --mount=type=secret,id=NAME."))
        }
    }
}

fn is_true(name: &Text, value: Option<&Text>) -> Result<bool, Error> {
    match value.map(Text::string).as_deref() {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(_) => Err(Error::syntax(name, "`required` is true or false.", "")),
    }
}

fn number(text: &Text, radix: u32, most: u32) -> Result<u32, Error> {
    let number = u32::from_str_radix(&text.string(), radix).ok().filter(|number| *number <= most);
    let kind = if radix == 8 { "an octal mode" } else { "a number" };
    number.ok_or_else(|| Error::syntax(text, format!("`{}` is not {kind}.", text.string()), ""))
}
