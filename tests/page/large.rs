//! A log of a hundred thousand entries: all of it is hashed and found, and a handful of rows is laid out.

use serde_json::json;

use super::browser::Browser;
use super::{Review, history};

/// Each writes eight entries, or four when it is refused: more than a hundred thousand in all.
const PROMOTIONS: usize = 14_000;

#[test]
fn a_hundred_thousand_entries_are_verified_filtered_and_scrolled_and_few_of_them_are_laid_out() {
    let (browser, forged) = (Browser::shared(), history::of(PROMOTIONS));
    let (size, review) = (forged.leaves.len(), Review::of(&forged));
    assert!(size > 100_000, "{size}");
    let steps = [
        json!(["evaluate", "performance.now()"]),
        json!(["visit", "#/entries"]),
        json!(["text", ".found"]),
        json!(["count", ".vbody [role=row]"]),
        json!([
            "evaluate",
            "(() => { const list = document.querySelector('.vscroll'); list.scrollTop = list.scrollHeight; })()"
        ]),
        json!(["pause", 200]),
        json!(["texts", ".vbody [role=row] a[href^='#/entry/']"]),
        json!(["count", "*"]),
        json!(["fill", "#f-q", history::commit(12_345)]),
        json!(["pause", 600]),
        json!(["text", ".found"]),
        json!([
            "evaluate",
            "(() => { const wanted = (q) => { history.replaceState(null, '', '#/entries'); }; const field = document.getElementById('f-q'); \
            const times = []; for (const text of ['d', 'di', 'div', 'diverged', 'bea', '']) { field.value = text; const t = performance.now(); \
            field.dispatchEvent(new Event('input', { bubbles: true })); times.push(performance.now() - t); } return times; })()"
        ]),
        json!(["click", "#nav a[href='#/']"]),
        json!(["wait", "svg.chart"]),
        json!(["count", "svg.chart rect"]),
    ];
    let visit = review.open(&browser, &steps);
    visit.calm(&review.address(""));
    let shown = |n: usize| {
        let digits = n.to_string();
        format!("{}\u{2009}{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..])
    };
    assert!(
        visit.settled().contains("Verified by this page") && visit.settled().contains(&shown(size)),
        "{}",
        visit.settled()
    );
    println!("{size} entries: from opening to this step {} ms", visit.answers[2]);
    assert_eq!(visit.text(4), format!("{0} entries of {0}", shown(size)));
    assert!(visit.answers[5].as_u64().unwrap() < 100, "{}", visit.answers[5]);
    let last = visit.answers[8].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last, json!(shown(size - 1)));
    assert!(visit.answers[9].as_u64().unwrap() < 2000, "{}", visit.answers[9]);
    assert_eq!(visit.text(12), format!("8 entries of {}", shown(size)));
    assert!(visit.answers[16].as_u64().unwrap() > 10, "the picture has columns");
}
