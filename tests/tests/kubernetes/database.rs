//! The database: in the cluster or in the cloud, who may do what in it, and where its copies go.

use serde_json::{Value, json};

use crate::objects::{
    Object, database_labels, list, name, namespace, number, of_kind, root, takes, text, who,
};

/// The templates of the connection strings that pods get: (who, key, template).
fn connections(objects: &[Object]) -> Vec<(String, &str, &str)> {
    of_kind(objects, "ExternalSecret")
        .filter(|external| namespace(external) == "security-hub")
        .flat_map(|external| {
            let data = external.pointer("/spec/target/template/data");
            let data = data.and_then(Value::as_object).into_iter().flatten();
            data.filter(|(key, _)| key.starts_with("database-"))
                .map(|(key, value)| (who(external), key.as_str(), value.as_str().unwrap_or("")))
        })
        .collect()
}

/// How many connections the servers open at their most.
fn connections_at_most(objects: &[Object]) -> (i64, i64) {
    let pool = of_kind(objects, "ConfigMap")
        .find_map(|map| text(map, "/data/HUB_DATABASE_POOL").parse::<i64>().ok())
        .unwrap_or(i64::MAX / 100);
    let pods = of_kind(objects, "HorizontalPodAutoscaler")
        .filter_map(|scaler| number(scaler, "/spec/maxReplicas"))
        .sum();
    (pool, pods)
}

/// The cluster's database or the cloud's, and never both.
pub(crate) fn one_of_the_two(objects: &[Object]) -> Vec<String> {
    let own = of_kind(objects, "Cluster").next();
    let at = own.map_or(
        "@{{ .host }}:5432/",
        |_| "@security-hub-db-rw.security-hub-data.svc:5432/",
    );
    let connections = connections(objects);
    let mut faults: Vec<_> = connections
        .iter()
        .filter(|(_, _, url)| !url.contains(at) || !url.contains("sslmode=verify-full"))
        .map(|(who, key, _)| format!("{who}: {key} does not go to {at} with verified TLS"))
        .collect();
    if connections.len() != 3 {
        faults.push(format!("{} connection strings", connections.len()));
    }
    faults.extend(own.map_or_else(
        || managed(objects),
        |cluster| in_the_cluster(objects, cluster),
    ));
    faults
}

/// The cloud runs PostgreSQL and Redis: nothing of them is left in the cluster, and the way to them is as wide as their subnets.
fn managed(objects: &[Object]) -> Vec<String> {
    // Prometheus may look for pods there, and finds none.
    let belongs = [
        "Namespace",
        "ResourceQuota",
        "LimitRange",
        "ServiceAccount",
        "NetworkPolicy",
        "Role",
        "RoleBinding",
    ];
    let mut faults: Vec<_> = objects
        .iter()
        .filter(|object| namespace(object) == "security-hub-data")
        .filter(|object| !belongs.contains(&text(object, "/kind")))
        .map(|object| format!("{} is left over", who(object)))
        .collect();
    for pods in ["security-hub", "security-hub-migrate"] {
        let policy = of_kind(objects, "NetworkPolicy")
            .find(|policy| name(policy) == format!("{pods}-managed-database"));
        let edges = policy.map_or(&[][..], |policy| list(policy, "/spec/egress"));
        let subnets: Vec<_> = edges.iter().flat_map(|edge| list(edge, "/to")).collect();
        let narrow = subnets.iter().all(|to| {
            let size = text(to, "/ipBlock/cidr").split_once('/');
            size.is_some_and(|(_, bits)| bits.parse::<u8>().is_ok_and(|bits| bits >= 20))
        });
        let ports = edges
            .iter()
            .all(|edge| list(edge, "/ports") == [json!({"protocol": "TCP", "port": 5432})]);
        if subnets.len() != 3 || !narrow || !ports {
            faults.push(format!(
                "{pods}: its way to the database is none, or wider than three subnets"
            ));
        }
    }
    // By hand, once: the role's limit, and the membership that the first migration asks for.
    let page = std::fs::read_to_string(
        root().join("infrastructure/terraform/modules/databases/README.md"),
    )
    .unwrap();
    let allowed = page
        .split_once("connection limit ")
        .and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse::<i64>()
                .ok()
        })
        .unwrap_or(0);
    if !page.contains("grant hub_app to hub_owner") {
        faults.push("the first migration may not become hub_app".to_owned());
    }
    let (pool, pods) = connections_at_most(objects);
    if pool * pods > allowed {
        faults.push(format!(
            "{pods} servers with {pool} connections each; the role has {allowed}"
        ));
    }
    faults
}

fn in_the_cluster(objects: &[Object], cluster: &Object) -> Vec<String> {
    let mut faults: Vec<_> = of_kind(objects, "NetworkPolicy")
        .filter(|policy| name(policy).ends_with("-managed-database"))
        .map(|policy| format!("{}: there are two databases", who(policy)))
        .collect();
    for (pointer, wanted) in [
        ("/spec/instances", json!(3)),
        ("/spec/enableSuperuserAccess", json!(false)),
        ("/spec/postgresql/synchronous/number", json!(1)),
        (
            "/spec/postgresql/synchronous/dataDurability",
            json!("required"),
        ),
        ("/spec/bootstrap/initdb/owner", json!("hub_owner")),
        ("/spec/bootstrap/initdb/dataChecksums", json!(true)),
        ("/spec/plugins/0/isWALArchiver", json!(true)),
        ("/spec/affinity/podAntiAffinityType", json!("required")),
    ] {
        if cluster.pointer(pointer) != Some(&wanted) {
            faults.push(format!("{pointer} is not {wanted}"));
        }
    }
    faults.extend(roles(cluster));
    faults.extend(timescaledb(cluster));
    faults.extend(copies(objects, cluster));
    let (pool, pods) = connections_at_most(objects);
    let room: i64 = text(cluster, "/spec/postgresql/parameters/max_connections")
        .parse()
        .unwrap_or(0);
    let allowed = number(cluster, "/spec/managed/roles/0/connectionLimit").unwrap_or(0);
    if pool * pods > allowed || allowed >= room {
        faults.push(format!("{pods} servers with {pool} connections each; the role has {allowed}, the database {room}"));
    }
    let zones = list(cluster, "/spec/topologySpreadConstraints");
    let apart = zones.iter().any(|spread| {
        text(spread, "/topologyKey") == "topology.kubernetes.io/zone"
            && text(spread, "/whenUnsatisfiable") == "DoNotSchedule"
            && takes(&spread["labelSelector"], &database_labels())
    });
    if !apart {
        faults.push("two of its instances may be lost with one zone".to_owned());
    }
    faults
}

/// The servers' role owns nothing and bypasses nothing; the owner may become it, which the first migration asks for and only the
/// superuser can give, at the first start.
fn roles(cluster: &Object) -> Vec<String> {
    let mut faults = Vec::new();
    for role in list(cluster, "/spec/managed/roles") {
        for right in [
            "superuser",
            "createdb",
            "createrole",
            "replication",
            "bypassrls",
        ] {
            if role[right] != json!(false) {
                faults.push(format!("{} has {right}", role["name"]));
            }
        }
    }
    let first = list(cluster, "/spec/bootstrap/initdb/postInitApplicationSQL");
    let at = |wanted: &str| {
        first
            .iter()
            .filter_map(Value::as_str)
            .position(|said| said.starts_with(wanted))
    };
    let (made, granted) = (
        at("create role hub_app login nosuperuser nobypassrls nocreatedb nocreaterole"),
        at("grant hub_app to hub_owner"),
    );
    if made.is_none() || made >= granted {
        faults.push("the first migration may not become hub_app".to_owned());
    }
    faults
}

/// An extension that is made at the first start must be loaded by then, and its image's own user must find the data.
fn timescaledb(cluster: &Object) -> Option<String> {
    let first = list(cluster, "/spec/bootstrap/initdb/postInitApplicationSQL");
    let asked = first.contains(&json!("create extension timescaledb"));
    let loaded = list(cluster, "/spec/postgresql/shared_preload_libraries");
    let user = [
        number(cluster, "/spec/postgresUID"),
        number(cluster, "/spec/postgresGID"),
    ];
    let (is_loaded, is_user) = (
        loaded.contains(&json!("timescaledb")),
        user == [Some(1000); 2],
    );
    let by_catalog = cluster.pointer("/spec/imageCatalogRef").is_some();
    let alike = [asked, is_loaded, is_user]
        .into_iter()
        .all(|one| one == by_catalog);
    (!alike).then(|| {
        format!("TimescaleDB by halves: made {asked}, loaded {is_loaded}, its user {is_user}, its image {by_catalog}")
    })
}

/// Every night a copy, sealed, kept as long as the runbooks count on.
fn copies(objects: &[Object], cluster: &Object) -> Vec<String> {
    let mut faults = Vec::new();
    if !of_kind(objects, "ScheduledBackup")
        .any(|backup| text(backup, "/spec/cluster/name") == name(cluster))
    {
        faults.push("nobody backs it up".to_owned());
    }
    for store in of_kind(objects, "ObjectStore") {
        for what in ["wal", "data"] {
            // The bucket seals with its own key; to name another is to name one that the copy in the other region cannot open.
            if store
                .pointer(&format!("/spec/configuration/{what}/encryption"))
                .is_some()
            {
                faults.push(format!(
                    "{}: {what} is not sealed with the bucket's key",
                    who(store)
                ));
            }
        }
        let days = text(store, "/spec/retentionPolicy").strip_suffix('d');
        if !days.is_some_and(|days| days.parse::<u16>().is_ok_and(|days| days >= 7)) {
            faults.push(format!("{}: forgets its copies within a week", who(store)));
        }
    }
    faults
}

/// Redis: three primaries with a replica each, TLS on every line, users from a Secret, and somebody who makes them one cluster and
/// looks after that.
pub(crate) fn redis(objects: &[Object]) -> Vec<String> {
    let Some(nodes) = of_kind(objects, "StatefulSet").find(|set| name(set) == "redis") else {
        // The cloud's; never neither.
        let managed = of_kind(objects, "Cluster").next().is_none();
        return (!managed)
            .then(|| "there is no Redis".to_owned())
            .into_iter()
            .collect();
    };
    let file = of_kind(objects, "ConfigMap")
        .find(|map| namespace(map) == "security-hub-data" && name(map).starts_with("redis"))
        .map_or("", |map| text(map, "/data/redis.conf"));
    let mut faults = Vec::new();
    for line in [
        "port 0",
        "tls-port 6379",
        "tls-cluster yes",
        "tls-replication yes",
        "aclfile /run/secrets/redis/users.acl",
        "cluster-enabled yes",
        "appendonly yes",
    ] {
        if !file.lines().any(|written| written == line) {
            faults.push(format!("redis.conf does not say `{line}`"));
        }
    }
    let looked_after = of_kind(objects, "CronJob").any(|job| {
        name(job) == "redis-join"
            && text(job, "/spec/schedule").starts_with("*/")
            && job["spec"]["suspend"] != json!(true)
    });
    if number(nodes, "/spec/replicas") != Some(6) || !looked_after {
        faults.push("six nodes, or nobody makes them a cluster".to_owned());
    }
    faults
}
