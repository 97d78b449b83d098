//! A made-up history of promotions in a log of any size, as this house writes them: for pages that have much to show.

use artifact::digest::{Base64, hex};
use artifact::{Digest, Moment, dsse, json as spelled};
use serde_json::{Value, json};

use crate::corruption::forged::Forged;

const START: i64 = 1_770_000_000;

/// A log of so many promotions. Of four one is refused, one fails on the way, and all others are released; between two of
/// them is an hour.
pub fn of(promotions: usize) -> Forged {
    let mut history = History { forged: Forged::new(), clock: START };
    for n in 0..promotions {
        history.promotion(n);
    }
    history.forged
}

struct History {
    forged: Forged,
    clock: i64,
}

fn digest(what: &str, n: usize) -> String {
    Digest::of(format!("{what} {n}").as_bytes()).to_string()
}

/// The commit of the promotion with this number.
pub fn commit(n: usize) -> String {
    hex(&Digest::of(format!("commit {n}").as_bytes()).raw()[..20])
}

/// Its project.
pub fn project(n: usize) -> &'static str {
    ["archive", "gateway", "ledger-api", "web"][n % 4]
}

/// Who signed its commit.
pub fn person(n: usize) -> String {
    format!("{}@example.org", ["ann", "bea", "cem"][n % 3])
}

impl History {
    fn now(&mut self, later: i64) -> Value {
        self.clock += later;
        json!(Moment::from_unix(self.clock).unwrap())
    }

    fn say(&mut self, kind: u8, body: &Value) {
        let bytes = spelled::canonical("entry", body).unwrap();
        let mut salt = [9; 32];
        salt[..8].copy_from_slice(&(self.forged.leaves.len() as u64).to_be_bytes());
        self.forged.body(kind, salt, &bytes);
    }

    fn promotion(&mut self, n: usize) {
        let (id, commit, project) = (digest("promotion", n), commit(n), project(n));
        let at = self.now(3600);
        self.say(
            1,
            &json!({"kind": "opened", "promotion": id, "lane": "public", "trial": false, "project": project,
            "commit": commit, "candidate": digest("image", n), "evidence": digest("evidence", n), "rules": digest("rules", 0), "at": at}),
        );
        let facts = envelope(
            &json!({"branch": "main", "position": "head", "commitSignature": {"scheme": "ssh", "principal": person(n)},
            "source": "https://forge.example/a.git", "results": [], "unusable": [], "bases": [], "rewritten": false}),
        );
        let at = self.now(2);
        self.say(
            2,
            &json!({"kind": "facts", "promotion": id, "envelope": facts, "commitObject": Base64(b"tree".to_vec()),
            "results": [], "dossier": digest("dossier", n), "at": at}),
        );
        let at = self.now(40 + (n % 90) as i64);
        if n % 4 == 2 {
            self.say(6, &json!({"kind": "failed", "promotion": id, "failure": {"code": "builder-lost", "message": "it ended", "retry": "later"}, "at": at}));
        }
        let level = if n % 4 == 3 { "diverged" } else { "bit-for-bit" };
        let comparison = envelope(&json!({"differences": [], "runDifferences": [], "runs": {"equal": true}}));
        let (at, image) = (self.now(1), digest("image", n));
        self.say(
            3,
            &json!({"kind": "rebuild", "promotion": id, "comparison": comparison, "provenance": envelope(&json!({})),
            "level": level, "rebuild": image, "at": at}),
        );
        match n % 4 {
            3 => self.refusal(n, &id),
            _ => self.release(n, &id, &image),
        }
    }

    fn refusal(&mut self, n: usize, id: &str) {
        let at = self.now(1);
        let code = ["diverged", "job-missing"][n / 4 % 2];
        let path = format!("usr/lib/lib{n}.so");
        self.say(
            5,
            &json!({"kind": "refusal", "promotion": id,
            "reasons": [{"code": code, "message": format!("it differs in {path}\nand in more")}],
            "differences": [{"path": path, "kind": "content", "rebuild": "aa", "candidate": "bb"}], "differencesTotal": 1,
            "runDifferences": [], "runDifferencesTotal": 0, "rules": digest("rules", 0), "at": at}),
        );
    }

    fn release(&mut self, n: usize, id: &str, image: &str) {
        let (repository, tags) = (format!("registry.example/prod/{}", project(n)), ["latest"]);
        let (at, later) = (self.now(1), json!(Moment::from_unix(self.clock + 600).unwrap()));
        let permit = self.forged.leaves.len();
        self.say(
            4,
            &json!({"kind": "permit", "promotion": id, "terms": {"lane": "public", "trial": false, "project": project(n),
            "commit": commit(n), "digest": image, "repository": repository, "tags": tags, "previous": null, "level": "bit-for-bit",
            "rules": digest("rules", 0), "facts": digest("facts", n), "comparisons": [], "branchChecked": at, "decided": at, "expires": later}}),
        );
        let (attempt, at) = (format!("{n:032x}"), self.now(1));
        self.say(
            7,
            &json!({"kind": "attempt", "promotion": id, "id": attempt, "permit": permit, "statements": [], "at": at}),
        );
        let payload = json!({"predicateType": "https://sigstore.dev/cosign/sign/v1", "subject": []}).to_string();
        self.say(
            8,
            &json!({"kind": "signature", "promotion": id, "attempt": attempt, "payloadType": dsse::IN_TOTO,
            "payload": Base64(payload.into_bytes()), "signature": Base64(vec![0x30, 0]), "key": digest("key", 0), "keyKept": "file", "at": at}),
        );
        self.forged.raw(&n.to_string());
        let at = self.now(3);
        self.say(
            10,
            &json!({"kind": "release", "promotion": id, "lane": "public", "trial": false, "project": project(n), "attempt": attempt,
            "permit": permit, "digest": image, "repository": repository, "tags": tags, "previous": null, "referrers": [], "at": at}),
        );
    }
}

/// A statement in an envelope that nobody signed.
fn envelope(predicate: &Value) -> Base64 {
    let statement = json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": "t", "predicate": predicate, "subject": []});
    let payload = Base64(statement.to_string().into_bytes());
    let envelope =
        json!({"payload": payload, "payloadType": dsse::IN_TOTO, "signatures": [{"sig": Base64(vec![1; 64])}]});
    Base64(envelope.to_string().into_bytes())
}
