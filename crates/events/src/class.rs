//! The OCSF 1.8 classes and enumerations that the hub uses.

use serde::{Deserialize, Serialize};

/// An OCSF event class; its number is OCSF's `class_uid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Class {
    /// A line that fits no better class (`base_event`, 0).
    Base = 0,
    ProcessActivity = 1007,
    DetectionFinding = 2004,
    IncidentFinding = 2005,
    AccountChange = 3001,
    Authentication = 3002,
    AuthorizeSession = 3003,
    EntityManagement = 3004,
    UserAccessManagement = 3005,
    NetworkActivity = 4001,
    ApplicationLifecycle = 6002,
    ApiActivity = 6003,
    DatastoreActivity = 6005,
    RemediationActivity = 7001,
}

impl Class {
    /// OCSF's `class_uid`.
    pub const fn uid(self) -> u32 {
        self as u32
    }

    /// OCSF's `category_uid`: the thousands of the class.
    pub const fn category_uid(self) -> u32 {
        self.uid() / 1000
    }

    /// OCSF's `class_name`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "Base Event",
            Self::ProcessActivity => "Process Activity",
            Self::DetectionFinding => "Detection Finding",
            Self::IncidentFinding => "Incident Finding",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::AuthorizeSession => "Authorize Session",
            Self::EntityManagement => "Entity Management",
            Self::UserAccessManagement => "User Access Management",
            Self::NetworkActivity => "Network Activity",
            Self::ApplicationLifecycle => "Application Lifecycle",
            Self::ApiActivity => "API Activity",
            Self::DatastoreActivity => "Datastore Activity",
            Self::RemediationActivity => "Remediation Activity",
        }
    }
}

/// OCSF's `severity_id`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
    Critical = 5,
}

impl Severity {
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// Lower-case name as rules and the console write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of that `severity_id`; unknown numbers are informational.
    pub const fn from_id(id: u8) -> Self {
        match id {
            2 => Self::Low,
            3 => Self::Medium,
            4 => Self::High,
            5 | 6 => Self::Critical,
            _ => Self::Informational,
        }
    }
}

/// OCSF's `status_id`: whether what was tried came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Success = 1,
    Failure = 2,
}

impl Outcome {
    pub const fn id(self) -> u8 {
        self as u8
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failure => "Failure",
        }
    }
}
