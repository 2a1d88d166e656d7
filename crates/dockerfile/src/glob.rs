//! The shell's patterns in `${name#pattern}` and its relatives: `*`, `?` and escaped characters. Matching
//! follows all possibilities at once, so no pattern takes more than pattern times value.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Exactly(char),
}

/// A pattern.
#[derive(Debug)]
pub(crate) struct Glob(Vec<Part>);

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let part = match character {
                '*' if parts.last() == Some(&Part::Any) => continue,
                '*' => Part::Any,
                '?' => Part::One,
                '\\' => Part::Exactly(characters.next().unwrap_or('\\')),
                other => Part::Exactly(other),
            };
            parts.push(part);
        }
        Self(parts)
    }

    /// Steps that one match takes at most.
    pub(crate) fn cost(&self, value: &str) -> usize {
        value.len().saturating_mul(self.0.len() + 1)
    }

    pub(crate) fn without_prefix(&self, value: &str, longest: bool) -> String {
        let characters: Vec<char> = value.chars().collect();
        let cut = ends(&self.0, &characters, longest).unwrap_or(0);
        characters[cut..].iter().collect()
    }

    pub(crate) fn without_suffix(&self, value: &str, longest: bool) -> String {
        let backwards: Vec<char> = value.chars().rev().collect();
        let parts: Vec<Part> = self.0.iter().rev().copied().collect();
        let cut = ends(&parts, &backwards, longest).unwrap_or(0);
        backwards[cut..].iter().rev().collect()
    }

    /// The value with the first or every longest match replaced.
    pub(crate) fn replaced(&self, value: &str, replacement: &str, all: bool) -> String {
        let characters: Vec<char> = value.chars().collect();
        let (mut out, mut at, mut done) = (String::new(), 0, false);
        while at < characters.len() {
            match ends(&self.0, &characters[at..], true).filter(|length| *length > 0 && !done) {
                Some(length) => {
                    out.push_str(replacement);
                    at += length;
                    done = !all;
                }
                None => {
                    out.push(characters[at]);
                    at += 1;
                }
            }
        }
        out
    }
}

/// How many characters from the beginning the pattern matches: the most or the fewest.
fn ends(parts: &[Part], characters: &[char], longest: bool) -> Option<usize> {
    let mut states = vec![false; parts.len() + 1];
    states[0] = true;
    pass_stars(parts, &mut states);
    let mut found = states[parts.len()].then_some(0);
    for (index, character) in characters.iter().enumerate() {
        if found.is_some() && !longest {
            return found;
        }
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| states[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::One => next[at + 1] = true,
                Part::Exactly(wanted) => next[at + 1] |= wanted == character,
            }
        }
        pass_stars(parts, &mut next);
        if next[parts.len()] {
            found = Some(index + 1);
        }
        if !next.contains(&true) {
            return found;
        }
        states = next;
    }
    found
}

fn pass_stars(parts: &[Part], states: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if states[at] && *part == Part::Any {
            states[at + 1] = true;
        }
    }
}
