//! A server that answers as it is told, wrongly if need be.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What is answered.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

#[derive(Clone)]
pub enum Body {
    Whole(Vec<u8>),
    /// Announced with another length than it has; the connection ends behind it.
    Cut {
        announced: usize,
        bytes: Vec<u8>,
    },
    /// Without a length, for ever.
    Endless,
    /// These bytes, and then nothing, with the connection kept open.
    Stalled {
        announced: usize,
        bytes: Vec<u8>,
    },
    /// No answer at all: the connection ends.
    Nothing,
}

type Script = dyn Fn(usize, &Asked) -> Answer + Send + Sync;

/// A running server; it ends when this is dropped.
pub struct Scripted {
    pub host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

/// A connection, encrypted or not.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Scripted {
    /// Starts a server; `script` gets the number of the request, from 0 on, and the request.
    pub fn start(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(script, |stream| Some(Box::new(stream)))
    }

    /// The same with something between server and connection.
    pub fn start_with(
        script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let (script, wrap): (Arc<Script>, _) = (Arc::new(script), Arc::new(wrap));
        let (all, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (script, wrap, all) = (Arc::clone(&script), Arc::clone(&wrap), Arc::clone(&all));
                thread::spawn(move || {
                    let _ = stream.set_write_timeout(Some(Duration::from_secs(20)));
                    if let Some(stream) = wrap(stream) {
                        serve(stream, &*script, &all);
                    }
                });
            }
        });
        Self { host, asked, stop }
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.host);
    }
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    pub fn with(status: u16, body: Body) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// One request on each connection: no test depends on connections being used again.
fn serve(mut stream: Box<dyn Stream>, script: &Script, all: &Mutex<Vec<Asked>>) {
    let Some(asked) = read_request(&mut stream) else { return };
    let number = {
        let mut all = all.lock().unwrap();
        all.push(asked.clone());
        all.len() - 1
    };
    let answer = script(number, &asked);
    let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let head_only = asked.method == "HEAD";
    let done = match answer.body {
        Body::Nothing => Ok(()),
        Body::Whole(bytes) => {
            head += &format!("Content-Length: {}\r\n\r\n", bytes.len());
            stream
                .write_all(head.as_bytes())
                .and_then(|()| if head_only { Ok(()) } else { stream.write_all(&bytes) })
        }
        Body::Cut { announced, bytes } => {
            head += &format!("Content-Length: {announced}\r\n\r\n");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes))
        }
        Body::Stalled { announced, bytes } => {
            head += &format!("Content-Length: {announced}\r\n\r\n");
            let written = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
            let _ = stream.flush();
            // Until the other side goes away.
            let _ = stream.read(&mut [0]);
            written
        }
        Body::Endless => {
            head += "\r\n";
            let mut written = stream.write_all(head.as_bytes());
            while written.is_ok() {
                written = stream.write_all(&[b' '; 65536]);
            }
            written
        }
    };
    // Whoever gives up early closes the connection: that is what some tests are about.
    let _ = done.and_then(|()| stream.flush());
}

fn read_request(stream: &mut dyn Stream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: String::from_utf8(body).ok()? })
}
