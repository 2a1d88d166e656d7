//! Where connections may go: what server, worker, publisher and `slipway up` take alike.

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

use clap::Args;
use egress::{Allowed, Origin, Policy};

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EgressArgs {
    /// A git host, registry or webhook receiver of yours on a private, loopback or link-local address, as
    /// http://git.internal:3000: reached by the service, never by a build. Repeatable, or with commas
    #[arg(long = "origin", env = egress::ORIGINS_VARIABLE, value_name = "ORIGIN")]
    origins: Vec<List<Origin>>,
    /// What builds may reach too (RUN, ADD, FROM) although it is private: a network, 10.1.0.0/16, or a
    /// HOST[:PORT] for what is fetched by name. Repeatable, or with commas
    #[arg(long = "egress-allow", env = egress::ALLOW_VARIABLE, value_name = "NETWORK|HOST")]
    allow: Vec<List<Allowed>>,
}

/// With commas between; an empty variable is an empty list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List<T>(Vec<T>);

impl<T: FromStr> FromStr for List<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(Self(words.map(str::parse).collect::<Result<_, _>>()?))
    }
}

impl EgressArgs {
    pub(crate) fn policy(&self) -> Policy {
        Policy::new(flat(&self.allow), flat(&self.origins))
    }

    /// As arguments of another process.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let origins = arguments("--origin", &self.origins);
        origins.chain(arguments("--egress-allow", &self.allow)).collect()
    }
}

fn flat<T: Clone>(lists: &[List<T>]) -> Vec<T> {
    lists.iter().flat_map(|list| list.0.clone()).collect()
}

fn arguments<'a, T: Display>(name: &'a str, lists: &'a [List<T>]) -> impl Iterator<Item = OsString> + 'a {
    lists.iter().flat_map(|list| &list.0).map(move |value| format!("{name}={value}").into())
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn read(line: &str) -> Result<EgressArgs, clap::Error> {
        let command = EgressArgs::augment_args(Command::new("role"));
        EgressArgs::from_arg_matches(&command.try_get_matches_from(line.split(' '))?)
    }

    #[test]
    fn both_lists_are_handed_on_as_they_were_read() {
        let line = "role --origin http://a:3000,https://b --origin ssh://c --egress-allow 10.1.2.3/16,d:80";
        let read_back = |args: &EgressArgs| -> Vec<String> {
            args.arguments().into_iter().map(|word| word.into_string().expect("text")).collect()
        };
        let words = read_back(&read(line).expect("it is right"));
        let expected = [
            "--origin=http://a:3000",
            "--origin=https://b",
            "--origin=ssh://c",
            "--egress-allow=10.1.0.0/16",
            "--egress-allow=d:80",
        ];
        assert_eq!(words, expected);
        let again = read(&format!("role {}", words.join(" "))).expect("it is right");
        assert_eq!(read_back(&again), words);
        let nothing: List<Origin> = "".parse().expect("an empty variable is no mistake");
        assert_eq!(nothing, List(Vec::new()));
        for wrong in ["role --origin a", "role --origin http://a/b", "role --egress-allow http://a"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
