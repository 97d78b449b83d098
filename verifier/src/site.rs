//! The auditor's page: a log's review in a browser, static, made by the auditor's own program.
//!
//! Two pages of the same code. `index.html` shows the log that it was made for: its files lie beside it as scripts, for a
//! page that was opened from a file may load nothing else. A script is code, so those are written here, from bytes that
//! were verified, and from nobody's folder. `alone.html` is one file, and reads a folder of anybody's that is picked.
//! Either recomputes everything, and shows nothing before that was done.

mod folder;
mod parts;

use std::path::Path;

use artifact::digest::Base64;
use artifact::key::PublicKey;
use artifact::{Digest, Moment};
use audit::checkpoint::SignedCheckpoint;
use audit::image_keys::InForce;
use serde::Serialize;

use crate::log;
use crate::report::Report;
use crate::trust::Trust;
use folder::Folder;

/// The page's code, in the order in which it is read: each uses what stands before it. `main.js` starts it.
const CODE: [&str; 14] = [
    include_str!("site/page/bytes.js"),
    include_str!("site/page/sha256.js"),
    include_str!("site/page/merkle.js"),
    include_str!("site/page/note.js"),
    include_str!("site/page/source.js"),
    include_str!("site/page/verify.js"),
    include_str!("site/page/fold.js"),
    include_str!("site/page/dom.js"),
    include_str!("site/page/chart.js"),
    include_str!("site/page/list.js"),
    include_str!("site/page/entry.js"),
    include_str!("site/page/story.js"),
    include_str!("site/page/health.js"),
    include_str!("site/page/main.js"),
];
const STYLE: &str = include_str!("site/page/page.css");
const PAGE: &str = include_str!("site/page/page.html");

/// What a page was made with; `MADE` in its code.
#[derive(Serialize)]
struct Made<'a> {
    program: &'static str,
    made: Moment,
    key: String,
    keys: Keys,
    /// What the log was when the page was made: it must still begin with that.
    since: &'a str,
    parts: u64,
    /// Whether the log is picked by whoever opens the page.
    picked: bool,
}

/// Keys by which a page says who signed what an entry carries.
#[derive(Serialize)]
struct Keys {
    image: Vec<ImageKey>,
    intake: Vec<Key>,
    comparers: Vec<Key>,
}

#[derive(Serialize)]
struct Key {
    kind: &'static str,
    spki: Base64,
}

/// An image key, and the entries that it counts for.
#[derive(Serialize)]
struct ImageKey {
    #[serde(flatten)]
    key: Key,
    from: u64,
    until: Option<u64>,
}

impl ImageKey {
    fn of(InForce { key, from, until }: InForce<'_>) -> Self {
        Self { key: Key::of(key), from, until }
    }
}

impl Key {
    fn of(key: &PublicKey) -> Self {
        let kind = if matches!(key, PublicKey::Ed25519(_)) { "Ed25519" } else { "P-256" };
        Self { kind, spki: Base64(key.to_der()) }
    }
}

/// Verifies a log, and makes a folder with the pages that show it. A log that does not verify makes none.
///
/// # Errors
/// An exit status and a text for a person: 2 for a file or a folder that was badly named, 3 for a disk that does not write.
pub fn make(log: &Path, trust: &Trust, since: Option<&Path>, out: &Path) -> Result<Report, (u8, String)> {
    let folder = Folder::named(out, log)?;
    // A page of yesterday must not be taken for one of today, whatever comes of this.
    folder.clear()?;
    let (mut report, checkpoint) = log::verified(log, trust, since).map_err(|e| (2, e))?;
    let Some(checkpoint) = checkpoint.filter(|_| report.verified) else { return Ok(report) };
    folder.prepare()?;
    // What is shown is what was verified, whatever became of the folder since: read again under the same checkpoint.
    match parts::write(log, &checkpoint, &folder)? {
        Err(e) => report.check("page", Err(format!("{e}: no page was made; the log may have grown: make it again"))),
        Ok(()) => {
            write_pages(trust, &checkpoint, &folder)?;
            let what = format!(
                "{}: index.html for its {} entries, alone.html for any folder",
                out.display(),
                checkpoint.size()
            );
            report.check("page", Ok(what));
            report
                .not_checked
                .push("how a browser shows it: the page recomputes the log, and says so itself".to_owned());
        }
    }
    report.conclude();
    Ok(report)
}

fn write_pages(trust: &Trust, checkpoint: &SignedCheckpoint, folder: &Folder<'_>) -> Result<(), (u8, String)> {
    let keys = || Keys {
        image: trust.image.all().map(ImageKey::of).collect(),
        intake: trust.intake.iter().map(Key::of).collect(),
        comparers: trust.comparers.iter().map(Key::of).collect(),
    };
    let made = |picked| Made {
        program: concat!("countersign-verify ", env!("CARGO_PKG_VERSION")),
        made: Moment::now(),
        key: trust.log.to_string(),
        keys: keys(),
        since: checkpoint.note(),
        parts: parts::count(checkpoint.size()),
        picked,
    };
    folder.put("page.css", STYLE)?;
    folder.put("page.js", &script(&made(false))?)?;
    folder.put("alone.html", &alone(&script(&made(true))?))?;
    // Last: before everything that it loads is there, there is no page.
    folder.put("index.html", &index())
}

/// The whole of a page's code. Nothing of it is seen from outside, but what takes the parts of a log.
fn script(made: &Made<'_>) -> Result<String, (u8, String)> {
    let made = serde_json::to_string(made).map_err(|e| (3, e.to_string()))?;
    // In a page it stands between tags, and a log's name may hold one.
    let made = made.replace('<', "\\u003c");
    Ok(format!("(() => {{\n\"use strict\";\nconst MADE = {made};\n{}\n}})();\n", CODE.join("\n")))
}

/// Nothing but what is listed is loaded, sent or run, and no text is ever read as markup.
fn policy(script: &str, style: &str, types: &str) -> String {
    format!(
        "default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types {types}"
    )
}

fn page(policy: &str, style: &str, script: &str) -> String {
    PAGE.replace("{{policy}}", policy).replace("{{style}}", style).replace("{{script}}", script)
}

/// Beside its code and the log's parts.
fn index() -> String {
    let policy = policy("'self'", "'self'", "countersign-parts");
    page(&policy, "<link rel=\"stylesheet\" href=\"page.css\">", "<script src=\"page.js\"></script>")
}

/// All in one file: the one script that may run in it is named by its hash, and no script can be made.
fn alone(script: &str) -> String {
    let policy = policy(&source_hash(script), &source_hash(STYLE), "'none'");
    page(&policy, &format!("<style>{STYLE}</style>"), &format!("<script>{script}</script>"))
}

fn source_hash(text: &str) -> String {
    let hash = Base64(Digest::of(text.as_bytes()).raw().to_vec());
    // A string in base64 needs no escapes.
    let quoted = serde_json::to_string(&hash).unwrap_or_default();
    format!("'sha256-{}'", quoted.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_markup_can_be_made_out_of_what_a_page_is_made_with() {
        let name = "a.example/</script><script>alert(1)</script><!--";
        let keys = Keys { image: vec![], intake: vec![], comparers: vec![] };
        let (program, made, key) = ("", Moment::now(), name.to_owned());
        let script = script(&Made { program, made, key, keys, since: name, parts: 0, picked: true }).unwrap();
        assert!(!script.contains("</script") && !script.contains("<!--"));
        assert_eq!(alone(&script).matches("</script>").count(), 1);
    }

    #[test]
    fn the_code_reads_no_markup_and_asks_nobody() {
        let code = CODE.concat();
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "Function(",
            "fetch(",
            "XMLHttp",
            "WebSocket",
            "Worker(",
            "import(",
            "http:",
            "https:",
            "localStorage",
            "cookie",
            "DOMParser",
            "setHTML",
        ] {
            // The names of SVG's elements and of a kind of statement are no addresses.
            let code =
                code.replace("http://www.w3.org/2000/svg", "").replace("https://sigstore.dev/cosign/sign/v1", "");
            assert!(!code.contains(word), "{word}");
        }
    }
}
