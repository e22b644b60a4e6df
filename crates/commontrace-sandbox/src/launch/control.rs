//! The launcher's end of the socket to the supervisor.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::plan::{Message, Plan};

/// The socket to the supervisor.
pub(super) struct Control(UnixStream);

impl Control {
    /// Takes the socket from standard input, which is the null device from then on.
    pub fn take() -> io::Result<Self> {
        let socket = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
        rustix::stdio::dup2_stdin(null)?;
        let socket = UnixStream::from(socket);
        socket.peer_addr()?; // says whether it is a socket at all
        Ok(Self(socket))
    }

    /// What the supervisor wants.
    pub fn plan(&self) -> io::Result<Plan> {
        // Nothing follows the line until the supervisor's end closes, so nothing is buffered away.
        let mut line = Vec::new();
        BufReader::new(&self.0).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }

    /// Becomes another program, which gets the socket as its standard input.
    pub fn hand_over(&self, command: &mut std::process::Command) -> io::Error {
        use std::os::unix::process::CommandExt as _;
        match rustix::stdio::dup2_stdin(&self.0) {
            Ok(()) => command.exec(),
            Err(err) => err.into(),
        }
    }

    /// Says something. A supervisor that is gone ends everything anyway.
    pub fn say(&self, message: &Message) {
        let mut line = serde_json::to_vec(message).expect("messages have no maps with other keys");
        line.push(b'\n');
        let _ = (&self.0).write_all(&line);
    }

    /// Whether the supervisor wants the end, or is gone.
    pub fn closed(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::RDHUP)];
        poll(
            &mut fds,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )
        .is_ok_and(|ready| ready > 0)
    }

    /// Waits until the supervisor wants the end or is gone, or the process behind `pidfd` has ended.
    pub fn wait_for_either(&self, pidfd: &OwnedFd) {
        let mut fds = [
            PollFd::new(&self.0, PollFlags::RDHUP),
            PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN),
        ];
        while let Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
    }
}

/// Lets go of the command's output, so that it ends when the command's processes do. Takes the null
/// device from standard input: which files there are changes under a process that stays outside.
pub(super) fn drop_output() -> io::Result<()> {
    rustix::stdio::dup2_stdout(io::stdin())?;
    rustix::stdio::dup2_stderr(io::stdin())?;
    Ok(())
}
