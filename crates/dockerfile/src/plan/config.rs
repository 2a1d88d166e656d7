//! Instructions that change the configuration only. Each answers its line of the history.

use model::HealthConfig;

use super::Planner;
use super::stage::State;
use crate::error::Error;
use crate::instruction::{Command, Healthcheck, Instruction, Kind};
use crate::text::Text;

pub(super) fn apply(
    state: &mut State,
    planner: &Planner<'_>,
    instruction: &Instruction,
) -> Result<String, Error> {
    match &instruction.kind {
        Kind::Env(pairs) => env(state, planner, instruction, pairs),
        Kind::Label(pairs) => label(state, planner, pairs),
        Kind::Cmd(command) => {
            let cmd = state.with_shell(command);
            state.set_cmd(cmd.clone());
            Ok(format!("CMD {}", json(&cmd)))
        }
        Kind::Entrypoint(command) => {
            let entrypoint = state.with_shell(command);
            state.set_entrypoint(entrypoint.clone());
            Ok(format!("ENTRYPOINT {}", json(&entrypoint)))
        }
        Kind::Shell(shell) => {
            state.config.config.shell = Some(shell.clone());
            Ok(format!("SHELL [{}]", shell.join(" ")))
        }
        Kind::User(user) => {
            state.config.config.user = state.expand(planner, user)?;
            Ok(format!("USER {}", state.config.config.user))
        }
        Kind::Expose(ports) => expose(state, planner, ports),
        Kind::Volume(paths) => volume(state, planner, paths),
        Kind::StopSignal(signal) => stop_signal(state, planner, signal),
        Kind::Healthcheck(check) => Ok(healthcheck(state, check)),
        Kind::Maintainer(author) => {
            // Not a word of the shell's: a name may hold an apostrophe.
            let author = author.string();
            state.config.author = Some(author.clone());
            Ok(format!("MAINTAINER {author}"))
        }
        // A stage has no FROM within, and the others make something; ONBUILD was refused before.
        Kind::From { .. }
        | Kind::Run { .. }
        | Kind::Copy(_)
        | Kind::Add(_)
        | Kind::Workdir(_)
        | Kind::Arg(_)
        | Kind::Onbuild => Err(Error::at(
            "internal",
            &instruction.text,
            "An instruction came to the wrong place.",
            "Report this.",
        )),
    }
}

/// All values are of before the instruction, as the reference has it.
fn expanded(
    state: &State,
    planner: &Planner<'_>,
    pairs: &[(Text, Text)],
) -> Result<Vec<(String, String)>, Error> {
    pairs
        .iter()
        .map(|(name, value)| Ok((state.expand(planner, name)?, state.expand(planner, value)?)))
        .collect()
}

fn env(
    state: &mut State,
    planner: &Planner<'_>,
    instruction: &Instruction,
    pairs: &[(Text, Text)],
) -> Result<String, Error> {
    let pairs = expanded(state, planner, pairs)?;
    let mut said = String::from("ENV");
    for (name, value) in &pairs {
        planner.spend(state.config.config.env.len(), &instruction.text)?;
        state.set_env(name, value);
        said.push_str(&format!(" {name}={value}"));
    }
    Ok(said)
}

fn label(state: &mut State, planner: &Planner<'_>, pairs: &[(Text, Text)]) -> Result<String, Error> {
    let pairs = expanded(state, planner, pairs)?;
    let mut said = String::from("LABEL");
    for (name, value) in pairs {
        said.push_str(&format!(" {name}={value}"));
        state.config.config.labels.get_or_insert_default().insert(name, value);
    }
    Ok(said)
}

fn expose(state: &mut State, planner: &Planner<'_>, ports: &[Text]) -> Result<String, Error> {
    let mut all = Vec::new();
    for text in ports {
        for word in state.expand_words(planner, text)? {
            let ports = read_ports(text, &word)?;
            // A name and an entry of the configuration each.
            planner.spend(ports.len() * 64, text)?;
            all.extend(ports);
        }
    }
    let exposed = state.config.config.exposed_ports.get_or_insert_default();
    for port in &all {
        exposed.insert(port.clone(), serde_json::Map::new());
    }
    let said: Vec<_> = all.iter().map(|port| format!("{port}:{{}}")).collect();
    Ok(format!("EXPOSE map[{}]", said.join(" ")))
}

/// `80`, `80/udp`, `8000-8010`.
fn read_ports(text: &Text, word: &str) -> Result<Vec<String>, Error> {
    let refuse = || {
        let message = format!("`{word}` is no port.");
        Error::syntax(text, message, "Write 80, 53/udp or 8000-8010.")
    };
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_lowercase();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let digits = |text: &&str| text.bytes().all(|b| b.is_ascii_digit());
    let number = |text: &str| {
        Some(text).filter(digits).and_then(|text| text.parse::<u16>().ok()).filter(|port| *port > 0)
    };
    let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(refuse()) };
    if first > last || !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(refuse());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn volume(state: &mut State, planner: &Planner<'_>, paths: &[Text]) -> Result<String, Error> {
    let read = |text: &Text| match state.expand(planner, text)? {
        path if path.is_empty() => {
            Err(Error::syntax(text, "A VOLUME has an empty path.", "Give its variable a value."))
        }
        path => Ok(path),
    };
    let paths = paths.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let volumes = state.config.config.volumes.get_or_insert_default();
    for path in &paths {
        volumes.insert(path.clone(), serde_json::Map::new());
    }
    Ok(format!("VOLUME [{}]", paths.join(" ")))
}

fn stop_signal(state: &mut State, planner: &Planner<'_>, text: &Text) -> Result<String, Error> {
    let signal = state.expand(planner, text)?;
    let number = signal.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let name = signal.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    if !number && !is_signal(name) {
        let message = format!("`{signal}` is no signal.");
        return Err(Error::syntax(text, message, "Write SIGTERM, or its number."));
    }
    state.config.config.stop_signal = Some(signal.clone());
    Ok(format!("STOPSIGNAL {signal}"))
}

fn is_signal(name: &str) -> bool {
    const SIGNALS: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP \
                           SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ";
    SIGNALS.split(' ').any(|signal| signal == name) || name.starts_with("RTMIN") || name.starts_with("RTMAX")
}

fn healthcheck(state: &mut State, check: &Healthcheck) -> String {
    let health = match check {
        Healthcheck::None => HealthConfig { test: vec!["NONE".to_owned()], ..HealthConfig::default() },
        Healthcheck::Cmd { command, interval, timeout, start_period, start_interval, retries } => {
            let test = match command {
                Command::Exec(args) => [&["CMD".to_owned()], args.as_slice()].concat(),
                Command::Shell { text, .. } => vec!["CMD-SHELL".to_owned(), text.string()],
            };
            HealthConfig {
                test,
                interval: *interval,
                timeout: *timeout,
                start_period: *start_period,
                start_interval: *start_interval,
                retries: *retries,
            }
        }
    };
    let said = format!("HEALTHCHECK {}", json(&health.test));
    state.config.config.healthcheck = Some(health);
    said
}

fn json(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_default()
}
