//! A TCP proxy before a database or a cache, on which a test plays the network's faults.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to what passes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections end and none begins.
    Cut,
    /// Connections begin and stay, and nothing passes.
    Hang,
    /// Everything passes so much later, in both directions.
    Delay(Duration),
    /// Answers arrive with wrong bytes.
    Corrupt,
}

/// Forwards a port of this machine to another address.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    fault: Mutex<Fault>,
    open: Mutex<Vec<TcpStream>>,
}

impl State {
    fn fault(&self) -> Fault {
        self.fault.lock().unwrap().clone()
    }
}

impl Proxy {
    pub fn to(host: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let state = Arc::new(State { fault: Mutex::new(Fault::None), open: Mutex::default() });
        let (shared, far) = (Arc::clone(&state), (host.to_owned(), port));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if shared.fault() != Fault::Cut
                    && let Ok(far) = TcpStream::connect(&far)
                {
                    join(&near, &far, &shared);
                }
            }
        });
        Self { port: own, state }
    }

    /// From now on this happens.
    pub fn play(&self, fault: Fault) {
        let cut = fault == Fault::Cut;
        *self.state.fault.lock().unwrap() = fault;
        if cut {
            for stream in self.state.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
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
}

/// Passes on in both directions; requests go from near to far.
fn join(near: &TcpStream, far: &TcpStream, state: &Arc<State>) {
    let mut open = state.open.lock().unwrap();
    for (from, to, request) in [(near, far, true), (far, near, false)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        open.push(from.try_clone().unwrap());
        let state = Arc::clone(state);
        std::thread::spawn(move || pass_on(from, to, request, &state));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, request: bool, state: &State) {
    let mut part = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut part) {
        let part = &mut part[..length];
        let mut fault = state.fault();
        while fault == Fault::Hang {
            std::thread::sleep(Duration::from_millis(5));
            fault = state.fault();
        }
        match fault {
            Fault::Delay(span) => std::thread::sleep(span),
            Fault::Corrupt if !request => part.iter_mut().for_each(|byte| *byte ^= 0x15),
            _ => {}
        }
        if to.write_all(part).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
