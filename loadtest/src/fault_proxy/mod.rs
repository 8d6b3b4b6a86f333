//! A TCP proxy before a database or a cache, on which the network's faults are played. Shared by the load test and the
//! tests of the server, which include it by its path.

mod postgres_talk;

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postgres_talk::{Said, Talk};

/// How often a connection that is held looks whether it still is.
const LOOK: Duration = Duration::from_millis(5);

/// What happens to what passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections end and none begins.
    Cut,
    /// Connections begin and stay, and nothing passes in either direction until this ends.
    Hang,
    /// The same for answers alone: what is asked still arrives.
    HangAnswers,
    /// Everything passes so much later, in both directions.
    Delay(Duration),
    /// Answers arrive with wrong bytes.
    Corrupt,
    /// Of PostgreSQL: a write is committed, the answer that says so is swallowed, and its connection ends.
    LoseAnswer,
}

/// Forwards a port of this machine to another address.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    fault: Mutex<Fault>,
    far: Mutex<(String, u16)>,
    open: Mutex<Vec<Arc<Link>>>,
    begun: AtomicUsize,
    lost: AtomicUsize,
}

/// One connection with both its ends.
struct Link {
    near: TcpStream,
    far: TcpStream,
    /// Nothing passes here any more, whatever happens elsewhere.
    stranded: AtomicBool,
    talk: Mutex<Talk>,
}

/// A lock that a panic elsewhere cannot take away.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens on a free port, for as long as the process lives.
    pub fn to(host: &str, port: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let own = listener.local_addr()?.port();
        let state = Arc::new(State {
            fault: Mutex::new(Fault::None),
            far: Mutex::new((host.to_owned(), port)),
            open: Mutex::default(),
            begun: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be made is one that ends at once.
                let _ = shared.begin(near);
            }
        });
        Ok(Self { port: own, state })
    }

    /// From now on this happens.
    pub fn play(&self, fault: Fault) {
        *locked(&self.state.fault) = fault;
        if fault == Fault::Cut {
            locked(&self.state.open).iter().for_each(|link| link.end());
        }
    }

    /// Ends every connection and refuses new ones.
    pub fn cut(&self) {
        self.play(Fault::Cut);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.play(Fault::None);
    }

    /// The connections that are open now stay so, and nothing passes there ever again; new ones are as they should be.
    pub fn strand(&self) {
        locked(&self.state.open).iter().for_each(|link| link.stranded.store(true, Ordering::Relaxed));
    }

    /// New connections go there from now on.
    pub fn retarget(&self, host: &str, port: u16) {
        *locked(&self.state.far) = (host.to_owned(), port);
    }

    /// How many connections have begun.
    pub fn begun(&self) -> usize {
        self.state.begun.load(Ordering::Relaxed)
    }

    /// How many answers [`Fault::LoseAnswer`] has swallowed.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::Relaxed)
    }
}

impl State {
    fn fault(&self) -> Fault {
        *locked(&self.fault)
    }

    fn begin(self: &Arc<Self>, near: TcpStream) -> Result<()> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        if self.fault() == Fault::Cut {
            return Ok(());
        }
        let (host, port) = locked(&self.far).clone();
        let far = TcpStream::connect((host.as_str(), port))?;
        for end in [&near, &far] {
            end.set_nodelay(true)?;
        }
        let link = Arc::new(Link { near, far, stranded: AtomicBool::new(false), talk: Mutex::default() });
        locked(&self.open).push(Arc::clone(&link));
        // A cut may have come between the look at it and now.
        if self.fault() == Fault::Cut {
            link.end();
        }
        for request in [true, false] {
            let (state, link) = (Arc::clone(self), Arc::clone(&link));
            std::thread::spawn(move || {
                link.pass_on(request, &state);
                link.end();
                locked(&state.open).retain(|other| !Arc::ptr_eq(other, &link));
            });
        }
        Ok(())
    }

    /// Waits while that direction is held.
    fn wait(&self, request: bool) -> Fault {
        loop {
            match self.fault() {
                Fault::Hang => {}
                Fault::HangAnswers if !request => {}
                fault => return fault,
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Link {
    fn end(&self) {
        let _ = self.near.shutdown(Shutdown::Both);
        let _ = self.far.shutdown(Shutdown::Both);
    }

    /// Passes on in one direction until the connection ends; requests go from near to far.
    fn pass_on(&self, request: bool, state: &State) {
        let (mut from, mut to) = if request { (&self.near, &self.far) } else { (&self.far, &self.near) };
        let (mut room, mut held) = ([0; 16 * 1024], Vec::new());
        while let Ok(length @ 1..) = from.read(&mut room) {
            let part = room.get(..length).unwrap_or_default();
            let said = locked(&self.talk).hear(request, part);
            held.extend_from_slice(part);
            let fault = state.wait(request);
            if self.stranded.load(Ordering::Relaxed) {
                held.clear();
                continue;
            }
            match fault {
                Fault::Delay(span) => std::thread::sleep(span),
                Fault::Corrupt if !request => held.iter_mut().for_each(|byte| *byte ^= 0x15),
                Fault::LoseAnswer if said == Said::Part => continue,
                Fault::LoseAnswer if said == Said::Committed => {
                    state.lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                _ => {}
            }
            if to.write_all(&held).is_err() {
                return;
            }
            held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that says its name once, and then what it hears.
    fn echo(name: u8) -> Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let _ = stream.write_all(&[name]);
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
                });
            }
        });
        Ok(port)
    }

    fn begun(proxy: &Proxy, name: u8) -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port))?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        assert_eq!(heard(&stream), Some(name));
        Ok(stream)
    }

    fn heard(mut stream: &TcpStream) -> Option<u8> {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    fn said(mut stream: &TcpStream, byte: u8) -> Option<u8> {
        stream.write_all(&[byte]).ok()?;
        heard(stream)
    }

    #[test]
    fn faults_come_and_go() -> Result<()> {
        let proxy = Proxy::to("127.0.0.1", echo(b'a')?)?;
        let stream = begun(&proxy, b'a')?;
        assert_eq!(said(&stream, b'1'), Some(b'1'));
        for fault in [Fault::Hang, Fault::HangAnswers] {
            proxy.play(fault);
            assert_eq!(said(&stream, b'2'), None, "{fault:?}");
            proxy.mend();
            assert_eq!(heard(&stream), Some(b'2'), "{fault:?}");
        }
        proxy.play(Fault::Corrupt);
        assert_eq!(said(&stream, b'3'), Some(b'3' ^ 0x15));
        proxy.play(Fault::Delay(Duration::from_millis(10)));
        assert_eq!(said(&stream, b'4'), Some(b'4'));
        proxy.play(Fault::LoseAnswer);
        assert_eq!((said(&stream, b'5'), proxy.lost()), (Some(b'5'), 0), "this is no PostgreSQL");
        proxy.cut();
        assert_eq!(said(&stream, b'6'), None);
        proxy.mend();
        proxy.retarget("127.0.0.1", echo(b'b')?);
        let stream = begun(&proxy, b'b')?;
        proxy.strand();
        assert_eq!(said(&stream, b'7'), None);
        assert_eq!(said(&begun(&proxy, b'b')?, b'8'), Some(b'8'));
        assert_eq!((heard(&stream), proxy.begun()), (None, 3));
        Ok(())
    }
}
