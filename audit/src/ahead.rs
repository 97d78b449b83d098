//! Reading ahead: work that needs no order is done on all processors, and handed on in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// How many results may wait for their turn, for each thread: enough that none idles, few enough that memory stays flat.
const WAITING: u64 = 2;

/// The most threads: reading a disk gains nothing from more.
const THREADS: usize = 8;

/// What the threads share.
struct Line<T> {
    state: Mutex<State<T>>,
    moved: Condvar,
}

struct State<T> {
    /// The next number that nobody works at.
    next: u64,
    /// The next number that is handed on.
    due: u64,
    done: BTreeMap<u64, T>,
    over: bool,
}

/// Has `work` done for each number below `count`, and hands the results to `take`, in order, until that fails.
///
/// # Errors
/// As `take`.
pub(crate) fn in_order<T: Send, E>(
    count: u64,
    work: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    if threads == 1 || count < 2 {
        return (0..count).try_for_each(|n| take(work(n)));
    }
    let state = State { next: 0, due: 0, done: BTreeMap::new(), over: false };
    let line = Line { state: Mutex::new(state), moved: Condvar::new() };
    let window = WAITING * threads as u64;
    thread::scope(|scope| {
        // Where a room may start no thread the work is done here.
        let started = (0..threads).filter(|_| {
            let worker = thread::Builder::new().spawn_scoped(scope, || {
                while let Some(n) = line.begin(count, window) {
                    // Should the work panic, whoever waits for it must not wait for ever: the scope then panics as well.
                    let ended = Ended(&line);
                    let done = work(n);
                    std::mem::forget(ended);
                    line.finish(n, done);
                }
            });
            worker.is_ok()
        });
        let started = started.count();
        let _ended = Ended(&line);
        for n in 0..count {
            let done = if started == 0 { Some(work(n)) } else { line.wait(n) };
            let Some(done) = done else { return Ok(()) };
            take(done)?;
        }
        Ok(())
    })
}

/// Ends the line when it goes.
struct Ended<'a, T>(&'a Line<T>);

impl<T> Drop for Ended<'_, T> {
    fn drop(&mut self) {
        self.0.with(|state| state.over = true);
    }
}

impl<T> Line<T> {
    fn with<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let result = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.moved.notify_all();
        result
    }

    /// A number to work at, when there is room for its result.
    fn begin(&self, count: u64, window: u64) -> Option<u64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |state: &mut State<T>| !state.over && state.next < count && state.next >= state.due + window;
        let mut state = self.moved.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
        if state.over || state.next >= count {
            return None;
        }
        state.next += 1;
        Some(state.next - 1)
    }

    fn finish(&self, n: u64, done: T) {
        self.with(|state| state.done.insert(n, done));
    }

    /// The result for a number; `None`: a thread panicked.
    fn wait(&self, n: u64) -> Option<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |state: &mut State<T>| !state.over && !state.done.contains_key(&n);
        let mut state = self.moved.wait_while(state, missing).unwrap_or_else(PoisonError::into_inner);
        let done = state.done.remove(&n);
        state.due = n + 1;
        drop(state);
        self.moved.notify_all();
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() {
        for count in [0, 1, 2, 1000] {
            let (begun, mut taken) = (AtomicU64::new(0), 0);
            let work = |n| {
                begun.fetch_add(1, Ordering::Relaxed);
                n * 3
            };
            let ended = in_order(count, work, |result| {
                assert_eq!(result, taken * 3);
                taken += 1;
                let ahead = begun.load(Ordering::Relaxed) - taken;
                assert!(ahead <= (WAITING + 1) * THREADS as u64, "{ahead} results wait");
                Ok::<(), ()>(())
            });
            assert_eq!((ended, taken), (Ok(()), count));
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let begun = AtomicU64::new(0);
        let work = |n| {
            begun.fetch_add(1, Ordering::Relaxed);
            n
        };
        let ended = in_order(1 << 40, work, |n| if n == 500 { Err(n) } else { Ok(()) });
        assert_eq!(ended, Err(500));
        assert!(begun.into_inner() < 1000);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_is_no_end_without_an_error() {
        let _ = in_order(100, |n| assert!(n != 50), |()| Ok::<(), ()>(()));
    }
}
