//! Cuts: a write that fails, a power cut, a kill. What was acknowledged is there afterwards.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::rc::Rc;

use super::*;
use crate::receipt::Receipt;
use crate::store::{Step, faults};

/// What every start after an interrupted one must find: nothing acknowledged is lost, old receipts hold, and it goes on.
fn check_after(house: &House, acknowledged: &[Receipt], mut seen: LastSeen, attempted: u64) {
    let mut keeper = house.open().unwrap();
    let size = keeper.checkpoint().size();
    assert!(size == seen.size() || size == seen.size() + attempted, "all of an append, or none: {size}");
    let vkey = keeper.vkey().clone();
    let proved = keeper.prove(&Vec::from_iter(0..seen.size().min(200)), seen.size()).unwrap();
    seen.advance(keeper.checkpoint(), &proved.consistency).unwrap();
    let (_, entries) = Log::open(&house.tiles(), &vkey).unwrap();
    for receipt in acknowledged {
        receipt.verify(&vkey, &entries[receipt.index as usize].leaf()).unwrap();
    }
    assert_eq!(keeper.append(some(2, "after"), size).unwrap().first, size);
    assert_eq!(Log::open(&house.tiles(), &vkey).unwrap().1.len() as u64, size + 2);
}

#[test]
fn an_append_that_is_cut_at_any_step_loses_nothing_that_was_acknowledged() {
    let full = House::new();
    let mut keeper = full.open().unwrap();
    // The next append completes a bundle and a tile, begins the next, and begins level 1.
    fill(&mut keeper, 254);
    let proved = keeper.prove(&[0, 17, 253], 0).unwrap();
    let acknowledged: Vec<Receipt> = proved.receipts.iter().map(|r| r.parse().unwrap()).collect();
    let seen = LastSeen::of(keeper.checkpoint());
    drop(keeper);
    for done in [false, true] {
        for left in 0.. {
            let house = full.copy();
            let mut keeper = house.open().unwrap();
            faults::arm(left, done);
            let answer = keeper.append(some(4, "cut"), 0);
            if !faults::disarm() {
                assert!(left > 20 && answer.is_ok(), "every step was cut: {left}");
                break;
            }
            assert_eq!(answer.unwrap_err().retry, Retry::Later);
            assert_eq!(keeper.append(some(1, "on"), 0).unwrap_err().code, "log-lost");
            drop(keeper);
            check_after(&house, &acknowledged, seen, 4);
        }
    }
}

#[test]
fn a_first_start_and_a_recovery_that_are_cut_are_made_good_by_the_next() {
    for done in [false, true] {
        for left in 0.. {
            let house = House::new();
            faults::arm(left, done);
            let opened = house.open();
            if !faults::disarm() {
                assert!(left > 5 && opened.is_ok(), "{left}");
                break;
            }
            drop(opened);
            check_after(&house, &[], LastSeen::default(), 0);
        }
    }
    let behind = House::new();
    let mut keeper = behind.open().unwrap();
    fill(&mut keeper, 10);
    let (seen, old) = (LastSeen::of(keeper.checkpoint()), keeper.checkpoint().note().to_owned());
    fill(&mut keeper, 5);
    drop(keeper);
    fs::write(behind.tiles().join("checkpoint"), old).unwrap();
    for left in 0.. {
        let house = behind.copy();
        faults::arm(left, true);
        let opened = house.open();
        if !faults::disarm() {
            assert!(left > 2 && opened.is_ok(), "{left}");
            break;
        }
        drop(opened);
        check_after(&house, &[], seen, 5);
    }
}

/// What a disk holds for certain: files and folders whose names were made durable, and with them their contents.
struct Disk {
    real: PathBuf,
    sure: House,
    pending: BTreeSet<PathBuf>,
    cuts: Vec<House>,
}

impl Disk {
    fn watch(house: &House) -> Rc<RefCell<Self>> {
        let (real, sure) = (house.folder.path().to_owned(), house.copy());
        let disk = Rc::new(RefCell::new(Self { real, sure, pending: BTreeSet::new(), cuts: Vec::new() }));
        let watched = Rc::clone(&disk);
        faults::watch(Some(Box::new(move |step| watched.borrow_mut().after(step))));
        disk
    }

    fn after(&mut self, step: Step<'_>) {
        match step {
            Step::Write => {}
            Step::Rename(path) | Step::Create(path) => drop(self.pending.insert(path.to_owned())),
            // They come in any order: here in this one, and the power may go after each.
            Step::Sync(folders) => {
                for folder in folders {
                    self.synced(folder);
                    self.cut();
                }
                return;
            }
        }
        self.cut();
    }

    fn synced(&mut self, folder: &Path) {
        let rooms = ["tiles", "own"].iter().any(|own| folder.starts_with(self.real.join(own)));
        assert!(rooms, "{} is not the keeper's", folder.display());
        let (now, later) = self.pending.iter().cloned().partition(|p| p.parent() == Some(folder));
        self.pending = later;
        persist(&self.real, &now, self.sure.folder.path());
    }

    fn cut(&mut self) {
        // The power goes here. A disk may also have written some of what nobody asked it to.
        let some = self.sure.copy();
        let every_other = self.pending.iter().step_by(2).cloned().collect();
        persist(&self.real, &every_other, some.folder.path());
        self.cuts.extend([self.sure.copy(), some]);
    }
}

/// Copies what has a durable parent; what has none is lost with it.
fn persist(real: &Path, paths: &BTreeSet<PathBuf>, sure: &Path) {
    for path in paths {
        let (Ok(name), Ok(content)) = (path.strip_prefix(real), fs::metadata(path)) else { continue };
        let to = sure.join(name);
        if !to.parent().is_some_and(Path::is_dir) {
            continue;
        }
        match content.is_dir() {
            true => drop(fs::create_dir(to)),
            false => drop(fs::copy(path, to).unwrap()),
        }
    }
}

#[test]
fn a_power_cut_between_any_two_steps_loses_nothing_that_was_acknowledged() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    fill(&mut keeper, 254);
    let receipts = keeper.prove(&[0, 253], 0).unwrap().receipts;
    let acknowledged: Vec<Receipt> = receipts.iter().map(|r| r.parse().unwrap()).collect();
    let seen = LastSeen::of(keeper.checkpoint());
    let disk = Disk::watch(&house);
    keeper.append(some(4, "cut"), 0).unwrap();
    faults::watch(None);
    assert!(disk.borrow().pending.is_empty(), "what is acknowledged is durable: {:?}", disk.borrow().pending);
    assert!(disk.borrow().cuts.len() > 40);
    for cut in disk.borrow().cuts.iter().skip(1) {
        check_after(cut, &acknowledged, seen, 4);
    }
    let last = disk.borrow().sure.copy();
    assert_eq!(last.open().unwrap().checkpoint().size(), 258);

    let house = House::new();
    let disk = Disk::watch(&house);
    let mut keeper = house.open().unwrap();
    keeper.append(some(3, "first"), 0).unwrap();
    faults::watch(None);
    assert_eq!(disk.borrow().sure.copy().open().unwrap().checkpoint().size(), 3);
    for cut in &disk.borrow().cuts {
        check_after(cut, &[], LastSeen::default(), 3);
    }
}

const CHILD: &str = "COUNTERSIGN_TEST_KEEPER";

/// Not a test by itself: the process that is killed. Says after each append how many entries were acknowledged.
#[test]
fn child_appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut keeper = Keeper::open(&folder.join("tiles"), &folder.join("own"), ORIGIN).unwrap();
    let mut acknowledged = fs::OpenOptions::new().append(true).create(true).open(folder.join("acknowledged")).unwrap();
    for count in (1..=40).cycle() {
        let answer = keeper.append(some(count, "child"), 0).unwrap();
        acknowledged.write_all(format!("{}\n", answer.first + count as u64).as_bytes()).unwrap();
    }
}

#[test]
fn a_kill_at_any_instant_loses_nothing_that_was_acknowledged() {
    let house = House::new();
    let mut seen = LastSeen::default();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keeper::tests::crash::child_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, house.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = fs::read_to_string(house.folder.path().join("acknowledged")).unwrap_or_default();
        let last = acknowledged.lines().last().map_or(0, |line| line.parse::<u64>().unwrap());
        let mut keeper = house.open().unwrap();
        assert!(keeper.checkpoint().size() >= last, "{} of {last}", keeper.checkpoint().size());
        let proved = keeper.prove(&[], seen.size()).unwrap();
        seen.advance(keeper.checkpoint(), &proved.consistency).unwrap();
        Log::open(&house.tiles(), keeper.vkey()).unwrap();
    }
    assert!(seen.size() > 100, "the child appended: {}", seen.size());
}
