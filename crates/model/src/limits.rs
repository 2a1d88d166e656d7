//! How much of what a build may ask for, and what its names may hold. In: a specification. Out: the first field that
//! is too much. Absent: whether the things that it names are there.

use crate::{BuildSpec, InvalidSpec};

/// Build arguments of one build.
pub const MAX_BUILD_ARGS: usize = 200;
/// Bytes of the value of one.
pub const MAX_BUILD_ARG_VALUE: usize = 32 * 1024;
/// Secrets of one build.
pub const MAX_SECRETS: usize = 50;
/// Names that one build is pushed under.
pub const MAX_IMAGES: usize = 20;
/// Characters of a build argument's name, a secret's id, a stage.
pub const MAX_NAME: usize = 200;
/// Bytes of a path within a source.
pub const MAX_PATH: usize = 1000;
/// Bytes of an address.
pub const MAX_ADDRESS: usize = 2000;

pub(crate) fn check(spec: &BuildSpec) -> Result<(), InvalidSpec> {
    let refuse = |field, message: String, hint: String| Err(InvalidSpec { field, message, hint });
    if spec.images.len() > MAX_IMAGES {
        return refuse(
            "images",
            format!("More than {MAX_IMAGES} names."),
            format!("Name at most {MAX_IMAGES} images."),
        );
    }
    if spec.build_args.len() > MAX_BUILD_ARGS {
        let hint = format!("Give at most {MAX_BUILD_ARGS}; a file in the context holds more.");
        return refuse("build_args", format!("More than {MAX_BUILD_ARGS} build arguments."), hint);
    }
    for (name, value) in &spec.build_args {
        if !is_name(name, |c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            let message = format!("`{}` is no name of a build argument.", shown(name));
            let hint = format!("1 to {MAX_NAME} letters, digits and `_.-`, as behind ARG in the Dockerfile.");
            return refuse("build_args", message, hint);
        }
        if value.len() > MAX_BUILD_ARG_VALUE || value.contains('\0') {
            let message = format!("The value of `{name}` is too long, or holds a NUL.");
            return refuse("build_args", message, format!("At most {MAX_BUILD_ARG_VALUE} bytes."));
        }
    }
    if spec.secrets.len() > MAX_SECRETS {
        let hint = format!("Name at most {MAX_SECRETS}.");
        return refuse("secrets", format!("More than {MAX_SECRETS} secrets."), hint);
    }
    let is_id =
        |id: &str| is_name(id, |c| c.is_ascii_alphanumeric() || "_.-".contains(c)) && !id.starts_with('.');
    if let Some(id) = spec.secrets.keys().find(|id| !is_id(id)) {
        let message = format!("`{}` is no id of a secret.", shown(id));
        let hint = format!("1 to {MAX_NAME} letters, digits and `_.-`, as behind `--mount=type=secret,id=`.");
        return refuse("secrets", message, hint);
    }
    if let Some(target) = &spec.target
        && !is_name(target, |c| !c.is_control() && !c.is_whitespace())
    {
        let hint = "Write a name behind `AS` in the Dockerfile, or a stage's number.".to_owned();
        return refuse("target", format!("`{}` is no name of a stage.", shown(target)), hint);
    }
    if spec.dockerfile.len() > MAX_PATH || spec.dockerfile.chars().any(char::is_control) {
        let hint = format!("At most {MAX_PATH} bytes without control characters.");
        return refuse("dockerfile", "That is no path of a Dockerfile.".to_owned(), hint);
    }
    Ok(())
}

fn is_name(name: &str, plain: impl Fn(char) -> bool) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count()) && name.chars().all(plain)
}

/// What a person wrote, so that it can be repeated on one line.
fn shown(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceSpec;

    #[test]
    fn what_no_dockerfile_can_name_is_refused_by_its_field() {
        let spec = || BuildSpec::new(SourceSpec::parse_git("https://example.com/a.git").expect("an address"));
        for name in ["", "A B", "A=B", "A\nB", "ü", &"x".repeat(MAX_NAME + 1)] {
            let mut spec = spec();
            spec.build_args.insert(name.to_owned(), String::new());
            assert_eq!(spec.validate().expect_err(name).field, "build_args");
        }
        for id in ["", "../x", "a\nb", "a b", ".x", "a/b"] {
            let mut spec = spec();
            spec.secrets.insert(id.to_owned(), "npm".to_owned());
            assert_eq!(spec.validate().expect_err(id).field, "secrets");
        }
        for target in ["", "a\nb", "a b", &"x".repeat(MAX_NAME + 1)] {
            let refused = BuildSpec { target: Some(target.to_owned()), ..spec() }.validate();
            assert_eq!(refused.expect_err(target).field, "target");
        }
        let mut fine = spec();
        fine.build_args.insert("HTTP_PROXY-2.x".to_owned(), "x".repeat(MAX_BUILD_ARG_VALUE));
        fine.secrets.insert("npm_rc.d-1".to_owned(), "npm".to_owned());
        fine.target = Some("0".to_owned());
        assert_eq!(fine.validate(), Ok(()));
    }

    #[test]
    fn more_than_is_said_is_refused_by_its_field() {
        let spec = || BuildSpec::new(SourceSpec::parse_git("https://example.com/a.git").expect("an address"));
        let many = |count: usize| (0..count).map(|i| (format!("A{i}"), "x".to_owned())).collect();
        let with =
            |build_args| BuildSpec { build_args, ..spec() }.validate().map_err(|refused| refused.field);
        assert_eq!(with(many(MAX_BUILD_ARGS)), Ok(()));
        assert_eq!(with(many(MAX_BUILD_ARGS + 1)), Err("build_args"));
        assert_eq!(with([("A".to_owned(), "x".repeat(MAX_BUILD_ARG_VALUE + 1))].into()), Err("build_args"));
        let secrets = BuildSpec { secrets: many(MAX_SECRETS + 1), ..spec() };
        assert_eq!(secrets.validate().expect_err("too many").field, "secrets");
        let images = BuildSpec { images: vec!["app".to_owned(); MAX_IMAGES + 1], ..spec() };
        assert_eq!(images.validate().expect_err("too many").field, "images");
        let url = format!("https://example.com/{}", "x".repeat(MAX_ADDRESS));
        let long = SourceSpec::Git { url, reference: None, subdirectory: None };
        assert_eq!(BuildSpec::new(long).validate().expect_err("too long").field, "source");
    }
}
