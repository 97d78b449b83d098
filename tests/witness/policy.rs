//! Policies: what torchwood's parser makes of them, beside ours.

use std::io::Write as _;
use std::process::Stdio;

use artifact::Moment;
use artifact::digest::Base64;
use artifact::key::Ed25519Key;
use audit::checkpoint::{Checkpoint, SignedCheckpoint};
use audit::cosignature::{WitnessKey, cosign};
use audit::log_policy::{LogPolicy, PolicyError};
use audit::merkle::TreeHash;
use audit::note::Vkey;

use super::real::torchwood;

/// A little generator, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn key(n: u8) -> Ed25519Key {
    Ed25519Key::from_seed(&[n; 32]).unwrap()
}

/// A policy of up to seven witnesses in a tree of groups.
fn policy(dice: &mut Dice) -> String {
    let log = Vkey::new("a.example/log", &key(100)).unwrap();
    let count = 1 + dice.below(7);
    let mut text = format!("# a comment\nlog {log} https://a.example\n");
    let mut free = Vec::new();
    for n in 1..=count {
        let vkey = WitnessKey::new(&format!("w.example/{n}"), &key(n as u8)).unwrap();
        let url = ["", " https://w.example/x", "\t"][dice.below(3)];
        text.push_str(&format!("{}witness w{n}  {vkey}{url}\n", ["", " \t"][dice.below(2)]));
        free.push(format!("w{n}"));
    }
    for n in 1..=dice.below(4) {
        let take = 1 + dice.below(free.len());
        let members: Vec<String> = (0..take).map(|_| free.remove(dice.below(free.len()))).collect();
        let least = ["any".to_owned(), "all".to_owned(), (1 + dice.below(take)).to_string()][dice.below(3)].clone();
        text.push_str(&format!("group g{n} {least} {}\n\n", members.join(" ")));
        free.push(format!("g{n}"));
    }
    let quorum = if dice.below(8) == 0 { "none".to_owned() } else { free[dice.below(free.len())].clone() };
    text + &format!("quorum {quorum}\n")
}

/// A checkpoint that some have cosigned; now and then one of them wrongly.
fn checkpoint(dice: &mut Dice) -> String {
    let says = Checkpoint { origin: "a.example/log".into(), size: 7, root: TreeHash::leaf(b"x") };
    let (text, other) = (says.to_string(), says.to_string().replace("\n7\n", "\n8\n"));
    let mut note =
        SignedCheckpoint::sign(says, &key(if dice.below(20) == 0 { 101 } else { 100 })).unwrap().note().to_owned();
    for n in 1..=8 {
        if dice.below(2) == 0 {
            let signed = if dice.below(40) == 0 { &other } else { &text };
            note.push_str(&cosign(signed, &format!("w.example/{n}"), &key(n), 1_800_000_000).unwrap());
        }
    }
    note
}

/// The same text with a byte or a word of it changed.
fn bent(text: &str, dice: &mut Dice) -> String {
    let mut words: Vec<String> = text.split_inclusive([' ', '\n']).map(str::to_owned).collect();
    let at = dice.below(words.len());
    match dice.below(6) {
        0 => drop(words.remove(at)),
        1 => words.insert(at, words[dice.below(words.len())].clone()),
        2 => words[at] = words[dice.below(words.len())].clone(),
        3 => words[at].insert_str(0, ["#", "\u{a0}", "\r", "0", "none ", "\n"][dice.below(6)]),
        4 => {
            words[at] =
                ["any ", "all ", "2 ", "0 ", "02 ", "+1 ", "w1 ", "g1 ", "none ", "quorum w1\n"][dice.below(10)].into()
        }
        _ => {
            let other = dice.below(words.len());
            words.swap(at, other);
        }
    }
    words.concat()
}

/// What torchwood says of each pair.
fn theirs(pairs: &[(String, String)]) -> Vec<String> {
    let encode = |text: &str| serde_json::to_string(&Base64(text.as_bytes().to_vec())).unwrap().replace('"', "");
    let mut child = torchwood().arg("judge").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut asks = child.stdin.take().unwrap();
    let lines: String = pairs.iter().map(|(p, c)| format!("{} {}\n", encode(p), encode(c))).collect();
    let writer = std::thread::spawn(move || asks.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn torchwood_judges_as_we_do_and_takes_every_policy_that_we_take() {
    let (mut dice, now) = (Dice(7), Moment::from_unix(1_800_000_000).unwrap());
    let mut pairs: Vec<(String, String)> = (0..1_500).map(|_| (policy(&mut dice), checkpoint(&mut dice))).collect();
    let good = pairs.len();
    for at in 0..good {
        let text = bent(&pairs[at].0, &mut dice);
        pairs.push((text, pairs[at].1.clone()));
    }
    let theirs = theirs(&pairs);
    assert_eq!(theirs.len(), pairs.len());
    let (mut satisfied, mut refused, mut stricter) = (0, 0, 0);
    for (at, ((text, note), theirs)) in pairs.iter().zip(&theirs).enumerate() {
        let ours = LogPolicy::parse(text).and_then(|policy| policy.open(note, now));
        let same = match (&ours, theirs.as_str()) {
            (Ok(_), "satisfied") => true,
            // What is not spelled in the one way is refused; a well-formed policy never is.
            (Err(PolicyError::Shape(_) | PolicyError::Line(..)), "satisfied") => {
                stricter += 1;
                at >= good
            }
            // They look at the witnesses below the quorum; we at all that are listed.
            (Err(PolicyError::Cosignature(..)), "satisfied") => {
                stricter += 1;
                true
            }
            // Without a line for a log they ask for none; we open no checkpoint then.
            (Err(PolicyError::Unlisted(_)), "satisfied") => !text.contains("\nlog ") && !text.starts_with("log "),
            (Err(_), "satisfied") => false,
            // A wrong cosignature of an unlisted witness, a quorum that is not met: each has its words.
            (Err(_), _) => true,
            (Ok(_), _) => false,
        };
        assert!(same, "{text}\n{note}\nours: {:?}\ntheirs: {theirs}", ours.map(|(c, _)| c.size()));
        satisfied += usize::from(theirs == "satisfied");
        refused += usize::from(theirs != "satisfied");
    }
    assert!(satisfied > 500 && refused > 500 && stricter > 20, "{satisfied} {refused} {stricter}");
}
