//! An endpoint on this machine that answers as a test wants: tests need no network.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long it takes to come.
    pub delay: Duration,
}

impl Reply {
    /// A good answer.
    pub fn json(body: &Value) -> Self {
        Self::text(200, &body.to_string())
    }

    /// An answer with a status.
    pub fn text(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }
}

/// What the server was sent.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Path of the request.
    pub path: String,
    /// Its header `authorization`.
    pub authorization: Option<String>,
    /// Its body.
    pub body: Value,
}

type Answers = dyn FnMut(usize, &Heard) -> Reply + Send;

/// A server that ends with the test.
pub struct LocalServer {
    /// Its address.
    pub address: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl LocalServer {
    /// Starts one; `answer` is given the number of a request, counted from 0, and the request.
    ///
    /// # Panics
    /// When this machine has no port left.
    pub fn start(answer: impl FnMut(usize, &Heard) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a local port");
        let address = format!("http://{}", listener.local_addr().expect("its address"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (log, mut answer): (_, Box<Answers>) = (Arc::clone(&heard), Box::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(heard) = read(&stream) else { continue };
                let number = {
                    let mut all = log.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(heard.clone());
                    all.len() - 1
                };
                let reply = answer(number, &heard);
                // A slow answer keeps nobody else waiting, and a client that went away is none of the server's concern.
                std::thread::spawn(move || send(&stream, &reply).is_ok());
            }
        });
        Self { address, heard }
    }

    /// What it was sent so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn send(mut stream: &TcpStream, reply: &Reply) -> std::io::Result<()> {
    std::thread::sleep(reply.delay);
    let (status, length) = (reply.status, reply.body.len());
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n")?;
    for (name, value) in &reply.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&reply.body)
}

fn read(stream: &TcpStream) -> std::io::Result<Heard> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or("").to_owned();
    let (mut length, mut authorization) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Heard { path, authorization, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

/// An answer of a chat.
pub fn chat_reply(content: &str, tokens: u64) -> Reply {
    Reply::json(
        &json!({ "choices": [{ "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }],
        "usage": { "total_tokens": tokens } }),
    )
}

/// Vectors that tell texts apart by the letters in them: texts of the same words lie near each other.
pub fn letter_vectors(heard: &Heard) -> Reply {
    let texts = heard.body["input"].as_array().cloned().unwrap_or_default();
    let of = |(index, text): (usize, &Value)| {
        let mut counts = vec![0.0; 26];
        let letters = text.as_str().unwrap_or("").bytes().map(|b| b.to_ascii_lowercase());
        letters.filter(u8::is_ascii_lowercase).for_each(|b| counts[usize::from(b - b'a')] += 1.0);
        json!({ "index": index, "embedding": counts })
    };
    let data: Vec<Value> = texts.iter().enumerate().map(of).collect();
    Reply::json(&json!({ "data": data, "usage": { "total_tokens": 5 * texts.len() } }))
}
