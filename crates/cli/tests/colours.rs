//! Colours are for people who want them: none in a pipe, none with NO_COLOR (no-color.org).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_slipway");

/// What a command prints, to both outputs: into a pipe, or with `terminal` onto one of its own.
fn printed(arguments: &[&str], terminal: bool, no_color: bool) -> String {
    let mut command = match terminal {
        false => Command::new(BINARY),
        true => Command::new("script"),
    };
    if terminal {
        let line: Vec<_> =
            std::iter::once(&BINARY).chain(arguments).map(|word| format!("'{word}'")).collect();
        command.args(["-qec", &line.join(" "), "/dev/null"]);
    } else {
        command.args(arguments);
    }
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command.env("SLIPWAY_SERVER", "http://127.0.0.1:1").env("SLIPWAY_TOKEN", "sw_none");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.is_empty(), "{arguments:?}");
    text
}

/// Findings, help, a list that fails, and a wrong argument.
const COMMANDS: [&[&str]; 4] = [&["doctor"], &["--help"], &["task", "list"], &["task", "lizt"]];

#[test]
fn there_is_no_colour_in_a_pipe() {
    for command in COMMANDS {
        let text = printed(command, false, false);
        assert!(!text.contains('\u{1b}'), "{command:?}: {text:?}");
    }
}

#[test]
fn a_terminal_has_colours_unless_its_person_wants_none() {
    for command in COMMANDS {
        // Other escapes than colours, such as those that move the cursor, are not meant.
        let colours =
            |text: &str| text.contains("\u{1b}[3") || text.contains("\u{1b}[1m") || text.contains("\u{1b}[9");
        let with = printed(command, true, false);
        assert!(colours(&with), "{command:?}: {with:?}");
        let without = printed(command, true, true);
        assert!(!colours(&without), "{command:?}: {without:?}");
    }
}
