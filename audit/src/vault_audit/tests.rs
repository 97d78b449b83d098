use std::io::{Cursor, Read};

use super::*;

/// A line of Vault's, as OpenBao 2.7 writes it, with these differences.
fn line(kind: &str, id: &str, path: &str, more: serde_json::Value) -> String {
    let mut line = serde_json::json!({
        "time": "2026-11-25T16:02:39.321880176Z", "type": kind,
        "request": {"id": id, "operation": "update", "mount_point": "transit/", "mount_type": "transit",
            "mount_accessor": "transit_1", "namespace": {"id": "root"}, "path": path,
            "data": {"key_version": 1, "input": "hmac-sha256:00"}, "headers": {"x-countersign-attempt": ["a"]}},
    });
    if kind == "response" {
        line["response"] = serde_json::json!({"data": {"signature": "hmac-sha256:00", "key_version": 1}});
    }
    for (pointer, value) in more.as_object().unwrap() {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        line.pointer_mut(parent).unwrap()[name] = value.clone();
    }
    format!("{line}\n")
}

fn plain(kind: &str, id: &str, path: &str) -> String {
    line(kind, id, path, serde_json::json!({}))
}

const SIGN: &str = "transit/sign/k/sha2-256";

fn read(text: &str) -> Result<(Vec<Covered>, Vec<Request>), AuditError> {
    let mut log = AuditLog::of(Place::new(None, "transit", "k"));
    log.read("f", Cursor::new(text))?;
    Ok(log.finish())
}

fn requests(text: &str) -> Vec<Request> {
    read(text).unwrap().1
}

fn acts(text: &str) -> Vec<Act> {
    requests(text).into_iter().map(|request| request.act).collect()
}

#[test]
fn a_request_and_its_answer_are_one_whichever_comes_first_and_however_often() {
    let (asked, answered) = (plain("request", "1", SIGN), plain("response", "1", SIGN));
    let signed = Outcome::Answered(Answer { signatures: Some(1), versions: [Some(1)].into() });
    for text in
        [format!("{asked}{answered}"), format!("{answered}{asked}"), format!("{asked}{asked}{answered}{answered}")]
    {
        let found = requests(&text);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].act, &found[0].outcome), (Act::Sign, &signed));
        assert_eq!((found[0].attempts.as_slice(), found[0].path.as_str()), (&["a".to_owned()][..], SIGN));
    }
    assert_eq!(requests(&asked)[0].outcome, Outcome::Unanswered);
    let refused = line("response", "1", SIGN, serde_json::json!({"/error": "denied", "/response": {"data": {}}}));
    assert_eq!(requests(&format!("{asked}{refused}"))[0].outcome, Outcome::Refused);
    // What an engine says when it will not stands in the answer, hashed, alone.
    for (data, refuses) in [
        (serde_json::json!({"error": "hmac-sha256:00"}), true),
        (serde_json::json!({"error": "hmac-sha256:00", "signature": "hmac-sha256:00"}), false),
        (serde_json::json!({"error": "hmac-sha256:00", "keys": {}}), false),
        (serde_json::json!({"error": null}), false),
    ] {
        let will_not = line("response", "1", SIGN, serde_json::json!({"/response": {"data": data}}));
        assert_eq!(requests(&will_not)[0].outcome == Outcome::Refused, refuses, "{will_not}");
    }
}

#[test]
fn an_error_beside_a_signature_makes_it_no_less_signed() {
    let both = line("response", "1", SIGN, serde_json::json!({"/error": "a device is full"}));
    let found = requests(&both);
    assert!(matches!(&found[0].outcome, Outcome::Answered(a) if a.signatures == Some(1)), "{found:?}");
}

#[test]
fn a_batch_counts_what_was_signed_and_what_can_not_be_seen_is_not_counted_as_nothing() {
    let of = |data: serde_json::Value| {
        let found = requests(&line("response", "1", SIGN, serde_json::json!({"/response": data})));
        match &found[0].outcome {
            Outcome::Answered(answer) => (answer.signatures, answer.versions.clone()),
            other => panic!("{other:?}"),
        }
    };
    let batch = serde_json::json!({"data": {"batch_results": [
        {"signature": "hmac-sha256:00", "key_version": 2}, {"error": "hmac-sha256:00", "key_version": 0},
        {"signature": "hmac-sha256:00"}]}});
    // A result without a version has the one that was asked for.
    assert_eq!(of(batch), (Some(2), [Some(2), Some(1)].into()));
    assert_eq!(of(serde_json::json!({"wrap_info": {"ttl": 60}})).0, None);
    assert_eq!(of(serde_json::json!({"data": {"http_raw_body": "hmac-sha256:00"}})).0, None);
    assert_eq!(of(serde_json::json!({})).0, None);
}

#[test]
fn two_lines_that_contradict_each_other_are_no_audit_log() {
    let asked = plain("request", "1", SIGN);
    for (pointer, value) in [
        ("/request/path", serde_json::json!("transit/sign/k")),
        ("/request/headers", serde_json::json!({"x-countersign-attempt": ["b"]})),
        ("/request/headers", serde_json::json!(null)),
        ("/request/namespace", serde_json::json!({"id": "x", "path": "team/"})),
        ("/request/data", serde_json::json!({"exportable": true})),
    ] {
        let other = line("response", "1", SIGN, serde_json::json!({pointer: value}));
        let error = read(&format!("{asked}{other}")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("not alike"), "{error}");
    }
    let more = line("response", "1", SIGN, serde_json::json!({"/response": {"data": {"batch_results": []}}}));
    assert!(read(&format!("{asked}{}{more}", plain("response", "1", SIGN))).is_err());
}

#[test]
fn every_way_to_use_a_key_is_told_from_the_signers_and_from_harmless_ones() {
    let act = |operation: &str, path: &str, data: serde_json::Value| {
        let more = serde_json::json!({"/request/operation": operation, "/request/data": data});
        acts(&line("request", "1", path, more))
    };
    let nothing = || serde_json::json!(null);
    assert_eq!(act("update", SIGN, nothing()), [Act::Sign]);
    assert_eq!(act("update", "transit/sign/k//sha2-256/", nothing()), [Act::Sign]);
    for path in [
        "sign/k",
        "sign/k/sha2-512",
        "sign/k/sha2-256/x",
        "hmac/k",
        "hmac/k/sha2-256",
        "export/signing-key/k",
        "backup/k",
        "export/signing-key/k/1",
        "byok-export/x/k",
        "restore/k",
        "encrypt/k",
        "decrypt/k",
        "keys/k/csr",
        "keys/k/trim",
        "keys/k/import_version",
        "datakey/plaintext/k",
        "what/is/not/known/of/k",
    ] {
        assert_eq!(act("update", &format!("transit/{path}"), nothing()), [Act::Use], "{path}");
    }
    assert_eq!(act("delete", "transit/keys/k", nothing()), [Act::Use]);
    assert_eq!(act("read", "transit/sign/k/sha2-256", nothing()), [Act::Use]);
    for (operation, path) in [
        ("read", "keys/k"),
        ("update", "verify/k"),
        ("update", "verify/k/sha2-256"),
        ("help", "export/signing-key/k"),
        ("update", "sign/other/sha2-256"),
        ("list", "keys"),
    ] {
        assert_eq!(act(operation, &format!("transit/{path}"), nothing()), [], "{path}");
    }
    for path in ["keys/k", "keys/k/rotate", "keys/k/config"] {
        let path = format!("transit/{path}");
        assert_eq!(act("update", &path, serde_json::json!({"exportable": false})), [Act::Administer]);
        // A text stands there hashed: it may say yes.
        for yes in [serde_json::json!(true), serde_json::json!("hmac-sha256:00")] {
            assert_eq!(act("update", &path, serde_json::json!({"exportable": yes})), [Act::Use]);
            assert_eq!(act("update", &path, serde_json::json!({"allow_plaintext_backup": yes})), [Act::Use]);
        }
    }
}

#[test]
fn an_engine_is_known_wherever_it_is_mounted_and_told_from_one_of_the_same_path() {
    let at = |id: &str, mount: &str, accessor: &str, namespace: &str| {
        let path = format!("{mount}/sign/k/sha2-256");
        let more = serde_json::json!({
            "/request/mount_point": format!("{namespace}{mount}/"), "/request/mount_accessor": accessor,
            "/request/namespace": {"id": "x", "path": namespace},
        });
        line("request", id, &path, more)
    };
    let text = [
        at("1", "moved", "transit_1", ""),
        at("2", "transit", "transit_1", ""),
        at("3", "transit", "transit_2", "team/"),
        at("4", "elsewhere", "transit_3", ""),
    ]
    .concat();
    let paths = |requests: Vec<Request>| -> Vec<String> { requests.into_iter().map(|r| r.path).collect() };
    let both = ["moved/sign/k/sha2-256", "transit/sign/k/sha2-256"];
    let mut found = paths(requests(&text));
    found.sort();
    assert_eq!(found, both);
    let mut log = AuditLog::of(Place::new(Some("/team/"), "/transit/", "k"));
    log.read("f", Cursor::new(&text)).unwrap();
    assert_eq!(paths(log.finish().1), ["team/transit/sign/k/sha2-256"]);
}

#[test]
fn a_refused_request_has_no_engine_and_is_found_by_its_path() {
    let more = serde_json::json!({"/request/mount_point": "", "/request/mount_accessor": "", "/error": "denied"});
    let found = requests(&line("request", "1", SIGN, more));
    assert_eq!((found[0].act, &found[0].outcome), (Act::Sign, &Outcome::Refused));
}

#[test]
fn what_is_covered_are_whole_seconds_between_the_first_line_and_the_last() {
    let at = |time: &str| line("request", time, SIGN, serde_json::json!({"/time": time}));
    let covered = |times: &[&str]| read(&times.iter().map(|t| at(t)).collect::<String>()).unwrap().0.remove(0);
    let period = covered(&["2026-11-25T16:00:00.5Z", "2026-11-25T16:00:09.9Z", "2026-11-25T16:00:08Z"]).period;
    let moment = |text: &str| text.parse::<Moment>().unwrap();
    assert_eq!(period, Some((moment("2026-11-25T16:00:01Z"), moment("2026-11-25T16:00:09Z"))));
    assert_eq!(covered(&["2026-11-25T16:00:00.5Z", "2026-11-25T16:00:00.9Z"]).period, None);
    assert_eq!(covered(&[]), Covered { file: "f".into(), lines: 0, period: None });
}

#[test]
fn a_line_without_end_is_read_no_further_than_a_line_may_be_long() {
    /// Says how much of it was read.
    struct Endless(u64);
    impl Read for &mut Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(b' ');
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    let mut endless = Endless(0);
    let error = AuditLog::of(Place::new(None, "transit", "k")).read("f", io::BufReader::new(&mut endless)).unwrap_err();
    assert!(error.to_string().contains("more than 64 MiB"), "{error}");
    assert!(endless.0 < 2 * LINE as u64, "{}", endless.0);
}

#[test]
fn a_body_that_anyone_may_send_makes_no_line_unreadable() {
    // As a real server wrote them for a request with a bad token.
    let deep = |open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
    for body in [
        deep("[", "]"),
        deep("{\"a\":", "}"),
        deep("[", "]").replace("\"a\"", "\"exportable\""),
        deep("[", "]").replace("\"a\"", "\"batch_results\""),
        r#"{"key_version":[],"exportable":{"a":{}},"batch_results":{"signature":-1},"signature":[[]]}"#.to_owned(),
        r#"{"key_version":-1,"a":123456789012345678901234567890,"b":1e308,"\u0000":null}"#.to_owned(),
        r#"{"batch_results":[1,null,"x",[],{"signature":7},{"signature":{}}]}"#.to_owned(),
        r#"{"a":1,"a":2}"#.to_owned(),
    ] {
        let asked = plain("request", "1", SIGN).replace(r#"{"input":"hmac-sha256:00","key_version":1}"#, &body);
        assert!(asked.contains(&body), "{asked}");
        assert_eq!(acts(&asked), [Act::Sign]);
        let reply = r#"{"key_version":1,"signature":"hmac-sha256:00"}"#;
        let answered = plain("response", "1", SIGN).replace(reply, &body);
        assert!(answered.contains(&body), "{answered}");
        // Nothing of it is a signature, and nothing of it says that there is none.
        let [Request { outcome: Outcome::Answered(answer), .. }] = &requests(&answered)[..] else {
            panic!("{answered:.300}")
        };
        assert_eq!(answer.signatures, None, "{answered:.300}");
    }
}

#[test]
fn a_field_that_matters_stands_once_and_a_header_counts_in_every_spelling() {
    let asked = plain("request", "1", SIGN);
    for (one, two) in [
        (r#""key_version":1"#, r#""key_version":1,"key_version":1"#),
        (r#""path":"#, r#""path":"sys/health","path":"#),
        (r#""type":"request""#, r#""type":"response","type":"request""#),
    ] {
        let error = read(&asked.replacen(one, two, 1)).unwrap_err().to_string();
        assert!(error.contains("duplicate field"), "{error}");
    }
    let header = r#""x-countersign-attempt":["a"]"#;
    for twice in
        [r#""x-countersign-attempt":["a","b"]"#, r#""x-countersign-attempt":["a"],"X-Countersign-Attempt":["b"]"#]
    {
        let found = requests(&asked.replacen(header, twice, 1));
        assert_eq!(found[0].attempts, ["a", "b"]);
    }
}
