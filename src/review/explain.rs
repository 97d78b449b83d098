//! `countersign explain`: why a promotion was refused, the cause first.

use artifact::failure::Failure;
use artifact::statement::comparison::Difference;
use audit::entry::Refusal;

use super::{print_json, read};
use crate::cli::Places;
use crate::timeline::printable;

/// How many differences are printed; `--json` has all that were recorded.
const PRINTED: usize = 20;

/// Prints why a promotion was refused.
///
/// # Errors
/// No such promotion, one that was not refused, or a log that is not what was recorded.
pub fn explain(places: &Places, id: &str) -> Result<(), Failure> {
    let read = read(places)?;
    let promotion = read.promotion(id)?;
    let Some(refusal) = &promotion.refusal else {
        let stage = promotion.stage(artifact::Moment::now()).as_str();
        return Err(Failure::never(
            "not-refused",
            format!("it was not refused: it is {stage}. See `countersign show`"),
        ));
    };
    if places.json {
        return print_json(refusal);
    }
    let opened = &promotion.opened;
    println!("{} {} was refused at {}:", opened.project, opened.commit, refusal.at);
    for reason in &refusal.reasons {
        println!("\n  {}", printable(&reason.code));
        // A message's lines stay lines; each is behind a margin, so none can look like ours.
        for line in reason.message.lines() {
            println!("      {}", printable(line));
        }
    }
    print_differences(
        "CI's image against our rebuild",
        &refusal.differences,
        refusal.differences_total,
        ("ours", "CI's"),
    );
    let runs = ("first", "second");
    print_differences("two runs of the recipe", &refusal.run_differences, refusal.run_differences_total, runs);
    println!("\n{}", next(refusal));
    Ok(())
}

fn print_differences(what: &str, list: &[Difference], total: u64, sides: (&str, &str)) {
    if list.is_empty() {
        return;
    }
    println!("\n  {what}: {total} differences");
    for d in list.iter().take(PRINTED) {
        println!("      {:<12} {}", printable(&d.kind), printable(&d.path));
        println!("      {:<12} {}: {}", "", sides.0, printable(&d.rebuild));
        println!("      {:<12} {}: {}", "", sides.1, printable(&d.candidate));
    }
    if list.len() > PRINTED {
        println!("      … {} more: --json has {} of them", total - PRINTED as u64, list.len());
    }
}

/// What a person might do about it.
fn next(refusal: &Refusal) -> &'static str {
    let has = |code: &str| refusal.reasons.iter().any(|r| r.code == code);
    if has("not-deterministic") {
        "Next: make the recipe independent of what varied between the runs; `countersign build` tries it anywhere."
    } else if has("diverged") || has("level-too-low") {
        "Next: find out who changed CI's image, or build it with `countersign build` of the same version."
    } else if has("build-failed") {
        "Next: try `countersign build` on this commit; the message has the last lines."
    } else {
        "Next: mend what is named above; new evidence, a new candidate or new rules are a new promotion."
    }
}
