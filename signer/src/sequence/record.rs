//! Having entries recorded, and hearing that they are.

use artifact::digest::Base64;
use artifact::failure::Failure;
use audit::door::Submission;
use audit::merkle::TreeHash;
use audit::recorded::Proven;

use super::{Recorder, lost};

/// Has entries recorded, and gives each with its receipt, and the proof from the size that was seen.
///
/// # Errors
/// The coordinator is gone, or does not bring back what it was given.
pub(super) fn proven(
    recorder: &mut dyn Recorder,
    submissions: Vec<Submission>,
    seen: u64,
) -> Result<(Vec<Proven>, Vec<TreeHash>), Failure> {
    let appended = recorder.record(submissions.clone(), seen)?;
    if appended.receipts.len() != submissions.len() || appended.salts.len() != submissions.len() {
        return Err(lost());
    }
    let mut proven = Vec::new();
    for ((submission, receipt), salt) in submissions.into_iter().zip(appended.receipts).zip(appended.salts) {
        let content = match submission {
            Submission::Body(body) => Base64(body.to_bytes().map_err(|e| Failure::halt("entry-broken", e))?),
            Submission::Raw(raw) => raw,
        };
        proven.push(Proven { content, salt, receipt });
    }
    Ok((proven, appended.consistency))
}
