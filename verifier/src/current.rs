//! A hand-off: what is current for a project, from one file, offline.

use std::path::Path;

use artifact::name::{Repository, Tag};
use artifact::{Moment, regular};
use audit::current::{self, Current, Shown};

use crate::log::witnesses;
use crate::report::Report;
use crate::trust::Trust;

/// Verifies a file of `countersign current`; with a name, that it is about this one; with an older file that was kept, that
/// this one does not go back behind it.
///
/// # Errors
/// A text for a person: a file can't be read.
pub fn verify(
    path: &Path,
    name: Option<(&Repository, &Tag)>,
    kept: Option<&Path>,
    trust: &Trust,
) -> Result<Report, String> {
    let mut report = Report { subject: path.display().to_string(), ..Report::default() };
    let older = kept.map(|kept| shown(kept, trust)).transpose()?;
    match shown(path, trust)? {
        Err(why) => report.check("current", Err(why)),
        Ok(shown) => {
            report.digest = Some(shown.release.digest);
            check(&mut report, &shown, name, trust);
            if let Some(older) = older {
                report.check("kept", older.and_then(|older| goes_on(&older, &shown)));
            }
        }
    }
    report.conclude();
    Ok(report)
}

fn shown(path: &Path, trust: &Trust) -> Result<Result<Shown, String>, String> {
    let bytes = regular::read(path, current::LIMIT).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Current::parse(&bytes).and_then(|current| current.verify(&trust.log, &trust.image)))
}

fn check(report: &mut Report, shown: &Shown, name: Option<(&Repository, &Tag)>, trust: &Trust) {
    let release = &shown.release;
    let (project, repository, digest) = (&release.project, &release.repository, &release.digest);
    let tags: Vec<_> = release.tags.iter().map(Tag::to_string).collect();
    let size = shown.checkpoint.size();
    let text = format!(
        "{project} is {repository}@{digest} ({}), entry {} of the {size} that {} signed, released {}",
        tags.join(", "),
        shown.index,
        trust.log.name(),
        release.at
    );
    report.check("current", Ok(text));
    if let Some((asked, tag)) = name {
        let same = asked == repository && release.tags.contains(tag);
        report.check(
            "name",
            if same { Ok(format!("{asked}:{tag}")) } else { Err(format!("it is not about {asked}:{tag}")) },
        );
    }
    match &trust.log_policy {
        Some(policy) => report.check("witnesses", witnesses(policy.judge(&shown.checkpoint, Moment::now()))),
        None => report.not_checked.push("how old the checkpoint is: only witnesses date it (log_policy)".to_owned()),
    }
    if release.trial {
        report.warnings.push("trial: the perimeter was started by an ordinary user".to_owned());
    }
    report.not_checked.extend([
        format!("that no later entry names another image, or revokes this one: of the {size} entries two are here"),
        "the image and its bundles: countersign-verify image".to_owned(),
    ]);
}

/// A poll goes on from the one before: the log did not shrink, and the image key's word did not become an older one.
fn goes_on(older: &Shown, newer: &Shown) -> Result<String, String> {
    let (before, now) = (older.checkpoint.size(), newer.checkpoint.size());
    if older.release.project != newer.release.project {
        return Err(format!("what was kept is of the project {}", older.release.project));
    }
    if now < before || (now == before && !older.checkpoint.says_as(&newer.checkpoint)) {
        return Err(format!(
            "what was kept is of a log of {before} entries, and this one is of {now}: older, or another log"
        ));
    }
    if newer.release.permit < older.release.permit {
        return Err(format!("it goes back behind {}, which was kept", older.release.digest));
    }
    Ok(format!("it does not go back behind what was kept, of {before} entries"))
}
