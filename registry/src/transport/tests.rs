//! Registries that are busy, slow, cut short or something else than a registry.

use artifact::failure::Retry;

use super::*;
use crate::testkit::{Peer, Script, certificates, hosts, local};

#[test]
fn only_the_configured_authority_counts() {
    let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(ours.path());
    certificates(other.path());
    let file = |name: &str| ours.path().join(name);
    let tls = format!("  tls: {{certificate: {:?}, key: {:?}}}\n", file("server.pem"), file("key.pem"));
    let peer = Peer::start_with(&tls, "");
    let repository = peer.repository("a");
    let pinned = |folder: &std::path::Path| peer.client_with(&format!("ca = {:?}", folder.join("ca.pem")));
    local(async {
        pinned(ours.path()).push_bytes(&repository, b"x").await.unwrap();
        for client in [pinned(other.path()), peer.client_with("")] {
            let error = client.manifest(&repository, "x").await.unwrap_err();
            assert!(error.to_string().contains("certificate"), "{error}");
            assert_eq!(error.retry(), Retry::Later);
        }
    });
    // By the name in the certificate, and by no other.
    let named: Repository = repository.as_str().replace("127.0.0.1", "localhost").parse().unwrap();
    let ca = format!("[registry.\"{}\"]\nca = {:?}", named.registry(), file("ca.pem"));
    local(crate::Client::new(&hosts(&ca)).unwrap().manifest(&named, "x")).unwrap();
}

#[test]
fn a_registry_that_stays_silent_is_not_waited_for_for_ever() {
    let request = |volume| Request {
        place: "r.example/x",
        tried: "trying",
        method: Method::GET,
        url: Url::parse("http://r.example/").unwrap(),
        headers: HeaderMap::new(),
        payload: Payload::Nothing,
        scope: String::new(),
        volume,
        repeatable: true,
    };
    let deadline = |volume| request(volume).deadline(Duration::from_secs(60)).as_secs();
    assert_eq!((deadline(0), deadline(1 << 30)), (60, 60 + (1 << 14)));
}

#[test]
fn an_error_without_words_says_its_status() {
    let peer = Script::start(&["HTTP/1.1 500 Internal Server Error\r\ncontent-length: 6\r\n\r\n<html>"]);
    let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
    assert!(error.to_string().ends_with("HTTP status 500; try again later"), "{error}");
}

const NONE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

fn busy(status: u16, retry_after: &str) -> String {
    let line = if retry_after.is_empty() { String::new() } else { format!("retry-after: {retry_after}\r\n") };
    format!("HTTP/1.1 {status} Busy\r\n{line}content-length: 0\r\n\r\n")
}

fn date(at: Moment) -> String {
    let text = at.to_string();
    let (year, rest) = text.split_once('-').unwrap();
    let (month, rest) = rest.split_once('-').unwrap();
    let (day, time) = rest.trim_end_matches('Z').split_once('T').unwrap();
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!("Mon, {day} {} {year} {time} GMT", months[month.parse::<usize>().unwrap() - 1])
}

#[test]
fn a_busy_registry_is_left_alone_as_long_as_it_asks_in_seconds_or_by_a_date() {
    for asks in ["1".to_owned(), date(Moment::now().plus_seconds(3))] {
        let start = std::time::Instant::now();
        let peer = Script::start(&[&busy(429, &asks), NONE]);
        assert_eq!(local(peer.client().manifest(&peer.repository(), "x")).unwrap(), None, "{asks}");
        assert!(start.elapsed() >= Duration::from_secs(1), "{asks}");
        assert_eq!(peer.heard().len(), 2);
    }
}

#[test]
fn a_registry_that_asks_for_more_than_the_budget_is_not_asked_again_and_says_when() {
    let peer = Script::start(&[&busy(503, "3600"), NONE]);
    let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
    assert!(matches!(error.fault(), Fault::Busy { status: 503, seconds: 3600 }), "{error}");
    assert_eq!((error.retry(), peer.heard().len()), (Retry::Later, 1));
    // The budget is for all requests together.
    let peer = Script::start(&[&busy(429, "1"), NONE, &busy(429, "1"), NONE]);
    let client = peer.client_with(crate::Patience { waiting: Duration::from_millis(1500), ..crate::testkit::QUICK });
    local(client.manifest(&peer.repository(), "x")).unwrap();
    let error = local(client.manifest(&peer.repository(), "x")).unwrap_err();
    assert!(matches!(error.fault(), Fault::Busy { .. }), "{error}");
}

#[test]
fn a_registry_that_is_busy_for_good_is_asked_so_often_and_no_more() {
    for (status, asks) in [(429, ""), (502, ""), (503, ""), (503, "0"), (504, "")] {
        let peer = Script::start(&[busy(status, asks).as_str(); 10]);
        let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
        assert_eq!((error.retry(), peer.heard().len()), (Retry::Later, TRIES as usize), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[test]
fn a_connection_that_fails_is_tried_again_for_what_may_be_repeated() {
    let peer = Script::start(&["", "HTTP/1.1 20", "HTTP/1.1 404 Not Fo\r\n", NONE]);
    assert_eq!(local(peer.client().manifest(&peer.repository(), "x")).unwrap(), None);
    assert_eq!(peer.heard().len(), 4);
    let peer = Script::start(&[""; 10]);
    let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
    assert!(matches!(error.fault(), Fault::Unreachable(_)), "{error}");
    assert_eq!(peer.heard().len(), TRIES as usize);
}

#[test]
fn an_answer_that_drips_byte_by_byte_ends_with_the_deadline() {
    let long = format!("HTTP/1.1 200 OK\r\nx-{}: y\r\ncontent-length: 2\r\n\r\n{{}}", "x".repeat(4000));
    let body = format!("HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n{{{}}}", " ".repeat(3998));
    let patience = crate::Patience { answer: Duration::from_secs(1), ..crate::testkit::QUICK };
    for answer in [long, body] {
        // Never silent for long, and minutes in all.
        let peer = Script::dripping(&answer, Duration::from_millis(20));
        let blob = artifact::oci::Descriptor::new("x", artifact::Digest::of(b"x"), 4000);
        let error = local(peer.client_with(patience).blob(&peer.repository(), &blob, 4000)).unwrap_err();
        assert!(matches!(error.fault(), Fault::TimedOut), "{error}");
        assert_eq!((error.retry(), peer.heard().len()), (Retry::Later, 1));
    }
}

#[test]
fn an_answer_that_is_cut_short_is_no_answer() {
    let whole = r#"{"schemaVersion":2}"#;
    let cut = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{whole}", whole.len() + 1);
    let chunked = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n13\r\n{whole}\r\n");
    for answer in [cut, chunked] {
        let peer = Script::start(&[&answer]);
        let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
        assert!(matches!(error.fault(), Fault::Unreachable(_)), "{error}");
    }
}

#[test]
fn an_answer_in_an_encoding_nobody_asked_for_is_refused() {
    let peer = Script::start(&["HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"]);
    let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
    assert!(error.to_string().contains("encoding"), "{error}");
    assert!(peer.heard()[0].contains("accept-encoding: identity"), "{:?}", peer.heard());
}

#[test]
fn a_page_for_people_is_no_manifest_no_list_and_no_success() {
    let page = "<!DOCTYPE html><title>Log in</title>";
    let page = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    let peer = Script::start(&[&page; 5].map(String::as_str));
    let (client, repository) = (peer.client(), peer.repository());
    local(async {
        let error = client.manifest(&repository, "x").await.unwrap_err();
        assert!(error.to_string().contains("no JSON object"), "{error}");
        client.tags(&repository).await.unwrap_err();
        client.referrers(&repository, &artifact::Digest::of(b"x")).await.unwrap_err();
        let error = client.push_manifest(&repository, "x", "text/x", b"{}").await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Status { status: 200, .. }), "{error}");
        // Its length is the page's.
        let error = client.push_bytes(&repository, b"x").await.unwrap_err();
        assert!(error.to_string().contains("another size"), "{error}");
    });
}
