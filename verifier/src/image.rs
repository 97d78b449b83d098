//! An image: its signature, its provenance, its verdict, each in the log; and with a tag, that it is the current one.

use artifact::Digest;
use artifact::name::{Repository, Tag};
use artifact::oci::Manifest;
use artifact::statement::provenance::Provenance;
use artifact::statement::vsa::VerificationSummary;
use artifact::statement::{Predicate as _, STATEMENT, Statement, Subject};
use audit::checkpoint::SignedCheckpoint;
use audit::image_keys::InForce;
use serde::Deserialize;

use crate::bundle::{self, BundleError};
use crate::currency;
use crate::report::{KeyUsed, Report};
use crate::source::{Attached, Source};
use crate::trust::Trust;

/// The predicate of an image signature.
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// What every statement has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    subject: Vec<Subject>,
}

/// Verifies an image by its digest, and its tag if there is one.
pub async fn verify(
    subject: &str,
    source: &Source<'_>,
    digest: &Digest,
    tag: Option<(&Repository, &Tag)>,
    trust: &Trust,
) -> Report {
    let mut report = Report { subject: subject.to_owned(), digest: Some(*digest), ..Report::default() };
    match source.manifest(digest).await {
        Ok(bytes) => check_manifest(&mut report, source, digest, &bytes),
        Err(e) => report.unread("manifest", e),
    }
    let proofs = match source.attached(digest).await {
        Ok(attached) => check_bundles(&mut report, &attached, source, digest, trust),
        Err(e) => {
            report.unread("signature", e);
            Vec::new()
        }
    };
    report
        .not_checked
        .push("the legacy signatures (tags sha256-….sig and .att), which older verifiers read".to_owned());
    if trust.log_policy.is_some() {
        let text = "witnesses of the checkpoints in the bundles: they are older than their cosignatures; the log's own is \
                    checked with a tag, and by countersign-verify log";
        report.not_checked.push(text.to_owned());
    }
    match tag {
        Some(named) => check_currency(&mut report, named, digest, trust, &proofs),
        None => {
            report.not_checked.push("currency: a digest says nothing of what is current; name a tag".to_owned());
            check_revocation(&mut report, digest, trust, &proofs);
        }
    }
    report.conclude();
    report
}

/// The manifest is one; what it lists is hashed where that costs no transfer.
fn check_manifest(report: &mut Report, source: &Source<'_>, digest: &Digest, bytes: &[u8]) {
    let manifest = match Manifest::parse(bytes) {
        Ok(manifest) => manifest,
        Err(e) => return report.check("manifest", Err(format!("{digest}: {e}"))),
    };
    report.check("manifest", Ok(format!("{digest}, {} bytes", bytes.len())));
    let lists = format!("the configuration and {} layers", manifest.layers.len());
    match source.content(&manifest) {
        Ok(Some(size)) => report.check("content", Ok(format!("{lists}, {size} bytes"))),
        Ok(None) => {
            report.not_checked.push(format!("{lists}: who pulls them compares their digests with the manifest"))
        }
        Err(e) => report.unread("content", e),
    }
}

/// Checks what is attached, and gives the checkpoints that the trusted key's bundles are proved under.
fn check_bundles(
    report: &mut Report,
    attached: &Attached,
    source: &Source<'_>,
    digest: &Digest,
    trust: &Trust,
) -> Vec<SignedCheckpoint> {
    let (mut foreign, mut proofs) = (0, Vec::new());
    let mut found = [("signature", None), ("provenance", None), ("verdict", None)];
    for bundle in &attached.bundles {
        let verified = match bundle::verify(&bundle.bytes, trust) {
            Ok(verified) => verified,
            Err(BundleError::Foreign) => {
                foreign += 1;
                continue;
            }
            Err(BundleError::Broken(why)) => {
                let manifest = bundle.manifest;
                report.check("bundle", Err(format!("{manifest}: signed with the trusted key, and broken: {why}")));
                continue;
            }
            Err(BundleError::NotInForce(why)) => {
                report.check("key-not-in-force", Err(format!("{}: {why}", bundle.manifest)));
                continue;
            }
        };
        if let Some(what) = bundle.misnamed {
            let manifest = bundle.manifest;
            report.check("referrers", Err(format!("the list of referrers gives another {what} for {manifest}")));
        }
        match check_statement(report, &verified, source, digest, trust) {
            Ok((which, text)) => {
                found[which].1 = Some(text);
                used(report, &verified);
            }
            Err(e) => report.check("statement", Err(format!("{}: {e}", bundle.manifest))),
        }
        proofs.push(verified.checkpoint);
    }
    for (code, text) in found {
        report.check(code, text.ok_or_else(|| "no bundle of the trusted key".to_owned()));
    }
    check_keys(report, trust);
    if foreign > 0 {
        report.not_checked.push(format!("{foreign} bundles signed with other keys: they say nothing here"));
    }
    if attached.others > 0 {
        report.not_checked.push(format!("{} things that are attached and are no bundles", attached.others));
    }
    proofs
}

/// Notes which key signed, and where.
fn used(report: &mut Report, verified: &bundle::Verified<'_>) {
    let (id, index) = (verified.key.key.id(), verified.index);
    match report.keys.iter_mut().find(|used| used.key == id) {
        Some(used) if used.entries.contains(&index) => {}
        Some(used) => used.entries.push(index),
        None => {
            let InForce { from, until, .. } = verified.key;
            report.keys.push(KeyUsed { key: id, from, until, entries: vec![index] });
        }
    }
}

/// Says which keys signed, and why they counted then.
fn check_keys(report: &mut Report, trust: &Trust) {
    for used in &mut report.keys {
        used.entries.sort_unstable();
    }
    for KeyUsed { key, entries, .. } in report.keys.clone() {
        let Some(one) = trust.image.called(&key) else { continue };
        let said = match &entries[..] {
            [index] => format!("{one}; this signature is entry {index}"),
            more => {
                let more: Vec<_> = more.iter().map(u64::to_string).collect();
                format!("{one}; these signatures are entries {}", more.join(", "))
            }
        };
        report.check("key", Ok(said));
    }
}

/// Which of the three it is, and what it says.
fn check_statement(
    report: &mut Report,
    verified: &bundle::Verified<'_>,
    source: &Source<'_>,
    digest: &Digest,
    trust: &Trust,
) -> Result<(usize, String), String> {
    let head: Head = artifact::json::parse_foreign("statement", &verified.payload).map_err(|e| e.to_string())?;
    let [subject] = &head.subject[..] else { return Err("not exactly one subject".to_owned()) };
    if head.kind != STATEMENT || subject.digest.get("sha256") != Some(&digest.hex()) {
        return Err(format!("{} speaks of something else", head.predicate_type));
    }
    let entry = format!("log entry {}", verified.index);
    match head.predicate_type.as_str() {
        SIGN => {
            let said = |name: &str| subject.annotations.get(name).and_then(|v| v.as_str()).unwrap_or_default();
            said("lane").parse::<artifact::lane::LaneName>().map_err(|e| format!("the image signature: {e}"))?;
            if said("trial") == "true" {
                report.warnings.push("trial: the perimeter was started by an ordinary user".to_owned());
            }
            if said("key") != "vault" {
                report.warnings.push(format!("the image key is kept in a {}: for trying", said("key")));
            }
            Ok((0, format!("lane {}, {entry}", said("lane"))))
        }
        Provenance::TYPE => {
            let statement = Statement::<Provenance>::parse(&verified.payload).map_err(|e| e.to_string())?;
            let says = &statement.predicate;
            if says.run_details.builder.id != trust.builder_id {
                return Err(format!(
                    "provenance by {:?}, and {:?} is trusted",
                    says.run_details.builder.id, trust.builder_id
                ));
            }
            let from = &says.build_definition.external_parameters;
            Ok((1, format!("{} of {}, {entry}", from.commit, from.source)))
        }
        VerificationSummary::TYPE => {
            let statement = Statement::<VerificationSummary>::parse(&verified.payload).map_err(|e| e.to_string())?;
            let says = &statement.predicate;
            if says.verifier.id != trust.verifier_id || says.verification_result != "PASSED" {
                return Err(format!("a verdict {:?} by {:?}", says.verification_result, says.verifier.id));
            }
            if let Source::Registry(_, repository) = source
                && says.resource_uri != format!("{repository}@{digest}")
            {
                report.warnings.push(format!("a copy: the verdict is for {}", says.resource_uri));
            }
            let rules = says.policy.digest.get("sha256").map_or("?", |d| d.get(..12).unwrap_or(d));
            Ok((2, format!("PASSED by rules {rules} at {}, {entry}", says.time_verified)))
        }
        other => Err(format!("a statement of another kind: {other:?}")),
    }
}

fn check_currency(
    report: &mut Report,
    (repository, tag): (&Repository, &Tag),
    digest: &Digest,
    trust: &Trust,
    proofs: &[SignedCheckpoint],
) {
    let said = match trust.log_folder() {
        Ok(Some(folder)) => currency::read(&folder, trust, proofs),
        Ok(None) => Err("the trust file names no log_source: add it, or name the image by its digest".to_owned()),
        Err(e) => Err(e),
    };
    if let Ok(said) = &said {
        check_rotation(report, said);
    }
    if let Some(why) = said.as_ref().ok().and_then(|said| said.revoked(digest)) {
        report.check("revoked", Err(why.to_owned()));
    }
    let outcome = said.and_then(|said| Ok((said.named((repository, tag))?, said.size())));
    report.check(
        "currency",
        outcome.and_then(|(named, size)| match named == *digest {
            true => Ok(format!("{tag} names it, by the log of {size} entries")),
            false => Err(format!("the registry's {tag} is {digest}; the log of {size} entries says {named}")),
        }),
    );
    report
        .not_checked
        .push("that the log is the newest there is: compare its checkpoint with one that you kept".to_owned());
}

/// The log may know of a rotation that the trust file does not have yet. The key before it has signed that itself.
fn check_rotation(report: &mut Report, said: &currency::Said) {
    let Some((entry, before)) = said.rotated() else { return };
    report.warnings.push(format!(
        "the image key was rotated by entry {entry}, and the trust file does not have the new one: get a newer trust file"
    ));
    let late = |used: &&KeyUsed| used.key == before && used.entries.iter().any(|index| *index > entry);
    if let Some(used) = report.keys.iter().find(late) {
        let text =
            format!("key {before} was rotated away by entry {entry}; these signatures are entries {:?}", used.entries);
        report.check("key-not-in-force", Err(text));
    }
}

/// By its digest an image verifies without a log; where there is one, it is asked whether the image was revoked.
fn check_revocation(report: &mut Report, digest: &Digest, trust: &Trust, proofs: &[SignedCheckpoint]) {
    let said = match trust.log_folder() {
        Ok(Some(folder)) => currency::read(&folder, trust, proofs),
        Ok(None) => {
            report.not_checked.push("revocation: the trust file names no log_source".to_owned());
            return;
        }
        Err(e) => Err(e),
    };
    match said {
        Ok(said) => {
            check_rotation(report, &said);
            match said.revoked(digest) {
                Some(why) => report.check("revoked", Err(why.to_owned())),
                None => {
                    report.not_checked.push(format!("revocation after the {} entries of the log here", said.size()));
                }
            }
        }
        // A log that is asked for and can't be believed must not let through what it may have revoked.
        Err(e) => report.check("revocation", Err(format!("the log at log_source: {e}"))),
    }
}
