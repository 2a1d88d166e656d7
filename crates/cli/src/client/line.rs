//! One line of a build's log, as BuildKit's plain progress writes them: `#3 [build 2/4] RUN make`,
//! `#3 0.52 output`, `#3 CACHED`, `#3 DONE 1.2s`, `#3 ERROR message`.

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A vertex begins, or is gone on with.
    Vertex {
        number: u32,
        name: &'a str,
    },
    /// It wrote something, `seconds` after its beginning.
    Output {
        number: u32,
        seconds: &'a str,
        text: &'a str,
    },
    Cached {
        number: u32,
    },
    Done {
        number: u32,
        took: &'a str,
    },
    Error {
        number: u32,
        message: &'a str,
    },
    /// Anything else.
    Other(&'a str),
}

impl<'a> Line<'a> {
    /// Reads a line without its end.
    pub(crate) fn parse(line: &'a str) -> Self {
        let parts = || {
            let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
            Some((number.parse().ok()?, rest))
        };
        let Some((number, rest)) = parts() else { return Self::Other(line) };
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "CACHED" if tail.is_empty() => Self::Cached { number },
            "DONE" => Self::Done { number, took: tail },
            "ERROR" | "ERROR:" => Self::Error { number, message: tail },
            _ if is_seconds(word) => Self::Output { number, seconds: word, text: tail },
            _ => Self::Vertex { number, name: rest },
        }
    }
}

fn is_seconds(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    word.split_once('.').is_some_and(|(whole, part)| digits(whole) && digits(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_lines_of_a_build_apart() {
        for (line, expected) in [
            ("#3 [build 2/4] RUN make", Line::Vertex { number: 3, name: "[build 2/4] RUN make" }),
            ("#3 0.52 compiling  x", Line::Output { number: 3, seconds: "0.52", text: "compiling  x" }),
            ("#3 0.52", Line::Output { number: 3, seconds: "0.52", text: "" }),
            ("#3 CACHED", Line::Cached { number: 3 }),
            ("#12 DONE 1.2s", Line::Done { number: 12, took: "1.2s" }),
            ("#3 ERROR exit code 2", Line::Error { number: 3, message: "exit code 2" }),
            ("#x y", Line::Other("#x y")),
            ("# comment", Line::Other("# comment")),
            ("", Line::Other("")),
        ] {
            assert_eq!(Line::parse(line), expected, "{line}");
        }
    }
}
