//! The processes of a drill's own installation: those that work in its folder, as each of a database's does.

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
        let works = std::fs::read_link(entry.path().join("cwd")).ok()?;
        // Of a directory that was removed Linux says so behind its name.
        works.starts_with(&folder).then(|| Pid::from_raw(process))
    };
    processes.flatten().filter_map(works).collect()
}
