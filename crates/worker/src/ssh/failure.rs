//! What went wrong, from ssh's exit code and the words it is written with. In: both. Out: a failure with the
//! kinds that git over http has where they mean the same. ssh exits with 255 for its own failures and with the
//! host's code otherwise (ssh(1), "EXIT STATUS"), so a host's words are never taken for ssh's.

use model::Failure;

use super::report::{GAVE_UP, reported};

/// As much of what was said as a person is shown.
const SHOWN: usize = 300;
/// What a shell answers to a command that is not there.
const NO_COMMAND: [i32; 2] = [126, 127];

/// How a conversation ended before the host said a word of git's protocol.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    /// The repository, as a person wrote it.
    pub(super) repository: &'a str,
    /// The host, as known_hosts names it.
    pub(super) host: &'a str,
    /// None where ssh was killed.
    pub(super) code: Option<i32>,
    /// What ssh, and the host after it was connected to, said beside the protocol.
    pub(super) said: &'a str,
}

impl Ended<'_> {
    pub(super) fn failure(&self) -> Failure {
        match self.code {
            None => broke_off(self.host, &"ssh was ended"),
            Some(code) if code == i32::from(GAVE_UP) => self.of_ssh(),
            Some(0) => self.not_git("it ends without a word of git's protocol"),
            Some(code) if NO_COMMAND.contains(&code) => self.not_git("it has no `git-upload-pack`"),
            Some(_) => not_found(self.repository, self.said),
        }
    }

    fn of_ssh(&self) -> Failure {
        let (host, said) = (self.host, self.said);
        if let Some(failure) = reported(said) {
            return failure;
        }
        if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") || said.contains("REVOKED HOST KEY") {
            return Failure::user(
                "host_key_changed",
                format!("{host} shows another key than those that the source's credential knows it by."),
                format!(
                    "Somebody may stand between. If the host's operator says that it has that key, now or besides: {}",
                    how_to_pin(host)
                ),
            );
        }
        if said.contains("Host key verification failed") {
            return Failure::user(
                "host_key_unknown",
                format!("The source's credential holds no key that {host} is known by."),
                how_to_pin(host),
            );
        }
        if said.contains("Permission denied (") || said.contains("Too many authentication failures") {
            return Failure::user(
                "git_credential_refused",
                format!("{host} refuses the source's key."),
                "See that its public half may read this repository (a deploy key, or a user's key), and that the \
                 address names the right user; then `slipway credential set`.",
            );
        }
        unreachable_host(host, &in_short(said))
    }

    fn not_git(&self, why: &str) -> Failure {
        not_git(self.repository, why, self.said)
    }
}

/// How a host's key comes into a credential, and what has to be done before it is believed.
fn how_to_pin(host: &str) -> String {
    let (name, port) = match host.strip_prefix('[').and_then(|host| host.split_once("]:")) {
        Some((name, port)) => (name, format!("-p {port} ")),
        None => (host, String::new()),
    };
    format!(
        "`ssh-keyscan {port}{name}` asks for its keys: compare their fingerprints with those that the host's operator \
         publishes, then `slipway credential set NAME --kind git --secret-file KEY --known-hosts-file HOSTS`."
    )
}

pub(super) fn not_found(repository: &str, said: &str) -> Failure {
    Failure::user(
        "repository_not_found_or_private",
        format!("{repository} is not there, or this key may not read it: {}", in_short(said)),
        "See that `git ls-remote` of this address works with that key.",
    )
}

pub(super) fn not_git(repository: &str, why: &str, said: &str) -> Failure {
    let said = if said.trim().is_empty() { String::new() } else { format!(" It says: {}", in_short(said)) };
    Failure::user(
        "not_a_git_repository",
        format!("{repository} is not a git repository: {why}.{said}"),
        "Write the address that `git clone` takes.",
    )
}

pub(super) fn unreachable_host(host: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::service(
        "repository_unreachable",
        format!("The git host {host} can't be reached: {why}"),
        "See that the host's name and port are spelt right, and that this worker may reach it.",
    )
}

pub(super) fn broke_off(host: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::service("repository_unreachable", format!("The git host {host} broke off: {why}."), "")
}

pub(super) fn too_large(repository: &str, limit: u64) -> Failure {
    Failure::limits(
        "source_too_large",
        format!("{repository} sends more than {} MiB.", limit >> 20),
        "Name a branch or tag, which is fetched without its history.",
    )
}

/// On one line, without what plays with a terminal, and with a full stop.
fn in_short(said: &str) -> String {
    let words = said.split_whitespace().map(|word| word.replace(char::is_control, ""));
    let text: String = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let text: String = text.chars().take(SHOWN).collect();
    match text.trim_end_matches('.') {
        "" => "it says nothing.".to_owned(),
        text => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use model::Blame;

    use super::*;

    fn failure(code: Option<i32>, said: &str) -> Failure {
        Ended { repository: "git@host:a.git", host: "[host]:2222", code, said }.failure()
    }

    fn kind(code: i32, said: &str) -> String {
        failure(Some(code), said).kind
    }

    #[test]
    fn each_way_to_fail_has_its_kind() {
        let changed =
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\n";
        assert_eq!(kind(255, changed), "host_key_changed");
        let unknown =
            failure(Some(255), "No ED25519 host key is known for x.\nHost key verification failed.");
        assert_eq!((unknown.kind.as_str(), unknown.blame), ("host_key_unknown", Blame::User));
        assert!(unknown.hint.contains("`ssh-keyscan -p 2222 host`") && unknown.hint.contains("fingerprints"));
        assert_eq!(kind(255, "me@host: Permission denied (publickey).\r\n"), "git_credential_refused");
        let closed = failure(Some(255), "kex_exchange_identification: Connection closed by remote host\r\n");
        assert_eq!((closed.kind.as_str(), closed.blame), ("repository_unreachable", Blame::Service));
        assert_eq!(failure(None, "").kind, "repository_unreachable");
        assert_eq!(kind(1, "ERROR: Repository not found.\n"), "repository_not_found_or_private");
        assert_eq!(kind(127, "sh: git-upload-pack: not found"), "not_a_git_repository");
        assert_eq!(kind(0, "This account is not available."), "not_a_git_repository");
    }

    #[test]
    fn a_hosts_words_are_never_taken_for_sshs_own() {
        for words in ["Host key verification failed.", "me@host: Permission denied (publickey)."] {
            assert_eq!(kind(128, words), "repository_not_found_or_private");
        }
        let shown = failure(Some(1), "\x1b[31mno\x1b[0m\n\n  such   thing. ").message;
        assert!(shown.ends_with(": [31mno[0m such thing."), "{shown}");
    }

    #[test]
    fn what_our_own_connection_reported_is_the_failure() {
        let reported = Failure::service("repository_unreachable", "nobody answers", "");
        let said = format!("slipway: {}\nssh: closed\n", serde_json::json!(reported));
        assert_eq!(failure(Some(255), &said), reported);
        assert_ne!(failure(Some(255), &format!("hello\n{said}")), reported, "only the first line counts");
    }
}
