//! What surrounds a pass, recorded when it is another than the log knows: the configuration it runs under, and what each
//! room says of itself and of what confines it. Who changed a file is not known; that it changed, when and how, is.

use artifact::failure::Failure;
use artifact::{Digest, Moment};
use audit::entry::{Body, Configuration, Posture};
use hardening::menu::Room;

use crate::house::House;
use crate::ledger::Ledger;
use crate::status::Status;

/// The most bytes of a file of the configuration.
const LIMIT: u64 = 256 << 10;

/// Records the files of the configuration that are not what they were in the pass before. None holds a secret: passwords and
/// tokens lie in files of their own, which these name.
///
/// # Errors
/// A file that can't be read, or is no text; or the log can't be written.
pub fn configuration(house: &House, ledger: &mut Ledger) -> Result<(), Failure> {
    let mut changed: Vec<Body> = Vec::new();
    for file in Room::Coordinator.config() {
        let path = house.config.join(file);
        let named = |e: &dyn std::fmt::Display| Failure::never(Status::USAGE, format!("{}: {e}", path.display()));
        let bytes = artifact::regular::read(&path, LIMIT).map_err(|e| named(&e))?;
        let (digest, before) = (Digest::of(&bytes), ledger.fold().configuration(file));
        if before == Some(digest) {
            continue;
        }
        let text = String::from_utf8(bytes).map_err(|_| named(&"not UTF-8"))?;
        if before.is_some() {
            house.timeline.line("coordinator", &format!("{file} was changed since the last pass; the log has both"));
        }
        changed.push(Configuration { file: (*file).to_owned(), digest, before, text, at: Moment::now() }.into());
    }
    ledger.record_all(changed)
}

/// Records what rooms said of themselves, of those that said something else before.
///
/// # Errors
/// When the log can't be written.
pub fn posture(house: &House, ledger: &mut Ledger) -> Result<(), Failure> {
    let said = house.hellos.borrow().clone();
    let hellos: Vec<_> = said.into_iter().filter(|(room, hello)| ledger.fold().posture(room) != Some(hello)).collect();
    if hellos.is_empty() {
        return Ok(());
    }
    let hellos = hellos.into_iter().map(|(_, hello)| hello).collect();
    ledger.record(Posture { hellos, at: Moment::now() }).map(drop)
}
