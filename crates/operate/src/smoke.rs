//! The smoke test: a few requests of an operator's own, straight to one server.

use crate::serving;

/// Status and beginning of the body.
pub(crate) async fn get(
    http: &reqwest::Client,
    base: &str,
    path: &str,
) -> Result<(u16, String), String> {
    let answer = http.get(format!("{base}{path}")).send().await;
    let answer = answer.map_err(|error| serving::unanswered(path, error))?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    Ok((status, text.chars().take(2000).collect()))
}

/// Asks what every server answers, and says what was wrong first.
pub(crate) async fn ask_all(http: &reqwest::Client, base: &str) -> Result<(), String> {
    for (path, status, part) in [
        ("/health/live", 200, ""),
        ("/openapi.json", 200, "openapi"),
        ("/console", 200, "Sign in"),
        ("/api/v2/me", 401, "problem"),
    ] {
        let (found, text) = get(http, base, path).await?;
        // The console sends who is not signed in to its door.
        if found != status && !(path == "/console" && (300..400).contains(&found)) {
            return Err(format!("{path} answered {found}, not {status}"));
        }
        if found == status && !text.contains(part) {
            return Err(format!("{path} answered without `{part}`"));
        }
    }
    Ok(())
}
