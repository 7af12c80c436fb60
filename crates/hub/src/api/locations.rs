//! The tenant's named networks: what gives an address a place.

use http::{Method, StatusCode};
use hub_access::Action;
use hub_base::ErrorKind;
use hub_detect::locations::{self, Location, LocationKind};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Caller, Given, Json, Reply};
use super::table::Api;
use crate::problem::Problem;

pub(super) fn routes(api: &mut Api) {
    api.at(
        Method::GET,
        "/api/v2/locations",
        (Action::LocationsRead, "Named networks"),
        list,
    )
    .gives::<Locations>(StatusCode::OK);
    api.at(
        Method::PUT,
        "/api/v2/locations",
        (Action::LocationsUpdate, "Replace all named networks"),
        replace,
    )
    .takes::<Locations>()
    .gives::<Locations>(StatusCode::OK);
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Locations {
    locations: Vec<LocationView>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LocationView {
    name: String,
    #[schemars(with = "Vec<String>")]
    cidrs: Vec<IpNet>,
    #[serde(default)]
    country: String,
    #[serde(default)]
    city: String,
    #[serde(default)]
    latitude: f64,
    #[serde(default)]
    longitude: f64,
    /// `office`, `vpn`, `mobile` or `other`.
    kind: String,
    #[serde(default)]
    trusted: bool,
}

impl From<Location> for LocationView {
    fn from(location: Location) -> Self {
        Self {
            name: location.name,
            cidrs: location.cidrs,
            country: location.country,
            city: location.city,
            latitude: location.latitude,
            longitude: location.longitude,
            kind: location.kind.name().to_owned(),
            trusted: location.trusted,
        }
    }
}

impl TryFrom<LocationView> for Location {
    type Error = Problem;
    fn try_from(view: LocationView) -> Result<Self, Problem> {
        let unknown = || {
            let words = format!(
                "body: kind: `{}` is not office, vpn, mobile or other",
                view.kind
            );
            Problem::of(ErrorKind::Invalid).detail(words)
        };
        Ok(Self {
            kind: LocationKind::parse(&view.kind).ok_or_else(unknown)?,
            name: view.name,
            cidrs: view.cidrs,
            country: view.country,
            city: view.city,
            latitude: view.latitude,
            longitude: view.longitude,
            trusted: view.trusted,
        })
    }
}

async fn view(cx: &hub_store::Cx) -> Reply<Locations> {
    let locations = locations::list(&mut *cx.read().await?).await?;
    Ok(Json(Locations {
        locations: locations.into_iter().map(LocationView::from).collect(),
    }))
}

async fn list(Caller(cx): Caller) -> Reply<Locations> {
    view(&cx).await
}

async fn replace(Caller(cx): Caller, Given(wish): Given<Locations>) -> Reply<Locations> {
    let wanted = wish
        .locations
        .into_iter()
        .map(Location::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    locations::replace(&cx, &wanted).await?;
    view(&cx).await
}
