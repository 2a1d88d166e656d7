//! Docker's default system call filter, for one architecture and set of capabilities.
//!
//! `seccomp.json` is written in the format of moby's `profiles/seccomp/default.json`. It differs in one
//! point: what is unknown answers ENOSYS, so that libraries fall back to an older call, and what is
//! forbidden on purpose answers EPERM.

use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Map, Value};

use crate::Error;

const PROFILE: &str = include_str!("seccomp.json");

/// The filter for a Go architecture name (`amd64`) and the capabilities the process may have
/// (`CAP_…`).
///
/// # Errors
/// The checked-in profile is not what this code expects.
pub(crate) fn profile(architecture: &str, capabilities: &[&str]) -> Result<LinuxSeccomp, Error> {
    let bad =
        |e: serde_json::Error| Error::Host { action: "Reading the seccomp profile", message: e.to_string() };
    let mut profile: Map<String, Value> = serde_json::from_str(PROFILE).map_err(bad)?;
    let architectures = profile.remove("archMap").and_then(|map| map.get(architecture).cloned());
    if let Some(architectures) = architectures {
        profile.insert("architectures".to_owned(), architectures);
    }
    if let Some(Value::Array(rules)) = profile.get_mut("syscalls") {
        rules.retain(|rule| applies(rule, architecture, capabilities));
        for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
            rule.remove("includes");
            rule.remove("excludes");
        }
    }
    serde_json::from_value(Value::Object(profile)).map_err(bad)
}

fn applies(rule: &Value, architecture: &str, capabilities: &[&str]) -> bool {
    let words = |filter: &str, key: &str| -> Option<Vec<String>> {
        let list = rule.get(filter)?.get(key)?.as_array()?;
        Some(list.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect())
    };
    let architecture = architecture.to_owned();
    words("includes", "arches").is_none_or(|list| list.contains(&architecture))
        && words("excludes", "arches").is_none_or(|list| !list.contains(&architecture))
        && words("includes", "caps")
            .is_none_or(|list| list.iter().all(|c| capabilities.contains(&c.as_str())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing test may panic")]
    use super::*;

    fn names(architecture: &str, capabilities: &[&str]) -> Vec<String> {
        let seccomp = profile(architecture, capabilities).unwrap();
        let allowed = |r: &&oci_spec::runtime::LinuxSyscall| {
            r.action() == oci_spec::runtime::LinuxSeccompAction::ScmpActAllow
        };
        let rules = seccomp.syscalls().clone().unwrap();
        rules.iter().filter(allowed).flat_map(|rule| rule.names().clone()).collect()
    }

    #[test]
    fn rules_are_chosen_by_architecture_and_capability() {
        assert!(names("amd64", &[]).contains(&"arch_prctl".to_owned()));
        assert!(!names("arm64", &[]).contains(&"arch_prctl".to_owned()));
        assert!(names("amd64", &["CAP_SYS_CHROOT"]).contains(&"chroot".to_owned()));
        assert!(!names("amd64", &[]).contains(&"chroot".to_owned()));
    }

    #[test]
    fn what_reaches_the_kernels_keys_mounts_and_modules_is_not_allowed() {
        let allowed = names("amd64", &["CAP_SYS_CHROOT"]);
        for call in
            ["mount", "keyctl", "bpf", "init_module", "unshare", "setns", "io_uring_setup", "userfaultfd"]
        {
            assert!(!allowed.contains(&call.to_owned()), "{call}");
        }
    }
}
