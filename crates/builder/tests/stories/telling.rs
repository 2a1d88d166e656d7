//! What is told of each vertex, as it starts and ends.

use crate::world::story;

#[test]
fn vertices_are_told_in_order_with_what_became_of_them() {
    story("told-in-order", |world| {
        world.file("src/a", 0o644, "a");
        let recipe = world.on_base().copy(&["src"], "/src/").run("cat /src/a > /out");
        world.build(&recipe);
        let first = [
            "+1 FROM base",
            "-1 executed",
            "+2 COPY src /src/ (2)",
            "-2 executed",
            "+3 RUN cat /src/a > /out (3)",
            "-3 executed",
        ];
        assert_eq!(world.outside.vertices_told(), first);
        world.build(&recipe);
        let second =
            first.map(|line| line.replace("-2 executed", "-2 cached").replace("-3 executed", "-3 cached"));
        assert_eq!(world.outside.vertices_told(), second, "nothing ran");
    });
}

#[test]
fn a_command_that_fails_is_told_with_its_line_and_nothing_after_it() {
    story("told-failure", |world| {
        let recipe = world.on_base().run("true").run("exit 7").run("echo never");
        world.try_build(&recipe).unwrap_err();
        let told = world.outside.vertices_told();
        assert_eq!(told[2..], ["+2 RUN true (2)", "-2 executed", "+3 RUN exit 7 (3)", "-3 failed"]);
    });
}

#[test]
fn what_runs_beside_a_failure_is_interrupted() {
    story("told-interrupted", |world| {
        world.outside.await_meeting(2);
        let left = world.on_base().run("echo meet; exec sleep 600");
        let base = left.graph().vertices[0].op.clone();
        let (right, stage) = left.stage(base);
        world.try_build(&right.run("echo meet; exit 1").copy_from(stage, &["/x"], "/")).unwrap_err();
        let told = world.outside.vertices_told();
        let number = |name: &str| {
            let start = told.iter().find(|line| line.contains(name)).expect("it was started");
            start.trim_start_matches('+').split(' ').next().unwrap().to_owned()
        };
        assert!(told.contains(&format!("-{} interrupted", number("sleep"))), "{told:?}");
        assert!(told.contains(&format!("-{} failed", number("exit 1"))), "{told:?}");
    });
}

#[test]
fn a_layer_that_can_not_be_packed_fails_what_made_it() {
    story("told-packing", |world| {
        world.outside.fill_disk();
        let failure = world.try_build(&world.on_base().run("echo x > /x")).unwrap_err();
        assert_eq!(failure.kind, "disk_full");
        let told = world.outside.vertices_told();
        assert_eq!(told[2..], ["+2 RUN echo x > /x (2)", "-2 executed", "-2 failed"]);
    });
}
