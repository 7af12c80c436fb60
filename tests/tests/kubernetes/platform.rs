//! What must be in a cluster first (infrastructure/kubernetes/platform): nodes that come by themselves, and controllers at their versions.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::objects::{Object, list, name, of_kind, render, root, text};
use crate::pods::by_digest;

const PLACES: [&str; 3] = ["development", "staging", "production"];

fn nodes(place: &str) -> Vec<Object> {
    render(
        &root()
            .join("infrastructure/kubernetes/platform/overlays")
            .join(place),
    )
}

/// The values of one of a pool's requirements.
fn required<'a>(pool: &'a Object, key: &str) -> Vec<&'a str> {
    list(pool, "/spec/template/spec/requirements")
        .iter()
        .filter(|one| one["key"] == key && one["operator"] == "In")
        .flat_map(|one| list(one, "/values"))
        .filter_map(Value::as_str)
        .collect()
}

fn faults(place: &str, objects: &[Object]) -> Vec<String> {
    let mut faults = Vec::new();
    let terraform = root().join(format!(
        "infrastructure/terraform/environments/{place}/terraform.tfvars"
    ));
    let terraform = std::fs::read_to_string(terraform).unwrap();
    let line = |key: &str| {
        let line = terraform.lines().find(|line| line.starts_with(key));
        line.unwrap_or("").split('"').skip(1).step_by(2)
    };
    let zones: BTreeSet<&str> = line("zones").collect();
    let prefix = format!("security-hub-{place}");
    let mut capacities = BTreeSet::new();
    for pool in of_kind(objects, "NodePool") {
        let who = name(pool);
        capacities.extend(required(pool, "karpenter.sh/capacity-type"));
        let own: BTreeSet<&str> = required(pool, "topology.kubernetes.io/zone")
            .into_iter()
            .collect();
        let class = text(pool, "/spec/template/spec/nodeClassRef/name");
        for (holds, fault) in [
            (
                own == zones && own.len() == 3,
                "is not in the network's three zones",
            ),
            (
                ["cpu", "memory"]
                    .iter()
                    .all(|what| pool["spec"]["limits"][what].is_string()),
                "has no end",
            ),
            (
                text(pool, "/spec/disruption/consolidationPolicy") == "WhenEmptyOrUnderutilized",
                "keeps what is not needed",
            ),
            (
                text(pool, "/spec/disruption/budgets/0/nodes") == "1",
                "takes many nodes at once",
            ),
            (
                pool.pointer("/spec/template/spec/expireAfter").is_some(),
                "grows old",
            ),
            (
                of_kind(objects, "EC2NodeClass").any(|one| name(one) == class),
                "is of no class",
            ),
        ] {
            if !holds {
                faults.push(format!("{who} {fault}"));
            }
        }
    }
    if capacities != BTreeSet::from(["on-demand", "spot"]) {
        faults.push(format!("capacities: {capacities:?}"));
    }
    for class in of_kind(objects, "EC2NodeClass") {
        let metadata = &class["spec"]["metadataOptions"];
        if metadata["httpTokens"] != "required" || metadata["httpPutResponseHopLimit"] != json!(1) {
            faults.push("pods reach the node's identity".to_owned());
        }
        let disks = list(class, "/spec/blockDeviceMappings");
        if disks.len() != 2
            || disks.iter().any(|disk| {
                disk["ebs"]["encrypted"] != json!(true)
                    || disk["ebs"]["kmsKeyID"] != format!("alias/{prefix}-cluster")
            })
        {
            faults.push("a disk is not sealed with the cluster's key".to_owned());
        }
        for (pointer, wanted) in [
            ("/spec/instanceProfile", format!("{prefix}-node")),
            // Terraform's budget counts by it.
            ("/spec/tags/hub-environment", prefix.clone()),
            (
                "/spec/subnetSelectorTerms/0/tags/karpenter.sh~1discovery",
                prefix.clone(),
            ),
            (
                "/spec/securityGroupSelectorTerms/0/tags/karpenter.sh~1discovery",
                prefix.clone(),
            ),
        ] {
            if text(class, pointer) != wanted {
                faults.push(format!("{pointer} is not {wanted}"));
            }
        }
        if text(class, "/spec/amiSelectorTerms/0/alias").ends_with("@latest") {
            faults.push("its system is of no version".to_owned());
        }
    }
    faults
}

#[test]
fn nodes_come_by_themselves_and_are_as_the_others() {
    for place in PLACES {
        let found = faults(place, &nodes(place));
        assert!(found.is_empty(), "{place}: {found:?}");
    }
    let sound = nodes("production");
    for (kind, pointer, value) in [
        (
            "EC2NodeClass",
            "/spec/metadataOptions/httpTokens",
            json!("optional"),
        ),
        (
            "EC2NodeClass",
            "/spec/metadataOptions/httpPutResponseHopLimit",
            json!(2),
        ),
        (
            "EC2NodeClass",
            "/spec/blockDeviceMappings/1/ebs/encrypted",
            json!(false),
        ),
        (
            "EC2NodeClass",
            "/spec/blockDeviceMappings/0/ebs/kmsKeyID",
            json!("alias/other"),
        ),
        (
            "EC2NodeClass",
            "/spec/instanceProfile",
            json!("security-hub-staging-node"),
        ),
        (
            "EC2NodeClass",
            "/spec/amiSelectorTerms/0/alias",
            json!("bottlerocket@latest"),
        ),
        ("EC2NodeClass", "/spec/tags", Value::Null),
        ("NodePool", "/spec/limits", json!({})),
        (
            "NodePool",
            "/spec/disruption/consolidationPolicy",
            json!("WhenEmpty"),
        ),
        (
            "NodePool",
            "/spec/disruption/budgets/0/nodes",
            json!("100%"),
        ),
        (
            "NodePool",
            "/spec/template/spec/requirements/0/values",
            json!(["spot"]),
        ),
        (
            "NodePool",
            "/spec/template/spec/requirements/3/values",
            json!(["eu-central-1a"]),
        ),
        (
            "NodePool",
            "/spec/template/spec/nodeClassRef/name",
            json!("elsewhere"),
        ),
        ("NodePool", "/spec/template/spec/expireAfter", Value::Null),
    ] {
        let mut objects = sound.clone();
        let object = objects.iter_mut().find(|one| text(one, "/kind") == kind);
        crate::faults::set(object.unwrap(), pointer, value);
        assert!(
            !faults("production", &objects).is_empty(),
            "{kind} {pointer} is not noticed"
        );
    }
}

/// Each controller is installed once, at a version, with values that are there, where the overlays and Terraform look for it.
#[test]
fn controllers_are_installed_at_their_versions() {
    let folder = root().join("infrastructure/kubernetes/platform");
    let install = |place: &str, cluster: Option<&str>| {
        let mut command = Command::new(folder.join("install.sh"));
        command
            .args([place, "--dry-run"])
            .env_remove("CLUSTER_NAME")
            .envs([("QUEUE", "q"), ("NETWORK_ID", "n"), ("AWS_REGION", "r")]);
        if let Some(cluster) = cluster {
            command.env("CLUSTER_NAME", cluster);
        }
        command.output().unwrap()
    };
    assert!(!install("production", None).status.success());
    assert!(!install("nowhere", Some("c")).status.success());
    let said = String::from_utf8(install("production", Some("c")).stdout).unwrap();
    let helm: Vec<Vec<&str>> = said
        .lines()
        .filter(|line| line.starts_with("helm "))
        .map(|line| line.split(' ').collect())
        .collect();
    let after = |words: &[&str], option: &str| {
        let at = words.iter().position(|word| *word == option).unwrap();
        words[at + 1].to_owned()
    };
    let mut there = BTreeSet::new();
    for words in &helm {
        assert_eq!(words[1..3], ["upgrade", "--install"]);
        let version = after(words, "--version");
        let exact = version
            .trim_start_matches('v')
            .split('.')
            .all(|part| part.parse::<u32>().is_ok());
        assert!(exact, "{words:?}");
        let values = std::fs::read_to_string(folder.join(after(words, "--values"))).unwrap();
        let values: Value = serde_yaml_ng::from_str(&values).unwrap();
        let account = text(&values, "/serviceAccount/name").to_owned();
        there.insert((words[3], after(words, "--namespace"), account));
    }
    let wanted = [
        (
            "aws-load-balancer-controller",
            "kube-system",
            "aws-load-balancer-controller",
        ),
        ("barman-cloud", "cnpg-system", ""),
        ("cert-manager", "cert-manager", ""),
        ("cloudnative-pg", "cnpg-system", ""),
        ("external-secrets", "external-secrets", "external-secrets"),
        ("haproxy-ingress", "ingress-haproxy", "haproxy-ingress"),
        ("karpenter", "kube-system", "karpenter"),
        ("vertical-pod-autoscaler", "kube-system", ""),
    ];
    let wanted: BTreeSet<_> = wanted
        .map(|(release, place, account)| (release, place.to_owned(), account.to_owned()))
        .into();
    assert_eq!(there, wanted);
    // What it cannot ask the machine for, and the tag by which costs are told apart.
    let balancer = helm
        .iter()
        .find(|words| words[3] == "aws-load-balancer-controller");
    for told in [
        "clusterName=c",
        "region=r",
        "vpcId=n",
        "defaultTags.hub-environment=c",
    ] {
        assert!(balancer.unwrap().contains(&told), "{told}: {balancer:?}");
    }
    // Terraform's identities wait for those names.
    let identities = std::fs::read_to_string(
        root().join("infrastructure/terraform/modules/kubernetes/identities.tf"),
    )
    .unwrap();
    // cert-manager's chart names its account by itself.
    there.insert((
        "cert-manager",
        "cert-manager".to_owned(),
        "cert-manager".to_owned(),
    ));
    for (_, place, account) in there
        .iter()
        .filter(|(_, place, account)| !account.is_empty() && place != "ingress-haproxy")
    {
        let told = format!("{{ namespace = \"{place}\", account = \"{account}\" }}");
        assert!(identities.contains(&told), "{told}");
    }
    assert!(
        said.lines()
            .next_back()
            .unwrap()
            .ends_with("-k overlays/production")
    );
}

fn values(release: &str) -> Value {
    let file = format!("infrastructure/kubernetes/platform/values/{release}.yaml");
    serde_yaml_ng::from_str(&std::fs::read_to_string(root().join(file)).unwrap()).unwrap()
}

/// What a controller puts into pods of ours is judged by our admission policies like the rest of the pod: by digest, or the pod is not
/// made. (release, where its values name the image)
#[test]
fn what_controllers_put_into_our_pods_is_named_by_its_digest() {
    const INTO_OURS: [(&str, &str); 2] = [
        ("cloudnative-pg", "/image"),
        ("barman-cloud", "/sidecarImage"),
    ];
    let pinned = |values: &Value, image: &str| {
        let part = |field: &str| text(values, &format!("{image}/{field}"));
        by_digest(&format!("{}:{}", part("repository"), part("tag")))
    };
    for (release, image) in INTO_OURS {
        let mut values = values(release);
        assert!(pinned(&values, image), "{release}: {image}");
        crate::faults::set(&mut values, &format!("{image}/tag"), json!("1.2.3"));
        assert!(!pinned(&values, image), "{release}: not noticed");
    }
}
