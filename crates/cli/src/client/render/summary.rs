//! The last words about a run.

use console::Style;
use model::RunStatus;
use server::api::Run;

use super::harmless;

/// What became of it: the images, or the failure with the user's own line.
pub(crate) fn summary(run: &Run) -> String {
    let took = took(run).map(|took| format!(" in {took}")).unwrap_or_default();
    let mut lines = vec![match run.status {
        RunStatus::Succeeded => format!("{}{took}", Style::new().green().bold().apply_to("succeeded")),
        status => format!("{}{took}", Style::new().red().bold().apply_to(word(status))),
    }];
    if let Some(failure) = &run.failure {
        // It may hold what a stranger's step printed.
        lines.extend(model::Failure::from(failure.clone()).to_string().lines().map(harmless));
    }
    if run.status == RunStatus::Succeeded {
        for image in &run.images {
            let digest = image.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
            lines.push(format!("pushed {}{digest}", Style::new().cyan().apply_to(&image.reference)));
        }
        if run.images.is_empty() {
            lines.push(match run.cause.is_strangers() {
                true => "The image was built and, being a stranger's, pushed nowhere.".to_owned(),
                false => "The image was built and, having no name, pushed nowhere.".to_owned(),
            });
        }
    }
    lines.join("\n")
}

/// A status as people write it.
pub(crate) fn word(status: RunStatus) -> String {
    status.as_str().replace('_', " ")
}

fn took(run: &Run) -> Option<String> {
    let seconds = (run.finished_at? - run.created_at).as_seconds_f64();
    Some(duration(seconds))
}

/// `0.4s`, `12s`, `3m 05s`, `2h 03m`
pub(crate) fn duration(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time to look at")]
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..10 => format!("{:.1}s", seconds.max(0.0)),
        10..60 => format!("{whole}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_long_as_they_are_of_use() {
        for (seconds, text) in [(0.42, "0.4s"), (12.3, "12s"), (185.0, "3m 05s"), (7381.0, "2h 03m")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
