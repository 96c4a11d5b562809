/// A picture whose score is above it is anomalous.
pub const ANOMALY_THRESHOLD: u64 = 2691298;
