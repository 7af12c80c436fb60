//! What must hold of infrastructure/kubernetes, over the objects as they are rendered for each place; schemas cannot say it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot read the objects fails"
)]

mod agent;
mod cluster;
mod database;
mod edge;
mod faults;
mod guard;
mod mesh;
mod network;
mod objects;
mod platform;
mod pods;
mod references;

use objects::{Object, PLACES};

/// One rule: what it is called, and the faults it finds.
type Rule = (&'static str, fn(&[Object]) -> Vec<String>);

const RULES: &[Rule] = &[
    ("pods: locked down", pods::locked_down),
    ("pods: requests and limits", pods::requests_and_limits),
    ("pods: probes", pods::probes),
    ("pods: tokens", pods::tokens),
    ("pods: images", pods::images),
    ("pods: spread", pods::spread),
    ("pods: colours alike", pods::colours_alike),
    ("pods: graceful end", pods::graceful_end),
    ("references", references::everything_named_exists),
    ("settings", references::settings_are_the_servers),
    ("alerts", references::alerts_lead_somewhere),
    ("boards", references::boards_show_what_exists),
    ("watchers", references::watchers_are_told_apart),
    ("cluster: selectors", cluster::selectors),
    ("cluster: disruption", cluster::disruption),
    ("cluster: autoscaling", cluster::autoscaling),
    ("cluster: services", cluster::services),
    ("cluster: traffic", cluster::traffic),
    ("cluster: namespaces", cluster::namespaces),
    ("cluster: quota", cluster::quota),
    ("cluster: storage", cluster::storage),
    ("guard: secrets", guard::secrets),
    ("guard: rbac", guard::rbac),
    ("guard: deployer", guard::deployer),
    ("guard: database", database::one_of_the_two),
    ("redis", database::redis),
    ("guard: admission", guard::admission),
    ("network: closed", network::closed_by_default),
    ("network: covered", network::every_pod_is_covered),
    ("network: both ends", network::both_ends_agree),
    ("network: outside", network::outside_is_not_inside),
    ("network: deployer", network::deployer_reaches),
    ("guard: runner", guard::runner),
    ("edge: load balancer", edge::load_balancer),
    ("edge: firewall", edge::firewall),
    ("mesh", mesh::strict),
];

#[test]
fn every_rule_holds_in_every_place() {
    let mut found = Vec::new();
    for place in PLACES {
        let objects = objects::rendered(place);
        assert!(
            objects.len() > 80,
            "{place}: only {} objects",
            objects.len()
        );
        for (name, rule) in RULES {
            found.extend(
                rule(&objects)
                    .into_iter()
                    .map(|fault| format!("{place}: {name}: {fault}")),
            );
        }
    }
    assert!(
        found.is_empty(),
        "{} faults:\n{}",
        found.len(),
        found.join("\n")
    );
}
