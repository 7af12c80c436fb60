//! The processes of a drill's own installation: those that work in its folder, as each of a database's does, and each
//! pgBackRest whose configuration is there. Segments are pushed by one that has gone to `/` and outlives its database.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Processes that were killed are gone within moments.
const TRIES: u32 = 200;

/// Ends all that work in `folder`, at once and without warning. How many.
pub(super) async fn kill_all(folder: &Path) -> usize {
    let mut ended = 0;
    for _ in 0..TRIES {
        let left = end(folder);
        if left == 0 {
            break;
        }
        ended = ended.max(left);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    ended
}

/// The same, once; how many there were.
pub(super) fn end(folder: &Path) -> usize {
    let left = working_in(folder);
    for process in &left {
        let _gone_already = kill(*process, Signal::SIGKILL);
    }
    left.len()
}

fn working_in(folder: &Path) -> Vec<Pid> {
    let Ok(folder) = std::fs::canonicalize(folder) else {
        return Vec::new();
    };
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let works = |entry: std::fs::DirEntry| {
        let process: i32 = entry.file_name().to_str()?.parse().ok()?;
        let works = std::fs::read_link(entry.path().join("cwd")).ok();
        // Of a directory that was removed Linux says so behind its name.
        let works = works.is_some_and(|works| works.starts_with(&folder));
        (works || pushes(&entry.path(), &folder)).then(|| Pid::from_raw(process))
    };
    processes.flatten().filter_map(works).collect()
}

/// Whether it is a pgBackRest whose configuration is in `folder`.
fn pushes(process: &Path, folder: &Path) -> bool {
    let Ok(line) = std::fs::read(process.join("cmdline")) else {
        return false;
    };
    let mut words = line.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let program = words.next().map(Path::new).and_then(Path::file_name);
    program == Some(OsStr::new("pgbackrest"))
        && words.any(|word| {
            let conf = word.as_bytes().strip_prefix(b"--config=");
            let conf = conf.map(|conf| Path::new(OsStr::from_bytes(conf)));
            conf.is_some_and(|conf| {
                // Where it is no more, as it was called: there are disasters that remove it.
                let real = std::fs::canonicalize(conf);
                conf.is_absolute()
                    && real.map_or_else(
                        |_| conf.starts_with(folder),
                        |real| real.starts_with(folder),
                    )
            })
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Waits in `/` until its standard input ends, under pgBackRest's name.
    fn pushing(conf: &Path) -> Child {
        let conf = format!("--config={}", conf.display());
        let mut command = Command::new("sh");
        command
            .arg0("pgbackrest")
            .args(["-c", "read line", &conf, "archive-push:async"]);
        command
            .current_dir("/")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    #[test]
    fn who_pushes_segments_in_the_background_ends_with_the_installation_it_pushes_for() {
        let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut both = [&ours, &theirs].map(|place| {
            let conf = place.path().join("pgbackrest.conf");
            std::fs::write(&conf, "").unwrap();
            pushing(&conf)
        });
        assert_eq!(end(ours.path()), 1);
        assert_eq!(both[0].wait().unwrap().signal(), Some(9));
        // The other one still waits, and ends by itself.
        drop(both[1].stdin.take());
        assert_eq!(both[1].wait().unwrap().signal(), None);
    }
}
