//! ADD of an address.

use crate::world::{COMMITTED, Recipe, story, tar_of};

const URL: &str = "https://files.example/tool";

#[test]
fn a_fetched_file_is_roots_alone_and_has_the_time_of_its_host() {
    story("add-url", |mut world| {
        world.is_commit();
        world.outside.has_file_at(URL, b"v1", Some(1_445_412_480));
        world.outside.has_file_at("https://files.example/timeless", b"t", None);
        world.file("local", 0o644, "l");
        let sources = ["local", URL, "https://files.example/timeless"];
        let image = world.build(&Recipe::scratch().add_fetched(None, &sources, "/x/"));
        let top: Vec<_> = world.top(&image).into_iter().map(|f| (f.path, f.mode, f.owner, f.mtime)).collect();
        let file = |name: &str, mode, mtime| (format!("x/{name}"), mode, (0, 0), mtime);
        assert_eq!(
            top[1..],
            [
                file("local", 0o644, u64::try_from(COMMITTED).unwrap()),
                file("timeless", 0o600, 0),
                file("tool", 0o600, 1_445_412_480)
            ]
        );
        let named = world.build(&Recipe::scratch().add_fetched(None, &[URL], "/bin/other"));
        assert_eq!(world.top_file(&named, "bin/other").text, "v1");
        assert!(!world.disk_holds("no such text"), "the search works at all");
    });
}

#[test]
fn an_archive_from_an_address_is_not_unpacked() {
    story("add-url-archive", |world| {
        let tar = tar_of(&[("inner", "x")]);
        world.outside.has_file_at("https://files.example/a.tar", &tar, None);
        let image =
            world.build(&Recipe::scratch().add_fetched(None, &["https://files.example/a.tar"], "/x/"));
        let paths: Vec<_> = world.top(&image).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["x", "x/a.tar"]);
    });
}

#[test]
fn the_same_content_is_cached_and_other_content_is_not() {
    story("add-url-cache", |world| {
        world.outside.has_file_at(URL, b"v1", Some(1));
        let recipe = Recipe::scratch().add_fetched(None, &[URL], "/tool");
        let first = world.build(&recipe);
        world.outside.has_file_at(URL, b"v1", Some(2));
        assert_eq!(world.build(&recipe), first, "a time is in no key");
        world.outside.has_file_at("https://mirror.example/tool", b"v1", None);
        let mirror = Recipe::scratch().add_fetched(None, &["https://mirror.example/tool"], "/tool");
        assert_eq!(world.build(&mirror).layers, first.layers, "nor is where it comes from");
        world.outside.has_file_at(URL, b"v2", Some(1));
        let second = world.build(&recipe);
        assert_eq!(world.top_file(&second, "tool").text, "v2");
        assert_eq!(world.outside.downloads().len(), 4, "what it is can only be seen by fetching it");
    });
}

#[test]
fn a_checksum_is_held_to_and_saves_the_download() {
    story("add-url-checksum", |world| {
        world.outside.has_file_at(URL, b"v1", None);
        let right = content::digest_of(b"v1");
        let recipe = Recipe::scratch().add_fetched(Some(right), &[URL], "/tool");
        let first = world.build(&recipe);
        assert_eq!(world.top_file(&first, "tool").text, "v1");
        assert_eq!(world.build(&recipe), first);
        assert_eq!(world.outside.downloads().len(), 1, "a hit moves no bytes");
        // The same file without a checksum is the same layer.
        assert_eq!(world.build(&Recipe::scratch().add_fetched(None, &[URL], "/tool")).layers, first.layers);

        let wrong = Recipe::scratch().add_fetched(Some(content::digest_of(b"v0")), &[URL], "/tool");
        let failure = world.try_build(&wrong).unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.location.unwrap().line), ("checksum_mismatch", 2));
        assert!(failure.message.contains(&content::digest_of(b"v1").to_string()), "{}", failure.message);
    });
}

#[test]
fn what_is_not_there_is_told_at_its_line_before_anything_runs() {
    story("add-url-missing", |world| {
        let recipe = world.on_base().run("echo ran").add_fetched(None, &["https://files.example/none"], "/x");
        let failure = world.try_build(&recipe).unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.location.unwrap().line), ("url_refused", 3));
        assert!(!world.outside.log_text().contains("ran"));
    });
}
