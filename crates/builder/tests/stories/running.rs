//! RUN, its failures, and the image that comes of it.

use crate::world::{NOW, story};
use model::{Blame, Failure, LayerSource, Manifest};

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
        let script = "(id -u; id -g; id -G; echo $HOME $http_proxy $A; cat /etc/resolv.conf; cat /etc/hosts) > /tmp/seen";
        let image = world.build(&world.on_base().run("chmod 1777 /tmp").user("app").env("A=1").run(script));
        let seen = world.top_file(&image, "tmp/seen").text;
        assert!(
            seen.starts_with("1000\n1001\n1001 44\n/home/app p 1\nnameserver 10.0.2.3\n127.0.0.1\tlocalhost"),
            "{seen}"
        );
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
