//! The launcher's fixed menu: which rooms there are, and what each gets. Nothing of it comes from a job.

use std::io::{self, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde::{Deserialize, Serialize};

/// A room of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Room {
    /// Folds the log, asks policy, leads each promotion.
    Coordinator,
    /// Pulls evidence, source, bases and the candidate.
    Intake,
    /// Runs recipes in the sandbox.
    Builder,
    /// Packs, compares, attests.
    Comparer,
    /// Writes the log.
    Keeper,
    /// Asks for the signature and publishes.
    Signer,
}

/// A store below the lane's folder of the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Store {
    /// Below `STATE/LANE`.
    pub path: &'static str,
    /// Whether the room writes it; then it is the room's own.
    pub writes: bool,
}

/// What a room gets.
#[derive(Debug)]
pub(crate) struct Fare {
    /// The binary, in the launcher's own folder.
    pub binary: &'static str,
    /// Its uid is the first one plus this.
    pub uid_offset: u32,
    /// Whether it keeps the host's network.
    pub network: bool,
    /// The stores it sees.
    pub stores: &'static [Store],
    /// The files of the configuration it sees.
    pub config: &'static [&'static str],
    /// Memory in bytes, where the host enforces it.
    pub memory: u64,
    /// Processes, where the host enforces it.
    pub processes: u64,
}

const MIB: u64 = 1 << 20;

const fn own(path: &'static str) -> Store {
    Store { path, writes: true }
}

const fn reads(path: &'static str) -> Store {
    Store { path, writes: false }
}

const COORDINATOR: Fare = Fare {
    binary: "countersign",
    uid_offset: 0,
    network: false,
    stores: &[reads("log/tiles"), own("coordinator/own")],
    // It reads three of them, and records all: what changed, and when. None holds a secret.
    config: &[
        "countersign.toml",
        "rules.toml",
        "keys.toml",
        "signer-rules.toml",
        "intake.toml",
        "builder.toml",
        "compare.toml",
        "keeper.toml",
        "signer.toml",
    ],
    memory: 1024 * MIB,
    processes: 16,
};

const INTAKE: Fare = Fare {
    binary: "countersign-intake",
    uid_offset: 1,
    network: true,
    stores: &[own("intake/dossiers"), own("intake/candidates"), own("intake/own")],
    config: &["intake.toml", "rules.toml"],
    memory: 2048 * MIB,
    processes: 64,
};

const BUILDER: Fare = Fare {
    binary: "countersign-builder",
    uid_offset: 2,
    network: false,
    stores: &[reads("intake/dossiers"), own("builder/out"), own("builder/work")],
    config: &["builder.toml"],
    memory: 8192 * MIB,
    processes: 4096,
};

const COMPARER: Fare = Fare {
    binary: "countersign-compare",
    uid_offset: 3,
    network: false,
    stores: &[
        reads("intake/dossiers"),
        reads("intake/candidates"),
        reads("builder/out"),
        own("compare/out"),
        own("compare/own"),
    ],
    config: &["compare.toml"],
    memory: 4096 * MIB,
    processes: 256,
};

const KEEPER: Fare = Fare {
    binary: "countersign-keeper",
    uid_offset: 4,
    network: false,
    stores: &[own("log/tiles"), own("log/own")],
    config: &["keeper.toml"],
    memory: 1024 * MIB,
    processes: 16,
};

const SIGNER: Fare = Fare {
    binary: "countersign-signer",
    uid_offset: 5,
    network: true,
    stores: &[reads("intake/candidates"), reads("compare/out"), own("signer/own")],
    config: &["signer.toml", "signer-rules.toml", "keys.toml"],
    memory: 1024 * MIB,
    processes: 16,
};

impl Room {
    /// Every room.
    pub const ALL: [Self; 6] =
        [Self::Coordinator, Self::Intake, Self::Builder, Self::Comparer, Self::Keeper, Self::Signer];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Intake => "intake",
            Self::Builder => "builder",
            Self::Comparer => "comparer",
            Self::Keeper => "keeper",
            Self::Signer => "signer",
        }
    }

    /// Its binary, in the launcher's own folder.
    pub const fn binary(self) -> &'static str {
        self.fare().binary
    }

    /// The byte that asks for it. The coordinator is on no menu: the launcher starts it, once.
    pub(crate) const fn number(self) -> Option<u8> {
        match self {
            Self::Coordinator => None,
            Self::Intake => Some(1),
            Self::Builder => Some(2),
            Self::Comparer => Some(3),
            Self::Keeper => Some(4),
            Self::Signer => Some(5),
        }
    }

    /// The room that a byte asks for.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|room| room.number() == Some(number))
    }

    /// The files of the configuration that it sees.
    pub const fn config(self) -> &'static [&'static str] {
        self.fare().config
    }

    /// What it gets.
    pub(crate) const fn fare(self) -> &'static Fare {
        match self {
            Self::Coordinator => &COORDINATOR,
            Self::Intake => &INTAKE,
            Self::Builder => &BUILDER,
            Self::Comparer => &COMPARER,
            Self::Keeper => &KEEPER,
            Self::Signer => &SIGNER,
        }
    }
}

/// Asks the launcher for a room and takes the coordinator's end of its channel. The room's first frame is its
/// [`crate::room::Hello`].
///
/// # Errors
/// When the launcher could not start the room (its own error line says why), or is gone.
pub fn start(control: &UnixStream, room: Room) -> io::Result<UnixStream> {
    let number = room.number().ok_or_else(|| io::Error::other("the coordinator is on no menu"))?;
    (&mut &*control).write_all(&[number])?;
    let mut answer = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = rustix::net::recvmsg(control, &mut [IoSliceMut::new(&mut answer)], &mut ancillary, flags)?;
    if message.bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the launcher is gone"));
    }
    let fds = ancillary.drain().filter_map(|m| match m {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    match (answer, fds.flatten().next()) {
        ([0], Some(fd)) => Ok(UnixStream::from(fd)),
        _ => Err(io::Error::other("the launcher could not start it")),
    }
}

/// Reads the next byte of the coordinator; `None` when it has ended.
///
/// # Errors
/// As read(2).
pub fn next_order(control: &UnixStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match (&mut &*control).read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(e) => return Err(e),
        }
    }
}

/// Answers an order: the room's channel, or that there is none.
///
/// # Errors
/// As sendmsg(2).
pub fn answer(control: &UnixStream, channel: Option<UnixStream>) -> io::Result<()> {
    use std::os::fd::AsFd as _;
    let Some(channel) = channel else { return (&mut &*control).write_all(&[1]) };
    let fds = [channel.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no space for one descriptor"));
    }
    let byte = [io::IoSlice::new(&[0])];
    rustix::net::sendmsg(control, &byte, &mut ancillary, rustix::net::SendFlags::empty())?;
    Ok(())
}
