//! `# check=skip=…;error=…`: which warnings count, and whether they fail the build (Dockerfile reference,
//! "check").

use crate::Warning;
use crate::error::Error;
use crate::text::Text;

/// What the directive says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {
    skip: Vec<String>,
    error: bool,
}

impl Checks {
    pub(crate) fn parse(value: &str, text: &Text) -> Result<Self, Error> {
        let mut checks = Self::default();
        for part in value.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some(("skip", rules)) => {
                    checks.skip = rules.split(',').map(|rule| rule.trim().to_lowercase()).collect();
                }
                Some(("error", "true")) => checks.error = true,
                Some(("error", "false")) => checks.error = false,
                _ => {
                    let message = format!("`{part}` is no option of `check`.");
                    let hint = "Write skip=RULE,RULE, skip=all or error=true, with `;` between two.";
                    return Err(Error::syntax(text, message, hint));
                }
            }
        }
        Ok(checks)
    }

    /// The warnings that count.
    pub(crate) fn keep(&self, warnings: Vec<Warning>) -> Vec<Warning> {
        let skipped = |warning: &Warning| {
            let rule = warning.rule.to_lowercase();
            self.skip.iter().any(|skip| skip == "all" || *skip == rule)
        };
        warnings.into_iter().filter(|warning| !skipped(warning)).collect()
    }

    /// The failure that warnings are, where they are one.
    pub(crate) fn failure(&self, warnings: &[Warning]) -> Option<Error> {
        let first = warnings.first().filter(|_| self.error)?;
        let mut rules: Vec<&str> = warnings.iter().map(|warning| warning.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        let message = format!(
            "{} ({}), and `# check=error=true` makes that an error.",
            first.message.trim_end_matches('.'),
            rules.join(", ")
        );
        let hint = "Mend it, or leave the rule out with `# check=skip=RULE;error=true`.";
        Some(Error::located("dockerfile_check_failed", first.location.clone(), message, hint))
    }
}
