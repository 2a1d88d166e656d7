//! Lists in a form, without script: a group of fields for each thing that is there (`triggers[0].type`, …) and an
//! empty one for the next. One is taken out by a tick.

use super::values::Values;

/// Most things of a list in a form: what else was sent is somebody's play.
const MOST: usize = 100;

impl Values {
    /// The same without the things of a list that were left empty or ticked to be removed, so that the numbers are
    /// those of the API.
    pub(crate) fn compact(&self, list: &str) -> Self {
        let mut kept: Vec<usize> = Vec::new();
        for slot in 0..MOST {
            let place = format!("{list}[{slot}].");
            let is_there =
                self.iter().any(|(name, text)| name.starts_with(&place) && !text.trim().is_empty());
            if is_there && !self.is_checked(&format!("{place}remove")) {
                kept.push(slot);
            }
        }
        let others = format!("{list}[");
        let renamed = self.iter().filter_map(|(name, text)| {
            let Some(rest) = name.strip_prefix(&others) else { return Some((name.clone(), text.clone())) };
            let (slot, field) = rest.split_once("].")?;
            let number = kept.iter().position(|kept| slot.parse() == Ok(*kept))?;
            Some((format!("{list}[{number}].{field}"), text.clone()))
        });
        renamed.collect()
    }

    /// How many things a list has, of a form whose empty ones are left out.
    pub(crate) fn count(&self, list: &str) -> usize {
        let is_there =
            |slot: &usize| self.iter().any(|(name, _)| name.starts_with(&format!("{list}[{slot}].")));
        (0..MOST).take_while(is_there).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_or_ticked_goes_and_the_rest_moves_up() {
        let sent: Values = [
            ("name", "app"),
            ("triggers[0].type", "commit"),
            ("triggers[0].branches", "main"),
            ("triggers[0].remove", "true"),
            ("triggers[1].type", ""),
            ("triggers[1].branches", " "),
            ("triggers[3].type", "pull_request"),
            ("triggers[x].type", "commit"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into_iter()
        .collect();
        let compact = sent.compact("triggers");
        assert_eq!((compact.count("triggers"), compact.text("triggers[0].type")), (1, "pull_request"));
        assert_eq!((compact.text("name"), compact.text("triggers[0].branches")), ("app", ""));
    }
}
