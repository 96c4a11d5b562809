//! Official downloads over HTTP.

use std::time::Duration;

use ureq::Agent;

use super::store::Wanted;

/// How long an unreachable host may hold things up, so that an offline machine goes on quickly.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a file may take to come, a minute besides.
const BYTES_PER_SECOND: u64 = 50_000;

/// Downloads a packed file from below `base` and checks it; gives it as it is kept.
///
/// # Errors
///
/// A phrase on why not: unreachable, not found, or not the published file.
pub fn fetch(base: &str, wanted: &Wanted) -> Result<Vec<u8>, String> {
    let name = wanted.packed_name();
    let limit = wanted.packed_limit();
    let patience = Duration::from_secs(60 + limit / BYTES_PER_SECOND);
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_body(Some(patience))
        .build()
        .into();
    let packed = agent
        .get(format!("{base}/{name}"))
        .call()
        .and_then(|mut answer| answer.body_mut().with_config().limit(limit).read_to_vec())
        .map_err(|error| error.to_string())?;
    wanted
        .verify(name.as_ref(), packed)
        .map_err(|problem| format!("{name}: {problem}"))
}
