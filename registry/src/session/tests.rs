//! Uploads over lines that break, and by registries with ways of their own.

use super::*;
use crate::testkit::{Peer, QUICK, Script, breaking_line, hosts, local};
use artifact::layout::Layout;

const MISSING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
const THERE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
const CUT: &str = "";

/// An answer that the upload stands at so many bytes, and goes on at `/up/PLACE`.
fn at(status: u16, place: &str, bytes: u64) -> String {
    let range = if bytes == 0 { String::new() } else { format!("range: 0-{}\r\n", bytes - 1) };
    format!("HTTP/1.1 {status} X\r\nlocation: /up/{place}\r\n{range}content-length: 0\r\n\r\n")
}

/// Pushes a thousand bytes in pieces of 400; what was asked, each with its range.
fn push(answers: &[&str]) -> (Result<(), RegistryError>, Vec<String>) {
    let bytes: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
    let peer = Script::start(answers);
    let client = peer.client().in_pieces_of(400);
    let sent = local(client.push_bytes(&peer.repository(), &bytes)).map(drop);
    let heard = peer.heard();
    let lines = heard.iter().map(|head| {
        let mut words = head.lines().next().unwrap().split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let range = head.lines().find_map(|l| l.strip_prefix("content-range: "));
        let target = target.split('?').next().unwrap().replace("/v2/x/blobs/", "");
        [Some(method), Some(&*target), range].into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    (sent, lines.filter(|l| !l.starts_with("HEAD")).collect())
}

#[test]
fn a_large_blob_goes_in_chunks_each_to_where_the_last_answer_points() {
    let answers = [at(202, "a", 0), at(202, "b", 400), at(202, "c", 800), at(202, "d", 1000)];
    let (sent, lines) = push(&[MISSING, &answers[0], &answers[1], &answers[2], &answers[3], CREATED]);
    sent.unwrap();
    assert_eq!(
        lines,
        ["POST uploads/", "PATCH /up/a 0-399", "PATCH /up/b 400-799", "PATCH /up/c 800-999", "PUT /up/d"]
    );
}

#[test]
fn after_a_cut_the_registry_is_asked_and_it_goes_on_from_the_offset_it_names() {
    let answers = [at(202, "a", 0), at(202, "b", 400), at(204, "c", 512), at(202, "d", 912), at(202, "e", 1000)];
    let (sent, lines) = push(&[MISSING, &answers[0], &answers[1], CUT, &answers[2], &answers[3], &answers[4], CREATED]);
    sent.unwrap();
    assert_eq!(
        lines[2..],
        ["PATCH /up/b 400-799", "GET /up/b", "PATCH /up/c 512-911", "PATCH /up/d 912-999", "PUT /up/e"]
    );
}

#[test]
fn an_upload_the_registry_forgot_begins_again() {
    let (begun, one, two, three) = (at(202, "a", 0), at(202, "b", 400), at(202, "c", 800), at(202, "d", 1000));
    let gone: [&[&str]; 3] =
        [&[CUT, MISSING], &[MISSING, MISSING], &["HTTP/1.1 416 No\r\ncontent-length: 0\r\n\r\n", MISSING]];
    for gone in gone {
        let answers = [&[MISSING, &begun, &one][..], gone, &[&begun, &one, &two, &three, CREATED]].concat();
        let (sent, lines) = push(&answers);
        sent.unwrap();
        assert_eq!(lines[4..7], ["POST uploads/", "PATCH /up/a 0-399", "PATCH /up/b 400-799"]);
    }
}

#[test]
fn chunks_are_as_large_as_the_registry_asks_and_it_may_take_a_part_of_one() {
    let begun = at(202, "a", 0).replacen("\r\n", "\r\nOCI-Chunk-Min-Length: 600\r\n", 1);
    let (part, all) = (at(202, "b", 500), at(202, "c", 1000));
    let (sent, lines) = push(&[MISSING, &begun, &part, &all, CREATED]);
    sent.unwrap();
    assert_eq!(lines[1..], ["PATCH /up/a 0-599", "PATCH /up/b 500-999", "PUT /up/c"]);
    let huge = begun.replace("600", "999999999999");
    let (sent, lines) = push(&[MISSING, &huge]);
    assert!(sent.unwrap_err().to_string().contains("larger than can be held"));
    assert_eq!(lines, ["POST uploads/"]);
}

#[test]
fn an_upload_that_gets_no_further_ends() {
    let (begun, none) = (at(202, "a", 0), at(202, "a", 0).replacen("\r\n", "\r\nrange: 0-0\r\n", 1));
    let asked = at(204, "a", 1);
    let round = [none.as_str(), asked.as_str()];
    let answers = [&[MISSING, begun.as_str()][..], &round.repeat(40)].concat();
    let (sent, lines) = push(&answers);
    assert!(sent.unwrap_err().to_string().contains("gets no further"));
    assert_eq!(lines.iter().filter(|l| l.starts_with("PATCH")).count(), 1 + FALTERS as usize);
    // Nor does one whose every connection breaks.
    let round = [CUT, asked.as_str()];
    let (sent, lines) = push(&[&[MISSING, begun.as_str()][..], &round.repeat(40)].concat());
    assert!(matches!(sent.unwrap_err().fault(), Fault::Unreachable(_)));
    assert_eq!(lines.iter().filter(|l| l.starts_with("PATCH")).count(), 1 + FALTERS as usize);
}

#[test]
fn a_last_answer_that_is_lost_is_made_good_by_looking() {
    let (begun, one, two, three) = (at(202, "a", 0), at(202, "b", 400), at(202, "c", 800), at(202, "d", 1000));
    let until = [MISSING, &begun, &one, &two, &three];
    for lost in [&[CUT, THERE][..], &[MISSING, THERE]] {
        let (sent, lines) = push(&[&until[..], lost].concat());
        sent.unwrap();
        assert_eq!(lines.last().unwrap(), "PUT /up/d");
    }
    let asked = at(204, "e", 1000);
    let (sent, lines) = push(&[&until[..], &[CUT, MISSING, &asked, CREATED]].concat());
    sent.unwrap();
    assert_eq!(lines[4..], ["PUT /up/d", "GET /up/d", "PUT /up/e"]);
}

#[test]
fn odd_answers_to_uploads_are_named_and_not_followed() {
    let begun = at(202, "a", 0);
    let elsewhere = begun.replace("/up/", "http://127.0.0.1:1/up/");
    let more = at(202, "b", 401);
    let moved = "HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    let (one, two, three) = (at(202, "b", 400), at(202, "c", 800), at(202, "d", 1000));
    let other =
        format!("HTTP/1.1 201 Created\r\ndocker-content-digest: {}\r\ncontent-length: 0\r\n\r\n", Digest::of(b"other"));
    for (answers, named) in [
        (&[moved][..], "http://127.0.0.1:1/"),
        (&[&elsewhere], "127.0.0.1:1/up"),
        (&[&begun, &elsewhere], "127.0.0.1:1/up"),
        (&[&begun, &more], "more bytes than were sent"),
        (&[&begun, moved], "http://127.0.0.1:1/"),
        (&[&begun, &one, &two, &three, moved], "http://127.0.0.1:1/"),
        (&[&begun, &one, &two, &three, &other], "was asked for"),
    ] {
        let (sent, lines) = push(&[&[MISSING][..], answers].concat());
        let error = sent.unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(lines.len(), answers.len(), "{lines:?}");
    }
    // A manifest's push is led elsewhere no more than a blob's.
    let peer = Script::start(&[moved]);
    let pushed = local(peer.client().push_manifest(&peer.repository(), "x", "x", b"{}"));
    assert!(matches!(pushed.unwrap_err().fault(), Fault::Redirect(_)));
}

/// Pushes a blob in chunks of 60 kB, over connections of which each carries two chunks and a half until it
/// breaks.
fn over_a_breaking_line(peer: &Peer, times: usize) {
    let folder = tempfile::tempdir().unwrap();
    let store = Layout::create(folder.path()).unwrap();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(n) >> 5) as u8).collect();
    let blob = store.put("x", &bytes).unwrap();
    let line = breaking_line(peer.address(), 150_000, times);
    let repository = format!("{line}/a").parse().unwrap();
    let client = Client::with_patience(&hosts(&format!("[registry.\"{line}\"]\nplain_http = true")), QUICK).unwrap();
    local(async {
        client.in_pieces_of(60_000).push_blob(&repository, &blob, &store, &[]).await.unwrap();
        let there = peer.client().blob(&peer.repository("a"), &blob, 1 << 20).await.unwrap();
        assert!(there == bytes);
    });
}

#[test]
fn a_large_blob_arrives_over_a_line_that_keeps_breaking() {
    over_a_breaking_line(&Peer::distribution(), usize::MAX);
}

/// Version 2.8 forgets an upload that broke within a chunk.
#[test]
fn a_large_blob_arrives_at_a_registry_that_forgets_uploads() {
    over_a_breaking_line(&Peer::start(), 3);
}
