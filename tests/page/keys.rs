//! Image keys on the page: each counts for the entries of its time.

use artifact::key::P256Key;
use audit::entry::Body;
use audit::image_keys::ImageKeys;
use serde_json::json;

use super::Review;
use super::browser::Browser;
use crate::corruption::scene::Promoted;

#[test]
fn the_page_says_which_image_key_was_in_force_and_takes_no_signature_from_after_its_time() {
    let (browser, promoted) = (Browser::shared(), Promoted::shared());
    let entries = promoted.entries();
    let signatures: Vec<u64> =
        entries.iter().filter(|e| matches!(e.body(), Some(Body::Signature(_)))).map(|e| e.index).collect();
    let (first, last) = (signatures[0], *signatures.last().unwrap());
    let rotated = promoted.trust.image.rotated(P256Key::generate().unwrap().public(), last).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.toml");
    let good = std::fs::read_to_string(&promoted.trust_file).unwrap();
    std::fs::write(&path, good.replace(&promoted.trust.image.to_string(), &rotated.to_string())).unwrap();
    let review = Review::copied(&promoted.today, &path);
    let mut steps = Vec::new();
    for index in [first, last] {
        steps.push(json!(["visit", format!("#/entry/{index}")]));
        steps.push(json!(["wait", format!("text=Entry {index}")]));
        steps.push(json!(["texts", ".check"]));
    }
    let visit = review.open(&browser, &steps);
    visit.calm(&review.address(""));
    let counted = visit.answers[4].to_string();
    let text = format!("signed with the image key that is in force for entries 0 to {}", last - 1);
    assert!(counted.contains(&text), "{counted}");
    let late = visit.answers[7].to_string();
    assert!(late.contains("NOT signed with the image key that is in force"), "{late}");
}

#[test]
fn a_page_with_one_image_key_says_no_more_than_that() {
    let promoted = Promoted::shared();
    assert_eq!(promoted.trust.image, ImageKeys::from(promoted.trust.image.current().clone()));
    let review = Review::copied(&promoted.today, &promoted.trust_file);
    let script = std::fs::read_to_string(review.site.join("page.js")).unwrap();
    assert!(script.contains(r#""from":0,"until":null"#), "{}", &script[..400]);
}
