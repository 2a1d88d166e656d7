//! RUN, its failures, and the image that comes of it.

use crate::world::{NOW, story};
use model::{Blame, Failure, LayerSource, Manifest, SecretMount};

#[test]
fn what_a_command_changed_is_the_layer() {
    story("run-changes", |world| {
        let image = world
            .build(&world.on_base().run("echo new > /tmp/new; rm /etc/group; mkdir -p /a/b; chmod 700 /a/b"));
        let top: Vec<_> = world.top(&image).into_iter().map(|f| (f.path, f.mode, f.text)).collect();
        let names: Vec<&str> = top.iter().map(|f| f.0.as_str()).collect();
        assert_eq!(names, ["a", "a/b", "etc", "etc/.wh.group", "tmp", "tmp/new"]);
        assert_eq!((top[1].1, top[5].2.as_str()), (0o700, "new\n"));
        assert_eq!(
            image.layers[0].source,
            LayerSource::Registry { registry: "base.example".into(), repository: "busybox".into() }
        );
        assert_eq!(image.layers[1].source, LayerSource::Store);
    });
}

#[test]
fn a_command_that_changes_nothing_makes_no_layer() {
    story("run-changes-nothing", |world| {
        let recipe = world.on_base().run("cat /etc/passwd > /dev/null").label().run("touch /x");
        let image = world.build(&recipe);
        assert_eq!(image.layers.len(), 2);
        let empty: Vec<bool> = world.config(&image).history.iter().map(|h| h.empty_layer).collect();
        // The base tells no history of its own layer, so one entry stands for it.
        assert_eq!(empty, [false, true, true, false]);
        assert_eq!(world.build(&recipe), image);
    });
}

#[test]
fn each_step_sees_what_the_one_before_left() {
    story("run-chain", |world| {
        let recipe = world.on_base().run("echo 1 > /n").run("echo 2 >> /n").run("mv /n /m; rm /bin/yes");
        let image = world.build(&recipe);
        assert_eq!(world.top_file(&image, "m").text, "1\n2\n");
        world.top_file(&image, ".wh.n");
        assert_eq!(image.layers.len(), 4);
    });
}

#[test]
fn output_is_logged_line_by_line_and_nothing_of_a_long_line_is_lost() {
    story("run-output", |world| {
        world.build(&world.on_base().run(
            "echo one; echo two >&2; printf unfinished; head -c 40000 /dev/zero | busybox tr '\\0' 'x'",
        ));
        let log = world.outside.log_text();
        assert!(log.contains("#2 RUN echo one"), "{log}");
        for line in ["one", "two"] {
            assert!(log.lines().any(|l| l.starts_with("#2 0.") && l.ends_with(&format!(" {line}"))), "{log}");
        }
        assert_eq!(log.matches("xx").count(), 20000);
        assert!(log.lines().all(|l| l.len() < 17000) && log.contains("#2 DONE 0."));
        let progress = world.outside.progress_seen();
        assert_eq!((progress.done, progress.total), (2, 2));
    });
}

#[test]
fn a_failing_command_shows_its_code_its_last_lines_and_the_users_line() {
    story("run-fails", |world| {
        let failure = world
            .try_build(&world.on_base().run("echo building; echo no such header >&2; exit 3"))
            .unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.blame), ("run_failed", Blame::User));
        assert!(failure.message.contains("exit code 3") && failure.message.contains("\n  no such header"));
        assert_eq!(failure.location.unwrap().line, 2);
        assert!(world.outside.log_text().contains("#2 ERROR"));
    });
}

#[test]
fn only_codes_that_can_be_signals_are_told_as_signals() {
    story("run-codes", |world| {
        for (code, told) in [(137, "exit code 137 (signal 9)."), (192, "(signal 64)."), (255, "code 255.")] {
            let failure = world.try_build(&world.on_base().run(&format!("exit {code}"))).unwrap_err();
            assert!(failure.message.contains(told), "{failure}");
        }
    });
}

#[test]
fn an_image_whose_proc_sys_or_dev_is_a_link_is_told_as_the_images_fault() {
    story("run-on-a-linked-proc", |world| {
        for name in ["proc", "sys", "dev"] {
            let top = world.context().join(name);
            std::fs::create_dir(&top).unwrap();
            std::os::unix::fs::symlink("../../../../tmp", top.join(name)).unwrap();
            let (recipe, base) = world.on_base().run("true").stage(model::Op::Scratch);
            let recipe = recipe.copy_from(base, &["/bin"], "/bin/").copy(&[name], "/").run("true");
            let failure = world.try_build(&recipe).unwrap_err();
            assert_eq!(
                (failure.kind.as_str(), failure.blame),
                ("mount_place_taken", Blame::User),
                "{failure}"
            );
            assert!(failure.message.contains(&format!("/{name}")), "{failure}");
        }
    });
}

#[test]
fn links_of_an_image_lead_no_mount_out_of_it() {
    story("run-on-links", |world| {
        let canaries = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
        let [one, other] = canaries.each_ref().map(|canary| canary.path().to_str().unwrap());
        canaries.iter().for_each(|canary| std::fs::write(canary.path(), "untouched").unwrap());
        let pattern = || std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        let before = pattern();
        let link = |target: &str, name: &str| {
            let path = world.context().join("top").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        link(&format!("../../../../../../../..{one}"), "etc/resolv.conf");
        link(other, "etc/hosts");
        for name in ["null", "console", "pts", "shm", "fd"] {
            link("/proc/sys/kernel/core_pattern", &format!("dev/{name}"));
        }
        let looks = "test -c /dev/null && test -d /dev/pts && echo lost > /dev/null && cat /etc/resolv.conf \
                     && cat /etc/hosts && cat /proc/keys";
        world.build(&world.on_base().copy(&["top"], "/").run(looks));
        let log = world.outside.log_text();
        assert!(log.contains("nameserver 10.0.2.3") && log.contains("localhost"), "{log}");
        for canary in [one, other] {
            assert_eq!(std::fs::read_to_string(canary).unwrap(), "untouched");
        }
        assert_eq!(pattern(), before);
    });
}

#[test]
fn a_failure_ends_what_runs_beside_it() {
    story("run-fails-beside", |world| {
        world.outside.await_meeting(2);
        let slow = world.on_base().run("echo meet; sleep 600");
        let base = slow.graph().vertices[0].op.clone();
        let (recipe, stage) = slow.stage(base);
        let recipe = recipe.run("echo meet; exit 1").copy_from(stage, &["/etc/passwd"], "/x");
        let started = std::time::Instant::now();
        assert_eq!(world.try_build(&recipe).unwrap_err().location.unwrap().text, "RUN echo meet; exit 1");
        assert!(started.elapsed().as_secs() < 60);
    });
}

#[test]
fn a_command_has_its_user_environment_and_host_files() {
    story("run-environment", |world| {
        let script = "tr '\\000' ' ' < /proc/$$/environ > /tmp/environment; \
            (id -u; id -g; id -G; cat /etc/resolv.conf; cat /etc/hosts) > /tmp/seen";
        let image = world.build(&world.on_base().run("chmod 1777 /tmp").user("app").env("A=1").run(script));
        let seen = world.top_file(&image, "tmp/seen").text;
        assert!(seen.starts_with("1000\n1001\n1001 44\nnameserver 10.0.2.3\n127.0.0.1\tlocalhost"), "{seen}");
        let environment = world.top_file(&image, "tmp/environment").text;
        let mut variables: Vec<&str> = environment.split_whitespace().collect();
        variables.sort_unstable();
        assert_eq!(variables, ["A=1", "HOME=/home/app", "PATH=/bin", "http_proxy=p"], "and nothing else");
        assert!(!world.top(&image).iter().any(|f| f.path.starts_with("etc")));
    });
}

#[test]
fn a_host_without_a_network_is_told_once_and_the_command_runs() {
    story("run-without-network", |world| {
        world.outside.refuse_network(Failure::service("network_unavailable", "No /dev/net/tun here.", ""));
        let image = world.build(&world.on_base().run("ls /proc/sys/net/ipv4/conf > /seen").run("touch /y"));
        assert_eq!(image.layers.len(), 3);
        assert_eq!(world.outside.network_asked(), 1);
        assert_eq!(world.outside.log_text().matches("No /dev/net/tun here.").count(), 1);
        world.outside.refuse_network(Failure::service("broken", "Broken.", ""));
        assert_eq!(world.try_build(&world.on_base().run("touch /z")).unwrap_err().kind, "broken");
    });
}

#[test]
fn a_daemon_left_behind_does_not_hold_the_step() {
    story("run-daemon", |world| {
        let script = "(trap '' TERM HUP; setsid sh -c 'sleep 600 & sleep 600') & echo started > /x";
        assert_eq!(world.top_file(&world.build(&world.on_base().run(script)), "x").text, "started\n");
    });
}

#[test]
fn a_damaged_base_is_refused() {
    story("base-damaged", |world| {
        world.outside.damage(&world.base.layers[0].digest);
        let failure = world.try_build(&world.on_base().run("true")).unwrap_err();
        assert_ne!(failure.blame, Blame::User, "{failure}");
        assert_eq!(world.outside.announced().len(), 0);
    });
}

#[test]
fn configuration_and_manifest_agree() {
    story("image-documents", |world| {
        let image = world.build(&world.on_base().run("touch /x").label());
        let config = world.config(&image);
        assert_eq!(config.created.as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(NOW, 1_700_000_000);
        let manifest: Manifest = serde_json::from_slice(&world.outside.blob(&image.manifest.digest)).unwrap();
        assert_eq!(manifest.config, image.config);
        assert_eq!(config.rootfs.diff_ids.len(), manifest.layers.len());
        assert!(manifest.layers.iter().all(|l| l.media_type == model::MediaType::OCI_LAYER_GZIP));
        assert_eq!(config.history.iter().filter(|h| !h.empty_layer).count(), manifest.layers.len());
        assert!(world.outside.announced().contains(&image.config.digest));
        assert!(!world.outside.announced().contains(&image.manifest.digest), "it is pushed last, by its tag");
        assert!(world.outside.announced().contains(&image.layers[1].descriptor.digest));
    });
}

#[test]
fn a_full_disk_is_told_as_such_and_is_the_services_to_mend() {
    story("run-on-a-full-disk", |world| {
        world.outside.fill_disk();
        let failure = world.try_build(&world.on_base().run("echo new > /new")).unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.blame), ("disk_full", Blame::Service), "{failure}");
        assert!(failure.hint.contains("Free space"), "{failure}");
    });
}

fn secret(id: &str) -> SecretMount {
    let target = Some(format!("/run/secrets/{id}"));
    SecretMount { id: id.to_owned(), target, env: None, required: true, mode: 0o400, uid: 0, gid: 0 }
}

#[test]
fn a_secret_is_there_while_its_step_runs_and_in_no_layer() {
    story("run-secret", |world| {
        world.outside.has_secret("npm", "t0ken");
        let shows =
            "test $(cat /run/secrets/npm) = t0'k'en && stat -c '%a %u %s' /run/secrets/npm; touch /made";
        let image = world.build(&world.on_base().run_with(&[secret("npm")], shows).run("ls -A /run > /left"));
        assert!(world.outside.log_text().contains("400 0 5"), "{}", world.outside.log_text());
        assert_eq!(world.top_file(&image, "left").text, "", "the next step sees nothing of it");
        let made = world.layer(&image, image.layers.len() - 2);
        let paths: Vec<_> = made.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["made"], "no place to mount at is in the layer");
        assert!(!String::from_utf8_lossy(&world.outside.blob(&image.config.digest)).contains("t0ken"));
        assert!(!world.disk_holds("t0ken"), "it was on no disk");
    });
}

#[test]
fn a_secret_goes_where_it_is_asked_for() {
    story("run-secret-places", |world| {
        world.outside.has_secret("npm", "t0ken");
        let owned = SecretMount {
            target: Some("/opt/deep/.npmrc".into()),
            mode: 0o444,
            uid: 7,
            gid: 8,
            ..secret("npm")
        };
        let over = SecretMount { target: Some("/etc/passwd".into()), ..secret("npm") };
        let env = SecretMount { target: None, env: Some("NPM_TOKEN".into()), ..secret("npm") };
        let script =
            "stat -c '%a %u %g' /opt/deep/.npmrc; echo length ${#NPM_TOKEN}; test $(cat /etc/passwd) = t0ken";
        let image =
            world.build(&world.on_base().run_with(&[owned, over, env], script).run("env; ls -A / > /left"));
        let log = world.outside.log_text();
        assert!(
            log.contains("444 7 8") && log.contains("length 5") && !log.contains("NPM_TOKEN=t0ken"),
            "{log}"
        );
        let left = world.top_file(&image, "left").text;
        assert!(!left.contains("opt"), "{left}");
    });
}

#[test]
fn a_step_without_its_secret_fails_only_if_it_needs_it() {
    story("run-secret-missing", |world| {
        let optional = SecretMount { required: false, ..secret("npm") };
        world.build(&world.on_base().run_with(&[optional], "test ! -e /run/secrets/npm"));
        let failure = world.try_build(&world.on_base().run_with(&[secret("npm")], "true")).unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.blame), ("secret_missing", Blame::User), "{failure}");
        assert!(failure.location.is_some() && failure.message.contains("`npm`"), "{failure}");
    });
}

#[test]
fn another_value_of_a_secret_is_no_reason_to_run_again() {
    story("run-secret-cached", |world| {
        world.outside.has_secret("npm", "one");
        let first = world.build(&world.on_base().run_with(&[secret("npm")], "echo made > /made"));
        world.outside.has_secret("npm", "two");
        assert_eq!(world.build(&world.on_base().run_with(&[secret("npm")], "echo made > /made")), first);
    });
}
