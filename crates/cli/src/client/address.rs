//! Where the service is when nobody says: the address that `slipway up` wrote down, or the default one.

use std::path::PathBuf;

const DEFAULT: &str = "http://127.0.0.1:7420";

/// The address of this user's `slipway up`, else of root's, else the default.
pub(crate) fn default_server() -> String {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let user = nix::unistd::Uid::effective();
    let candidates = [
        runtime.map(|runtime| runtime.join("slipway/address")),
        // Where `slipway up` of an ordinary user without a runtime folder puts it.
        Some(PathBuf::from(format!("/tmp/slipway-{user}/address"))),
        Some(PathBuf::from("/run/slipway/address")),
    ];
    first_address(candidates.into_iter().flatten())
}

fn first_address(files: impl Iterator<Item = PathBuf>) -> String {
    let mut texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let address = texts.find(|text| text.trim().starts_with("http"));
    address.map_or_else(|| DEFAULT.to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_holds_an_address_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let (missing, empty, good) =
            (folder.path().join("missing"), folder.path().join("empty"), folder.path().join("good"));
        std::fs::write(&empty, "").expect("written");
        std::fs::write(&good, "http://127.0.0.1:8000\n").expect("written");
        let found = first_address([missing.clone(), empty, good].into_iter());
        assert_eq!(found, "http://127.0.0.1:8000");
        assert_eq!(first_address([missing].into_iter()), DEFAULT);
    }
}
