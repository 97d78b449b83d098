//! One entry and its receipt: that it is in the log, without the log.

use std::path::Path;

use artifact::{Moment, regular};
use audit::checkpoint::SignedCheckpoint;
use audit::entry::{self, Body};
use audit::leaf::{Commitment, RekorLeaf, Salt};
use audit::receipt::{self, Receipt};

use crate::bundle;
use crate::log::witnesses;
use crate::report::{Report, printable};
use crate::trust::Trust;

/// The suffix of an entry's file beside its receipt.
const ENTRY: &str = "entry";

/// The bytes of a salt.
const SALT: usize = 32;

/// Verifies a receipt (C2SP tlog-proof) for an entry: a leaf shaped as Rekor's, or a salt and the body after it. Without a
/// file for the entry, the one beside the receipt.
///
/// # Errors
/// A text for a person: a file can't be read.
pub fn verify(path: &Path, entry: Option<&Path>, trust: &Trust) -> Result<Report, String> {
    let beside = path.with_extension(ENTRY);
    let entry = entry.unwrap_or(&beside);
    let receipt = read(path, receipt::LIMIT)?;
    let content = read(entry, SALT + entry::LIMIT)?;
    let mut report = Report { subject: path.display().to_string(), ..Report::default() };
    let parsed = String::from_utf8(receipt).map_err(|_| "not UTF-8".to_owned());
    let parsed = parsed.and_then(|text| text.parse::<Receipt>().map_err(|e| e.to_string()));
    match parsed.and_then(|receipt| proved(&receipt, &content, trust)) {
        Err(why) => report.check("receipt", Err(why)),
        Ok((index, checkpoint, said)) => {
            let size = checkpoint.size();
            report.check("receipt", Ok(format!("it is entry {index} of the {size} that {} signed", trust.log.name())));
            if let Some(policy) = &trust.log_policy {
                report.check("witnesses", witnesses(policy.judge(&checkpoint, Moment::now())));
            }
            report.check("entry", Ok(said));
            check_key(&mut report, index, &content, trust);
            report.not_checked = vec![
                "the log's other entries, and whether this one still counts: later entries may refuse or revoke"
                    .to_owned(),
                "the signatures in the body".to_owned(),
            ];
        }
    }
    report.conclude();
    Ok(report)
}

/// A leaf that names an image key counts while that key is in force. Whether the signature is one was not looked at.
fn check_key(report: &mut Report, index: u64, leaf: &[u8], trust: &Trust) {
    let Some(one) = bundle::key_of(leaf).and_then(|id| trust.image.called(&id)) else { return };
    let said = format!("{one}; this is entry {index}");
    match one.counts(index) {
        true => report.check("key", Ok(said)),
        false => report.check("key-not-in-force", Err(said)),
    }
}

/// The index, the checkpoint it is proved under, and what the entry says.
fn proved(receipt: &Receipt, content: &[u8], trust: &Trust) -> Result<(u64, SignedCheckpoint, String), String> {
    // A salt may begin like a leaf: what the proof is of decides.
    let rekor = RekorLeaf::parse(content.to_vec()).ok().map(|leaf| (leaf.as_bytes().to_vec(), spoken(leaf.as_bytes())));
    let candidates = ours(content).into_iter().chain(rekor);
    let mut why = "the entry's file holds neither a leaf shaped as Rekor's nor a salt and a body of ours".to_owned();
    for (leaf, said) in candidates {
        match receipt.verify(&trust.log, &leaf) {
            Ok(checkpoint) => return Ok((receipt.index, checkpoint, said)),
            Err(e) => why = e.to_string(),
        }
    }
    Err(why)
}

/// The leaf that commits to a salt and a body, and what the body says.
fn ours(content: &[u8]) -> Option<(Vec<u8>, String)> {
    let (salt, body) = content.split_first_chunk::<SALT>()?;
    let parsed = Body::parse(body).ok()?;
    Some((Commitment::to(parsed.kind(), &Salt::from_raw(*salt), body).to_bytes(), spoken(body)))
}

fn spoken(bytes: &[u8]) -> String {
    printable(&String::from_utf8_lossy(bytes))
}

fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    regular::read(path, limit as u64).map_err(|e| format!("{}: {e}", path.display()))
}
