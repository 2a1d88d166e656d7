//! What CONTEXT on the command line is: a folder here, or a git address.

use std::path::{Path, PathBuf};

use model::SourceSpec;

use super::error::ClientError;

const DOCKERFILE: &str = "Dockerfile";

/// Where the files of the build are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Context {
    Folder { path: PathBuf, dockerfile: String },
    Git { source: SourceSpec, dockerfile: String },
}

impl Context {
    /// Looks at the arguments, and for a folder at what is there, before anything is sent.
    ///
    /// # Errors
    /// There is no such folder or Dockerfile, or the address is refused.
    pub(crate) fn of(context: &str, dockerfile: Option<&str>) -> Result<Self, ClientError> {
        if SourceSpec::is_address(context) && !Path::new(context).is_dir() {
            let source = SourceSpec::parse_git(context);
            let source = source.map_err(|error| ClientError::usage(error.message, error.hint))?;
            return Ok(Self::Git { source, dockerfile: dockerfile.unwrap_or(DOCKERFILE).to_owned() });
        }
        let path = PathBuf::from(context);
        if !path.is_dir() {
            let hint = "CONTEXT is a folder, or a git address such as https://example.com/app.git#main.";
            return Err(ClientError::usage(format!("There is no folder `{context}`."), hint));
        }
        let dockerfile = within(&path, dockerfile.unwrap_or(DOCKERFILE))?;
        Ok(Self::Folder { path, dockerfile })
    }
}

/// The Dockerfile's path within the context. It may be given from there or, as `docker build` has it,
/// from where we are.
fn within(context: &Path, dockerfile: &str) -> Result<String, ClientError> {
    let from_context = Path::new(dockerfile);
    if from_context.is_relative() && context.join(from_context).is_file() {
        return Ok(dockerfile.strip_prefix("./").unwrap_or(dockerfile).to_owned());
    }
    let inside = || {
        let (root, file) = (context.canonicalize().ok()?, Path::new(dockerfile).canonicalize().ok()?);
        Some(file.strip_prefix(root).ok()?.to_str()?.to_owned())
    };
    inside().ok_or_else(|| {
        ClientError::usage(
            format!("There is no file `{dockerfile}` in {}.", context.display()),
            "Name the Dockerfile with -f; it has to lie in the context.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_is_found_from_the_context_and_from_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let docker = folder.path().join("docker");
        std::fs::create_dir(&docker).expect("a folder");
        std::fs::write(docker.join("app.Dockerfile"), "").expect("a file");
        let absolute = docker.join("app.Dockerfile");
        for given in ["docker/app.Dockerfile", "./docker/app.Dockerfile", absolute.to_str().expect("a name")]
        {
            assert_eq!(
                within(folder.path(), given).ok().as_deref(),
                Some("docker/app.Dockerfile"),
                "{given}"
            );
        }
        assert!(within(folder.path(), "Dockerfile").is_err());
        assert!(within(&docker, "/etc/passwd").is_err());
    }

    #[test]
    fn an_address_is_told_from_a_folder() {
        let git = Context::of("https://example.com/a.git#main:sub", None).expect("it is an address");
        assert!(matches!(git, Context::Git { .. }));
        for address in ["ssh://git@example.com/a.git", "git@example.com:a.git#main"] {
            assert!(matches!(Context::of(address, None), Ok(Context::Git { .. })), "{address}");
        }
        for neither in ["/no/such/folder", "ssh://git@example.com/--x", "git@example.com:-x"] {
            assert!(Context::of(neither, None).is_err(), "{neither}");
        }
    }
}
