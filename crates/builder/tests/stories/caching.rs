//! What is built again and what is not.

use crate::world::{Recipe, World, list, story};

fn recipe(world: &World, comment: &str) -> Recipe {
    world
        .on_base()
        .copy(&["src"], "/src/")
        .run(&format!("{comment}cat /src/* > /out"))
        .run("cat /out > /final")
}

#[test]
fn a_second_build_runs_nothing_and_moves_no_layer() {
    story("cache-all", |mut world| {
        world.file("src/a", 0o644, "a");
        let first = world.build(&recipe(&world, ""));
        world.forget_snapshots();
        let (fetched, lookups) = (world.outside.fetched(), world.outside.lookups());
        world.outside.clear_log();
        let second = world.build(&recipe(&world, ""));
        assert_eq!(first, second, "the same image, digest and all, though it is later now");
        assert_eq!((world.outside.fetched(), world.outside.lookups()), (fetched, lookups + 1));
        assert_eq!(world.outside.log_text().matches(" CACHED").count(), 3);
        assert_eq!(world.outside.progress_seen().cached, 3);
    });
}

#[test]
fn times_do_not_matter_and_content_does() {
    story("cache-content", |world| {
        world.file("src/a", 0o644, "a");
        let first = world.build(&recipe(&world, ""));
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
        std::fs::File::options()
            .write(true)
            .open(world.context().join("src/a"))
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert_eq!(world.build(&recipe(&world, "")), first);
        world.file("src/a", 0o644, "b");
        let changed = world.build(&recipe(&world, ""));
        assert_eq!(world.top_file(&changed, "final").text, "b");
        world.file("src/a", 0o600, "b");
        assert_ne!(world.build(&recipe(&world, "")).layers[1], changed.layers[1]);
    });
}

#[test]
fn a_step_whose_inputs_turn_out_equal_is_not_run_again() {
    story("cache-early-cutoff", |mut world| {
        world.options.source_date_epoch = Some(0);
        world.file("src/a", 0o644, "a");
        world.build(&recipe(&world, ""));
        world.forget_snapshots();
        world.outside.clear_log();
        // Another command, the same result: the step after it is known by its content.
        let image = world.build(&recipe(&world, ": other; "));
        let log = world.outside.log_text();
        assert_eq!(log.matches(" CACHED").count(), 2, "{log}");
        assert_eq!(world.top_file(&image, "final").text, "a");
        world.outside.clear_log();
        world.build(&recipe(&world, ": other; "));
        assert_eq!(world.outside.log_text().matches(" CACHED").count(), 3);
    });
}

#[test]
fn a_cached_layer_is_unpacked_when_a_step_on_it_runs() {
    story("cache-unpacks", |mut world| {
        world.file("src/a", 0o644, "a");
        world.build(&recipe(&world, ""));
        world.forget_snapshots();
        let fetched = world.outside.fetched();
        let image = world.build(&recipe(&world, "").run("cat /final /out > /both"));
        assert_eq!(world.top_file(&image, "both").text, "aa");
        assert_eq!(world.outside.fetched(), fetched + 4);
    });
}

#[test]
fn without_the_cache_everything_runs_and_is_remembered() {
    story("cache-off", |mut world| {
        world.file("src/a", 0o644, "a");
        world.build(&recipe(&world, ""));
        world.options.no_cache = true;
        let (lookups, ()) = (world.outside.lookups(), world.outside.clear_log());
        world.build(&recipe(&world, ""));
        assert_eq!(world.outside.lookups(), lookups);
        assert!(!world.outside.log_text().contains("CACHED"));
        world.options.no_cache = false;
        world.build(&recipe(&world, ""));
        assert_eq!(world.outside.log_text().matches(" CACHED").count(), 3);
    });
}

#[test]
fn with_an_epoch_the_same_inputs_give_the_same_digest() {
    story("epoch", |mut world| {
        world.options.source_date_epoch = Some(0);
        world.file("src/a", 0o644, "a");
        let with_time = |world: &World| {
            recipe(world, "")
                .run("test $SOURCE_DATE_EPOCH = 0 && mkdir /d && touch /d/x /tmp")
                .workdir("/w/x")
        };
        let first = world.build(&with_time(&world));
        assert_eq!(world.config(&first).created.as_deref(), Some("1970-01-01T00:00:00Z"));
        assert!(first.layers[1..].iter().all(|layer| {
            list(&world.outside.blob(&layer.descriptor.digest)).iter().all(|f| f.mtime == 0)
        }));
        let cached = world.build(&with_time(&world));
        world.outside.forget_cache();
        world.forget_snapshots();
        world.file("src/a", 0o644, "a");
        let again = world.build(&with_time(&world));
        assert_eq!((&cached.manifest, &again.manifest), (&first.manifest, &first.manifest));
    });
}

#[test]
fn independent_stages_run_side_by_side() {
    story("stages-side-by-side", |world| {
        world.outside.await_meeting(2);
        let left = world.on_base().run("echo meet; touch /left");
        let base = left.graph().vertices[0].op.clone();
        let (right, stage) = left.stage(base);
        let image = world.build(&right.run("echo meet; touch /right").copy_from(stage, &["/left"], "/"));
        assert_eq!(image.layers.len(), 3);
    });
}
