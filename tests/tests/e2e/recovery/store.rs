//! The second region: an object store that speaks S3, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::tool::patiently;

/// The key's id and the key.
const ID: &str = "backup-writer";
pub(super) const SECRET: &str = "a-key-that-must-never-be-read-in-a-log";
const BUCKET: &str = "hub-backups";

pub(super) struct Store {
    folder: PathBuf,
    child: Option<Child>,
    address: String,
}

impl Store {
    pub(super) async fn new(folder: PathBuf) -> Self {
        std::fs::create_dir_all(folder.join("buckets").join(BUCKET)).unwrap();
        std::fs::write(folder.join("key"), format!("{ID}\n{SECRET}\n")).unwrap();
        let mut store = Self {
            folder,
            child: None,
            address: "127.0.0.1:0".to_owned(),
        };
        store.start().await;
        store
    }

    pub(super) async fn start(&mut self) {
        let told = self.folder.join("address");
        let _none = std::fs::remove_file(&told);
        let child = Command::new(env!("CARGO_BIN_EXE_object-store"))
            .arg(&self.folder)
            .arg(&self.address)
            .spawn();
        self.child = Some(child.unwrap());
        self.address = patiently("the object store", || async {
            std::fs::read_to_string(&told).ok()
        })
        .await;
    }

    /// The region is gone, with everything that was on its way.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Its part of `backup.toml`.
    pub(super) fn toml(&self) -> String {
        self.with(BUCKET, &self.folder.join("key"))
    }

    pub(super) fn with(&self, bucket: &str, key: &Path) -> String {
        let port = self.address.rsplit(':').next().unwrap();
        format!(
            "[[repository]]\n\
             s3 = {{ bucket = \"{bucket}\", endpoint = \"https://localhost:{port}\", region = \"eu-test-1\", path = \"/hub\", \
             path_style = true, key_file = \"{}\", ca_file = \"{}\" }}\n",
            key.display(),
            self.folder.join("ca.pem").display()
        )
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}
