//! The images: what they are made from is there, what they are pinned by is written everywhere, and what runs in two places is the same.

use std::path::Path;

use serde_json::Value;

use super::{folder, read};

/// What a Dockerfile takes from its context (`COPY` and not from another stage).
fn copied(dockerfile: &str) -> Vec<String> {
    dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|rest| !rest.contains("--from="))
        .filter_map(|rest| {
            let words: Vec<_> = rest
                .split_whitespace()
                .filter(|word| !word.starts_with("--"))
                .map(str::to_owned)
                .collect();
            words.split_last().map(|(_, from)| from.to_vec())
        })
        .flatten()
        .collect()
}

/// Whether .dockerignore, which leaves all out but what it names, lets a path into the context.
fn is_let_in(path: &str) -> bool {
    let ignore = read("../../.dockerignore");
    assert!(ignore.lines().any(|line| line == "**"));
    ignore
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .any(|known| Path::new(path).starts_with(known))
}

#[test]
fn what_an_image_copies_is_in_its_context() {
    let mut found = 0;
    for dockerfile in ["Dockerfile.production", "Dockerfile.deploy-runner"] {
        for path in copied(&read(dockerfile)) {
            found += 1;
            let there = folder().join("../..").join(&path).exists();
            assert!(
                there && (path == "." || is_let_in(&path)),
                "{dockerfile}: {path}"
            );
        }
    }
    assert_eq!(found, 2);
    assert!(!is_let_in("infrastructure/docker/secrets/keys.json"));
}

/// The deploy runner's root is read-only, its user has no rights, and it may install nothing: the verbs of a deploy need only what its
/// image has.
#[test]
fn a_deploys_verbs_install_nothing() {
    let makefile = read("../../Makefile");
    let mut verbs = 0;
    for (rule, recipe) in makefile.lines().zip(makefile.lines().skip(1)) {
        let Some(script) = recipe
            .split_whitespace()
            .find_map(|word| word.strip_prefix("@scripts/pipeline/"))
        else {
            continue;
        };
        verbs += 1;
        let needs = rule.split(':').nth(1).unwrap_or("");
        let needs = needs.split('#').next().unwrap_or("").trim();
        assert!(needs.is_empty(), "{rule}");
        let script = read(&format!("../../scripts/pipeline/{script}"));
        let called = script
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .any(|line| line.split_whitespace().any(|word| word == "make"));
        assert!(!called, "{recipe} calls make, whose verbs install");
    }
    assert!(verbs >= 8, "{verbs}");
    let image = read("Dockerfile.deploy-runner");
    let packages = image
        .lines()
        .find(|line| line.contains("apt-get install"))
        .unwrap();
    // `pgrep` in its start; `gh` of the distribution knows no attestations.
    assert!(packages.contains(" procps ") && !packages.contains(" gh "));
    let gh: Vec<u32> = image
        .lines()
        .find_map(|line| line.strip_prefix("ARG GH="))
        .unwrap()
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert!(gh >= vec![2, 68, 0], "gh {gh:?} has no --source-digest");
    // The distribution's is version 1; what is fetched is what somebody verified.
    assert!(!packages.contains("awscli") && packages.contains(" unzip "));
    assert!(image.contains("\nARG AWSCLI=2."));
    for name in ["gh", "aws"] {
        let (_, fetched) = image.split_once(&format!("-fsSLo /tmp/{name}.")).unwrap();
        let checked = fetched.find("sha256sum --check --strict");
        let opened = fetched.find(if name == "gh" { "tar " } else { "unzip " });
        assert!(checked.is_some() && checked < opened, "{name}");
    }
    assert!(image.contains("chmod -R a+rX /home/runner"));
}

/// A release is tried on one host and runs in a cluster: what stands beside it is the same there, PostgreSQL by its major version.
#[test]
fn what_runs_in_both_places_is_the_same_version() {
    let cluster: Value =
        serde_yaml_ng::from_str(&read("../kubernetes/components/images/kustomization.yaml"))
            .unwrap();
    let host = read("images.env");
    let images = cluster["images"].as_array().unwrap();
    let mut compared = 0;
    for (variable, called) in [
        ("POSTGRES", "cloudnative-pg/postgresql"),
        ("REDIS", "library/redis"),
        ("PROMETHEUS", "prometheus/prometheus"),
        ("ALERTMANAGER", "prometheus/alertmanager"),
        ("GRAFANA", "grafana/grafana"),
        ("JAEGER", "jaegertracing/jaeger"),
    ] {
        let here = host
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{variable}_IMAGE=")))
            .and_then(|image| image.split_once('@')?.0.rsplit(':').next())
            .unwrap();
        let there = images
            .iter()
            .find(|image| image["name"].as_str().unwrap().ends_with(called))
            .and_then(|image| image["newTag"].as_str())
            .unwrap();
        let same = match variable {
            "POSTGRES" => {
                here.trim_start_matches("pg").split('.').next() == there.split('.').next()
            }
            _ => here == there,
        };
        assert!(same, "{variable}: {here} on a host, {there} in a cluster");
        compared += 1;
    }
    assert_eq!(compared, 6);
    // With TimescaleDB it is the very image.
    let catalog: Value =
        serde_yaml_ng::from_str(&read("../kubernetes/components/timescaledb/catalog.yaml"))
            .unwrap();
    let image = catalog["spec"]["images"][0]["image"].as_str().unwrap();
    assert!(host.contains(&format!("\nPOSTGRES_IMAGE={image}\n")));
}

/// Both scripts that pin images write what the registry says (a stand-in), wherever a digest stands, and take nothing that is no digest.
#[test]
fn images_are_pinned_by_what_the_registry_says() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let at = |path: &str| place.path().join(path);
    std::fs::create_dir_all(at("components/images")).unwrap();
    std::fs::create_dir_all(at("platform/values")).unwrap();
    std::fs::create_dir_all(at("components/timescaledb")).unwrap();
    let kubernetes = [
        "components/images/kustomization.yaml",
        "components/timescaledb/catalog.yaml",
        "platform/values/barman-cloud.yaml",
        "platform/values/cloudnative-pg.yaml",
    ];
    for (from, to) in [
        ("images.env", "images.env"),
        ("pin-images.sh", "docker.sh"),
        ("../kubernetes/pin-images.sh", "kubernetes.sh"),
    ] {
        std::fs::copy(folder().join(from), at(to)).unwrap();
    }
    for file in kubernetes {
        std::fs::copy(folder().join("../kubernetes").join(file), at(file)).unwrap();
    }
    let registry = |digest: &str| {
        let script = format!("#!/bin/sh\nprintf 'sha256:{digest}\\n'\n");
        std::fs::write(at("skopeo"), script).unwrap();
        std::fs::set_permissions(at("skopeo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let pin = |script: &str| {
        let path = format!(
            "{}:{}",
            place.path().display(),
            std::env::var("PATH").unwrap()
        );
        let run = std::process::Command::new(at(script))
            .env("PATH", path)
            .output();
        run.unwrap().status.success()
    };
    let digest = "ab".repeat(32);
    for (script, files) in [
        ("docker.sh", &["images.env"][..]),
        ("kubernetes.sh", &kubernetes[..]),
    ] {
        let written = || {
            files
                .iter()
                .map(|file| std::fs::read_to_string(at(file)).unwrap())
        };
        let pinned = |text: &str| text.matches("sha256:").count();
        let before: Vec<usize> = written().map(|text| pinned(&text)).collect();
        registry(&digest);
        assert!(pin(script), "{script}");
        let now: Vec<String> = written().collect();
        for (text, before) in now.iter().zip(before) {
            let all = text.matches(&format!("sha256:{digest}")).count();
            assert!(all == before && all == pinned(text) && all > 0, "{text}");
        }
        registry("none");
        assert!(!pin(script), "{script} takes what is no digest");
        assert_eq!(written().collect::<Vec<_>>(), now);
    }
}
