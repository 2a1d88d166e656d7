//! COPY and ADD, as small projects named for what they show.

use std::os::unix::fs::{MetadataExt, symlink};

use crate::world::{COMMITTED, Listed, Recipe, World, story, tar_of};
use tar::EntryType;

fn paths(files: &[Listed]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

fn copied(world: &World, sources: &[&str], dest: &str) -> Vec<Listed> {
    world.top(&world.build(&Recipe::scratch().copy(sources, dest)))
}

#[test]
fn copy_keeps_mode() {
    story("copy-keeps-mode", |world| {
        world.file("tool", 0o755, "#!/bin/sh\n");
        world.file("suid", 0o4711, "x");
        world.file("private/key", 0o600, "secret");
        std::fs::set_permissions(
            world.context().join("private"),
            std::os::unix::fs::PermissionsExt::from_mode(0o2750),
        )
        .unwrap();
        let top = copied(&world, &["."], "/");
        let modes: Vec<_> = top.iter().map(|f| (f.path.as_str(), f.mode, f.owner)).collect();
        assert_eq!(
            modes,
            [
                ("private", 0o2750, (0, 0)),
                ("private/key", 0o600, (0, 0)),
                ("suid", 0o4711, (0, 0)),
                ("tool", 0o755, (0, 0))
            ]
        );
    });
}

#[test]
fn copy_takes_a_folders_content_and_not_the_folder() {
    story("copy-folder-content", |world| {
        world.file("src/main.rs", 0o644, "fn main() {}");
        world.file("src/deep/er.rs", 0o644, "");
        world.file("other", 0o644, "");
        let top = copied(&world, &["src"], "/app");
        assert_eq!(paths(&top), ["app", "app/deep", "app/deep/er.rs", "app/main.rs"]);
        assert_eq!(top[0].mode, 0o755);
        assert_eq!(top[3].text, "fn main() {}");
    });
}

#[test]
fn copy_of_a_file_takes_the_name_it_is_given() {
    story("copy-names", |world| {
        world.file("a.txt", 0o644, "a");
        assert_eq!(paths(&copied(&world, &["a.txt"], "/x/b.txt")), ["x", "x/b.txt"]);
        assert_eq!(paths(&copied(&world, &["a.txt"], "/x/")), ["x", "x/a.txt"]);
        assert_eq!(paths(&copied(&world, &["/../a.txt"], "/x")), ["x"]);
        let into = world.build(&world.on_base().copy(&["a.txt"], "/tmp"));
        assert_eq!(paths(&world.top(&into)), ["tmp", "tmp/a.txt"]);
    });
}

#[test]
fn copy_of_several_needs_a_folder() {
    story("copy-several", |world| {
        world.file("a", 0o644, "a");
        world.file("b", 0o644, "b");
        assert_eq!(paths(&copied(&world, &["a", "b"], "/x/")), ["x", "x/a", "x/b"]);
        let failure = world.try_build(&Recipe::scratch().copy(&["a", "b"], "/x")).unwrap_err();
        assert_eq!(
            (failure.kind.as_str(), failure.location.unwrap().line),
            ("copy_destination_not_folder", 2)
        );
    });
}

#[test]
fn copy_of_a_missing_file_names_its_neighbours_before_anything_runs() {
    story("copy-missing", |world| {
        world.file("src/main.rs", 0o644, "");
        let recipe = world.on_base().run("echo ran").copy(&["src/mian.rs"], "/");
        let failure = world.try_build(&recipe).unwrap_err();
        assert_eq!(failure.kind, "copy_source_not_found");
        assert_eq!(failure.location.unwrap().text, "COPY src/mian.rs /");
        assert!(failure.hint.contains("main.rs"), "{}", failure.hint);
        assert!(!world.outside.log_text().contains("ran"));
    });
}

#[test]
fn a_pattern_may_match_nothing_but_a_name_may_not() {
    story("copy-pattern", |world| {
        for name in ["one.txt", "two.txt", "three.md", "sub/four.txt"] {
            world.file(name, 0o644, name);
        }
        assert_eq!(paths(&copied(&world, &["*.txt"], "/x/")), ["x", "x/one.txt", "x/two.txt"]);
        assert_eq!(paths(&copied(&world, &["s*/f*"], "/x/")), ["x", "x/four.txt"]);
        let nothing = world.build(&Recipe::scratch().copy(&["*.none"], "/x/"));
        assert_eq!(nothing.layers, []);
        assert!(world.config(&nothing).history[0].empty_layer);
        let failure = world.try_build(&Recipe::scratch().copy(&["[a"], "/x/")).unwrap_err();
        assert_eq!(failure.kind, "copy_bad_pattern");
    });
}

#[test]
fn an_ignored_file_is_not_there_unless_taken_back() {
    story("copy-ignored", |world| {
        for name in ["keep", "logs/a.log", "logs/important"] {
            world.file(name, 0o644, "");
        }
        let ignore = |path: &std::path::Path, _: bool| {
            path.starts_with("logs") && path != std::path::Path::new("logs/important")
        };
        let image = world.try_build_without(&Recipe::scratch().copy(&["."], "/"), &ignore).unwrap();
        assert_eq!(paths(&world.top(&image)), ["keep", "logs", "logs/important"]);
        let named =
            world.try_build_without(&Recipe::scratch().copy(&["logs/a.log"], "/"), &ignore).unwrap_err();
        assert_eq!(named.kind, "copy_source_not_found");
        assert!(named.hint.contains(".dockerignore"), "{}", named.hint);
    });
}

#[test]
fn chown_looks_names_up_in_the_image() {
    story("copy-chown", |world| {
        world.file("a", 0o644, "a");
        let image = world.build(&world.on_base().copy_chown("app:video", &["a"], "/data/"));
        let top: Vec<_> = world.top(&image).into_iter().map(|f| (f.path, f.owner)).collect();
        assert_eq!(top, [("data".into(), (1000, 44)), ("data/a".into(), (1000, 44))]);
        let failure = world.try_build(&world.on_base().copy_chown("nobody", &["a"], "/")).unwrap_err();
        assert_eq!(failure.kind, "user_not_found");
    });
}

#[test]
fn accounts_that_are_no_file_are_refused_and_do_not_hang() {
    story("passwd-is-a-pipe", |world| {
        world.file("a", 0o644, "a");
        let recipe =
            world.on_base().run("rm /etc/passwd; busybox mkfifo /etc/passwd").copy_chown("app", &["a"], "/");
        assert_eq!(world.try_build(&recipe).unwrap_err().kind, "accounts_unreadable");
    });
}

#[test]
fn links_in_the_image_are_followed_inside_it_only() {
    story("copy-through-links", |world| {
        world.file("a", 0o644, "a");
        // The base holds /srv/out -> ../../../../../data: above the root there is only the root.
        let image = world.build(&world.on_base().copy(&["a"], "/srv/out/canary"));
        assert_eq!(paths(&world.top(&image)), ["data", "data/canary"]);
        assert!(!std::path::Path::new("/data/canary").exists());
        let linked = world.on_base().run("ln -s /tmp/target /link").copy(&["a"], "/link");
        assert_eq!(paths(&world.top(&world.build(&linked))), ["tmp", "tmp/target"]);
    });
}

#[test]
fn links_in_the_context_stay_links_but_a_named_one_is_followed() {
    story("copy-context-links", |world| {
        world.file("dir/file", 0o644, "content");
        symlink("file", world.context().join("dir/link")).unwrap();
        symlink("/etc/hostname", world.context().join("escape")).unwrap();
        let top = copied(&world, &["dir"], "/");
        assert_eq!(
            (top[1].path.as_str(), top[1].kind, top[1].link.as_deref()),
            ("link", EntryType::Symlink, Some("file"))
        );
        assert_eq!(copied(&world, &["dir/link"], "/x")[0].text, "content");
        let failure = world.try_build(&Recipe::scratch().copy(&["escape"], "/x")).unwrap_err();
        assert_eq!(failure.kind, "copy_source_not_found");
        assert!(failure.hint.contains("It is a link."), "{failure}");
    });
}

#[test]
fn hard_links_and_attributes_are_kept() {
    story("copy-keeps-links-and-xattrs", |world| {
        world.file("d/a", 0o644, "same");
        let context = world.context();
        std::fs::hard_link(context.join("d/a"), context.join("d/b")).unwrap();
        rustix::fs::setxattr(context.join("d/a"), "user.note", b"kept", rustix::fs::XattrFlags::empty())
            .unwrap();
        let top = copied(&world, &["d"], "/");
        assert_eq!((top[1].kind, top[1].link.as_deref()), (EntryType::Link, Some("a")));
        assert_eq!(top[0].xattrs.get("user.note").map(String::as_str), Some("kept"));
    });
}

#[test]
fn files_of_a_commit_carry_the_commits_time() {
    story("copy-commit-time", |mut world| {
        world.file("d/a", 0o644, "a");
        let own = std::fs::metadata(world.context().join("d/a")).unwrap().mtime();
        assert_eq!(i64::try_from(copied(&world, &["d/a"], "/x")[0].mtime).unwrap(), own);
        world.is_commit();
        world.file("d/a", 0o644, "b");
        let image = world.build(&Recipe::scratch().copy(&["."], "/"));
        assert!(world.top(&image).iter().all(|f| f.mtime == COMMITTED.unsigned_abs()));
    });
}

#[test]
fn a_folder_can_not_take_a_files_place() {
    story("copy-conflict", |world| {
        world.file("tree/bin/busybox/x", 0o644, "");
        let failure = world.try_build(&world.on_base().copy(&["tree"], "/")).unwrap_err();
        assert_eq!(failure.kind, "copy_conflict", "{failure}");
        world.file("file", 0o644, "");
        let failure = world.try_build(&world.on_base().copy(&["file"], "/etc/passwd/x")).unwrap_err();
        assert_eq!(failure.kind, "copy_conflict", "{failure}");
        assert!(failure.message.starts_with("/etc/passwd can't be a folder"), "{failure}");
    });
}

#[test]
fn a_name_that_means_removed_is_refused_as_such() {
    story("copy-reserved-name", |world| {
        world.file("d/.wh.kept", 0o644, "");
        for recipe in [Recipe::scratch().copy(&["d"], "/"), world.on_base().run("touch /.wh.kept")] {
            let failure = world.try_build(&recipe).unwrap_err();
            assert_eq!((failure.kind.as_str(), failure.blame), ("name_reserved", model::Blame::User));
            assert!(failure.message.contains("`.wh.kept`"), "{failure}");
            assert_eq!(failure.location.unwrap().line, 2);
        }
    });
}

#[test]
fn a_stages_files_keep_their_owners() {
    story("copy-from-stage", |world| {
        let recipe = world.on_base().run("mkdir /out; echo made > /out/file; chown 5:6 /out/file");
        let (recipe, stage) = recipe.stage(model::Op::Scratch);
        let image = world.build(&recipe.copy_from(stage, &["/out/file"], "/"));
        assert_eq!(image.layers.len(), 1);
        let file = world.top_file(&image, "file");
        assert_eq!((file.text.as_str(), file.owner), ("made\n", (5, 6)));
        let announced = world.outside.announced();
        assert_eq!(announced.len(), 2, "the layer and the configuration, not the stage's own layer");
    });
}

#[test]
fn add_unpacks_what_is_an_archive_and_copies_what_only_looks_like_one() {
    story("add-archive", |world| {
        let tar = tar_of(&[("inner/a", "in the archive"), ("../climb", "clipped")]);
        let context = world.context();
        std::fs::write(context.join("plain"), &tar).unwrap();
        std::fs::write(context.join("gzipped"), world.outside.blob(&world.outside.keep_layer(&tar).1.digest))
            .unwrap();
        world.file("fake.tar.gz", 0o644, "not an archive");
        for name in ["plain", "gzipped"] {
            let top = world.top(&world.build(&Recipe::scratch().add_archive(&[name], "/x/")));
            assert_eq!(paths(&top), ["x", "x/climb", "x/inner", "x/inner/a"], "{name}");
            assert_eq!(top[3].text, "in the archive");
        }
        let top = world.top(&world.build(&Recipe::scratch().add_archive(&["fake.tar.gz"], "/x/")));
        assert_eq!(paths(&top), ["x", "x/fake.tar.gz"]);
    });
}

#[test]
fn an_archive_of_an_owner_that_builds_have_not_is_refused_by_that_owner() {
    story("add-archive-of-a-large-id", |world| {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(70_000);
        header.set_size(1);
        tar.append_data(&mut header, "a", &b"a"[..]).unwrap();
        std::fs::write(world.context().join("large.tar"), tar.into_inner().unwrap()).unwrap();
        let failure = world.try_build(&Recipe::scratch().add_archive(&["large.tar"], "/x/")).unwrap_err();
        assert_eq!(failure.kind, "id_too_large", "{failure}");
        assert!(failure.message.contains("70000") && failure.message.contains("65535"), "{failure}");
    });
}

#[test]
fn workdir_makes_what_is_missing_for_its_user() {
    story("workdir", |world| {
        let image = world.build(&world.on_base().user("app").workdir("/home/app/work").workdir("/tmp"));
        let top: Vec<_> = world.top(&image).into_iter().map(|f| (f.path, f.owner, f.mode)).collect();
        let made = |path: &str| (path.to_owned(), (1000, 1001), 0o755);
        assert_eq!(top, [made("home"), made("home/app"), made("home/app/work")]);
        assert_eq!(image.layers.len(), 2);
    });
}
