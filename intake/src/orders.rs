//! People's orders as bytes: what lies in a folder, and nothing about what it is worth. The coordinator judges them.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::digest::{Base64, shortened};
use artifact::failure::Failure;
use artifact::regular;
use policy::order::{LIMIT, SIGNATURE_LIMIT, SIGNATURES};

use crate::door::{Answer, PulledOrder};
use crate::process::printable;

/// The most files that are looked at in the folder.
const FILES: usize = 1_000;
/// The most orders that are carried: their bytes fit into one frame. Orders are few; one that was carried out is taken away.
const ORDERS: usize = 64;
/// The most files that are named as unusable.
const UNUSABLE: usize = 20;

/// Reads a folder of orders: `NAME.json`, and of each who signed it `NAME.json.WHO.sig`.
pub(crate) fn read(folder: &Path) -> Result<Answer, Failure> {
    let failed = |e: std::io::Error| {
        let text =
            format!("{}: {e}. Is it exposed to intake (countersign.toml), and readable for its uid?", folder.display());
        Failure::later("orders-unavailable", text)
    };
    let (mut statements, mut signatures) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for (count, entry) in std::fs::read_dir(folder).map_err(failed)?.enumerate() {
        if count >= FILES {
            let text = format!("{}: more than {FILES} files: take away what was carried out", folder.display());
            return Err(Failure::later("orders-too-many", text));
        }
        // A name that is no text names no order: nobody was told to write one.
        let Ok(name) = entry.map_err(failed)?.file_name().into_string() else { continue };
        if let Some((of, _)) = signed_by(&name) {
            signatures.entry(of.to_owned()).or_default().push(name);
        } else if name.ends_with(".json") && !name.starts_with('.') {
            statements.push(name);
        }
    }
    statements.sort_unstable();
    let (mut orders, mut unusable) = (Vec::new(), Vec::new());
    for name in statements {
        let mut signed = signatures.remove(&name).unwrap_or_default();
        signed.sort_unstable();
        let shown = printable(&shortened(&name));
        if orders.len() >= ORDERS {
            unusable.push(format!("{shown}: more than {ORDERS} orders: take away what was carried out"));
        } else if signed.len() > SIGNATURES {
            unusable.push(format!("{shown}: {} signatures, and {SIGNATURES} are looked at", signed.len()));
        } else {
            match pull(folder, &name, &signed) {
                Ok((statement, signatures)) => orders.push(PulledOrder { name: shown, statement, signatures }),
                Err(why) => unusable.push(why),
            }
        }
    }
    let more = unusable.len().saturating_sub(UNUSABLE);
    unusable.truncate(UNUSABLE);
    if more > 0 {
        unusable.push(format!("and {more} more"));
    }
    Ok(Answer::Orders { orders, unusable })
}

/// Which statement a signature is of, and whose it is, by its name.
fn signed_by(name: &str) -> Option<(&str, &str)> {
    let (of, who) = name.strip_suffix(".sig")?.rsplit_once(".json.")?;
    (!of.is_empty() && !who.is_empty()).then(|| (&name[..of.len() + ".json".len()], who))
}

fn pull(folder: &Path, name: &str, signed: &[String]) -> Result<(Base64, Vec<Base64>), String> {
    let read = |name: &str, limit: usize| {
        let bytes = regular::read(&folder.join(name), limit as u64);
        bytes.map(Base64).map_err(|e| format!("{}: {e}", printable(&shortened(name))))
    };
    let statement = read(name, LIMIT)?;
    // One that can't be read is one that is missing: the others may be enough, so it is judged by what is there.
    let signatures =
        signed.iter().map(|name| read(name, SIGNATURE_LIMIT).unwrap_or_else(|why| Base64(why.into_bytes())));
    Ok((statement, signatures.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulled(folder: &Path) -> (Vec<PulledOrder>, Vec<String>) {
        match read(folder).unwrap() {
            Answer::Orders { orders, unusable } => (orders, unusable),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_order_comes_with_its_signatures_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.json", "one"),
            ("a.json.ann.sig", "ann"),
            ("a.json.ben.x.sig", "ben"),
            ("b.json", "two"),
            ("b.json.sig", "nobody"),
            ("c.json.ann.sig", "of nothing"),
            (".d.json", "hidden"),
            ("e.txt", "no"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let (orders, unusable) = pulled(folder.path());
        let order = |name: &str, statement: &str, signatures: &[&str]| PulledOrder {
            name: name.to_owned(),
            statement: Base64(statement.as_bytes().to_vec()),
            signatures: signatures.iter().map(|s| Base64(s.as_bytes().to_vec())).collect(),
        };
        assert_eq!(orders, [order("a.json", "one", &["ann", "ben"]), order("b.json", "two", &[])]);
        assert!(unusable.is_empty());
    }

    #[test]
    fn what_is_hostile_is_named_on_one_line_and_waited_for_by_nobody() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("good.json"), "{}").unwrap();
        symlink("/etc/passwd", at("good.json.link.sig")).unwrap();
        symlink("/etc/passwd", at("link.json")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.json"), rustix::fs::Mode::RUSR).unwrap();
        std::fs::create_dir(at("folder.json")).unwrap();
        std::fs::write(at("large.json"), vec![b'x'; LIMIT + 1]).unwrap();
        std::fs::write(at("\x1b[2J\nok.json"), vec![b'x'; LIMIT + 1]).unwrap();
        std::fs::write(at("many.json"), "{}").unwrap();
        (0..=SIGNATURES).for_each(|n| std::fs::write(at(&format!("many.json.{n}.sig")), "x").unwrap());
        let (orders, unusable) = pulled(folder.path());
        assert_eq!(orders.len(), 1);
        assert!(String::from_utf8_lossy(&orders[0].signatures[0].0).contains("a link"), "no content of it");
        assert_eq!(unusable.len(), 6, "{unusable:?}");
        assert!(unusable.iter().all(|line| !line.contains(char::is_control) && line.len() < 600), "{unusable:?}");
    }

    #[test]
    fn a_folder_that_overflows_is_no_answer_and_no_silence() {
        let folder = tempfile::tempdir().unwrap();
        (0..ORDERS + 30).for_each(|n| std::fs::write(folder.path().join(format!("{n:03}.json")), "{}").unwrap());
        let (orders, unusable) = pulled(folder.path());
        assert_eq!((orders.len(), unusable.len()), (ORDERS, UNUSABLE + 1));
        (0..FILES).for_each(|n| std::fs::write(folder.path().join(format!("{n}.x")), "").unwrap());
        assert_eq!(read(folder.path()).unwrap_err().code, "orders-too-many");
        assert_eq!(read(&folder.path().join("none")).unwrap_err().code, "orders-unavailable");
    }
}
