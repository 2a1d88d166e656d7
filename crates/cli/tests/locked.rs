//! Who has taken over the inside of a cell, with every right it has, changes nothing that other scopes use: the
//! mounts and routes were made outside of it. What belongs to its own scope it changes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use serde_json::json;
use support::{Identity, World, residue};
use test_support::{GitServer, LocalRegistry, TestRepository};

/// Each line is a deed: its name, and a command that must fail. `$L` is a shared layer, `$O` a layer of the run's
/// own scope, `$B` where the shared ones are, `$S` the store's folder as the machine names it.
const SHARED: &str = r#"
write:      echo x >> $L/etc/passwd
create:     touch $L/new
replace:    cp $O/etc/made $L/etc/group
chmod:      chmod 4777 $L/bin/busybox
chown:      chown 7:7 $L/etc/passwd
times:      touch -d 2001-01-01 $L/etc/passwd
remove:     rm -f $L/etc/group
rename:     mv $L/etc/group $L/etc/gone
link:       ln $L/etc/group $L/etc/again
whiteout:   mknod $L/etc/shadow c 0 0
device:     mknod $L/null c 1 3
names:      ln -s ../d/x $B/layers/x
remount:    mount -o remount,bind,rw $B
remounted:  mount -o remount,bind,rw $B; touch $L/new
device rw:  mount -o remount,rw $B
elsewhere:  mount --bind $B /tmp/else && mount -o remount,bind,rw /tmp/else && touch /tmp/else/new
private:    mount --make-rprivate / && umount $B
unmount:    umount $B
detach:     umount -l $B
above:      umount -l /tmp/cells
tmp:        umount -l /tmp
root:       umount -l /
proc:       umount -l /proc
machine:    mount -o remount,bind,rw / && touch /usr/new
upper:      mkdir -p $O/w $O/m && mount -t overlay -o userxattr,lowerdir=$O,upperdir=$L,workdir=$O/w none $O/m
work:       mkdir -p $O/m && mount -t overlay -o userxattr,lowerdir=$O,upperdir=$O,workdir=$B/d none $O/m
deeper:     unshare --user --map-root-user --mount sh -c "mount -o remount,bind,rw $B"
pid 1:      touch /proc/1/root$L/new
pid 1 look: ls /proc/1/root/
pid 1 cwd:  ls /proc/1/cwd/
pid 1 fd:   for fd in 3 4 5 6 7 8 9 10 11 12; do ls /proc/1/fd/$fd/ && exit 0; done; exit 1
pid 1 mem:  head -c 1 /proc/1/environ
pid 1 enter: nsenter --target 1 --mount true
pid 1 user: nsenter --target 1 --user true
others:     ls $B/../../snapshots
store:      ls $S
routes:     ip route del unreachable 10.0.0.0/8
all routes: ip route flush table main
device up:  ip link set lo down
"#;

/// The same where it may: each of these has to work.
const OWN: &str = r#"
write:      echo x >> $O/etc/made
create:     touch $O/new
chmod:      chmod 4777 $O/etc/made
chown:      chown 7:7 $O/etc/made
remove:     rm $O/new
whiteout:   mknod $O/etc/shadow c 0 0
own mount:  mkdir -p /tmp/own && mount -t tmpfs none /tmp/own && touch /tmp/own/x && umount /tmp/own
remount:    mkdir -p /tmp/else && mount --bind /tmp/cells/own /tmp/else && touch /tmp/else/x && umount /tmp/else
read:       cat $L/etc/passwd
overlay:    mkdir -p $O/w $O/u $O/m && mount -t overlay -o userxattr,lowerdir=$L,upperdir=$O/u,workdir=$O/w none $O/m && touch $O/m/etc/passwd && umount $O/m
bind over:  mount --bind /tmp/cells/own $B && touch $B/x && umount $B
"#;

/// What came of each deed.
fn script(deeds: &str, store: &Path) -> String {
    let mut text = format!(
        "B=/tmp/cells/base; S={}; L=$(echo $B/d/*/fs/bin/busybox); L=${{L%/bin/busybox}}\n\
         O=$(echo /tmp/cells/own/d/*/fs/etc/made); O=${{O%/etc/made}}\n\
         [ -d $L/etc ] && [ -d $O/etc ] || {{ echo \"no layers: $L $O\"; exit 1; }}\nmkdir -p /tmp/else\n",
        store.display()
    );
    for (name, deed) in deeds.lines().filter_map(|line| line.split_once(':')) {
        let quoted = deed.trim().replace('\'', "'\\''");
        text += &format!(
            "export B O L S; if sh -c '{quoted}' >/tmp/said 2>&1; then echo 'done: {name}'; \
             else echo \"refused: {name}: $(head -n 1 /tmp/said)\"; fi\n"
        );
    }
    text
}

/// All that a machine's root sees of the shared layers: names, kinds, modes, owners, times, contents.
fn shared_layers(cells: &Path) -> String {
    let look = "cd \"$1/bases\" && find . -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort && \
                find . -type f -exec sha256sum {} + | sort";
    let output =
        Identity::Root.command(Path::new("sh")).args(["-c", look, "sh"]).arg(cells).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The process that works inside the only cell.
fn inside(world: &World) -> i32 {
    let only = |pid: i32| residue::children_of(pid).into_iter().next().expect("a process of the cell");
    let cells = residue::children_of(world.role("worker")[0]);
    let cell = cells.into_iter().find(|pid| residue::argument_zero(*pid) == "slipway-cell").expect("a cell");
    only(only(cell))
}

/// Runs a script as root of all that the process `pid` is in.
fn taken_over(pid: i32, script: &str) -> Vec<String> {
    let pid = pid.to_string();
    let namespaces = ["--user", "--mount", "--pid", "--net", "--ipc", "--uts"];
    let mut command = Identity::Root.command(Path::new("nsenter"));
    command.args(["--target", &pid]).args(namespaces).args(["--", "/bin/sh", "-c", script]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

async fn a_shared_layer_cannot_be_tampered_with(identity: Identity) {
    let elsewhere = LocalRegistry::start();
    test_support::push_busybox(&elsewhere.address(), "library/busybox:1");
    let origin = format!("--origin=http://{}", elsewhere.address());
    let world = World::start_with(identity, &[&origin]).await;
    let repository = TestRepository::new();
    let git = GitServer::start(&repository);
    let base = format!("{}/library/busybox:1", elsewhere.address());
    let hostile =
        format!("FROM {base}\nRUN echo made > /etc/made\nRUN echo at work for $((599 + 1)); sleep 600\n");
    repository.commit_to("hostile", &[("Dockerfile", &hostile)]);
    repository.commit_to("other", &[("Dockerfile", &format!("FROM {base}\nRUN cat /etc/passwd\n"))]);
    let spec = |branch: &str, trust: &str| {
        json!({
            "source": { "type": "git", "url": git.url(), "ref": branch }, "images": [], "trust": trust,
        })
    };
    let run = world.submit(spec("hostile", "untrusted")).await;
    world.wait_for_log(&run, "at work for 600").await;
    let cells = world.data.join("store/cells");
    let before = shared_layers(&cells);
    assert!(before.contains("/fs/bin/busybox f 755"), "the base was unpacked where it is shared: {before}");

    let pid = inside(&world);
    let tried = taken_over(pid, &script(SHARED, &cells));
    let done: Vec<_> = tried.iter().filter(|line| !line.starts_with("refused: ")).collect();
    assert!(done.is_empty(), "{done:#?} of {tried:#?}");
    assert_eq!(tried.len(), SHARED.trim().lines().count(), "{tried:#?}");
    let own = taken_over(pid, &script(OWN, &cells));
    assert!(own.iter().all(|line| line.starts_with("done: ")), "{own:#?}");
    assert_eq!(shared_layers(&cells), before);

    let other = world.submit(spec("other", "trusted")).await;
    let ended = world.ended(&other).await;
    let log = world.run_log(&other).await;
    assert_eq!(ended["status"], "succeeded", "{ended}\n{log}");
    assert!(log.contains("root:x:0:0:root:/root:/bin/sh"), "{log}");
    assert_eq!(shared_layers(&cells), before, "it is unpacked once for all scopes");
    world.http.post(format!("{run}/cancel")).send().await.unwrap();
    assert_eq!(world.ended(&run).await["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_layer_cannot_be_tampered_with_as_root() {
    a_shared_layer_cannot_be_tampered_with(Identity::Root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_layer_cannot_be_tampered_with_as_an_ordinary_user() {
    a_shared_layer_cannot_be_tampered_with(Identity::OrdinaryUser).await;
}
