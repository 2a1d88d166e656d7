//! One pattern of an ignore file, as `moby/patternmatcher` 0.6 reads it: Go's `filepath.Match`, and
//! `**` for any number of folders. Its `compile` makes a regular expression; these are its parts,
//! walked as a set of states, so that no pattern takes more than length × length steps.

/// A compiled pattern. It matches whole paths with `/` between their parts.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// What precedes the first wildcard, cut at a `/`: only below or above it can anything match.
    fixed: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// The start of `**` before something: goes over nothing, or on into [`Token::Within`].
    Folders,
    /// The middle of `**`: any characters, left behind a `/`.
    Within,
    /// `**` at the end: whatever follows.
    Rest,
    /// `**` at the very start before something other than `/`: moby takes the rest as a suffix.
    Prefix,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Compiles a cleaned pattern without its `!`.
    ///
    /// # Errors
    /// Says what `filepath.Match` would refuse.
    pub(crate) fn compile(pattern: &str) -> Result<Self, &'static str> {
        let mut tokens = Vec::new();
        let mut fixed = String::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '*' && rest.next_if_eq(&'*').is_some() {
                let slash = rest.next_if_eq(&'/').is_some();
                match rest.peek() {
                    None => tokens.push(Token::Rest),
                    Some(_) if tokens.is_empty() && !slash => tokens.push(Token::Prefix),
                    Some(_) => tokens.extend([Token::Folders, Token::Within]),
                }
                continue;
            }
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::One,
                '[' => class(&mut rest)?,
                '\\' => Token::Char(rest.next().ok_or("it ends with `\\`")?),
                c => Token::Char(c),
            });
        }
        for token in &tokens {
            let Token::Char(c) = token else { break };
            fixed.push(*c);
        }
        if fixed.len() < pattern.len() {
            fixed.truncate(fixed.rfind('/').unwrap_or(0));
        }
        Ok(Self { tokens, fixed })
    }

    /// Whether `path` as a whole is meant.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let end = self.tokens.len();
        let mut states = vec![false; end + 1];
        states[0] = true;
        self.skip(&mut states);
        for c in path.chars() {
            let mut next = vec![false; end + 1];
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| states[*at]) {
                token.step(c, at, &mut next);
            }
            self.skip(&mut next);
            states = next;
        }
        states[end]
    }

    /// Whether something below the folder `path` may match. May say yes too often, never no.
    pub(crate) fn may_match_below(&self, path: &str) -> bool {
        let below = |inner: &str, outer: &str| {
            outer.is_empty()
                || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        below(path, &self.fixed) || below(&self.fixed, path)
    }

    /// Goes on over tokens that need no character.
    fn skip(&self, states: &mut [bool]) {
        for (at, token) in self.tokens.iter().enumerate() {
            if !states[at] {
                continue;
            }
            match token {
                Token::Star | Token::Rest | Token::Prefix => states[at + 1] = true,
                Token::Folders => {
                    states[at + 1] = true;
                    states[at + 2] = true;
                }
                Token::Within | Token::Char(_) | Token::One | Token::Class { .. } => {}
            }
        }
    }
}

impl Token {
    /// The states that `c` leads to from this token at position `at`.
    fn step(&self, c: char, at: usize, next: &mut [bool]) {
        match self {
            Self::Char(own) => next[at + 1] |= *own == c,
            Self::One => next[at + 1] |= c != '/',
            Self::Star => next[at] |= c != '/',
            Self::Rest | Self::Prefix => next[at] = true,
            Self::Folders => {}
            Self::Within => {
                next[at] = true;
                next[at + 1] |= c == '/';
            }
            Self::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                next[at + 1] |= inside != *negated;
            }
        }
    }
}

/// `[…]` behind its bracket: `[^a-z0]`, with `\` before a character that would end it.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const OPEN: &str = "a `[` is not closed, or what it holds is no range";
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = bound(rest).ok_or(OPEN)?;
        let high = if rest.next_if_eq(&'-').is_some() { bound(rest).ok_or(OPEN)? } else { low };
        ranges.push((low, high));
    }
}

fn bound(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}
