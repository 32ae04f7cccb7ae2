//! The door as a TCP port. A thread takes calls and one reads what a debugger sends, so that a machine
//! that runs looks at a flag and at nothing else.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};

use crate::session::{Door, Line, LineClosed};

/// Pieces of input that wait at most; then the sender does.
const PIECES_MAX: usize = 16;
/// The longest piece, in bytes.
const PIECE_BYTES_MAX: usize = 4096;
/// How long a debugger waits for the one before it to be gone.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a debugger may take to read what it is sent.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// A TCP port at which one debugger at a time is served; others are turned away.
pub struct Server {
    address: SocketAddr,
    callers: Receiver<TcpStream>,
    bell: Arc<AtomicBool>,
    /// A debugger is being served.
    busy: Arc<AtomicBool>,
}

impl Server {
    /// Listens at `address`; port 0 is any free port.
    ///
    /// # Errors
    /// The system refuses the port or a thread.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (to, callers) = bounded(1);
        let (bell, busy) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (rings, serves) = (Arc::clone(&bell), Arc::clone(&busy));
        spawn("gdb-listener", move || take_calls(&listener, &to, &rings, &serves))?;
        Ok(Self { address, callers, bell, busy })
    }

    /// The [`Door::bell`], for who waits elsewhere.
    pub fn shared_bell(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.bell)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Ends with the process, or when the server is gone.
fn take_calls(
    listener: &TcpListener,
    to: &Sender<TcpStream>,
    bell: &AtomicBool,
    busy: &AtomicBool,
) {
    for caller in listener.incoming() {
        let Ok(caller) = caller else {
            // Out of descriptors, perhaps; they come back.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        // Who comes back at once may be faster than the news that it has left.
        let since = Instant::now();
        let mut turned_away = busy.swap(true, Ordering::AcqRel);
        while turned_away && since.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(10));
            turned_away = busy.swap(true, Ordering::AcqRel);
        }
        if turned_away {
            tracing::warn!("a second debugger was turned away");
            continue;
        }
        if to.send(caller).is_err() {
            return;
        }
        bell.store(true, Ordering::Release);
    }
}

impl Door for Server {
    fn answer(&mut self, patience: Duration) -> Option<Box<dyn Line>> {
        let stream = self.callers.recv_timeout(patience).ok()?;
        let line = Tcp::new(stream, &self.bell, &self.busy);
        if line.is_err() {
            self.busy.store(false, Ordering::Release);
        }
        Some(Box::new(line.ok()?))
    }

    fn bell(&self) -> &AtomicBool {
        &self.bell
    }
}

/// A connection.
struct Tcp {
    stream: TcpStream,
    pieces: Receiver<Vec<u8>>,
    bell: Arc<AtomicBool>,
    busy: Arc<AtomicBool>,
}

impl Tcp {
    fn new(stream: TcpStream, bell: &Arc<AtomicBool>, busy: &Arc<AtomicBool>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        let (to, pieces) = bounded(PIECES_MAX);
        let (from, rings) = (stream.try_clone()?, Arc::clone(bell));
        spawn("gdb-reader", move || read_pieces(from, to, &rings))?;
        Ok(Self { stream, pieces, bell: Arc::clone(bell), busy: Arc::clone(busy) })
    }
}

/// Ends with the connection. The bell rings once more then.
fn read_pieces(mut from: TcpStream, to: Sender<Vec<u8>>, bell: &AtomicBool) {
    let mut buffer = [0; PIECE_BYTES_MAX];
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        if to.send(buffer[..count].to_vec()).is_err() {
            break;
        }
        bell.store(true, Ordering::Release);
    }
    drop(to);
    bell.store(true, Ordering::Release);
}

impl Line for Tcp {
    fn receive(&mut self, patience: Duration) -> Result<Vec<u8>, LineClosed> {
        match self.pieces.recv_timeout(patience) {
            Ok(mut bytes) => {
                // A sender may be as fast as we are: what is left then waits for the next look.
                for _ in 1..PIECES_MAX {
                    match self.pieces.try_recv() {
                        Ok(piece) => bytes.extend(piece),
                        Err(TryRecvError::Empty) => return Ok(bytes),
                        Err(TryRecvError::Disconnected) => break,
                    }
                }
                self.bell.store(true, Ordering::Release);
                Ok(bytes)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Vec::new()),
            Err(RecvTimeoutError::Disconnected) => Err(LineClosed),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // The reader's clone would keep the connection open.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn server() -> Server {
        Server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port")
    }

    #[test]
    fn a_debugger_that_comes_back_at_once_is_served() {
        let mut server = server();
        for _ in 0..5 {
            let first = TcpStream::connect(server.address()).expect("it listens");
            let line = server.answer(LONG).expect("it is served");
            drop(first);
            let _again = TcpStream::connect(server.address()).expect("it listens");
            // The news of the end arrives late.
            std::thread::sleep(Duration::from_millis(30));
            drop(line);
            assert!(server.answer(LONG).is_some());
        }
    }

    #[test]
    fn a_second_debugger_is_turned_away_and_the_first_one_still_served() {
        let mut server = server();
        let mut first = TcpStream::connect(server.address()).expect("it listens");
        let mut line = server.answer(LONG).expect("it is served");
        let mut second = TcpStream::connect(server.address()).expect("it listens");
        second.set_read_timeout(Some(LONG)).expect("a limit");
        let ended = second.read(&mut [0; 1]);
        assert!(
            matches!(ended, Ok(0))
                || ended.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
        );
        first.write_all(b"+").expect("it is open");
        assert_eq!(line.receive(LONG), Ok(b"+".to_vec()));
    }

    #[test]
    fn one_look_takes_in_a_bounded_piece_of_an_endless_stream() {
        let mut server = server();
        let mut client = TcpStream::connect(server.address()).expect("it listens");
        let mut line = server.answer(LONG).expect("it is served");
        let sender = std::thread::spawn(move || {
            // Until the other side has had enough.
            while client.write_all(&[b'+'; PIECE_BYTES_MAX]).is_ok() {}
        });
        for _ in 0..100 {
            let taken = line.receive(LONG).expect("it is open");
            assert!(!taken.is_empty() && taken.len() <= PIECES_MAX * PIECE_BYTES_MAX);
        }
        drop(line);
        assert!(sender.join().is_ok());
    }
}
