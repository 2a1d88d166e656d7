//! Names that a person may have meant.

/// At most three of `names`, the nearest first; none where nothing is near.
pub(crate) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let lower = wanted.to_lowercase();
    let allowed = (wanted.chars().count() / 3).max(2);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let distance = distance(&lower, &name.to_lowercase());
            (distance <= allowed).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// "Did you mean `a` or `b`?", or what to say where nothing is near.
pub(crate) fn did_you_mean(near: &[&str], otherwise: impl Into<String>) -> String {
    match near {
        [] => otherwise.into(),
        names => {
            let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            format!("Did you mean {}?", quoted.join(" or "))
        }
    }
}

/// Levenshtein's distance in characters; names over 200 characters are near nothing.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > 200 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let names = ["main", "develop", "release/1.0", "Dockerfile"];
        assert_eq!(near("mian", names.into_iter()), ["main"]);
        assert_eq!(near("dockerfile", names.into_iter()), ["Dockerfile"]);
        assert!(near("feature", names.into_iter()).is_empty());
        assert_eq!(did_you_mean(&["a", "b"], ""), "Did you mean `a` or `b`?");
    }
}
