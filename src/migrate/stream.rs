//! What lies between the two machines of a migration: a Unix socket or a TCP connection, within this process or to another.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cli::{Address, Over};
use crate::exit;

/// How long one end waits for the other before it gives the migration up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a listener looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Either end of a stream.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn prepared(self) -> io::Result<Self> {
        match &self {
            Self::Unix(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
            }
        }
        Ok(self)
    }

    /// Both ends, in this process.
    pub(super) fn pair(over: Over) -> Result<(Self, Self)> {
        let (near, far) = match over {
            Over::Unix => {
                let (near, far) = UnixStream::pair()?;
                (Self::Unix(near), Self::Unix(far))
            }
            Over::Tcp => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let near = TcpStream::connect(listener.local_addr()?)?;
                (Self::Tcp(near), Self::Tcp(listener.accept()?.0))
            }
        };
        Ok((near.prepared()?, far.prepared()?))
    }

    /// A connection to another process that listens.
    pub(super) fn connect(to: &Address) -> Result<Self> {
        let stream = match to {
            Address::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Address::Tcp(address) => TcpStream::connect(address).map(Self::Tcp),
        };
        stream.and_then(Self::prepared).with_context(|| format!("cannot connect to {to}"))
    }
}

/// Waits for the first connection of another process.
pub(super) struct Listener {
    kind: Kind,
}

enum Kind {
    Unix(UnixListener, PathBuf),
    Tcp(TcpListener),
}

impl Listener {
    /// Says where it listens: a port of 0 is chosen by the system.
    pub(super) fn new(at: &Address) -> Result<Self> {
        let bound = || -> io::Result<(Kind, String)> {
            Ok(match at {
                Address::Unix(path) => {
                    let listener = UnixListener::bind(path)?;
                    listener.set_nonblocking(true)?;
                    (Kind::Unix(listener, path.clone()), at.to_string())
                }
                Address::Tcp(address) => {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    let place = format!("tcp:{}", listener.local_addr()?);
                    (Kind::Tcp(listener), place)
                }
            })
        };
        let (kind, place) = bound().with_context(|| format!("cannot listen on {at}"))?;
        exit::say(format_args!("waiting for a guest on {place}"));
        Ok(Self { kind })
    }

    /// The connection; an error once `stop` is set.
    pub(super) fn accept(self, stop: &AtomicBool) -> Result<Stream> {
        loop {
            let accepted = match &self.kind {
                Kind::Unix(listener, _) => {
                    listener.accept().map(|(stream, _)| Stream::Unix(stream))
                }
                Kind::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            };
            match accepted {
                Ok(stream) => return Ok(stream.prepared()?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("no connection"),
            }
            if stop.load(Ordering::Relaxed) {
                bail!("ended before a guest came");
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix(_, path) = &self.kind {
            // A socket that stays behind is only in the way of the next one.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.flush(),
            Self::Tcp(stream) => stream.flush(),
        }
    }
}

/// A stream that breaks after so many bytes, if it is to.
pub(super) struct Breaking {
    pub(super) stream: Stream,
    pub(super) left: Option<u64>,
}

impl Read for Breaking {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Write for Breaking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::ConnectionReset)?;
        }
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
