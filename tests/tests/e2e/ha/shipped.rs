//! The files of `infrastructure/patroni` with the values of this machine, and who runs what on it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::unistd::{Uid, User};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};

pub(super) const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infrastructure/patroni");
pub(super) const PASSWORD: &str = "patroni's own";

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Whom PostgreSQL and Patroni run as: they refuse root.
pub(super) fn account() -> Option<User> {
    Uid::effective().is_root().then(|| {
        User::from_name("postgres")
            .unwrap()
            .expect("the user `postgres` of Debian's package")
    })
}

/// PostgreSQL's superuser is whom it runs as.
pub(super) fn superuser() -> String {
    let us = || User::from_uid(Uid::effective()).unwrap().unwrap();
    account().unwrap_or_else(us).name
}

/// A program that ends when the test does, whatever becomes of the test.
pub(super) fn bound(program: &str, account: Option<&User>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]);
    if let Some(user) = account {
        command.args([
            "--reuid",
            &user.name,
            "--regid",
            &user.gid.to_string(),
            "--init-groups",
        ]);
    }
    command.args(["--", program]).stdin(Stdio::null());
    command
}

pub(super) fn log(command: &mut Command, path: &Path) -> Child {
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    command.spawn().unwrap()
}

pub(super) fn give(path: &Path) {
    if let Some(user) = account() {
        nix::unistd::chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

/// The shipped file with the values of this place; each must stand in it.
pub(super) fn filled(name: &str, values: &[(&str, String)]) -> String {
    let mut text = std::fs::read_to_string(Path::new(SHIPPED).join(name)).unwrap();
    for (old, new) in values {
        assert!(text.contains(old), "{name} has no `{old}`");
        text = text.replace(old, new);
    }
    assert!(!text.contains("10.0.0."), "{name}: {text}");
    text
}

/// One authority, one certificate for everybody on this machine.
pub(super) fn certificates(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    // OpenSSL takes a certificate whose name is its issuer's for a self-signed one.
    let name = |name: &str| {
        let mut names = DistinguishedName::new();
        names.push(DnType::CommonName, name);
        names
    };
    authority.distinguished_name = name("authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    std::fs::write(folder.join("ca.pem"), pem).unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name = name("node");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate().unwrap();
    let cert = params
        .signed_by(&key, &Issuer::from_params(&authority, &authority_key))
        .unwrap();
    std::fs::write(folder.join("node.pem"), cert.pem()).unwrap();
    secret(&folder.join("node.key"), &key.serialize_pem());
}

/// A file that only PostgreSQL's user reads.
pub(super) fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    give(path);
}

/// The lines of an environment file.
pub(super) fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
}
