//! The page as people use it: with the keyboard, with a screen reader, in the dark, on a small screen, on paper; and views
//! that can be kept and gone back to.

use serde_json::{Value, json};

use super::browser::Browser;
use super::{Review, history};

/// Promotions of four projects, a quarter of them refused.
const PROMOTIONS: usize = 40;

#[test]
fn filters_hold_in_the_address_through_a_reload_and_back() {
    let (browser, review) = (Browser::shared(), Review::of(&history::of(PROMOTIONS)));
    let found = json!(["text", ".found"]);
    let rows = json!(["texts", ".vbody [role=row]"]);
    let settle = json!(["pause", 400]);
    let steps = [
        json!(["visit", "#/promotions"]),
        found.clone(),
        json!(["select", "#f-project", history::project(3)]),
        json!(["select", "#f-decision", "refused"]),
        json!(["fill", "#f-q", "job-missing"]),
        settle.clone(),
        found.clone(),
        json!(["url"]),
        json!(["reload"]),
        json!(["settled"]),
        settle.clone(),
        found.clone(),
        rows.clone(),
        json!(["evaluate", "['q', 'project', 'decision'].map((name) => document.getElementById(`f-${name}`).value)"]),
        json!(["click", ".vbody a"]),
        json!(["wait", ".timeline"]),
        json!(["back"]),
        json!(["wait", ".found"]),
        settle.clone(),
        found.clone(),
        json!(["click", "button[type=reset]"]),
        settle,
        found,
    ];
    let visit = review.open(&browser, &steps);
    visit.calm(&review.address(""));
    let all = format!("{PROMOTIONS} promotions of {PROMOTIONS}");
    assert_eq!(visit.text(3), all);
    assert_eq!(
        (visit.text(8), visit.text(13), visit.text(21)),
        ("5 promotions of 40", "5 promotions of 40", "5 promotions of 40")
    );
    assert!(visit.text(9).ends_with("#/promotions?q=job-missing&project=web&decision=refused"), "{}", visit.text(9));
    assert_eq!(visit.answers[15], json!(["job-missing", "web", "refused"]));
    let rows = visit.answers[14].as_array().unwrap();
    assert!(rows.len() == 5 && rows.iter().all(|row| row.as_str().unwrap().contains("job-missing")), "{rows:?}");
    assert_eq!(visit.text(24), all);
}

#[test]
fn every_filter_finds_what_it_names_and_nothing_else() {
    let (browser, forged) = (Browser::shared(), history::of(PROMOTIONS));
    let review = Review::of(&forged);
    let digest = artifact::Digest::of(b"image 8");
    let by = |person: &str| (0..PROMOTIONS).filter(|n| history::person(*n) == person).count();
    let cases = [
        (format!("#/promotions?q={}", history::commit(5)), "1 promotion of 40".to_owned()),
        (format!("#/promotions?q={}", &history::commit(5)[..10]), "1 promotion of 40".to_owned()),
        (format!("#/promotions?q={digest}"), "1 promotion of 40".to_owned()),
        (format!("#/promotions?q={}", digest.hex()), "1 promotion of 40".to_owned()),
        ("#/promotions?person=bea@example.org".to_owned(), format!("{} promotions of 40", by("bea@example.org"))),
        ("#/promotions?q=bea@example".to_owned(), format!("{} promotions of 40", by("bea@example.org"))),
        ("#/promotions?decision=released".to_owned(), "30 promotions of 40".to_owned()),
        ("#/promotions?decision=open".to_owned(), "0 promotions of 40".to_owned()),
        ("#/promotions?project=gateway".to_owned(), "10 promotions of 40".to_owned()),
        ("#/promotions?lane=public&q=diverged".to_owned(), "10 promotions of 40".to_owned()),
        ("#/promotions?lane=embargo".to_owned(), "0 promotions of 40".to_owned()),
        ("#/entries?kind=refusal".to_owned(), "10 entries of 290".to_owned()),
        ("#/entries?kind=failed&project=ledger-api".to_owned(), "10 entries of 290".to_owned()),
        (format!("#/entries?q={}", history::commit(5)), "8 entries of 290".to_owned()),
        ("#/entries?kind=no-such".to_owned(), "0 entries of 290".to_owned()),
        // They began on the second of February of 2026, and an hour apart.
        ("#/promotions?from=2026-02-03&to=2026-02-03".to_owned(), "19 promotions of 40".to_owned()),
        ("#/promotions?from=2026-02-05".to_owned(), "0 promotions of 40".to_owned()),
        ("#/promotions?from=nonsense".to_owned(), "40 promotions of 40".to_owned()),
    ];
    let mut steps = Vec::new();
    for (route, _) in &cases {
        steps.extend([json!(["visit", "#/health"]), json!(["visit", route]), json!(["text", ".found"])]);
    }
    let visit = review.open(&browser, &steps);
    assert_eq!(forged.leaves.len(), 290);
    for (n, (route, expected)) in cases.iter().enumerate() {
        assert_eq!(visit.text(2 + 3 * n + 2), expected, "{route}");
    }
}

#[test]
fn all_of_it_is_reached_with_the_keyboard() {
    let (browser, review) = (Browser::shared(), Review::of(&history::of(PROMOTIONS)));
    let (tab, focus) = (json!(["press", "Tab"]), json!(["focus"]));
    let mut steps = vec![];
    // From the top: the way past, the name, the views.
    for _ in 0..4 {
        steps.extend([tab.clone(), focus.clone()]);
    }
    // To the promotions, by Enter; the heading has the focus then.
    steps.extend([json!(["press", "Enter"]), json!(["wait", ".vbody a"]), json!(["pause", 300]), focus.clone()]);
    // Through the filters, where a date has four fields, to the list, and down in it.
    for _ in 0..15 {
        steps.extend([tab.clone(), focus.clone()]);
    }
    for key in ["ArrowDown", "ArrowDown", "End", "Home", "PageDown"] {
        steps.extend([json!(["press", key]), json!(["pause", 100]), focus.clone()]);
    }
    steps.extend([json!(["press", "Enter"]), json!(["wait", ".timeline"]), json!(["pause", 300]), focus]);
    let visit = review.open(&browser, &steps);
    let at = |n: usize| {
        visit.answers[n]
            .as_array()
            .map(|a| (a[0].as_str().unwrap().to_owned(), a[2].as_str().unwrap().to_owned()))
            .unwrap()
    };
    let walk: Vec<_> = (0..4).map(|n| at(3 + 2 * n).1).collect();
    assert_eq!(walk, ["Skip to the content", "Countersign log", "Overview", "Promotions"], "{visit:?}");
    assert_eq!(at(13), ("h1".to_owned(), "Promotions".to_owned()));
    let filters: Vec<_> = (0..15).map(|n| at(15 + 2 * n)).collect();
    let kinds: Vec<_> = filters.iter().map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(&kinds[..5], ["input", "select", "select", "select", "select"], "{filters:?}");
    assert_eq!(
        (kinds[13], filters[14].0.as_str(), filters[14].1.as_str()),
        ("button", "div", "Promotions"),
        "{filters:?}"
    );
    let down: Vec<_> = (0..5).map(|n| at(46 + 3 * n)).collect();
    assert!(down.iter().all(|(tag, _)| tag == "a"), "each row has a link: {down:?}");
    let first = history::project(PROMOTIONS - 1);
    assert!(
        down[3].1.starts_with(first) && down[2].1.starts_with(history::project(0)) && down[3] != down[4],
        "{down:?}"
    );
    assert_eq!(visit.answers.last().unwrap()[0], "h1");
}

/// What axe finds in each view, light and dark, wide and narrow.
#[test]
fn axe_finds_nothing_serious_in_light_in_dark_and_on_a_small_screen() {
    let (browser, review) = (Browser::shared(), Review::of(&history::of(PROMOTIONS)));
    let routes = ["#/", "#/promotions", "#/entries", "#/health", "#/entry/9", "#/entry/8"];
    let mut steps: Vec<Value> = Vec::new();
    for route in routes {
        steps.extend([json!(["visit", route]), json!(["pause", 200]), json!(["axe"])]);
    }
    for n in [0, 2, 3] {
        let id = artifact::Digest::of(format!("promotion {n}").as_bytes()).hex();
        steps.extend([
            json!(["visit", format!("#/promotion/{}", &id[..12])]),
            json!(["wait", ".timeline"]),
            json!(["axe"]),
        ]);
    }
    let contexts = [
        json!({"colorScheme": "light"}),
        json!({"colorScheme": "dark"}),
        json!({"colorScheme": "dark", "viewport": {"width": 360, "height": 740}}),
    ];
    for context in contexts {
        let visit = review.open_as(&browser, context.clone(), &steps);
        let looked: Vec<_> = visit.answers.iter().filter(|answer| answer["rules"].is_number()).collect();
        assert_eq!(looked.len(), routes.len() + 3);
        for (n, answer) in looked.iter().enumerate() {
            assert!(answer["rules"].as_u64().unwrap() > 15, "axe looked at little: {answer}");
            assert_eq!(answer["found"], json!([]), "{context}, view {n}");
        }
    }
    // Before anything was picked, and when all is red.
    let alone = [json!(["goto", review.address("alone.html")]), json!(["axe"])];
    assert_eq!(browser.visit(json!({"colorScheme": "dark"}), &alone).answers[1]["found"], json!([]));
    std::fs::write(review.site.join("data/0.js"), "").unwrap();
    for scheme in ["light", "dark"] {
        let broken = review.open_as(&browser, json!({"colorScheme": scheme}), &[json!(["axe"])]);
        assert!(broken.settled().contains("Does NOT verify"));
        assert_eq!(broken.answers[2]["found"], json!([]), "{scheme}");
    }
}

#[test]
fn nothing_is_wider_than_a_small_screen_and_on_paper_there_are_no_controls() {
    let (browser, review) = (Browser::shared(), Review::of(&history::of(PROMOTIONS)));
    let wider = json!(["evaluate", "document.documentElement.scrollWidth - document.documentElement.clientWidth"]);
    let story = format!("#/promotion/{}", &artifact::Digest::of(b"promotion 3").hex()[..12]);
    let mut steps = Vec::new();
    for route in ["#/", "#/promotions", "#/entries", "#/health", "#/entry/9", &story] {
        steps.extend([json!(["visit", route]), json!(["pause", 200]), wider.clone()]);
    }
    let narrow = review.open_as(&browser, json!({"viewport": {"width": 360, "height": 740}}), &steps);
    for n in 0..6 {
        assert_eq!(narrow.answers[2 + 3 * n + 2], json!(0), "view {n}");
    }
    let shown = |what: &str| json!(["shown", what]);
    let paper = [
        json!(["media", "print"]),
        json!(["visit", "#/health"]),
        shown("#nav"),
        shown("form.kept"),
        shown("#state"),
        json!(["text", "#main"]),
        json!(["visit", "#/promotions"]),
        shown("form.filters"),
        shown(".vscroll"),
        shown(".printnote"),
        json!(["visit", story]),
        json!(["wait", ".timeline"]),
        shown(".crumb"),
        shown(".timeline"),
        json!(["text", "#main"]),
    ];
    let paper = review.open(&browser, &paper);
    let seen = |n: usize| paper.answers[n].as_bool().unwrap();
    assert!(!seen(4) && !seen(5) && seen(6), "{paper:?}");
    assert!(paper.text(7).contains("What was not checked") && paper.text(7).contains("forged.example/log"));
    assert!(!seen(9) && !seen(10) && seen(11), "{paper:?}");
    assert!(!seen(14) && seen(15) && paper.text(16).contains("Why it was refused"), "{paper:?}");
}
