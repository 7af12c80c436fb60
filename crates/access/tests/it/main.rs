//! Decisions and roles over real grants in a real database.

#[cfg(test)]
mod cache;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod escalation;
#[cfg(test)]
mod evaluation;
#[cfg(test)]
mod repo;
#[cfg(test)]
mod world;
