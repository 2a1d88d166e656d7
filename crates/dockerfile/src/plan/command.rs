//! Commands. In: a shell form with its here-documents. Out: the one argument that the shell gets.
//! Deliberately absent: reading it; that is the shell's.

use crate::lines::Heredoc;

/// What the shell is given: the command and its here-documents, or, where the command is nothing but one
/// here-document, its content.
pub(super) fn shell_text(text: &str, heredocs: &[Heredoc]) -> String {
    match heredocs {
        [] => text.to_owned(),
        [heredoc] if heredoc.is_whole(text) => heredoc.content.clone(),
        several => {
            let mut whole = format!("{text}\n");
            several.iter().for_each(|heredoc| whole.push_str(&heredoc.raw));
            whole
        }
    }
}
