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
            let name = Style::new().cyan().apply_to(&image.reference);
            lines.push(match &image.tag_skipped {
                None => format!("pushed {name}{digest}"),
                Some(skipped) => format!("left {name} alone: the newer run {} has it", skipped.superseded_by),
            });
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
    fn a_tag_that_a_newer_run_has_is_not_said_to_be_pushed() {
        let (run, newer) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        let run: Run = serde_json::from_value(serde_json::json!({
            "id": run, "registry": "local", "status": "succeeded", "attempt": 1, "max_attempts": 3,
            "images": [
                { "reference": "reg.example/app:latest", "tag_skipped": { "superseded_by": newer } },
                { "reference": "reg.example/app:1" },
            ],
            "spec": { "source": "https://example.com/a.git" }, "cause": { "type": "manual" }, "trust": "trusted",
            "cancel_requested": false, "created_at": "2026-11-24T00:00:00Z",
        }))
        .expect("a run");
        let lines = console::strip_ansi_codes(&summary(&run)).into_owned();
        assert!(
            lines.contains(&format!("left reg.example/app:latest alone: the newer run {newer} has it")),
            "{lines}"
        );
        assert!(
            lines.contains("pushed reg.example/app:1") && !lines.contains("pushed reg.example/app:latest"),
            "{lines}"
        );
    }

    #[test]
    fn times_are_as_long_as_they_are_of_use() {
        for (seconds, text) in [(0.42, "0.4s"), (12.3, "12s"), (185.0, "3m 05s"), (7381.0, "2h 03m")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
