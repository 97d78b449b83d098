//! What the page shows of a real log, from a file and from a static host.

use serde_json::json;

use super::Review;
use super::browser::Browser;
use super::serve::serve;
use crate::corruption::scene::Promoted;

#[test]
fn a_real_log_is_verified_from_a_file_and_its_stories_are_told() {
    let (browser, promoted) = (Browser::shared(), Promoted::shared());
    let review = Review::copied(&promoted.today, &promoted.trust_file);
    let visit = review.open(
        &browser,
        &[
            json!(["text", "#main"]),
            json!(["visit", "#/promotions"]),
            json!(["texts", ".vbody [role=row]"]),
            json!(["visit", "#/health"]),
            json!(["text", "#main"]),
            json!(["click", "#nav a[href='#/promotions']"]),
            json!(["wait", ".vbody a"]),
            json!(["click", ".vbody a"]),
            json!(["wait", ".timeline"]),
            json!(["text", "#main"]),
            json!(["texts", ".check.ok"]),
            json!(["count", ".check.bad, .check.not"]),
        ],
    );
    visit.calm(&review.address(""));
    let (size, log) = (read(&promoted).0, read(&promoted).1);
    let said = visit.settled();
    assert!(said.contains("Verified by this page") && said.contains(&format!("{size} entries")), "{said}");
    // Where it says that, it says what that is worth, and who made it.
    for word in [
        "A page proves nothing by itself",
        "countersign-verify 0.",
        promoted.trust.log.name(),
        "If you did not make it yourself",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(visit.text(2).contains("Promotions over time"), "{}", visit.text(2));
    let rows = visit.answers[4].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let health = visit.text(6);
    for word in ["What was checked", "What was not checked", "newer checkpoint", &log, "Time never goes backwards"] {
        assert!(health.contains(word), "{word}: {health}");
    }
    let story = visit.text(11);
    let image = promoted.released[1].to_string();
    for word in [
        image.as_str(),
        "Evidence",
        "Rebuild, provenance and differences",
        "Permit",
        "Release",
        "bit-for-bit",
        "PASSED",
        "latest",
    ] {
        assert!(story.contains(word), "{word}: {story}");
    }
    let checks: Vec<_> = visit.answers[12].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let has = |word: &str| checks.iter().any(|check| check.contains(word));
    assert!(
        has("signed with intake's key") && has("signed with a comparer's key") && has("signed with the image key"),
        "{checks:?}"
    );
    assert!(has("The image key signed that this image may be named so"), "{checks:?}");
    assert_eq!(visit.answers[13], json!(0), "nothing in an honest story is unsigned");
}

/// The size of the log, and its root as it is spelled.
fn read(promoted: &Promoted) -> (u64, String) {
    let verified = audit::verify::whole(&promoted.today, &promoted.trust.log, None).unwrap();
    (verified.size, verified.root.to_string())
}

#[test]
fn every_entry_shows_its_body_and_a_proof() {
    let (browser, promoted) = (Browser::shared(), Promoted::shared());
    let review = Review::copied(&promoted.today, &promoted.trust_file);
    let (_, entries) = audit::reader::Log::open(&promoted.today, &promoted.trust.log).unwrap();
    let mut steps = Vec::new();
    for entry in &entries {
        steps.extend([
            json!(["visit", format!("#/entry/{}", entry.index)]),
            json!(["wait", format!("text=Entry {}", entry.index)]),
            json!(["text", "#main"]),
        ]);
    }
    steps.extend([
        json!(["visit", format!("#/entry/{}", entries.len())]),
        json!(["wait", "text=No such entry"]),
        json!(["visit", "#/entry/-1"]),
    ]);
    steps.push(json!(["text", "#main"]));
    let visit = review.open(&browser, &steps);
    visit.calm(&review.address(""));
    for (n, entry) in entries.iter().enumerate() {
        let shown = visit.text(2 + 3 * n + 2);
        assert!(shown.contains("from this entry to the root"), "{n}: {shown}");
        assert!(
            shown.contains(&artifact::digest::hex(&entry.leaf()[..34.min(entry.leaf().len())])[..60]),
            "{n}: {shown}"
        );
        if let audit::reader::Content::Ours { bytes, .. } = &entry.content {
            assert!(shown.contains("those that the entry commits to"), "{n}: {shown}");
            let raw = String::from_utf8(bytes.clone()).unwrap();
            assert!(shown.contains(raw.trim()), "{n}: {raw} is not in {shown}");
        }
    }
    assert!(visit.answers.last().unwrap().as_str().unwrap().contains("No such entry"));
}

#[test]
fn a_static_host_will_do_and_without_a_secure_context_the_page_says_that_no_signature_was_checked() {
    let (browser, promoted) = (Browser::shared(), Promoted::shared());
    let review = Review::copied(&promoted.today, &promoted.trust_file);
    let port = serve(&review.site);
    let visit = |host: &str, more: &[serde_json::Value]| {
        let address = format!("http://{host}:{port}/index.html");
        let steps = [&[json!(["goto", address]), json!(["settled"])], more].concat();
        let visit = browser.visit(json!({}), &steps);
        visit.calm(&format!("http://{host}:{port}/"));
        visit
    };
    assert!(visit("127.0.0.1", &[]).settled().contains("Verified by this page"));
    let plain = visit(
        "page.example",
        &[
            json!(["visit", "#/health"]),
            json!(["text", "#main"]),
            json!(["visit", "#/promotions"]),
            json!(["click", ".vbody a"]),
            json!(["wait", ".timeline"]),
            json!(["texts", ".check"]),
        ],
    );
    let said = plain.settled();
    assert!(said.contains("Signatures were NOT checked") && !said.contains("Verified"), "{said}");
    assert!(plain.text(3).contains("NOT CHECKED") && plain.text(3).contains("SIGNATURES"), "{}", plain.text(3));
    let checks = plain.answers[7].to_string();
    assert!(checks.contains("signature not checked") && !checks.contains("signed with"), "{checks}");
    // It hashes all the same.
    let part = review.site.join("data/0.js");
    let text = std::fs::read_to_string(&part).unwrap();
    let at = text.find("tile/0/").unwrap() + 24;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    std::fs::write(&part, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    let changed = visit("page.example", &super::look());
    super::red(&changed, &["entry 0 is not the one that tile/0/"], "a byte, over plain http");
}
