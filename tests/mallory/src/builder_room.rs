//! A broken builder, as a build that took the room over would leave it: it answers for its trees, and nothing else.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use artifact::Moment;
use artifact::digest::Digest;
use artifact::failure::Failure;
use artifact::frame;
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor};
use artifact::statement::sandbox::Sandbox;
use builder::builder_config::BuilderConfig;
use builder::builder_room::BuilderRoom;
use builder::door::{Answer, BuildAsk, Built};
use hardening::menu::Room;
use hardening::room::{Entered, Hello};

use crate::{Done, noise, tar};

pub fn serve(entered: &Entered, attack: &str) -> Done {
    frame::send(&entered.channel, &Hello::new(Room::Builder, entered, None))?;
    let ask: BuildAsk = frame::receive(&entered.channel)?;
    if attack == "peek" {
        let found = peek(&entered.state);
        let failure = Failure::never("peeked", format!("found {}", found.join(", ")));
        return Ok(frame::send(&entered.channel, &Answer::<Built>::Failed(failure))?);
    }
    if attack == "halt" {
        let failure = Failure::halt("log-broken", "the builder says so");
        return Ok(frame::send(&entered.channel, &Answer::<Built>::Failed(failure))?);
    }
    if noise::make(&entered.channel, attack)? {
        return Ok(());
    }
    let store = Layout::create(entered.state.join("public/builder/out"))?;
    let mut built = match attack {
        "honest" | "sandbox" | "race" => honest(entered, &ask)?,
        _ => made_up(),
    };
    let put = |bytes: &[u8]| store.put(oci::LAYER, bytes);
    match attack {
        "two" => {
            built.trees =
                [put(&tree(&tar::entry("a", b'0', "", b"one")))?, put(&tree(&tar::entry("a", b'0', "", b"two")))?]
        }
        "sandbox" => built.sandbox.runtime = "runsc".to_owned(),
        "talkative" => built.sandbox.enforced = vec!["word ".repeat(600_000)],
        "nowhere" => built.trees = [0, 1].map(|_| Descriptor::new(oci::LAYER, Digest::of(b"nowhere"), 10)),
        "race" => return race(entered, &store, built),
        _ => {
            let mut one = put(&hostile(attack))?;
            match attack {
                "size-less" => one.size -= 512,
                "size-more" => one.size = 1 << 40,
                _ => {}
            }
            if attack == "digest" {
                fs::write(store.path(&one.digest), tree(&tar::entry("a", b'0', "", b"two")))?;
            }
            if attack != "honest" {
                built.trees = [one.clone(), one];
            }
        }
    }
    Ok(frame::send(&entered.channel, &Answer::Done(built))?)
}

fn honest(entered: &Entered, ask: &BuildAsk) -> Result<Built, Box<dyn std::error::Error>> {
    let config = BuilderConfig::load(&entered.config.join("builder.toml"))?;
    let room = BuilderRoom { state: &entered.state, config, posture: &entered.posture };
    Ok(room.build(ask, &mut |_| ())?)
}

/// Nothing was run; all of it is claimed.
fn made_up() -> Built {
    let word = |text: &str| text.to_owned();
    let sandbox = Sandbox {
        runtime: word("runc"),
        version: word("99"),
        verdict: word("known-good"),
        advisories: vec![],
        enforced: vec![word("everything")],
        not_enforced: vec![],
    };
    let none = Descriptor::new(oci::LAYER, Digest::of(b""), 0);
    let now = Moment::now();
    Built { trees: [none.clone(), none], sandbox, varied: vec![], not_varied: vec![], started: now, finished: now }
}

fn tree(entries: &[u8]) -> Vec<u8> {
    [entries, &tar::end()].concat()
}

/// A tree that nobody should pack.
fn hostile(attack: &str) -> Vec<u8> {
    let one = |path: &str, kind: u8, link: &str| tar::entry(path, kind, link, b"");
    let entries = match attack {
        "upwards" => tar::entry("../../etc/cron.d/x", b'0', "", b"x"),
        "below-link" => [one("a", b'2', "/etc"), tar::entry("a/passwd", b'0', "", b"x")].concat(),
        "hard-link-out" => one("a", b'1', "../../etc/shadow"),
        "hard-link-nowhere" => one("a", b'1', "etc/shadow"),
        "whiteout" => tar::entry("bin/.wh.sh", b'0', "", b""),
        "opaque" => tar::entry(".wh..wh..opq", b'0', "", b""),
        "device" => one("dev-zero", b'3', ""),
        "long" => tar::header("a", b'L', "", 1 << 30, b"x"),
        "cut" => tar::header("a", b'0', "", 8 << 30, b"much less"),
        "half-end" => [vec![0; 512], tar::entry("a", b'0', "", b"x")].concat(),
        "names" => (0..20_000).flat_map(|n| tar::entry(&format!("{}/{n}", "d/".repeat(40)), b'0', "", b"")).collect(),
        _ => tar::entry("word.txt", b'0', "", b"evil\n"),
    };
    tree(&entries)
}

/// Answers honestly, and then puts one tree in the place of another for as long as anybody reads.
fn race(entered: &Entered, store: &Layout, built: Built) -> Done {
    let path = store.path(&built.trees[0].digest);
    let honest = fs::read(&path)?;
    let evil = tree(&tar::entry("word.txt", b'0', "", b"evil\n"));
    frame::send(&entered.channel, &Answer::Done(built))?;
    loop {
        for bytes in [&evil, &honest] {
            let part = path.with_extension("part");
            fs::write(&part, bytes)?;
            fs::rename(&part, &path)?;
        }
    }
}

/// Looks for what a build must not see. What it names was there.
fn peek(state: &Path) -> Vec<String> {
    let mut found = vec!["only:".to_owned()];
    for store in ["intake/candidates", "intake/own", "compare/own", "compare/out", "signer/own", "log/own", "log/tiles"]
    {
        if fs::read_dir(state.join("public").join(store)).is_ok() {
            found.push(store.to_owned());
        }
    }
    for store in ["intake/dossiers", "builder/../intake/candidates"] {
        if fs::write(state.join("public").join(store).join("mine"), "x").is_ok() {
            found.push(format!("write {store}"));
        }
    }
    for address in ["127.0.0.1:22", "127.0.0.1:80", "192.0.2.1:443"] {
        if let Ok(Ok(_)) = address.parse().map(|a| TcpStream::connect_timeout(&a, std::time::Duration::from_secs(1))) {
            found.push(address.to_owned());
        }
    }
    found
}
