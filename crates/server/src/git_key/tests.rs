//! Keys and host keys as ssh-keygen itself writes them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use super::*;

const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIw6qmNSAEYSFN1fFOTXdIPmuYBJoSmXcRgQQsaSMR4Q";

/// A new private key, and its public half.
fn key(arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let status = Command::new("ssh-keygen").arg("-q").args(arguments).arg("-f").arg(&file).status();
    assert!(status.expect("ssh-keygen (Debian's package `openssh-client`)").success());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    (read("key"), read("key.pub"))
}

fn hosts() -> String {
    format!("# host:22 SSH-2.0\nhost.example {HOST_KEY}\n")
}

/// The field that is refused, and why.
fn refused(secret: &str, known_hosts: Option<&str>) -> (&'static str, String) {
    let refusal = check(secret, None, known_hosts).expect_err("it is refused");
    (refusal.field, format!("{} {}", refusal.message, refusal.hint))
}

#[test]
fn every_key_that_ssh_uses_unattended_is_kept() {
    for arguments in [
        &["-t", "ed25519", "-N", ""][..],
        &["-t", "rsa", "-b", "2048", "-N", ""],
        &["-t", "ecdsa", "-N", ""],
        &["-t", "ecdsa", "-b", "521", "-N", ""],
        &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""],
        &["-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", ""],
        &["-t", "ecdsa", "-m", "PEM", "-N", ""],
    ] {
        let (private, _) = key(arguments);
        assert_eq!(check(&private, None, Some(&hosts())), Ok(()), "{arguments:?}");
        let windows = private.replace('\n', "\r\n");
        assert_eq!(check(&windows, None, Some(&hosts())), Ok(()), "{arguments:?}, with carriage returns");
    }
    assert_eq!(check("a-token", Some("ci"), None), Ok(()), "a token for https");
}

#[test]
fn a_key_with_a_passphrase_is_refused_in_every_format() {
    for format in [&[][..], &["-m", "PEM"], &["-m", "PKCS8"]] {
        let arguments = [&["-t", "rsa", "-b", "2048", "-N", "geheim"], format].concat();
        let (field, why) = refused(&key(&arguments).0, Some(&hosts()));
        assert!(field == "secret" && why.contains("passphrase") && why.contains("ssh-keygen"), "{why}");
    }
}

#[test]
fn what_is_no_private_key_is_refused_with_help() {
    let (private, public) = key(&["-t", "ed25519", "-N", ""]);
    let hosts = hosts();
    let cut = &private[..private.len() / 2];
    let torn = private.replace("b3BlbnNzaC1rZXktdjE", "b3BlbnNzaC1rZXktdjI");
    for (secret, words) in [
        (public.as_str(), "public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "puttygen"),
        ("a-token", "no private key"),
        (cut, "can't be read"),
        (&torn, "can't be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "can't be read"),
    ] {
        let (field, why) = refused(secret, Some(&hosts));
        assert!(field == "secret" && why.contains(words), "{words}: {why}");
    }
    let refusal = check(&private, Some("me"), Some(&hosts)).expect_err("the user is in the address");
    assert_eq!(refusal.field, "username");
}

#[test]
fn a_key_without_its_hosts_is_refused_with_how_to_have_them() {
    let (private, _) = key(&["-t", "ed25519", "-N", ""]);
    for none in [None, Some(""), Some("# nothing\n\n"), Some(&*format!("@revoked host {HOST_KEY}"))] {
        let (field, why) = refused(&private, none);
        assert!(
            field == "known_hosts" && why.contains("ssh-keyscan") && why.contains("fingerprints"),
            "{why}"
        );
    }
    for wrong in
        ["host", "host ssh-ed25519", "host ssh-ed25519 AAAA", "<html>", "@other host ssh-ed25519 AAAA"]
    {
        let (field, why) = refused(&private, Some(&format!("{}{wrong}\n", hosts())));
        assert!(field == "known_hosts" && why.contains("Line 3"), "{wrong}: {why}");
    }
}

#[test]
fn a_host_is_found_as_ssh_finds_it() {
    // As `ssh-keygen -H` has it for `host.example`.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts");
    std::fs::write(&file, hosts()).unwrap();
    assert!(
        Command::new("ssh-keygen")
            .arg("-q")
            .arg("-H")
            .arg("-f")
            .arg(&file)
            .output()
            .unwrap()
            .status
            .success()
    );
    let hashed = std::fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("# host:22") && hashed.contains("|1|"), "{hashed}");
    for (lines, address, is_known) in [
        (hosts(), "git@host.example:a", true),
        (hosts(), "git@HOST.example:a", true),
        (hosts(), "ssh://host.example:2222/a", true),
        (hosts(), "git@other.example:a", false),
        (hashed.clone(), "git@host.example:a", true),
        (hashed, "git@other.example:a", false),
        (format!("[host]:2222 {HOST_KEY}"), "ssh://host:2222/a", true),
        (format!("[host]:2222 {HOST_KEY}"), "git@host:a", false),
        (format!("*.example,!b?d.example\t{HOST_KEY} comment"), "git@good.example:a", true),
        (format!("*.example,!b?d.example {HOST_KEY}"), "git@bad.example:a", false),
        (format!("@cert-authority *.example {HOST_KEY}"), "git@a.example:a", true),
        (format!("@revoked host {HOST_KEY}"), "git@host:a", false),
        (format!("::1 {HOST_KEY}"), "git@[::1]:a", true),
    ] {
        let address = SshAddress::parse(address).unwrap();
        assert_eq!(knows(&lines, &address), is_known, "{address:?} in {lines}");
    }
}
