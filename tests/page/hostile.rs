//! A log whose every text is hostile: markup, scripts, escapes, characters that reorder a line. All of it is text on the
//! page, nothing of it runs, and what can't be seen is shown with its number.

use serde_json::{Value, json};

use super::Review;
use super::browser::Browser;
use crate::corruption::forged::Forged;

const MARKUP: &str = "<img src=x onerror=alert(1)>";
const SCRIPT: &str = "</script><script>alert(2)</script>";
const STYLE: &str = "\"><style>*{display:none}</style><base href=//evil.example>";
const UNSEEN: &str = "a\u{202e}b\u{1b}[2Jc\u{200b}d\u{2066}e\rf\u{7f}g";
const LINK: &str = "javascript:alert(3)";

/// Writes a body as whoever has the log's key could.
fn say(forged: &mut Forged, kind: u8, body: &Value) {
    let salt = [forged.leaves.len() as u8; 32];
    forged.body(kind, salt, &artifact::json::canonical("entry", body).unwrap());
}

/// A history that says hostile things in every place that has room for a text.
fn hostile() -> Forged {
    let mut forged = Forged::new();
    let all = format!("{MARKUP} {SCRIPT} {STYLE} {UNSEEN} {LINK}");
    let (at, id) = ("2026-11-23T10:00:00Z", format!("sha256:{}{MARKUP}", "a".repeat(8)));
    say(
        &mut forged,
        1,
        &json!({"kind": "opened", "promotion": id, "lane": SCRIPT, "trial": true, "project": all, "commit": MARKUP,
        "candidate": all, "evidence": all, "rules": all, "at": at}),
    );
    let predicate = json!({"branch": all, "position": SCRIPT, "commitSignature": {"principal": all}, "results": [{"run": all, "result": MARKUP,
        "passed": [all], "failed": [SCRIPT], "finished": all}], "unusable": [all], "bases": [all], "source": LINK});
    let inner = |value: &Value| artifact::digest::Base64(value.to_string().into_bytes());
    let envelope = inner(
        &json!({"payload": inner(&json!({"predicate": predicate})), "payloadType": all, "signatures": [{"sig": "AA=="}]}),
    );
    say(
        &mut forged,
        2,
        &json!({"kind": "facts", "promotion": id, "envelope": envelope, "commitObject": all, "results": [all], "dossier": all, "at": at}),
    );
    let difference = json!([{"path": all, "kind": MARKUP, "rebuild": SCRIPT, "candidate": STYLE}]);
    say(
        &mut forged,
        5,
        &json!({"kind": "refusal", "promotion": id, "reasons": [{"code": all, "message": format!("{all}\n{all}")}],
        "differences": difference, "differencesTotal": 1, "runDifferences": difference, "runDifferencesTotal": 9, "rules": all, "at": at}),
    );
    say(
        &mut forged,
        6,
        &json!({"kind": "failed", "promotion": id, "failure": {"code": all, "message": all, "retry": all}, "at": at}),
    );
    // Nothing that a type would let pass: numbers, lists and objects where texts belong, and names that JavaScript knows.
    say(
        &mut forged,
        10,
        &json!({"kind": "release", "promotion": id, "digest": {"__proto__": {"polluted": 1}}, "repository": [], "tags": 7,
        "constructor": {"prototype": {"polluted": 1}}, "permit": MARKUP, "at": at}),
    );
    say(&mut forged, 11, &json!({"kind": "posture", "hellos": [{MARKUP: SCRIPT}], "at": at}));
    say(&mut forged, 12, &json!({"kind": "halted", "failure": null, "at": 7}));
    say(&mut forged, 11, &json!({"kind": "posture", (SCRIPT): all, "principal": all}));
    forged
}

#[test]
fn hostile_texts_are_texts_and_nothing_of_them_runs() {
    let (browser, forged) = (Browser::shared(), hostile());
    let review = Review::of(&Forged::new());
    let folder = tempfile::tempdir().unwrap();
    forged.write(folder.path());
    // The name of a file is a text as well.
    std::fs::write(folder.path().join("<img src=x onerror=alert(4)>\u{202e}"), "x").unwrap();
    let mut steps = Vec::new();
    for route in ["#/", "#/promotions", "#/entries", "#/health", "#/promotion/aaaaaaaa"] {
        steps.push(json!(["visit", route]));
        steps.push(json!(["pause", 200]));
        steps.push(json!(["text", "body"]));
    }
    for n in 0..forged.leaves.len() {
        steps.push(json!(["visit", format!("#/entry/{n}")]));
    }
    for query in [MARKUP, SCRIPT, UNSEEN, LINK, "%E0%A4%A"] {
        let query: String = query.bytes().map(|b| format!("%{b:02x}")).collect();
        steps.push(json!(["visit", format!("#/promotions?q={query}&project={query}&decision={query}&from={query}")]));
        steps.push(json!(["visit", format!("#/{query}/{query}?{query}")]));
    }
    steps.push(json!([
        "evaluate",
        "[...document.querySelectorAll('main img, main script, main style, base, main iframe')].length"
    ]));
    steps.push(json!([
        "evaluate",
        "[...document.querySelectorAll('a')].filter((a) => !a.getAttribute('href').startsWith('#')).length"
    ]));
    steps.push(json!(["evaluate", "({}).polluted === undefined"]));
    let visit = review.pick(&browser, folder.path(), &steps);
    visit.calm(&review.address(""));
    assert!(visit.settled().contains("Verified by this page"), "{}", visit.settled());
    let [.., elements, links, clean] = &visit.answers[..] else { panic!() };
    assert_eq!((elements, links, clean), (&json!(0), &json!(0), &json!(true)));
    for (n, view) in [(0, "overview"), (1, "promotions"), (3, "health"), (4, "story")] {
        let text = visit.text(3 + 3 * n + 2);
        let unseen = ['\u{202e}', '\u{1b}', '\u{200b}', '\u{2066}', '\u{7f}'];
        assert!(!text.contains(unseen), "{view}: {text:?}");
        assert!(text.contains("\\u{202e}"), "{view}: {text:?}");
        assert!(text.contains("onerror=alert"), "{view}: {text:?}");
    }
    let story = visit.text(3 + 3 * 4 + 2);
    for word in
        ["</script><script>alert(2)</script>", "\\u{1b}[2Jc\\u{200b}d\\u{2066}e\\u{d}f\\u{7f}g", "javascript:alert(3)"]
    {
        assert!(story.contains(word), "{word}: {story}");
    }
}

#[test]
fn the_policy_stops_a_script_that_gets_in_all_the_same() {
    let (browser, review) = (Browser::shared(), Review::of(&Forged::of(3)));
    // Each way in, by itself: what the browser makes of it.
    let ways = "(() => { const put = (node) => document.body.append(node), make = (name) => document.createElement(name); return [
        () => { const i = make('img'); i.setAttribute('onerror', 'alert(5)'); i.src = 'x:y'; put(i); },
        () => { const s = make('script'); s.textContent = 'alert(6)'; put(s); },
        () => { const s = make('script'); s.src = 'https://evil.example/x.js'; put(s); },
        () => document.body.insertAdjacentHTML('beforeend', '<b onclick=alert(7)>x</b>'),
        () => { document.body.innerHTML = '<iframe srcdoc=x></iframe>'; },
        () => setTimeout('alert(8)'),
        () => { const i = make('img'); i.src = 'https://evil.example/x.png'; put(i); return 'policy'; },
        () => { const l = make('link'); l.rel = 'stylesheet'; l.href = 'https://evil.example/x.css'; put(l); return 'policy'; },
        () => { const f = make('iframe'); f.src = 'https://evil.example/'; put(f); return 'policy'; },
    ].map((way) => { try { return way() ?? 'taken'; } catch { return 'refused'; } }).join(' '); })()";
    for page in ["index.html", "alone.html"] {
        let steps = [json!(["goto", review.address(page)]), json!(["evaluate", ways]), json!(["pause", 300])];
        let visit = browser.visit(json!({}), &steps);
        assert_eq!(
            visit.answers[1],
            json!("refused refused refused refused refused refused policy policy policy"),
            "{page}"
        );
        assert!(visit.ran.is_empty(), "{page}: {:?}", visit.ran);
        let forbidden = visit.complaints.iter().filter(|text| text.contains("Content Security Policy")).count();
        assert!(forbidden >= 3, "{page}: {:?}", visit.complaints);
    }
}

#[test]
fn a_body_that_is_no_json_of_one_spelling_or_nested_without_end_is_refused() {
    let (browser, review, folder) = (Browser::shared(), Review::of(&Forged::new()), tempfile::tempdir().unwrap());
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let bodies = [
        (r#"{"kind":"halted", "at":1}"#.to_owned(), "spaces"),
        (r#"{"kind":"halted","at":1}"#.to_owned(), "another order"),
        (r#"{"at":1,"at":2,"kind":"halted"}"#.to_owned(), "a name twice"),
        (r#"{"at":1,"kind":"opened"}"#.to_owned(), "another kind"),
        (r#"["halted"]"#.to_owned(), "a list"),
        ("null".to_owned(), "nothing"),
        (format!(r#"{{"a":{deep},"kind":"halted"}}"#), "deep"),
        (String::new(), "empty"),
    ];
    for (body, what) in bodies {
        let mut forged = Forged::of(1);
        forged.body(12, [1; 32], body.as_bytes());
        let to = folder.path().join(what);
        forged.write(&to);
        super::red(&review.pick(&browser, &to, &super::look()), &["entry 1: "], what);
    }
    for (leaf, what) in [
        (&[9_u8, 2][..], "a version"),
        (&[99, 1], "a kind"),
        (&[1, 1, 7], "cut"),
        (b"{}", "no leaf of Rekor's"),
        (b"", "nothing"),
    ] {
        let mut forged = Forged::of(1);
        forged.leaves.push(leaf.to_vec());
        let to = folder.path().join(format!("leaf {what}"));
        forged.write(&to);
        super::red(&review.pick(&browser, &to, &super::look()), &["entry 1: "], what);
    }
}
