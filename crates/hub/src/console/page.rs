//! What every page has: its nonce, who looks, where in the console it stands, and what just happened.

use super::assets;

/// The part of every page around its content.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Of this response's Content-Security-Policy; 128 random bits.
    pub(crate) nonce: String,
    pub(crate) version: &'static str,
    pub(crate) who: Option<Who>,
    pub(crate) here: Option<Place>,
    pub(crate) error: Option<String>,
    pub(crate) notice: Option<String>,
}

/// The person who looks.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) username: String,
    pub(crate) tenant: String,
}

/// The console's main places, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Now,
    Incidents,
    Runbooks,
    Ledger,
}

impl Place {
    const ALL: [Self; 4] = [Self::Now, Self::Incidents, Self::Runbooks, Self::Ledger];

    const fn name(self) -> &'static str {
        match self {
            Self::Now => "Now",
            Self::Incidents => "Incidents",
            Self::Runbooks => "Runbooks",
            Self::Ledger => "Ledger",
        }
    }

    const fn href(self) -> &'static str {
        match self {
            Self::Now => "/console/now",
            Self::Incidents => "/console/incidents",
            Self::Runbooks => "/console/runbooks",
            Self::Ledger => "/console/ledger",
        }
    }
}

/// One link of the navigation.
#[derive(Debug)]
pub(crate) struct PlaceLink {
    pub(crate) name: &'static str,
    pub(crate) href: &'static str,
    pub(crate) current: bool,
}

impl Page {
    /// The address of an embedded asset, with its content's hash so that it can be cached for ever.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::address(name)
    }

    pub(crate) fn places(&self) -> Vec<PlaceLink> {
        Place::ALL
            .into_iter()
            .map(|place| PlaceLink {
                name: place.name(),
                href: place.href(),
                current: self.here == Some(place),
            })
            .collect()
    }
}
