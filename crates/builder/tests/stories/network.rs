//! What the site gives to every RUN: certificate authorities and proxies, and that nothing of it stays.

use std::path::Path;
use std::process::Command;

use model::{BuildNetwork, BuiltImage, Failure};

use crate::world::{Recipe, World, story};

const LIST: &str = "etc/ssl/certs/ca-certificates.crt";
const SITE: &str = "-----BEGIN CERTIFICATE-----\nc2l0ZQ==\n-----END CERTIFICATE-----\n";

fn trusting(pem: &str) -> BuildNetwork {
    BuildNetwork { ca_bundle: Some(pem.to_owned()), ..BuildNetwork::default() }
}

/// An image with a list of authorities, as distributions have it.
fn with_list(world: &World) -> Recipe {
    world.file("list", 0o644, "the image's\n");
    world.on_base().copy(&["list"], &format!("/{LIST}"))
}

/// Twice, with the site's settings and without, nothing being reused.
fn with_and_without(world: &mut World, recipe: &Recipe, network: BuildNetwork) -> (BuiltImage, BuiltImage) {
    world.options = builder::Options { no_cache: true, source_date_epoch: Some(1) };
    let without = world.build(recipe);
    world.network = network;
    (world.build(recipe), without)
}

#[test]
fn a_step_trusts_the_sites_authorities_beside_the_images_and_the_image_is_the_same() {
    story("site-authorities", |mut world| {
        let script = format!(
            "echo made > /made; ls -A /dev/slipway; cat /{LIST}; echo $NODE_EXTRA_CA_CERTS; cat $SSL_CERT_FILE; true"
        );
        let recipe = with_list(&world).run(&script).run("ls -A / /run > /left");
        let (with, without) = with_and_without(&mut world, &recipe, trusting(SITE));
        assert_eq!(with, without);
        let log = world.outside.log_text();
        assert_eq!(
            log.matches("c2l0ZQ==").count(),
            2,
            "once in the image's list and once at its own place: {log}"
        );
        assert_eq!(log.matches("the image's").count(), 3, "{log}");
        assert!(log.contains(" ca-bundle.pem") && log.contains(" /dev/slipway/ca-bundle.pem"), "{log}");
        let made: Vec<_> = world.layer(&with, 2).into_iter().map(|file| file.path).collect();
        assert_eq!(made, ["made"]);
        assert!(!String::from_utf8_lossy(&world.outside.blob(&with.config.digest)).contains("slipway/"));
    });
}

#[test]
fn what_a_step_does_to_the_images_list_is_kept_without_the_sites() {
    story("site-authorities-changed", |mut world| {
        let folder = "/etc/ssl/certs";
        // The first is what update-ca-certificates does, the second what people do.
        for (script, path, left) in [
            ("echo new > L.new; chmod 644 L.new; mv -f L.new L", LIST, "new\n"),
            ("echo more >> L", LIST, "the image's\nmore\n"),
            ("busybox sed -i 's/image/IMAGE/' L", LIST, "the IMAGE's\n"),
            ("mv L /old; ln -s /old L", "old", "the image's\n"),
            ("chmod 600 L", LIST, "the image's\n"),
        ] {
            let script = script.replace('L', &format!("/{LIST}"));
            let recipe = with_list(&world).run(&format!("cd {folder}; {script}"));
            let (with, without) = with_and_without(&mut world, &recipe, trusting(SITE));
            assert_eq!(world.top_file(&with, path).text, left, "{script}");
            assert_eq!(with.layers.len(), without.layers.len());
            let listed = |image| -> Vec<_> {
                world.top(image).into_iter().map(|file| (file.path, file.mode, file.text)).collect()
            };
            assert_eq!(listed(&with), listed(&without), "{script}");
            world.network = BuildNetwork::default();
        }
    });
}

#[test]
fn a_step_that_only_reads_makes_no_layer_and_one_without_a_list_gets_none() {
    story("site-authorities-unchanged", |mut world| {
        let recipe = with_list(&world).run(&format!("cat /{LIST} > /dev/null"));
        // The list is of another time than the step.
        world.is_commit();
        world.network = trusting(SITE);
        assert_eq!(world.build(&recipe).layers.len(), 2);
        let recipe = world.on_base().run("test -s $CURL_CA_BUNDLE; test ! -e /etc/ssl; touch /made");
        let image = world.build(&recipe);
        assert_eq!(world.top(&image).len(), 1);
    });
}

#[test]
fn another_bundle_is_no_reason_to_run_again() {
    story("site-authorities-cached", |mut world| {
        let recipe = with_list(&world).run("touch /made");
        let first = world.build(&recipe);
        world.network = trusting(SITE);
        assert_eq!(world.build(&recipe), first);
        world.network.http_proxy = Some("http://proxy.example:3128".to_owned());
        assert_eq!(world.build(&recipe), first);
    });
}

#[test]
fn what_the_image_or_the_build_sets_by_itself_comes_first() {
    story("site-variables", |mut world| {
        world.network = BuildNetwork {
            http_proxy: Some("http://site:1".into()),
            https_proxy: Some("http://site:2".into()),
            no_proxy: Some("site.example".into()),
            ..trusting(SITE)
        };
        let shows = "echo $SSL_CERT_FILE $PIP_CERT; echo $http_proxy-$HTTP_PROXY-$HTTPS_PROXY-$https_proxy; \
                     echo $NO_PROXY $no_proxy";
        // The stories' build gives http_proxy=p.
        let recipe = world.on_base().env("SSL_CERT_FILE=/mine").env("no_proxy=mine").run(shows);
        world.build(&recipe);
        let log = world.outside.log_text();
        for line in [" /mine /dev/slipway/ca-bundle.pem", " p--http://site:2-http://site:2", " mine"] {
            assert!(log.lines().any(|told| told.ends_with(line)), "{line} is missing: {log}");
        }
    });
}

/// A program of the host's and what it is linked with, into the context's folder `tools`.
fn bring(world: &World, program: &str) {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]) {
        let to = world.context().join("tools").join(path.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let mut openssl = Command::new("openssl");
    let made = openssl.args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_server_that_a_private_authority_signed_is_trusted_in_a_step() {
    story("site-server", |mut world| {
        bring(&world, "/usr/bin/openssl");
        bring(&world, "/usr/bin/curl");
        let folder = world.context().join("tools");
        let ca = "req -x509 -newkey rsa:2048 -nodes -subj /CN=site -keyout ca.key -out ca.pem -days 2";
        openssl(&folder, ca);
        openssl(&folder, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem");
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        let sign =
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -days 1 -extfile names -out certificate.pem";
        openssl(&folder, sign);
        let authority = std::fs::read_to_string(folder.join("ca.pem")).unwrap();
        std::fs::remove_file(folder.join("ca.pem")).unwrap();

        // A loopback of its own for each step.
        world.outside.refuse_network(Failure::service("network_unavailable", "None here.", ""));
        let serve = "openssl s_server -quiet -www -accept 4433 -cert /certificate.pem -key /key.pem & server=$!; \
                     for try in 1 2 3 4 5 6 7 8 9 10; do busybox nc -z 127.0.0.1 4433 && break; sleep 0.2; done;";
        let ask = |how: &str| {
            format!(
                "{serve} {how} curl -sS -o /dev/null https://localhost:4433/; got=$?; kill $server; exit $got"
            )
        };
        let base =
            with_list(&world).copy(&["tools"], "/").env("PATH=/bin:/usr/bin").env("OPENSSL_CONF=/dev/null");
        let failure = world.try_build(&base.clone().run(&ask(""))).unwrap_err();
        assert!(
            failure.message.contains("exit code 60") || failure.message.contains("exit code 77"),
            "{failure}"
        );

        world.network = trusting(&authority);
        world.build(&base.clone().run(&ask("")));
        // What reads no variable reads the image's list.
        world.build(&base.run(&ask("busybox env -u SSL_CERT_FILE -u CURL_CA_BUNDLE")));
    });
}
