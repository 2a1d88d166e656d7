//! A piece of the Dockerfile whose every character knows where the user wrote it: continuations and
//! comments are gone from it, and an error still points at the right column of the right line.

use std::fmt;
use std::rc::Rc;

use model::Location;

/// The file as it was written.
#[derive(Debug)]
pub(crate) struct Source {
    /// Path shown to people.
    pub(crate) name: String,
    /// Without their ends.
    pub(crate) lines: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    character: char,
    /// From 1.
    line: u32,
    /// From 1, in characters.
    column: u32,
}

/// Characters and their places.
#[derive(Clone)]
pub(crate) struct Text {
    source: Rc<Source>,
    marks: Vec<Mark>,
    /// The line to blame when there is no character.
    line: u32,
}

impl Text {
    pub(crate) fn empty(source: &Rc<Source>, line: u32) -> Self {
        Self { source: Rc::clone(source), marks: Vec::new(), line }
    }

    /// Appends `text`, which stands at `line` from `column` (both from 1) on.
    pub(crate) fn push_str(&mut self, text: &str, line: u32, column: u32) {
        let marks = text.chars().zip(column..).map(|(character, column)| Mark { character, line, column });
        self.marks.extend(marks);
    }

    pub(crate) fn string(&self) -> String {
        self.marks.iter().map(|mark| mark.character).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<char> {
        self.marks.get(at).map(|mark| mark.character)
    }

    pub(crate) fn characters(&self) -> impl DoubleEndedIterator<Item = char> + '_ {
        self.marks.iter().map(|mark| mark.character)
    }

    /// Characters `from..to`; what is beyond the end is left out.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.marks.len());
        let from = from.min(to);
        let line = self.marks.get(from).or(self.marks.last()).map_or(self.line, |mark| mark.line);
        Self { source: Rc::clone(&self.source), marks: self.marks[from..to].to_vec(), line }
    }

    pub(crate) fn trim(&self) -> Self {
        let blank = |mark: &Mark| mark.character.is_whitespace();
        let from = self.marks.iter().position(|mark| !blank(mark)).unwrap_or(self.marks.len());
        let to = self.marks.iter().rposition(|mark| !blank(mark)).map_or(from, |last| last + 1);
        self.slice(from, to)
    }

    /// Before and behind the first `separator`.
    pub(crate) fn split_once(&self, separator: char) -> Option<(Self, Self)> {
        let at = self.marks.iter().position(|mark| mark.character == separator)?;
        Some((self.slice(0, at), self.slice(at + 1, self.marks.len())))
    }

    /// Other characters at the same place: what was read out of a quoted string.
    pub(crate) fn with(&self, text: &str) -> Self {
        let (line, column) = self.marks.first().map_or((self.line, 1), |mark| (mark.line, mark.column));
        let marks = text.chars().map(|character| Mark { character, line, column }).collect();
        Self { source: Rc::clone(&self.source), marks, line }
    }

    /// Where it stands. What goes on in another line is marked to its own line's end.
    pub(crate) fn location(&self) -> Location {
        let first = self.marks.first();
        let line = first.map_or(self.line, |mark| mark.line);
        let text = self.source.lines.get(line as usize - 1).cloned().unwrap_or_default();
        let last = self.marks.iter().filter(|mark| mark.line == line).map(|mark| mark.column).max();
        let column = first.map_or(0, |mark| mark.column);
        let width = last.map_or(0, |last| last + 1 - column);
        Location { file: self.source.name.clone(), line, text, column, width }
    }

    /// Its first line as a whole.
    pub(crate) fn line_location(&self) -> Location {
        Location { column: 0, width: 0, ..self.location() }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{}", self.string(), self.line)
    }
}
