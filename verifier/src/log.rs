//! Whole logs: everything is hashed again, and what was not checked is said.

use std::path::Path;

use audit::checkpoint::SignedCheckpoint;

use crate::report::Report;
use crate::trust::Trust;

/// Verifies a log in a folder; with an older checkpoint, that it begins with what that one says.
pub fn verify(folder: &Path, trust: &Trust, since: Option<&Path>) -> Report {
    let mut report = Report { subject: folder.display().to_string(), ..Report::default() };
    let older = since.map(|path| {
        let note = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        SignedCheckpoint::open(&note, &trust.log).map_err(|e| format!("{}: {e}", path.display()))
    });
    let older = match older.transpose() {
        Ok(older) => older,
        Err(e) => {
            report.check("since", Err(e));
            report.conclude();
            return report;
        }
    };
    match audit::verify::whole(folder, &trust.log, older.as_ref()) {
        Ok(verified) => {
            report.check("log", Ok(format!("{} entries, root {}", verified.size, verified.root)));
            report.not_checked = verified.not_checked.iter().map(ToString::to_string).collect();
        }
        Err(e) => report.check("log", Err(e.to_string())),
    }
    report.conclude();
    report
}
