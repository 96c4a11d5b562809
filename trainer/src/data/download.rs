//! Official downloads over HTTP.

use std::time::Duration;

use ureq::Agent;

use super::store::Wanted;

/// How long an unreachable host may hold things up, so that an offline machine goes on quickly.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one file may take: 26 MB at 50 kB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(600);

/// Downloads `base/<name>.gz`, unpacks and checks it.
///
/// # Errors
///
/// A phrase on why not: unreachable, not found, or not the published file.
pub fn fetch(base: &str, wanted: &Wanted) -> Result<Vec<u8>, String> {
    let name = format!("{}.gz", wanted.file.name);
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .build()
        .into();
    // Packed files are smaller than their contents, give or take a header.
    let limit = wanted.len() as u64 + 4096;
    let packed = agent
        .get(format!("{base}/{name}"))
        .call()
        .and_then(|mut answer| answer.body_mut().with_config().limit(limit).read_to_vec())
        .map_err(|error| error.to_string())?;
    wanted
        .unpack(name.as_ref(), packed)
        .map_err(|problem| format!("{name}: {problem}"))
}
