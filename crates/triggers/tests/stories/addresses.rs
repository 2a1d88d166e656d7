//! Two ways to write an address, and whether they mean one repository.

use triggers::{Repository, same_repository};

use crate::world::sent;

fn same(source: &str, address: &str) -> bool {
    let addresses = vec!["not an address".to_owned(), address.to_owned()];
    let repository =
        Repository { addresses, full_name: "a/b".to_owned(), default_branch: None, web_url: None };
    same_repository(source, &repository)
}

#[test]
fn what_does_not_matter() {
    for (source, address) in [
        ("https://git.example/a/b.git", "https://git.example/a/b"),
        ("https://git.example/a/b/", "https://git.example/a/b.git"),
        ("https://git.example/a/b.git/", "https://git.example/a/b"),
        ("https://GIT.Example/a/b", "https://git.example/a/b"),
        ("http://git.example/a/b", "https://git.example/a/b"),
        ("https://git.example:443/a/b", "http://git.example:80/a/b"),
        ("https://git.example/a/b", "https://user:word@git.example/a/b"),
        ("https://git.example/a/b", "https://me@corp.example:word@git.example/a/b"),
        ("https://git.example/a/b", "ssh://git@git.example/a/b.git"),
        ("https://git.example/a/b", "ssh://git@git.example:22/a/b.git"),
        ("https://git.example/a/b", "git@git.example:a/b.git"),
        ("https://git.example/a/b", "git.example:/a/b.git"),
        ("https://git.example/a/b", "git://git.example/a/b.git"),
        ("https://git.example:3000/a/b", "http://git.example:3000/a/b.git"),
        ("https://[::1]:3000/a/b", "http://[::1]:3000/a/b"),
        ("https://[::1]/a/b", "git@[::1]:a/b.git"),
        ("https://github.com/Octo-Org/Demo", "https://GitHub.com/octo-org/demo.git"),
    ] {
        assert!(same(source, address), "{source} {address}");
    }
}

#[test]
fn what_makes_another_repository() {
    for (source, address) in [
        ("https://git.example/a/b", "https://git.example/a/c"),
        ("https://git.example/a/b", "https://git.example/a/b/c"),
        ("https://git.example/a/b", "https://git.example/a"),
        ("https://git.example/a/b", "https://git.example/A/b"),
        ("https://git.example/a/b", "https://git.example:8443/a/b"),
        ("https://git.example/a/b", "https://git.example.evil/a/b"),
        ("https://git.example/a/b", "https://git.example@evil.example/a/b"),
        ("https://git.example/a/b", "https://evil.example/git.example/a/b"),
        ("https://git.example/a/b", "https://git.example:x/a/b"),
        ("https://git.example/a/b", "file://git.example/a/b"),
        ("https://git.example/a/b", "/a/b"),
        ("https://git.example/", "https://git.example/"),
        ("https://git.example", "https://git.example"),
        ("", ""),
    ] {
        assert!(!same(source, address), "{source} {address}");
    }
}

#[test]
fn the_address_a_person_copies_is_the_payloads() {
    for (name, source) in [
        ("github/push-to-branch", "https://github.com/Octo-Org/demo"),
        ("gitea/push-to-branch", "https://git.example/tools/demo"),
        ("gitlab/push-to-branch", "https://gitlab.example.com/mike/diaspora.git"),
        (
            "azure_devops/push-to-branch",
            "https://dev.azure.com/fabrikam/Fabrikam%20Fiber/_git/Fabrikam-Fiber-Git",
        ),
        ("standard/push-to-branch", "https://git.example/tools/demo"),
    ] {
        assert!(same_repository(source, &sent(name).push().repository), "{name}");
    }
}
