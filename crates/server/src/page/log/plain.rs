//! A line of a log without what a terminal would do with it.

/// The line without escape sequences and other control characters; what a carriage return overwrites is gone.
pub(super) fn plain(line: &str) -> String {
    let bare = without_escapes(line);
    let last = bare.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
    last.chars().filter(|c| *c == '\t' || !c.is_control()).collect()
}

/// Without CSI (`ESC [ … letter`), OSC (`ESC ] … BEL` or `ESC \`) and other two-character sequences.
fn without_escapes(line: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(line.len()), line);
    while let Some((before, after)) = rest.split_once('\x1b') {
        kept.push_str(before);
        let mut characters = after.chars();
        rest = match characters.next() {
            Some('[') => {
                let mut last = after[1..].trim_start_matches(|c| matches!(c, '\x20'..='\x3f')).chars();
                last.next();
                last.as_str()
            }
            Some(']') => {
                let end =
                    after.find('\x07').map(|at| at + 1).or_else(|| after.find("\x1b\\").map(|at| at + 2));
                &after[end.unwrap_or(after.len())..]
            }
            _ => characters.as_str(),
        };
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_leave_nothing_behind() {
        for (line, left) in [
            ("\x1b[1;31merror\x1b[0m: x", "error: x"),
            ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "link"),
            ("\x1b]0;title\x1b\\x", "x"),
            ("10%\r50%\r100%\r", "100%"),
            ("a\tb\x08\x00c", "a\tbc"),
            ("\x1b[38;5", ""),
            ("\x1b[31é", ""),
            ("grün\x1bcé", "grüné"),
        ] {
            assert_eq!(plain(line), left, "{line:?}");
        }
    }
}
