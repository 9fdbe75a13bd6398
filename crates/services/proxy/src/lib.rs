//! A TCP proxy on this machine that adds latency, limits bandwidth and resets connections.
//!
//! One thread carries all connections of a proxy. Bytes keep their order and a half-closed
//! connection stays one. Bytes in flight are bounded: a slow reader slows the sender down, as it
//! does without a proxy. With no settings, a proxy adds well below 0.1 ms.
//!
//! Latency is added to the round trip, half of it in each direction. It does not limit the
//! throughput while at most 32 MiB are in flight on a connection.
//!
//! Bandwidth is that of a link that all connections of the proxy share, per direction.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_linger;

/// Most bytes of one connection and direction that wait in the proxy.
const UNDER_WAY_MAX_BYTES: usize = 32 << 20;

/// The same without latency, the only reason to wait for long.
const PASSING_MAX_BYTES: usize = 256 << 10;

/// Most bytes per read.
const CHUNK_BYTES: usize = 64 << 10;

/// Time for which one connection gets a link.
const TURN: Duration = Duration::from_millis(5);

/// Time for the target to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause when the system has no more file descriptors.
const REST: Duration = Duration::from_millis(50);

/// A port on 127.0.0.1 whose connections are forwarded to a target, until this value is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    control: Arc<Control>,
    carrier: Option<JoinHandle<()>>,
}

/// What the owner of a proxy tells its thread.
#[derive(Debug)]
struct Control {
    settings: Mutex<Settings>,
    /// A byte written to it wakes the thread.
    wake: UnixStream,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    target: Option<SocketAddr>,
    /// In each direction.
    delay: Duration,
    bytes_per_s: Option<u64>,
    /// Resets requested so far.
    resets: u64,
    ended: bool,
}

impl Proxy {
    /// Opens a port. Connections to it are reset until there is a target.
    pub fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let control = Arc::new(Control { settings: Mutex::default(), wake });
        let carrier = Carrier::new(listener, woken, Arc::clone(&control));
        let carrier =
            thread::Builder::new().name(format!("proxy {port}")).spawn(move || carrier.run())?;
        Ok(Self { port, control, carrier: Some(carrier) })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the target of new connections.
    pub fn set_target(&self, target: SocketAddr) {
        self.control.set(|settings| settings.target = Some(target));
    }

    /// Adds `round_trip` to each round trip, also for bytes already in flight.
    pub fn set_latency(&self, round_trip: Duration) {
        self.control.set(|settings| settings.delay = round_trip / 2);
    }

    /// Limits the bytes per second of all connections together in each direction; `None` lifts the
    /// limit.
    pub fn set_bandwidth(&self, bytes_per_s: Option<u64>) {
        self.control.set(|settings| settings.bytes_per_s = bytes_per_s.map(|limit| limit.max(1)));
    }

    /// Resets all connections (RST) on both sides. New ones are accepted at once.
    pub fn reset(&self) {
        self.control.set(|settings| settings.resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control.set(|settings| settings.ended = true);
        if let Some(carrier) = self.carrier.take() {
            // It returns nothing, and a panic in it was printed.
            let _ = carrier.join();
        }
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Settings> {
        // Settings are consistent after every assignment.
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock());
        self.wake();
    }

    fn wake(&self) {
        // If it is full, the thread will wake up anyway.
        let _ = (&self.wake).write(&[0]);
    }
}

/// The state of the proxy's thread.
struct Carrier {
    listener: TcpListener,
    woken: UnixStream,
    control: Arc<Control>,
    /// Resets done so far.
    resets: u64,
    connections: Vec<Connection>,
    /// Connections whose other half is connected.
    connected: Receiver<Connection>,
    connects: Sender<Connection>,
    up: Link,
    down: Link,
    buffer: Vec<u8>,
}

/// What all connections share in one direction.
#[derive(Debug)]
struct Link {
    free_at: Instant,
}

/// A client's connection and the one to the target.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    up: Flow,
    down: Flow,
    /// Resets when it was accepted.
    resets: u64,
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct Flow {
    chunks: VecDeque<Chunk>,
    waiting_bytes: usize,
    /// The source has sent its end.
    ended: bool,
    /// The end was forwarded.
    closed: bool,
    /// The destination accepts nothing at the moment.
    blocked: bool,
}

/// Bytes that arrived together; an empty chunk is the end.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    written: usize,
    arrived_at: Instant,
}

impl Carrier {
    fn new(listener: TcpListener, woken: UnixStream, control: Arc<Control>) -> Self {
        let (connects, connected) = channel();
        let link = || Link { free_at: Instant::now() };
        Self {
            listener,
            woken,
            control,
            resets: 0,
            connections: Vec::new(),
            connected,
            connects,
            up: link(),
            down: link(),
            buffer: vec![0; CHUNK_BYTES],
        }
    }

    fn run(mut self) {
        loop {
            let settings = *self.control.lock();
            if settings.ended {
                return;
            }
            if settings.resets != self.resets {
                self.resets = settings.resets;
                self.connections.drain(..).for_each(Connection::reset);
            }
            let resets = self.resets;
            while let Ok(connection) = self.connected.try_recv() {
                // One that was being connected during a reset is reset too.
                if connection.resets == resets {
                    self.connections.push(connection);
                } else {
                    connection.reset();
                }
            }
            let wait = self.carry(&settings);
            if self.wait(&settings, wait).is_err() {
                thread::sleep(REST);
            }
        }
    }

    /// Reads what has arrived and forwards what is due; returns the time until more is due.
    fn carry(&mut self, settings: &Settings) -> Option<Duration> {
        let mut due_at: Option<Instant> = None;
        // The first connection gets a free link, so rotate which one is first.
        if !self.connections.is_empty() {
            self.connections.rotate_left(1);
        }
        let mut index = 0;
        while let Some(connection) = self.connections.get_mut(index) {
            let links = (&mut self.up, &mut self.down);
            match connection.carry(settings, links, &mut self.buffer) {
                Ok(next) => {
                    due_at = [due_at, next].into_iter().flatten().min();
                    if connection.up.closed && connection.down.closed {
                        self.connections.swap_remove(index);
                    } else {
                        index += 1;
                    }
                }
                // One side was reset: reset the other too.
                Err(_) => self.connections.swap_remove(index).reset(),
            }
        }
        due_at.map(|due_at| due_at.saturating_duration_since(Instant::now()))
    }

    /// Waits until there is something to do, at most `wait`.
    fn wait(&mut self, settings: &Settings, wait: Option<Duration>) -> io::Result<()> {
        let mut fds = vec![
            PollFd::new(&self.woken, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        for connection in &self.connections {
            let Connection { client, server, up, down, .. } = connection;
            for (socket, from, to) in [(client, up, down), (server, down, up)] {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, from.has_room(settings));
                flags.set(PollFlags::OUT, to.blocked);
                // A socket without events of interest would wake us over and over for its end.
                if !flags.is_empty() {
                    fds.push(PollFd::new(socket, flags));
                }
            }
        }
        let timeout = wait.map(|wait| wait.try_into().unwrap_or_default());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let (woken, called) = (is_ready(&fds[0]), is_ready(&fds[1]));
        drop(fds);
        if woken {
            // The number of wake-ups does not matter.
            let _ = (&self.woken).read(&mut [0; 64]);
        }
        if called { self.accept() } else { Ok(()) }
    }

    /// Accepts a connection, and connects to the target in another thread, since that may take
    /// long.
    fn accept(&mut self) -> io::Result<()> {
        let client = match self.listener.accept() {
            Ok((client, _)) => client,
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        // Settings from before a connection apply to it, even if they changed while we waited.
        let Some(target) = self.control.lock().target else {
            abort(&client);
            return Ok(());
        };
        let (connects, control, resets) =
            (self.connects.clone(), Arc::clone(&self.control), self.resets);
        thread::Builder::new().name("proxy connects".into()).spawn(move || {
            match Connection::make(client, target, resets) {
                // Fails if the proxy has ended.
                Some(connection) => drop(connects.send(connection)),
                None => return,
            }
            control.wake();
        })?;
        Ok(())
    }
}

impl Connection {
    /// Resets a client whose target cannot be reached.
    fn make(client: TcpStream, target: SocketAddr, resets: u64) -> Option<Self> {
        let prepare = |socket: &TcpStream| {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)
        };
        let server = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)
            .and_then(|server| prepare(&server).and(prepare(&client)).map(|()| server));
        let Ok(server) = server else {
            abort(&client);
            return None;
        };
        Some(Self { client, server, up: Flow::default(), down: Flow::default(), resets })
    }

    /// Returns when there will be something to do without new bytes from either side.
    fn carry(
        &mut self,
        settings: &Settings,
        (up, down): (&mut Link, &mut Link),
        buffer: &mut [u8],
    ) -> io::Result<Option<Instant>> {
        self.up.take(&mut &self.client, settings, buffer)?;
        self.down.take(&mut &self.server, settings, buffer)?;
        let up = self.up.pass_on(&self.server, settings, up)?;
        let down = self.down.pass_on(&self.client, settings, down)?;
        Ok([up, down].into_iter().flatten().min())
    }

    fn reset(self) {
        abort(&self.client);
        abort(&self.server);
    }
}

impl Flow {
    fn has_room(&self, settings: &Settings) -> bool {
        let room_bytes =
            if settings.delay.is_zero() { PASSING_MAX_BYTES } else { UNDER_WAY_MAX_BYTES };
        !self.ended && self.waiting_bytes < room_bytes
    }

    /// Reads what the source has sent.
    fn take(
        &mut self,
        source: &mut impl Read,
        settings: &Settings,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        if !self.has_room(settings) {
            return Ok(());
        }
        let taken = match source.read(buffer) {
            Ok(taken) => taken,
            Err(error) if is_passing(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.ended = taken == 0;
        self.waiting_bytes += taken;
        let bytes = buffer[..taken].to_vec();
        self.chunks.push_back(Chunk { bytes, written: 0, arrived_at: Instant::now() });
        Ok(())
    }

    /// Forwards what is due to the destination; returns when more will be due.
    fn pass_on(
        &mut self,
        mut destination: &TcpStream,
        settings: &Settings,
        link: &mut Link,
    ) -> io::Result<Option<Instant>> {
        self.blocked = false;
        while let Some(chunk) = self.chunks.front_mut() {
            let now = Instant::now();
            let due_at = chunk.arrived_at + settings.delay;
            if due_at > now {
                return Ok(Some(due_at));
            }
            if chunk.bytes.is_empty() {
                destination.shutdown(Shutdown::Write)?;
                self.closed = true;
                self.chunks.clear();
                return Ok(None);
            }
            if settings.bytes_per_s.is_some() && link.free_at > now {
                return Ok(Some(link.free_at));
            }
            let rest = &chunk.bytes[chunk.written..];
            let turn_bytes = settings.bytes_per_s.map_or(rest.len(), turn_bytes);
            let written = match destination.write(&rest[..rest.len().min(turn_bytes)]) {
                Ok(written) => written,
                Err(error) if is_passing(&error) => {
                    self.blocked = true;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            if let Some(bytes_per_s) = settings.bytes_per_s {
                link.occupy(now, written, bytes_per_s);
            }
            self.waiting_bytes -= written;
            chunk.written += written;
            if chunk.written == chunk.bytes.len() {
                self.chunks.pop_front();
            }
        }
        Ok(None)
    }
}

impl Link {
    /// Records the time that so many bytes take; a thread that wakes up late catches up.
    fn occupy(&mut self, now: Instant, bytes: usize, bytes_per_s: u64) {
        let takes = Duration::from_secs_f64(bytes as f64 / bytes_per_s as f64);
        let earliest = now.checked_sub(TURN).unwrap_or(now);
        self.free_at = self.free_at.max(earliest) + takes;
    }
}

/// Bytes that a link carries in one turn.
fn turn_bytes(bytes_per_s: u64) -> usize {
    let bytes = u128::from(bytes_per_s) * TURN.as_nanos() / 1_000_000_000;
    usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
}

/// Makes closing a socket send RST, whatever is in flight.
fn abort(socket: &TcpStream) {
    // Fails for a socket that is no longer connected, which is fine.
    let _ = set_socket_linger(socket, Some(Duration::ZERO));
}

/// Whether the error is transient and worth retrying.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server behind a proxy, which gets each connection.
    fn proxied(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        let proxy = Proxy::listen().expect("a proxy");
        proxy.set_target(listener.local_addr().expect("an address"));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let serve = serve.clone();
                thread::spawn(move || serve(connection.expect("accepted")));
            }
        });
        proxy
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("connects");
        stream.set_nodelay(true).expect("set");
        stream
    }

    fn echo(mut stream: TcpStream) {
        stream.set_nodelay(true).expect("set");
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    }

    /// The fastest of some round trips of one byte.
    fn round_trip(stream: &mut TcpStream, times: u32) -> Duration {
        let mut one = || {
            let started = Instant::now();
            stream.write_all(&[7]).expect("written");
            stream.read_exact(&mut [0]).expect("read");
            started.elapsed()
        };
        (0..times).map(|_| one()).min().expect("some")
    }

    /// Random bytes, equal for equal seeds.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(next());
        }
        bytes.truncate(length);
        bytes
    }

    #[test]
    fn latency_is_added_and_removed() {
        let proxy = proxied(echo);
        let mut stream = connect(&proxy);
        let before = round_trip(&mut stream, 200);
        assert!(before < Duration::from_millis(5), "{before:?}");
        proxy.set_latency(Duration::from_millis(100));
        let during = round_trip(&mut stream, 5);
        assert!(during >= Duration::from_millis(100), "{during:?}");
        assert!(during < Duration::from_millis(130), "{during:?}");
        proxy.set_latency(Duration::ZERO);
        let after = round_trip(&mut stream, 200);
        assert!(after < Duration::from_millis(5), "{after:?}");
    }

    #[test]
    fn latency_does_not_limit_the_throughput() {
        let length = 20 << 20;
        let proxy = proxied(move |mut stream| {
            let read = io::copy(&mut stream, &mut io::sink()).expect("read");
            stream.write_all(&read.to_le_bytes()).expect("written");
        });
        proxy.set_latency(Duration::from_millis(500));
        let mut stream = connect(&proxy);
        let started = Instant::now();
        stream.write_all(&noise(1, length)).expect("written");
        stream.shutdown(Shutdown::Write).expect("shut");
        let mut read = [0; 8];
        stream.read_exact(&mut read).expect("read");
        assert_eq!(u64::from_le_bytes(read), length as u64);
        // One chunk per round trip would take over a minute.
        let elapsed = started.elapsed();
        assert!(elapsed >= Duration::from_millis(500), "{elapsed:?}");
        assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    }

    #[test]
    fn connections_share_the_bandwidth() {
        let proxy = proxied(|mut stream| {
            // Ends when the test does.
            let _ = io::copy(&mut stream, &mut io::sink());
            let _ = stream.write_all(&[0]);
        });
        proxy.set_bandwidth(Some(4 << 20));
        let started = Instant::now();
        let send = |seed| {
            let mut stream = connect(&proxy);
            thread::spawn(move || {
                stream.write_all(&noise(seed, 2 << 20)).expect("written");
                stream.shutdown(Shutdown::Write).expect("shut");
                stream.read_exact(&mut [0]).expect("read");
            })
        };
        let senders: Vec<JoinHandle<()>> = (1..=2).map(send).collect();
        for sender in senders {
            sender.join().expect("sent");
        }
        let elapsed_s = started.elapsed().as_secs_f64();
        // A busy machine may take longer, never less.
        assert!((0.8..5.0).contains(&elapsed_s), "4 MiB at 4 MiB/s took {elapsed_s} s");
    }

    #[test]
    fn resets_reach_both_sides_and_new_connections_work() {
        let (server_errors, errors) = channel();
        let proxy = proxied(move |mut stream| {
            let mut buffer = [0; 16];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(read) => stream.write_all(&buffer[..read]).expect("written"),
                    Err(error) => return server_errors.send(error.kind()).expect("sent"),
                }
            }
        });
        let mut stream = connect(&proxy);
        round_trip(&mut stream, 1);
        proxy.reset();
        let error = stream.read(&mut [0]).expect_err("reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let kind = errors.recv_timeout(Duration::from_secs(10)).expect("the server's side");
        assert_eq!(kind, ErrorKind::ConnectionReset);
        round_trip(&mut connect(&proxy), 1);
    }

    #[test]
    fn unreachable_targets_reset_the_client() {
        let proxy = Proxy::listen().expect("a proxy");
        let refused = |proxy: &Proxy| connect(proxy).read(&mut [0]).expect_err("reset").kind();
        assert_eq!(refused(&proxy), ErrorKind::ConnectionReset);
        let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listens");
        proxy.set_target(gone.local_addr().expect("an address"));
        drop(gone);
        assert_eq!(refused(&proxy), ErrorKind::ConnectionReset);
    }

    #[test]
    fn bytes_pass_unchanged_and_half_closed_connections_work() {
        const LENGTH: usize = 50_000_000;
        let proxy = proxied(|stream| {
            let mut to = stream.try_clone().expect("a second handle");
            let writer = thread::spawn(move || to.write_all(&noise(2, LENGTH)).expect("written"));
            let mut received = Vec::with_capacity(LENGTH);
            (&stream).read_to_end(&mut received).expect("read");
            writer.join().expect("sent");
            let verdict = u8::from(received == noise(1, LENGTH));
            (&stream).write_all(&[verdict]).expect("written");
        });
        let stream = connect(&proxy);
        let mut to = stream.try_clone().expect("a second handle");
        let writer = thread::spawn(move || {
            to.write_all(&noise(1, LENGTH)).expect("written");
            to.shutdown(Shutdown::Write).expect("shut");
        });
        let mut received = Vec::with_capacity(LENGTH + 1);
        (&stream).read_to_end(&mut received).expect("read");
        writer.join().expect("sent");
        assert_eq!(received.pop(), Some(1), "the server has received the client's bytes");
        assert!(received == noise(2, LENGTH), "the client has received the server's bytes");
    }

    #[test]
    fn stalled_readers_stall_the_sender() {
        let proxy = proxied(|stream| {
            thread::sleep(Duration::from_mins(1));
            drop(stream);
        });
        let mut stream = connect(&proxy);
        stream.set_nonblocking(true).expect("set");
        let bytes = noise(1, CHUNK_BYTES);
        let (mut sent_bytes, mut refused) = (0, 0);
        // The kernel's buffers hold some megabytes.
        while refused < 20 {
            if let Ok(written) = stream.write(&bytes) {
                (sent_bytes, refused) = (sent_bytes + written, 0);
            } else {
                refused += 1;
                thread::sleep(Duration::from_millis(10));
            }
            assert!(sent_bytes < 64 << 20, "nothing holds the sender up");
        }
    }
}
