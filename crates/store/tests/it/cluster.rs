//! The private cluster, really started: first start, kill -9, another hub on the same data, data kept.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_base::{ErrorKind, SystemClock, TenantId};
use hub_events::{Act, Class};
use hub_store::{Cx, PrivateCluster, Store, cluster, connect, migrate};
use nix::sys::signal::{Signal, kill};

async fn open(cluster: &PrivateCluster) -> Store {
    let endpoints = cluster.endpoints().unwrap();
    migrate::run(&endpoints).await.unwrap();
    connect(&endpoints, 4, Arc::new(SystemClock))
}

async fn act(store: &Store) {
    let cx = Cx::system(store.clone(), TenantId::SYSTEM, "test");
    let tx = cx.write().await.unwrap();
    tx.commit(Act::new("test.act", Class::Base, 1, "admin"))
        .await
        .unwrap();
}

async fn acts(store: &Store) -> i64 {
    let mut tx = store.read(TenantId::SYSTEM).await.unwrap();
    let (count,): (i64,) = sqlx::query_as("select count(*) from ledger_outbox")
        .fetch_one(tx.conn())
        .await
        .unwrap();
    count
}

/// Asks again and again until it is so; a hung server fails the test after a minute.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !so().await {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn kill_server(cluster: &PrivateCluster) {
    kill(cluster.server().pid().unwrap(), Signal::SIGKILL).unwrap();
}

#[tokio::test]
async fn data_outlive_a_stop_a_killed_server_and_a_killed_hub() {
    let home = tempfile::tempdir().unwrap();
    let first = PrivateCluster::start(home.path()).await.unwrap();
    let store = open(&first).await;
    act(&store).await;

    // A second hub on the same data is refused clearly.
    let refused = PrivateCluster::start(home.path()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(
        refused
            .to_string()
            .contains("another security-hub already uses"),
        "{refused}"
    );

    // The server dies: statements fail as unavailable, the watch brings it back, nothing is lost.
    let pid = first.server().pid();
    kill_server(&first);
    until("a new server", async || {
        first.is_running() && first.server().pid() != pid
    })
    .await;
    until("an answer", async || {
        store.read(TenantId::SYSTEM).await.is_ok()
    })
    .await;
    assert_eq!(acts(&store).await, 1);

    // The hub dies by kill -9: its server stays, the next hub takes it over.
    let pid = first.server().pid();
    first.abandon();
    let second = PrivateCluster::start(home.path()).await.unwrap();
    assert_eq!(second.server().pid(), pid);
    let store = open(&second).await;
    act(&store).await;

    // Both die; the stale postmaster.pid now names a living process that is not the server.
    let data = second.directory();
    kill_server(&second);
    second.abandon();
    let stale = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let (_, rest) = stale.split_once('\n').unwrap();
    std::fs::write(
        data.join("postmaster.pid"),
        format!("{}\n{rest}", std::process::id()),
    )
    .unwrap();
    let third = PrivateCluster::start(home.path()).await.unwrap();
    let store = open(&third).await;
    assert_eq!(acts(&store).await, 2);
    third.stop().await.unwrap();
    assert!(!data.join("postmaster.pid").exists());
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let home = tempfile::tempdir().unwrap();
    let deep = home.path().join("d".repeat(100));
    let cluster = PrivateCluster::start(&deep).await.unwrap();
    act(&open(&cluster).await).await;
    let socket = cluster.server().socket.clone();
    assert!(!socket.starts_with(&deep));
    cluster.stop().await.unwrap();
    std::fs::remove_dir_all(socket).unwrap();
}

#[test]
fn data_of_another_version_are_left_alone() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("PG_VERSION"), "9\n").unwrap();
    let fault = cluster::binaries::Binaries::find(Some(9), home.path()).unwrap_err();
    assert_eq!(fault.kind(), ErrorKind::Invalid);
    assert!(
        fault.to_string().contains("was made by PostgreSQL 9"),
        "{fault}"
    );
}

#[tokio::test]
async fn a_full_disk_is_named() {
    // A file system of its own, too small for a cluster; needs root and a kernel that allows it.
    let home = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m,mode=0755", "tmpfs"])
        .arg(home.path())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("SKIPPED: a_full_disk_is_named: this user may not mount a small tmpfs");
        return;
    }
    let fault = PrivateCluster::start(home.path())
        .await
        .map(|_| ())
        .unwrap_err();
    let unmounted = std::process::Command::new("umount")
        .arg(home.path())
        .status()
        .unwrap();
    assert!(unmounted.success());
    assert_eq!(fault.kind(), ErrorKind::Unavailable);
    assert!(fault.to_string().contains("is full: make room"), "{fault}");
}

fn stranger() -> cluster::account::Account {
    cluster::account::Account {
        name: "stranger".into(),
        uid: 4_000_000,
        gid: 4_000_000,
    }
}

#[test]
fn a_closed_parent_sends_the_files_elsewhere_and_a_link_says_so() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("SKIPPED: a_closed_parent_sends_the_files_elsewhere_and_a_link_says_so: not root");
        return;
    }
    let (closed, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mode = std::fs::Permissions::from_mode;
    std::fs::set_permissions(closed.path(), mode(0o700)).unwrap();
    std::fs::set_permissions(far.path(), mode(0o755)).unwrap();
    let data = closed.path().join("data");
    let place = || cluster::place(&data, "postgres", far.path(), Some(&stranger())).unwrap();
    let placed = place();
    assert!(placed.starts_with(far.path()));
    assert_eq!(
        data.join("postgres").canonicalize().unwrap(),
        placed.canonicalize().unwrap()
    );
    assert_eq!(
        place(),
        placed,
        "the second start finds the first one's files"
    );
    let parent = std::fs::metadata(closed.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(
        parent & 0o777,
        0o700,
        "a directory that is not ours stays as it was"
    );
}

#[test]
fn a_directory_that_a_stranger_can_enter_is_told_from_one_that_he_cannot() {
    let nobody = cluster::account::Account {
        name: "nobody".into(),
        uid: 65534,
        gid: 65534,
    };
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!nobody.can_enter(home.path()));
    assert!(nobody.can_enter(Path::new("/")));
}
