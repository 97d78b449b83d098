//! A channel to a room that is not waited for for ever: reading and writing end at a moment, however little at a time the
//! other side gives or takes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SendFlags;

/// A channel, until a moment.
#[derive(Debug)]
pub struct Patient<'a> {
    channel: &'a UnixStream,
    until: Instant,
}

impl<'a> Patient<'a> {
    /// Waits on this channel until then, and no longer.
    pub fn new(channel: &'a UnixStream, until: Instant) -> Self {
        Self { channel, until }
    }

    fn wait(&self, what: PollFlags) -> io::Result<()> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match poll(&mut [PollFd::new(self.channel, what)], Some(&timespec(left))) {
                Ok(0) | Err(Errno::INTR) => {}
                // Data, room for data, or the end: the call itself says which.
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn timespec(left: Duration) -> Timespec {
    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    Timespec { tv_sec: seconds, tv_nsec: i64::from(left.subsec_nanos()) }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(PollFlags::IN)?;
        let mut channel = self.channel;
        channel.read(buffer)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::OUT)?;
            // A blocking write would wait until all of it is taken.
            match rustix::net::send(self.channel, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return done.map_err(io::Error::from),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_little_or_takes_nothing_is_left_in_time() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let soon = || Instant::now() + Duration::from_millis(50);
        let timed_out = |done: io::Result<()>| assert_eq!(done.unwrap_err().kind(), io::ErrorKind::TimedOut);
        timed_out(Patient::new(&ours, soon()).read_exact(&mut [0; 4]));
        (&theirs).write_all(b"ab").unwrap();
        timed_out(Patient::new(&ours, soon()).read_exact(&mut [0; 4]));
        timed_out(Patient::new(&ours, soon()).write_all(&vec![0; 4 << 20]));
        drop(theirs);
        assert!(Patient::new(&ours, soon()).write_all(b"x").is_err());
        assert_eq!(Patient::new(&ours, soon()).read(&mut [0; 4]).unwrap_or(0), 0);
    }
}
