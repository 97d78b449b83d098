//! Each request of a publication in turn is harmed on its way, while somebody reads the tag.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use artifact::key::PublicKey;
use artifact::name::Repository;
use demo::wire::{Harm, Line};

use super::fixture::{Fixture, client, local, wrong};

/// A reader who polls tags all the while, over a line of its own.
struct Reader {
    stop: Arc<AtomicBool>,
    at: Arc<Mutex<Option<Repository>>>,
    thread: std::thread::JoinHandle<(BTreeSet<String>, usize)>,
}

impl Reader {
    fn start(host: String, key: PublicKey) -> Self {
        let (stop, at) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None::<Repository>)));
        let (ended, place) = (Arc::clone(&stop), Arc::clone(&at));
        let looks = async move {
            let (mut found, mut whole) = (BTreeSet::new(), 0);
            let client = client(&host);
            while !ended.load(Ordering::SeqCst) {
                let looked = place.lock().unwrap().clone();
                let seen = match &looked {
                    Some(repository) => wrong(&client, repository, &key).await,
                    None => None,
                };
                match seen {
                    None => {}
                    Some(wrong) if wrong.is_empty() => whole += 1,
                    Some(wrong) => found.extend(wrong.into_iter().map(|w| format!("{looked:?}: {w}"))),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (found, whole)
        };
        let thread = std::thread::spawn(|| local(looks));
        Self { stop, at, thread }
    }

    fn look_at(&self, repository: Repository) {
        *self.at.lock().unwrap() = Some(repository);
    }

    /// What was wrong with what it saw, and how often it saw a whole release.
    fn end(self) -> (BTreeSet<String>, usize) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// Harms every `step`th request of a publication, and from every fourth of those on all of them.
fn table(referrers_api: bool, step: usize) {
    let fixture = Fixture::new();
    fixture.registry.set_referrers_api(referrers_api);
    let line = Line::to(&fixture.registry.host()).unwrap();
    let reader = Reader::start(fixture.registry.host(), fixture.key.public());
    let publish =
        |path: &str| Fixture { path: path.into(), ..fixture.again() }.publish_to(&line.host(), &client(&line.host()));
    publish("clean").unwrap();
    let requests = line.requests();
    assert!(requests > 40, "{requests}");
    let once = Harm::ALL.map(|harm| (harm, 1, step));
    let on = [Harm::Before, Harm::After].map(|harm| (harm, usize::MAX, 4 * step));
    for (case, (harm, times, step)) in once.into_iter().chain(on).enumerate() {
        for number in (case % step..requests).step_by(step) {
            let path = format!("{harm:?}-{number}-{}", times.min(2)).to_lowercase();
            let case = format!("{harm:?} of request {number}, {times} times, referrers API {referrers_api}");
            reader.look_at(fixture.repository(&path));
            line.harm(harm, number, times);
            let first = publish(&path);
            assert!(times == 1 || first.is_err(), "{case}");
            line.mend();
            let done = publish(&path);
            assert!(done.is_ok(), "{case}: {done:?}");
            assert_eq!(fixture.wrong(&path), [""; 0], "{case}");
            if number % 7 == 0 {
                fixture.registry.clear_journal();
                publish(&path).unwrap();
                assert_eq!(fixture.registry.journal(), [], "{case}: a run more writes something");
            }
        }
    }
    let (found, whole) = reader.end();
    assert!(found.is_empty() && whole > 0, "{whole}; {found:#?}");
}

#[test]
fn whatever_happens_to_any_request_one_more_run_makes_one_whole_release() {
    table(false, 1);
}

#[test]
fn with_the_referrers_api_as_well() {
    table(true, 5);
}
