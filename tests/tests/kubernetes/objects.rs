//! The rendered objects, and how to ask them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub(crate) type Object = Value;

/// With the database in the cluster, where the cloud runs it, and with each component that is optional.
pub(crate) const PLACES: [&str; 7] = [
    "development",
    "staging",
    "production",
    "managed staging",
    "managed production",
    "mesh production",
    "timescaledb production",
];

/// What is laid over a place as it is.
const OPTIONAL: [(&str, &str); 2] = [("mesh", "mesh-mtls"), ("timescaledb", "timescaledb")];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// The overlay as `kubectl` renders it; `managed …` with the one line changed that puts the cloud's databases in place of the
/// cluster's; `mesh …` and `timescaledb …` with the component that is optional.
pub(crate) fn rendered(place: &str) -> Vec<Object> {
    let overlays = root().join("infrastructure/kubernetes/overlays");
    let Some((variant, place)) = place.split_once(' ') else {
        return render(&overlays.join(place));
    };
    // Kustomize wants it inside the tree.
    let copy = tempfile::Builder::new()
        .prefix(&format!(".{variant}-"))
        .tempdir_in(&overlays)
        .unwrap();
    if let Some((_, component)) = OPTIONAL.iter().find(|(name, _)| *name == variant) {
        let text = format!("resources: [../{place}]\ncomponents: [../../components/{component}]\n");
        std::fs::write(copy.path().join("kustomization.yaml"), text).unwrap();
        return render(copy.path());
    }
    let copied = Command::new("cp")
        .arg("-r")
        .arg(overlays.join(place).join("."))
        .arg(copy.path())
        .status();
    assert!(copied.unwrap().success());
    let file = copy.path().join("kustomization.yaml");
    let written = std::fs::read_to_string(&file).unwrap();
    let changed = written.replace("  - cluster-data\n", "  - ../../components/managed-data\n");
    assert_ne!(written, changed, "{place} has no cluster-data");
    std::fs::write(file, changed).unwrap();
    render(copy.path())
}

pub(crate) fn render(folder: &Path) -> Vec<Object> {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\n---\n")
        .map(|document| serde_yaml_ng::from_str(document).unwrap())
        .collect()
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

pub(crate) fn name(object: &Object) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Object) -> &str {
    text(object, "/metadata/namespace")
}

pub(crate) fn is(object: &Object, kind: &str) -> bool {
    text(object, "/kind") == kind
}

pub(crate) fn of_kind<'a>(
    objects: &'a [Object],
    kind: &'a str,
) -> impl Iterator<Item = &'a Object> {
    objects.iter().filter(move |object| is(object, kind))
}

/// "Kind namespace/name", for messages.
pub(crate) fn who(object: &Object) -> String {
    format!(
        "{} {}/{}",
        text(object, "/kind"),
        namespace(object),
        name(object)
    )
}

/// What makes pods, and the pods it makes.
pub(crate) struct Workload<'a> {
    pub(crate) object: &'a Object,
    pub(crate) pod: &'a Value,
    pub(crate) labels: Value,
}

impl Workload<'_> {
    pub(crate) fn who(&self) -> String {
        who(self.object)
    }

    pub(crate) fn containers(&self) -> impl Iterator<Item = &Value> {
        list(self.pod, "/containers")
            .iter()
            .chain(list(self.pod, "/initContainers"))
    }

    /// (name, number) of the ports that its containers open.
    pub(crate) fn ports(&self) -> Vec<(String, i64)> {
        self.containers()
            .flat_map(|container| list(container, "/ports"))
            .map(|port| {
                (
                    text(port, "/name").to_owned(),
                    number(port, "/containerPort").unwrap_or(0),
                )
            })
            .collect()
    }

    /// Whether it ends by itself.
    pub(crate) fn is_job(&self) -> bool {
        ["Job", "CronJob"].contains(&text(self.object, "/kind"))
    }

    /// Whether a port, by name or number, is one of its own.
    pub(crate) fn opens(&self, port: &Value) -> bool {
        self.ports().iter().any(|(name, number)| {
            port.as_str() == Some(name.as_str()) || port.as_i64() == Some(*number)
        })
    }

    /// Whether the mesh puts a proxy beside its containers.
    pub(crate) fn has_proxy(&self, objects: &[Object]) -> bool {
        match text(&self.labels, "/sidecar.istio.io~1inject") {
            "true" => true,
            "false" => false,
            _ => of_kind(objects, "Namespace").any(|space| {
                name(space) == namespace(self.object)
                    && text(space, "/metadata/labels/istio-injection") == "enabled"
            }),
        }
    }

    /// What that proxy may take, as the pod says it.
    pub(crate) fn proxy(&self, kind: &str, resource: &str) -> Option<i128> {
        let what = match resource {
            "cpu" => "CPU",
            _ => "Memory",
        };
        let end = if kind == "limits" { "Limit" } else { "" };
        let annotations = &self.object["spec"]["template"]["metadata"]["annotations"];
        quantity(annotations.get(format!("sidecar.istio.io/proxy{what}{end}"))?)
    }

    pub(crate) fn is_hub(&self) -> bool {
        text(&self.labels, "/app.kubernetes.io~1name") == "security-hub"
    }
}

pub(crate) fn workloads(objects: &[Object]) -> Vec<Workload<'_>> {
    objects
        .iter()
        .filter(|object| {
            ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"]
                .contains(&text(object, "/kind"))
        })
        .map(|object| {
            let spec = match text(object, "/kind") {
                "CronJob" => &object["spec"]["jobTemplate"]["spec"],
                _ => &object["spec"],
            };
            Workload {
                object,
                pod: &spec["template"]["spec"],
                labels: spec["template"]["metadata"]["labels"].clone(),
            }
        })
        .collect()
}

/// The database's pods are made by its operator; for the network they are pods like others.
pub(crate) fn database_labels() -> Value {
    serde_json::json!({"cnpg.io/cluster": "security-hub-db"})
}

/// Whether a label selector (matchLabels only, as all of ours) takes these labels. An empty one takes all.
pub(crate) fn takes(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.get("matchLabels").unwrap_or(selector);
    wanted.as_object().is_none_or(|wanted| {
        wanted
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// A quantity in thousandths: cores to millicores, bytes to thousandths of a byte.
pub(crate) fn quantity(value: &Value) -> Option<i128> {
    let written = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let split = written
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(written.len());
    let (digits, unit) = written.split_at(split);
    let scale: i128 = match unit {
        "m" => 1,
        "" => 1000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        _ => return None,
    };
    digits.parse::<i128>().ok().map(|digits| digits * scale)
}
