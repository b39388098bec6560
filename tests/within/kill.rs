//! The real program, killed, frozen and started again at random moments.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ghostlight::simulate::Simulation;

use crate::support::{
    Dice, SMALL_BATCHES, Server, committed, committed_but_for_lateness, config, ghostlight, ingest, open, runtime,
    small, verified, write_simulation,
};

const KILLS: usize = 30;

struct Scene {
    folder: tempfile::TempDir,
    file: PathBuf,
    clean: PathBuf,
    distinct: u64,
}

fn scene(events: u64) -> Scene {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, clean) = (folder.path().join("events.ndjson"), folder.path().join("clean"));
    let truth = write_simulation(&Simulation { malformed: 0.0, ..small(31, events) }, &file);
    ingest(&open(&clean), &config(SMALL_BATCHES), &[&file]).expect("ingests");
    Scene { folder, file, clean, distinct: truth.distinct_events }
}

fn start_ingest(scene: &Scene, out: &Path, settings: &Path) -> Child {
    let mut command = ghostlight();
    command.arg("ingest").arg("--config").arg(settings).arg("--out").arg(out).arg(&scene.file);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

fn settings(folder: &Path) -> Vec<PathBuf> {
    let more = [SMALL_BATCHES, "[flush]\nbytes = \"3MiB\"\n[files]\nthreads = 1\n", "[flush]\nmemory = \"1MiB\"\n"];
    let write = |(at, text): (usize, &&str)| {
        let path = folder.join(format!("settings-{at}.toml"));
        std::fs::write(&path, text).expect("written");
        path
    };
    more.iter().enumerate().map(write).collect()
}

#[test]
fn sixty_kills_while_ingesting_and_serving_lose_nothing_and_repeat_nothing() {
    let scene = scene(30_000);
    let mut dice = Dice(42);
    kill_while_ingesting(&scene, &mut dice);
    kill_while_serving(&scene, &mut dice);
}

fn kill_while_ingesting(scene: &Scene, dice: &mut Dice) {
    let settings = settings(scene.folder.path());
    let expected = committed(&open(&scene.clean));
    let (mut kills, mut round) = (0, 0);
    while kills < KILLS {
        let out = scene.folder.path().join(format!("killed-{round}"));
        round += 1;
        loop {
            let mut child = start_ingest(scene, &out, &settings[dice.roll(3) as usize]);
            std::thread::sleep(Duration::from_millis(dice.roll(120)));
            let was_running = child.try_wait().expect("can be asked").is_none();
            child.kill().expect("SIGKILL");
            let status = child.wait().expect("ends");
            kills += usize::from(was_running && kills < KILLS);
            if status.success() {
                break;
            }
            if kills == KILLS {
                assert!(start_ingest(scene, &out, &settings[0]).wait().expect("ends").success());
                break;
            }
        }
        let store = open(&out);
        assert_eq!(verified(&store).accounting.counted, scene.distinct);
        assert!(committed(&store) == expected, "round {round}: the tables differ from a run that never stopped");
    }
}

fn kill_while_serving(scene: &Scene, dice: &mut Dice) {
    let folder = scene.folder.path();
    let text = std::fs::read(&scene.file).expect("reads");
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let bodies: Arc<Vec<Vec<u8>>> = Arc::new(lines.chunks(25).map(<[_]>::concat).collect());
    let more = "segment = \"256KiB\"\n[flush]\ninterval = \"40ms\"\nbytes = \"512KiB\"\n";
    let mut server = Server::start(folder, "spool", more);
    let url = Arc::new(Mutex::new(server.url.clone()));
    let (next, acknowledged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    let senders = {
        let (bodies, url, next, acknowledged, done) =
            (bodies.clone(), url.clone(), next.clone(), acknowledged.clone(), done.clone());
        std::thread::spawn(move || {
            runtime().block_on(async {
                let send_all = || async {
                    let client = reqwest::Client::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::SeqCst);
                        let Some(body) = bodies.get(at) else { return };
                        // As Auth0 does: again until it is taken.
                        loop {
                            let to = url.lock().expect("no panic").clone();
                            let answer = client.post(to).body(body.clone()).send().await;
                            if answer.is_ok_and(|response| response.status().is_success()) {
                                acknowledged.fetch_add(1, Ordering::SeqCst);
                                break;
                            }
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        // Slow enough that kills meet requests under way until the last one.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                futures::future::join_all((0..4).map(|_| send_all())).await;
            });
            done.store(true, Ordering::SeqCst);
        })
    };
    let mut kills = 0;
    while kills < KILLS {
        std::thread::sleep(Duration::from_millis(20 + dice.roll(150)));
        if !done.load(Ordering::SeqCst) || kills < KILLS {
            server.child.kill().expect("SIGKILL");
            server.child.wait().expect("ends");
            kills += 1;
        }
        server = Server::start(folder, "spool", more);
        url.lock().expect("no panic").clone_from(&server.url);
    }
    senders.join().expect("no panic");
    assert_eq!(acknowledged.load(Ordering::SeqCst), bodies.len());
    server.stop();
    let store = open(&folder.join("out"));
    let report = verified(&store);
    assert_eq!(report.accounting.counted, scene.distinct);
    assert!(committed_but_for_lateness(&store) == committed_but_for_lateness(&open(&scene.clean)));
}

#[test]
fn a_frozen_process_that_wakes_after_another_took_over_adds_nothing() {
    let scene = scene(12_000);
    let settings = settings(scene.folder.path());
    let expected = committed(&open(&scene.clean));
    let mut dice = Dice(7);
    let signal = |name: &str, child: &Child| {
        let id = child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().expect("kill runs").success());
    };
    let mut frozen_midway = 0;
    for round in 0..12 {
        let out = scene.folder.path().join(format!("frozen-{round}"));
        let mut frozen = start_ingest(&scene, &out, &settings[0]);
        std::thread::sleep(Duration::from_millis(5 + dice.roll(80)));
        let is_running = frozen.try_wait().expect("can be asked").is_none();
        if is_running {
            signal("-STOP", &frozen);
        }
        assert!(start_ingest(&scene, &out, &settings[round % 3]).wait().expect("ends").success());
        if is_running {
            frozen_midway += 1;
            signal("-CONT", &frozen);
        }
        assert!(frozen.wait().expect("ends").success(), "it goes on from what the other did");
        let store = open(&out);
        assert_eq!(verified(&store).accounting.counted, scene.distinct);
        assert!(committed(&store) == expected, "round {round}");
    }
    assert!(frozen_midway > 0, "no process was frozen while it worked");
}
