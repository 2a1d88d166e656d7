//! A fault at its moment. In: the draw, armed before the fleet sets out. Out: whether and when it struck, and when
//! it was over.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use failpoint::Action;
use test_support::Held;

use crate::draw::{Draw, Fault, Moment, Target};
use crate::fleet::{Client, Fleet};
use crate::stage::Stage;
use crate::support::{Identity, residue};

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    pub(crate) at: SystemTime,
    pub(crate) over: Instant,
}

/// Prepares the moment.
pub(crate) fn arm(stage: &Stage, draw: &Draw) -> Option<Held> {
    match (draw.fault, draw.moment) {
        (Fault::Registry(trouble), _) => stage.proxy.trouble(trouble),
        (fault, Moment::At(point, nth)) => {
            let own = |target: Target| point.name().starts_with(role(target));
            let action = match fault {
                Fault::Kill(target) if own(target) => Action::Kill,
                Fault::Stop(target, _) if own(target) => Action::Stop,
                Fault::Fail => Action::Fail,
                _ => Action::Stall,
            };
            stage.arms.arm(point, nth, action).expect("armed");
        }
        (_, Moment::Asked(asked, after, phase)) => return Some(stage.proxy.hold(asked, after, phase)),
        (_, Moment::OfItself) => {}
    }
    None
}

/// What a role's points are called.
fn role(target: Target) -> &'static str {
    match target {
        Target::Server => "server.",
        Target::Worker => "worker.",
        Target::Publisher => "publisher.",
        Target::Cell | Target::Postgres | Target::Registry => "-",
    }
}

/// Waits for the moment and strikes. None when the fleet came home before, or nobody was there to be struck.
pub(crate) async fn strike(
    stage: &mut Stage,
    draw: &Draw,
    held: Option<Held>,
    fleet: &mut Fleet,
    client: &Client,
) -> Option<(Struck, Option<u16>)> {
    let mut held = held;
    if !come(stage, draw, held.as_mut(), fleet).await {
        stage.arms.clear();
        stage.proxy.calm();
        return None;
    }
    let at = SystemTime::now();
    let cancelled = match draw.cancels {
        Some(number) => {
            let (client, id) = (client.clone(), fleet.id_now(number));
            id.map(|id| tokio::spawn(async move { client.cancel(&id).await }))
        }
        None => None,
    };
    let hit = carry_out(stage, draw).await;
    if let Some(held) = held {
        held.release();
    }
    stage.arms.clear();
    let over = match draw.fault {
        Fault::Registry(_) => until_troubled(stage, fleet).await,
        _ => Instant::now(),
    };
    let cancelled = match cancelled {
        Some(cancelled) => cancelled.await.ok().flatten(),
        None => None,
    };
    (hit || cancelled.is_some()).then_some((Struck { at, over }, cancelled))
}

async fn come(stage: &Stage, draw: &Draw, held: Option<&mut Held>, fleet: &Fleet) -> bool {
    let arrived = async {
        match (draw.moment, held) {
            (_, Some(held)) => held.arrived().await,
            (Moment::At(point, _), None) => {
                while stage.arms.fired(point).is_none() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            _ => {
                while stage.proxy.troubled() == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    };
    let home = async {
        while !fleet.is_over() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! { () = arrived => true, () = home => false }
}

/// Until every request that was to have trouble has had it, or the fleet is home, or for long enough. Answers when
/// the last one had it.
async fn until_troubled(stage: &Stage, fleet: &Fleet) -> Instant {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut last = (stage.proxy.troubled(), Instant::now());
    while Instant::now() < deadline && !fleet.is_over() && last.1.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = stage.proxy.troubled();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    stage.proxy.calm();
    last.1
}

/// True when there was something to strike.
async fn carry_out(stage: &mut Stage, draw: &Draw) -> bool {
    match draw.fault {
        Fault::Kill(Target::Registry) => stage.registry.kill_and_start(),
        Fault::Kill(target) => return signal(&struck(stage, draw, target), "KILL"),
        Fault::Stop(target, length) => {
            let mut pids = struck(stage, draw, target);
            if target == Target::Postgres {
                pids.extend(pids.clone().into_iter().flat_map(residue::children_of));
            }
            let is_there = signal(&pids, "STOP");
            tokio::time::sleep(length).await;
            signal(&pids, "CONT");
            return is_there;
        }
        Fault::RestartPostgres => return signal(&stage.processes(Target::Postgres), "INT"),
        Fault::KillBackends => {
            for _ in 0..3 {
                stage.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'slipway_%' AND pid <> pg_backend_pid()");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Fault::ExhaustPool(length) => {
            let limit = |number: i32| {
                ["server", "worker", "publisher"]
                    .map(|role| format!("ALTER ROLE slipway_{role} CONNECTION LIMIT {number};"))
                    .concat()
            };
            let ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ('slipway_server', 'slipway_worker', 'slipway_publisher')";
            stage.sql(&format!("{} {ends}", limit(0))).expect("the database answers");
            tokio::time::sleep(length).await;
            stage.sql(&limit(-1)).expect("the database answers");
        }
        Fault::DeadLines(of, length) => {
            let lines = stage.lines(of);
            let are_there = signal(&lines, "STOP");
            tokio::time::sleep(length).await;
            // What a router says that has forgotten them, at last.
            signal(&lines, "TERM");
            signal(&lines, "CONT");
            return are_there;
        }
        Fault::FillDisk(length) => {
            let file = stage.world.data.join("store/filler");
            let fill = format!("dd if=/dev/zero of={} bs=1M status=none 2>/dev/null; true", file.display());
            let root = |words: &[&str]| {
                let mut command = Identity::Root.command(Path::new(words[0]));
                assert!(command.args(&words[1..]).status().is_ok_and(|status| status.success()));
            };
            root(&["sh", "-c", &fill]);
            tokio::time::sleep(length).await;
            root(&["rm", "-f", &file.display().to_string()]);
        }
        // The point did it, or the proxy does.
        Fault::Fail | Fault::Registry(_) => {}
    }
    true
}

/// Whoever came to the point, if it is one of the target's.
fn struck(stage: &Stage, draw: &Draw, target: Target) -> Vec<i32> {
    match draw.moment {
        Moment::At(point, _) if point.name().starts_with(role(target)) => {
            stage.arms.fired(point).map(|fired| fired.pid).into_iter().collect()
        }
        _ => stage.processes(target),
    }
}

/// True when somebody was there; who killed itself at its point was.
fn signal(pids: &[i32], name: &str) -> bool {
    for pid in pids {
        let mut command = Identity::Root.command(Path::new("kill"));
        let _ = command.args(["-s", name, &pid.to_string()]).stderr(std::process::Stdio::null()).status();
    }
    !pids.is_empty()
}
