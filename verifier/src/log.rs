//! Whole logs: everything is hashed again, and what was not checked is said.

use std::path::Path;

use artifact::Moment;
use audit::checkpoint::SignedCheckpoint;
use audit::log_policy::{Cosigned, PolicyError};

use crate::report::Report;
use crate::trust::Trust;

/// Verifies a log in a folder; with an older checkpoint, that it begins with what that one says.
///
/// # Errors
/// A text for a person: the older checkpoint's file can't be read.
pub fn verify(folder: &Path, trust: &Trust, since: Option<&Path>) -> Result<Report, String> {
    verified(folder, trust, since).map(|(report, _)| report)
}

/// As [`verify`]; and the checkpoint that all of it is under, when the log is what was recorded.
pub(crate) fn verified(
    folder: &Path,
    trust: &Trust,
    since: Option<&Path>,
) -> Result<(Report, Option<SignedCheckpoint>), String> {
    let mut checkpoint = None;
    let mut report = Report { subject: folder.display().to_string(), ..Report::default() };
    let mut older = None;
    if let Some(path) = since {
        let named = |e: &dyn std::fmt::Display| format!("--since {}: {e}", path.display());
        let note = SignedCheckpoint::read_note(path).map_err(|e| named(&e))?;
        match SignedCheckpoint::open(&note, &trust.log) {
            Ok(checkpoint) => older = Some(checkpoint),
            Err(e) => {
                report.check("since", Err(named(&e)));
                report.conclude();
                return Ok((report, None));
            }
        }
    }
    match audit::verify::whole(folder, &trust.log, older.as_ref()) {
        Ok(mut verified) => {
            report.check("log", Ok(format!("{} entries, root {}", verified.size, verified.root)));
            if let Some(since) = verified.since {
                report
                    .check("since", Ok(format!("it begins with the {since} entries of the checkpoint that was kept")));
            }
            if let Some(policy) = &trust.log_policy {
                report.check("witnesses", witnesses(verified.witnessed(policy, Moment::now())));
            }
            if verified.size == 0 {
                report
                    .warnings
                    .push("the log is empty: nothing but its checkpoint's signature was there to check".into());
            }
            report.not_checked = verified.not_checked;
            checkpoint = Some(verified.checkpoint);
        }
        Err(e) => report.check("log", Err(e.to_string())),
    }
    report.conclude();
    Ok((report, checkpoint))
}

/// Who cosigned, and when; or why that is not enough.
pub(crate) fn witnesses(judged: Result<Vec<Cosigned>, PolicyError>) -> Result<String, String> {
    let cosigned = judged.map_err(|e| e.to_string())?;
    let each: Vec<_> = cosigned.iter().map(|c| format!("{} at {}", c.witness, c.at)).collect();
    Ok(if each.is_empty() { "the policy asks for none".to_owned() } else { format!("cosigned by {}", each.join(", ")) })
}
