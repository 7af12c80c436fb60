//! A tenant's named locations: which networks are where, and which of them it trusts.

mod repo;

use std::collections::HashSet;
use std::net::IpAddr;

use hub_events::{Act, Class, Subject};
use hub_store::{Cx, Tx};
use ipnet::IpNet;

use crate::error::Error;

/// Locations of a tenant at most, and networks over all of them.
const MOST: usize = 1000;
const MOST_NETWORKS: usize = 10_000;
/// Mean radius of the Earth in kilometres.
const EARTH_KM: f64 = 6371.0088;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationKind {
    Office,
    /// Where a person is says nothing about where they are.
    Vpn,
    /// A carrier's network: one address, many places.
    Mobile,
    Other,
}

impl LocationKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Office => "office",
            Self::Vpn => "vpn",
            Self::Mobile => "mobile",
            Self::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Office, Self::Vpn, Self::Mobile, Self::Other]
            .into_iter()
            .find(|k| k.name() == text)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    pub name: String,
    pub cidrs: Vec<IpNet>,
    /// ISO 3166 alpha-2, or empty.
    pub country: String,
    pub city: String,
    /// Degrees, -90 to 90.
    pub latitude: f64,
    /// Degrees, -180 to 180.
    pub longitude: f64,
    pub kind: LocationKind,
    pub trusted: bool,
}

/// All locations, by name.
pub async fn list(tx: &mut Tx) -> Result<Vec<Location>, Error> {
    repo::list(tx).await
}

/// Replaces all locations of the tenant.
///
/// # Errors
/// [`Error::Location`] names the first one that cannot be.
pub async fn replace(cx: &Cx, locations: &[Location]) -> Result<(), Error> {
    validate(locations)?;
    let mut tx = cx.write().await?;
    repo::clear(&mut tx).await?;
    for location in locations {
        repo::insert(&mut tx, location).await?;
    }
    let act = Act::new("location.update", Class::EntityManagement, 3, "admin")
        .on(Subject::new("locations", cx.tenant()))
        .with("unmapped.locations.count", locations.len() as u64);
    tx.commit(act).await?;
    Ok(())
}

fn validate(locations: &[Location]) -> Result<(), Error> {
    let mut names = HashSet::new();
    let mut networks = HashSet::new();
    let fault = |name: &str, reason: String| {
        Err(Error::Location {
            name: name.chars().take(100).collect(),
            reason,
        })
    };
    if locations.len() > MOST {
        return fault("", format!("more than {MOST} locations"));
    }
    for location in locations {
        let name = location.name.as_str();
        if name.trim().is_empty() || name.chars().count() > 100 {
            return fault(name, "its name must have 1 to 100 characters".into());
        }
        if !names.insert(name) {
            return fault(name, "there are two of that name".into());
        }
        if !(-90.0..=90.0).contains(&location.latitude) {
            return fault(
                name,
                "its latitude must be between -90 and 90 degrees".into(),
            );
        }
        if !(-180.0..=180.0).contains(&location.longitude) {
            return fault(
                name,
                "its longitude must be between -180 and 180 degrees".into(),
            );
        }
        if location.country.chars().count() > 100 || location.city.chars().count() > 100 {
            return fault(
                name,
                "its country and city must have at most 100 characters".into(),
            );
        }
        if location.cidrs.is_empty() {
            return fault(name, "it names no network".into());
        }
        for network in &location.cidrs {
            if !networks.insert(network.trunc()) {
                return fault(name, format!("the network {network} is named twice"));
            }
        }
    }
    if networks.len() > MOST_NETWORKS {
        return fault("", format!("more than {MOST_NETWORKS} networks"));
    }
    Ok(())
}

/// Locations as the behaviour models look them up: by the longest prefix that holds the address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    locations: Vec<Location>,
    /// Longest prefix first.
    networks: Vec<(IpNet, usize)>,
}

impl Map {
    pub(crate) fn new(locations: Vec<Location>) -> Self {
        let mut networks: Vec<(IpNet, usize)> = locations
            .iter()
            .enumerate()
            .flat_map(|(n, location)| location.cidrs.iter().map(move |cidr| (cidr.trunc(), n)))
            .collect();
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Self {
            locations,
            networks,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    pub(crate) fn find(&self, address: IpAddr) -> Option<&Location> {
        let address = address.to_canonical();
        let (_, n) = self
            .networks
            .iter()
            .find(|(network, _)| network.contains(&address))?;
        self.locations.get(*n)
    }
}

/// Great-circle distance in kilometres between two points of (latitude, longitude) in degrees.
pub fn distance_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (lat1, lat2) = (from.0.to_radians(), to.0.to_radians());
    let half = |a: f64, b: f64| ((b - a) / 2.0).sin().powi(2);
    let h =
        half(lat1, lat2) + lat1.cos() * lat2.cos() * half(from.1.to_radians(), to.1.to_radians());
    2.0 * EARTH_KM * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(name: &str, cidr: &str) -> Location {
        Location {
            name: name.into(),
            cidrs: vec![cidr.parse().unwrap()],
            country: "CH".into(),
            city: "Zurich".into(),
            latitude: 47.38,
            longitude: 8.54,
            kind: LocationKind::Office,
            trusted: true,
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let map = Map::new(vec![
            place("wide", "10.0.0.0/8"),
            place("near", "10.1.0.0/16"),
        ]);
        let name = |text: &str| map.find(text.parse().unwrap()).map(|l| l.name.as_str());
        assert_eq!(name("10.1.2.3"), Some("near"));
        assert_eq!(name("10.2.2.3"), Some("wide"));
        assert_eq!(name("::ffff:10.2.2.3"), Some("wide"));
        assert_eq!(name("11.0.0.1"), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let reason = |locations: &[Location]| validate(locations).unwrap_err().to_string();
        let mut far = place("far", "10.0.0.0/8");
        far.latitude = 91.0;
        assert!(reason(&[far]).contains("latitude"));
        assert!(reason(&[place("a", "10.0.0.0/8"), place("a", "11.0.0.0/8")]).contains("two"));
        assert!(reason(&[place("a", "10.0.0.0/8"), place("b", "10.0.0.1/8")]).contains("twice"));
        assert!(reason(&[place(" ", "10.0.0.0/8")]).contains("characters"));
        assert!(validate(&[place("a", "10.0.0.0/8")]).is_ok());
    }

    #[test]
    fn zurich_is_far_from_sao_paulo() {
        let km = distance_km((47.38, 8.54), (-23.55, -46.63));
        assert!((km - 9600.0).abs() < 100.0, "{km}");
    }

    proptest! {
        #[test]
        fn distance_is_a_distance(a in -90.0..90.0_f64, b in -180.0..180.0_f64, c in -90.0..90.0_f64, d in -180.0..180.0_f64) {
            let there = distance_km((a, b), (c, d));
            prop_assert!((0.0..=20_016.0).contains(&there));
            prop_assert!((there - distance_km((c, d), (a, b))).abs() < 1e-6);
        }
    }
}
