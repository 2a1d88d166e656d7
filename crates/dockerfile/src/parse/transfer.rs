//! COPY and ADD.
//! What is an address and what is git's: [`crate::address`].

use super::Parser;
use super::flags::Flags;
use crate::address;
use crate::error::Error;
use crate::instruction::{Kind, Transfer};
use crate::lines::Logical;
use crate::text::Text;
use crate::words;

impl Parser {
    pub(super) fn copy(&self, rest: &Text, line: &Logical, flags: &mut Flags) -> Result<Kind, Error> {
        let from = flags.value("from")?;
        let mut transfer = self.transfer(rest, line, flags)?;
        flags.refuse(&["chmod", "link", "parents", "exclude"], "Leave it out, or do its work in a RUN.")?;
        transfer.from = from;
        Ok(Kind::Copy(transfer))
    }

    pub(super) fn add(&self, rest: &Text, line: &Logical, flags: &mut Flags) -> Result<Kind, Error> {
        let checksum = flags.value("checksum")?;
        let mut transfer = self.transfer(rest, line, flags)?;
        let names = ["chmod", "link", "exclude", "keep-git-dir", "unpack"];
        flags.refuse(&names, "Leave it out, or do its work in a RUN.")?;
        if let Some(git) = transfer.sources.iter().find(|source| address::is_git(&source.string())) {
            flags.unsupported(git_source(git));
        }
        transfer.checksum = checksum;
        Ok(Kind::Add(transfer))
    }

    fn transfer(&self, rest: &Text, line: &Logical, flags: &mut Flags) -> Result<Transfer, Error> {
        let chown = flags.value("chown")?;
        if !line.heredocs.is_empty() {
            let hint = "Put the file into the context, or write it in a RUN.";
            flags.unsupported(Error::unsupported(rest, "A here-document as a file to copy", hint));
        }
        let mut words = words::json_array(rest)?.unwrap_or_else(|| words::blank_separated(rest, self.escape));
        match (words.pop(), words.is_empty()) {
            (Some(dest), false) => Ok(Transfer { from: None, chown, checksum: None, sources: words, dest }),
            (one, _) => {
                let at = one.unwrap_or_else(|| rest.clone());
                Err(Error::syntax(
                    &at,
                    "A destination is missing.",
                    "Write the sources first, then where they go.",
                ))
            }
        }
    }
}

/// The refusal of a source that is a repository.
pub(crate) fn git_source(text: &Text) -> Error {
    Error::unsupported(text, "ADD of a git repository", "Fetch it in a RUN, or put it into the context.")
}
