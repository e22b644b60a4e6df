//! Standard error as a program has to use it whose host may never read it: a line for which there is no room is
//! left out, because waiting for room would last for ever.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a pipe takes at once where it takes anything.
const AT_ONCE: usize = 4096;

/// A pipe or file that is written only where that does not wait.
#[derive(Debug)]
pub struct Hasty<W>(pub W);

impl<W: Write + AsFd> Write for Hasty<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        for part in line.chunks(AT_ONCE) {
            if !has_room(self.0.as_fd()) {
                break;
            }
            self.0.write_all(part)?;
        }
        // What was left out counts as written, or it would be tried again.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn has_room(file: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&file, PollFlags::OUT)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // Where it cannot be told, as of a plain file, there is.
    poll(&mut asked, Some(&now)).map_or(true, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_is_not_waited_for() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut hasty = Hasty(writer);
        for _ in 0..10_000 {
            hasty.write_all(&[b'x'; 99]).expect("it never fails");
        }
        hasty
            .write_all(&vec![b'y'; 200_000])
            .expect("it never fails");
        drop(hasty);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("what had room");
        assert!((60_000..1_000_000).contains(&read.len()), "{}", read.len());
    }
}
