//! Witnesses' cosignatures beside the log's signature: only true ones, of this checkpoint and of now; and whatever happens
//! while they are written, the log stays what it was.

use super::*;
use crate::cosignature::{SKEW, WitnessKey, cosign};
use crate::door::{Known, LINES, Signed};
use crate::log_policy::{LogPolicy, PolicyError};
use crate::store::{Step, faults};

fn witness(n: u8) -> (Ed25519Key, WitnessKey) {
    let key = Ed25519Key::from_seed(&[n; 32]).unwrap();
    let vkey = WitnessKey::new(&format!("w.example/{n}"), &key).unwrap();
    (key, vkey)
}

/// Three witnesses, two of which must have cosigned.
fn policy() -> LogPolicy {
    let lines: String = (1..=3).map(|n| format!("witness w{n} {}\n", witness(n).1)).collect();
    LogPolicy::parse(&format!("{lines}group two 2 w1 w2 w3\nquorum two\n")).unwrap()
}

impl House {
    fn open_witnessed(&self) -> Result<Keeper, Failure> {
        Keeper::open_witnessed(&self.tiles(), &self.own(), ORIGIN, Some(policy()))
    }

    fn published(&self) -> String {
        fs::read_to_string(self.tiles().join("checkpoint")).unwrap()
    }
}

fn now() -> u64 {
    Moment::now().unix() as u64
}

fn text(keeper: &Keeper) -> String {
    keeper.checkpoint().note().split("\n\n").next().unwrap().to_owned() + "\n"
}

/// What witness `n` answers when it cosigns a text at a time.
fn answer_of(n: u8, text: &str, at: u64) -> Signed {
    let (key, vkey) = witness(n);
    Signed { lines: cosign(text, vkey.name(), &key, at).unwrap(), witness: vkey }
}

fn answer(n: u8, keeper: &Keeper) -> Signed {
    answer_of(n, &text(keeper), now())
}

#[test]
fn cosignatures_stand_beside_the_logs_signature_until_the_log_grows() {
    let house = House::new();
    let mut keeper = house.open_witnessed().unwrap();
    assert!(keeper.unwitnessed(&[]).unwrap().lacking.is_empty(), "of nothing there is nothing to witness");
    fill(&mut keeper, 5);
    let vkey = keeper.vkey().clone();
    let asked = keeper.unwitnessed(&[]).unwrap();
    assert_eq!((keeper.checkpoint().size(), asked.lacking.len()), (5, 3));
    assert!(asked.unmet.unwrap().contains("nobody whom it lists did"));
    let own = fs::read_to_string(house.own().join("checkpoint")).unwrap();
    assert!(asked.checkpoint == own && asked.lacking.iter().all(|l| l.size == 0));
    let kept = keeper.cosign(&[answer(1, &keeper)]).unwrap();
    assert!(kept.unmet.unwrap().contains("only w1 did"));
    let kept = keeper.cosign(&[answer(3, &keeper)]).unwrap();
    assert_eq!((kept.unmet, kept.refused.len(), kept.cosigned[0].witness.as_str()), (None, 0, "w3"));
    assert_eq!(keeper.unwitnessed(&[]).unwrap().lacking.len(), 1);
    assert_eq!(fs::read_to_string(house.own().join("checkpoint")).unwrap(), own, "its own truth is as it was");
    let opened = SignedCheckpoint::open(&house.published(), &vkey).unwrap();
    assert_eq!(policy().judge(&opened, Moment::now()).unwrap().len(), 2);
    // Who reads, who holds a receipt and who starts again sees the same log.
    assert_eq!(Log::open(&house.tiles(), &vkey).unwrap().1.len(), 5);
    let receipt: crate::receipt::Receipt = keeper.prove(&[2], 0).unwrap().receipts[0].parse().unwrap();
    assert_eq!(receipt.verify(&vkey, &rekor("fill 2")).unwrap(), opened);
    drop(keeper);
    let keeper = house.open_witnessed().unwrap();
    assert_eq!(keeper.checkpoint(), &opened);
    assert_eq!(keeper.unwitnessed(&[]).unwrap().lacking.len(), 1);
    drop(keeper);
    assert_eq!(house.open().unwrap().checkpoint().note(), own, "who knows no witness gives none");
    assert_eq!(house.published(), opened.note());
    let mut keeper = house.open_witnessed().unwrap();
    fill(&mut keeper, 4);
    let asked = keeper.unwitnessed(&[]).unwrap();
    assert_eq!(asked.lacking.iter().map(|l| l.size).collect::<Vec<_>>(), [5, 0, 5], "from what each has seen");
    assert!(policy().judge(&SignedCheckpoint::open(&house.published(), &vkey).unwrap(), Moment::now()).is_err());
}

#[test]
fn a_witness_is_led_on_from_what_it_cosigned_or_from_the_size_that_it_names() {
    let house = House::new();
    let mut keeper = house.open_witnessed().unwrap();
    fill(&mut keeper, 300);
    keeper.cosign(&[answer(2, &keeper)]).unwrap();
    fill(&mut keeper, 30);
    let known = |n: u8, size| Known { witness: witness(n).1, size };
    assert_eq!(keeper.unwitnessed(&[]).unwrap().lacking, [known(1, 0), known(2, 300), known(3, 0)]);
    let asked = keeper.unwitnessed(&[known(2, 17), known(3, 330), known(1, 331)]).unwrap();
    assert_eq!(asked.lacking, [known(2, 17), known(3, 330)]);
    assert!(asked.ahead[0].contains("w1 says it has seen 331 entries") && asked.ahead[0].contains("rolled"));
    let stranger = Known { witness: witness(9).1, size: 3 };
    assert_eq!(keeper.unwitnessed(&[stranger]).unwrap_err().code, "bad-witnesses");
    assert!(keeper.unwitnessed(&vec![known(1, 1); 65]).is_err());
    assert_eq!(keeper.append(some(1, "on"), 0).unwrap().first, 330);
}

#[test]
fn what_is_not_a_witness_of_the_policy_on_this_checkpoint_now_is_not_published() {
    let house = House::new();
    let mut keeper = house.open_witnessed().unwrap();
    fill(&mut keeper, 5);
    let (before, now, this) = (house.published(), now(), text(&keeper));
    let other = this.replace("\n5\n", "\n4\n");
    let as_first = |answer: Signed| Signed { witness: witness(1).1, ..answer };
    let log_line = before.split("\n\n").nth(1).unwrap();
    let twice = answer(1, &keeper).lines + &answer_of(1, &this, now + 1).lines;
    let shifted = format!("\n{}", answer_of(1, before.as_str(), now).lines);
    let lines = |lines: &str| Signed { witness: witness(1).1, lines: lines.to_owned() };
    for (wrong, word) in [
        (answer_of(1, &other, now), "does not verify"),
        (answer_of(1, &this, now - SKEW - 60), "its clock is wrong"),
        (answer_of(1, &this, now + SKEW + 60), "its clock is wrong"),
        (answer_of(1, &this, u64::MAX), "of no time"),
        (answer(9, &keeper), "is no witness of the policy"),
        (as_first(answer(9, &keeper)), "carries no signature of w.example/1"),
        (as_first(answer(2, &keeper)), "carries no signature of w.example/1"),
        (lines(&twice), "does not verify"),
        (lines(""), "carries no signature"),
        (lines(log_line), "carries no signature"),
        (lines("rubbish\n"), "is no signature"),
        (lines("\n— x AAAAAAA=\n"), "is no signature"),
        (lines(&shifted), "is no signature"),
        (lines(answer(1, &keeper).lines.trim_end()), "does not end"),
        (lines(&"— w.example/1 AAAAAAA=\n".repeat(LINES / 20)), "more than"),
    ] {
        let kept = keeper.cosign(&[wrong]).unwrap();
        assert!(kept.cosigned.is_empty() && kept.unmet.is_some());
        assert!(kept.refused.len() == 1 && kept.refused[0].contains(word), "{word}: {:?}", kept.refused);
        assert_eq!(house.published(), before);
    }
    // A true one among false ones is kept, and nothing else of what came with it.
    let mut good = answer(2, &keeper);
    good.lines = format!("{log_line}{}{}", answer(9, &keeper).lines, good.lines);
    let kept = keeper.cosign(&[answer_of(1, &other, now), good, answer(3, &keeper)]).unwrap();
    assert_eq!((kept.cosigned.len(), kept.refused.len(), kept.unmet), (2, 1, None));
    assert_eq!(house.published().lines().filter(|l| l.starts_with("— ")).count(), 3);
    assert!(keeper.cosign(&vec![answer(1, &keeper); 65]).is_err());
    // One that says it again, later, takes the place of what it said.
    let again = keeper.cosign(&[answer_of(2, &this, now + 5)]).unwrap();
    assert_eq!(again.cosigned[0].at.unix() as u64, now + 5);
    assert_eq!(house.published().lines().filter(|l| l.starts_with("— ")).count(), 3);
}

#[test]
fn a_cosignature_that_was_changed_halts_or_is_asked_for_again() {
    let house = House::new();
    let mut keeper = house.open_witnessed().unwrap();
    fill(&mut keeper, 5);
    keeper.cosign(&[answer(1, &keeper), answer(2, &keeper)]).unwrap();
    let vkey = keeper.vkey().clone();
    drop(keeper);
    let good = house.published();
    let begin = good.find("— w.example/1").unwrap();
    let mut halted = 0;
    for at in begin..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            fs::write(house.tiles().join("checkpoint"), bytes).unwrap();
            match house.open_witnessed() {
                Ok(keeper) => {
                    let asked = keeper.unwitnessed(&[]).unwrap();
                    assert_eq!(asked.lacking.len(), 2, "byte {at}: it counts no more");
                    assert!(asked.unmet.is_some());
                }
                Err(failure) => {
                    assert_eq!(failure.retry, Retry::Halt, "byte {at}: {failure}");
                    halted += 1;
                }
            }
            // Who knows the policy is never satisfied by it.
            let note = fs::read_to_string(house.tiles().join("checkpoint")).unwrap_or_default();
            let opened = SignedCheckpoint::open(&note, &vkey);
            assert!(opened.is_err() || policy().judge(&opened.unwrap(), Moment::now()).is_err(), "byte {at}");
        }
    }
    assert!(halted > 100, "{halted}");
}

#[test]
fn a_policy_that_lists_another_log_is_refused() {
    let house = House::new();
    let vkey = house.open().unwrap().vkey().clone();
    let of = |log: &Vkey| LogPolicy::parse(&format!("log {log}\nquorum none\n")).unwrap();
    let open = |policy| Keeper::open_witnessed(&house.tiles(), &house.own(), ORIGIN, Some(policy));
    assert!(open(of(&vkey)).is_ok());
    let other = Vkey::new(ORIGIN, &Ed25519Key::from_seed(&[8; 32]).unwrap()).unwrap();
    let failure = open(of(&other)).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retry), ("keeper-config", Retry::Never));
}

/// After any cut: it starts, the log is the one it was, and each cosignature is there or asked for again.
fn check_after(house: &House, log: &Vkey, size: u64) {
    let mut keeper = house.open_witnessed().unwrap();
    assert_eq!(keeper.checkpoint().size(), size);
    assert_eq!(Log::open(&house.tiles(), log).unwrap().1.len() as u64, size);
    let asked: Vec<_> = keeper.unwitnessed(&[]).unwrap().lacking.into_iter().map(|l| l.witness).collect();
    let opened = SignedCheckpoint::open(&house.published(), log).unwrap();
    let there = policy().cosigned(&opened).unwrap();
    assert_eq!(asked.len() + there.len(), 3);
    assert!(there.iter().all(|c| !asked.contains(&c.key)));
    let answers: Vec<_> = (1..=3).map(|n| answer(n, &keeper)).collect();
    assert_eq!(keeper.cosign(&answers).unwrap().unmet, None);
    assert_eq!(keeper.append(some(2, "after"), size).unwrap().first, size);
    let judged = policy().judge(&SignedCheckpoint::open(&house.published(), log).unwrap(), Moment::now());
    assert!(matches!(judged, Err(PolicyError::Quorum { .. })), "what was said of the old one is not said of the new");
}

#[test]
fn cosigning_that_is_cut_at_any_step_leaves_the_log_as_it_was() {
    let full = House::new();
    let mut keeper = full.open_witnessed().unwrap();
    fill(&mut keeper, 5);
    keeper.cosign(&[answer(1, &keeper)]).unwrap();
    let vkey = keeper.vkey().clone();
    drop(keeper);
    for done in [false, true] {
        for left in 0.. {
            let house = full.copy();
            let mut keeper = house.open_witnessed().unwrap();
            let answers = [answer(2, &keeper), answer(3, &keeper)];
            faults::arm(left, done);
            let kept = keeper.cosign(&answers);
            if !faults::disarm() {
                assert!(left >= 3 && kept.unwrap().cosigned.len() == 2, "every step was cut: {left}");
                break;
            }
            assert_eq!(kept.unwrap_err().retry, Retry::Later);
            assert_eq!(keeper.append(some(1, "on"), 0).unwrap_err().code, "log-lost");
            drop(keeper);
            check_after(&house, &vkey, 5);
        }
    }
}

#[test]
fn an_append_after_cosignatures_that_is_cut_at_any_step_is_made_good() {
    let full = House::new();
    let mut keeper = full.open_witnessed().unwrap();
    fill(&mut keeper, 5);
    let answers: Vec<_> = (1..=3).map(|n| answer(n, &keeper)).collect();
    keeper.cosign(&answers).unwrap();
    let vkey = keeper.vkey().clone();
    drop(keeper);
    for done in [false, true] {
        for left in 0.. {
            let house = full.copy();
            let mut keeper = house.open_witnessed().unwrap();
            faults::arm(left, done);
            let appended = keeper.append(some(3, "cut"), 0);
            if !faults::disarm() {
                assert!(appended.is_ok());
                break;
            }
            drop(keeper);
            let size = house.open_witnessed().unwrap().checkpoint().size();
            assert!(size == 5 || size == 8, "{size}");
            check_after(&house, &vkey, size);
        }
    }
}

#[test]
fn what_is_told_of_cosignatures_is_durable() {
    let house = House::new();
    let mut keeper = house.open_witnessed().unwrap();
    fill(&mut keeper, 5);
    let renamed = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let steps = std::rc::Rc::clone(&renamed);
    let note = |step: Step<'_>| match step {
        Step::Rename(path) => Some(format!("rename {}", path.file_name().unwrap().display())),
        Step::Sync([folder]) => Some(format!("sync {}", folder.file_name().unwrap().display())),
        Step::Sync(folders) => panic!("{folders:?}"),
        _ => None,
    };
    faults::watch(Some(Box::new(move |step| steps.borrow_mut().extend(note(step)))));
    keeper.cosign(&[answer(1, &keeper)]).unwrap();
    faults::watch(None);
    assert_eq!(*renamed.borrow(), ["rename checkpoint", "sync tiles"]);
}
