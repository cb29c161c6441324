//! An S3 of our own: what the program asks of one, by the letter of the REST API, with faults on order.
//!
//! It checks every signature itself (Signature Version 4), so that a request that is not signed as it should be fails the test.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) const BUCKET: &str = "flow-logs";
const KEY: &str = "TESTKEY";
const SECRET: &str = "test/secret+key";

/// What goes wrong with the next request that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status, and nothing is done.
    Status(u16),
    /// The connection is closed while the body is read.
    CutRequest,
    /// It is done, and the connection is closed before the answer.
    CutAnswer,
}

/// One request, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) key: String,
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) status: u16,
}

#[derive(Default)]
pub(crate) struct State {
    objects: Mutex<BTreeMap<String, (Vec<u8>, i64)>>,
    asked: Mutex<Vec<Asked>>,
    faults: Mutex<VecDeque<Fault>>,
    is_down: AtomicBool,
    /// An object that gets this key once it was listed twice.
    renamed: Mutex<Option<(String, String, u32)>>,
    page: AtomicUsize,
    /// What `LastModified` says of objects that are written from now on, in seconds.
    now: Mutex<i64>,
}

pub(crate) struct Server {
    pub(crate) state: Arc<State>,
    pub(crate) port: u16,
    is_tls: bool,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// Within TLS, with this certificate and key.
    pub(crate) fn start_tls(config: Arc<ServerConfig>) -> Self {
        Self::start_with(Some(config))
    }

    fn start_with(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let is_tls = tls.is_some();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        state.page.store(1_000, Ordering::Relaxed);
        *state.now.lock().unwrap() = 1_772_400_000;
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, Ok(mut stream)) = (shared.clone(), stream) else { continue };
                let tls = tls.clone();
                if state.is_down.load(Ordering::Relaxed) {
                    continue;
                }
                std::thread::spawn(move || match tls {
                    None => while serve(&state, &mut stream).is_some() {},
                    Some(tls) => {
                        let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
                        while serve(&state, &mut stream).is_some() {}
                    }
                });
            }
        });
        Self { state, port, is_tls }
    }

    /// Every connection is closed at once, old ones at their next request.
    pub(crate) fn down(&self, is_down: bool) {
        self.state.is_down.store(is_down, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    pub(crate) fn pages_of(&self, objects: usize) {
        self.state.page.store(objects, Ordering::Relaxed);
    }

    pub(crate) fn time(&self, seconds: i64) {
        *self.state.now.lock().unwrap() = seconds;
    }

    /// The keys of all objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state.objects.lock().unwrap().keys().cloned().collect()
    }

    pub(crate) fn content(&self, key: &str) -> Vec<u8> {
        self.state.objects.lock().unwrap()[key].0.clone()
    }

    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let now = *self.state.now.lock().unwrap();
        self.state.objects.lock().unwrap().insert(key.to_owned(), (content.to_vec(), now));
    }

    pub(crate) fn remove(&self, key: &str) {
        assert!(self.state.objects.lock().unwrap().remove(key).is_some(), "{key}");
    }

    /// Gives an object another key behind the back of whoever just made sure that it is there.
    pub(crate) fn rename_when_listed(&self, from: &str, to: &str) {
        *self.state.renamed.lock().unwrap() = Some((from.to_owned(), to.to_owned(), 2));
    }

    /// Puts all files below a folder.
    pub(crate) fn put_folder(&self, folder: &Path, prefix: &str) {
        let mut waiting = vec![folder.to_owned()];
        while let Some(next) = waiting.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                    self.put(&format!("{prefix}/{name}"), &std::fs::read(&path).unwrap());
                }
            }
        }
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.state.asked.lock().unwrap())
    }

    /// What the environment has to say.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{}", self.port);
        let pairs = [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_ENDPOINT_URL", &endpoint),
            ("AWS_ALLOW_HTTP", if self.is_tls { "false" } else { "true" }),
            ("AWS_REGION", "eu-test-1"),
        ];
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The program with these variables and no others of that kind.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egress-atlas"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name == "SSL_CERT_FILE") {
            command.env_remove(name);
        }
        command.envs(self.variables());
        command
    }
}

struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Answers one request; `None` when the connection is over.
fn serve(state: &State, stream: &mut (impl Read + Write)) -> Option<()> {
    let mut reader = BufReader::new(&mut *stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    if state.is_down.load(Ordering::Relaxed) {
        return None;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let fault = if method == "PUT" || method == "DELETE" { state.faults.lock().unwrap().pop_front() } else { None };
    if fault == Some(Fault::CutRequest) {
        reader.read_exact(&mut vec![0; length / 2]).ok()?;
        return None;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let request = Request { method, target, headers, body };
    let (key, answer) = match fault {
        Some(Fault::Status(status)) => (String::new(), Answer::error(status, "SlowDown", "later")),
        _ => answer(state, &request),
    };
    let range = request.headers.get("range").and_then(|text| {
        let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    });
    state.asked.lock().unwrap().push(Asked { method: request.method.clone(), key, range, status: answer.status });
    if fault == Some(Fault::CutAnswer) {
        return None;
    }
    let mut head = format!("HTTP/1.1 {} x\r\nContent-Length: {}\r\n", answer.status, answer.length);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if request.method != "HEAD" {
        stream.write_all(&answer.body).ok()?;
    }
    stream.flush().ok()
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    length: usize,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), length: body.len(), body }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::new(status, text.into_bytes())
    }
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, next)) = rest.split_first() {
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&next[..2]).unwrap(), 16).unwrap());
            rest = &next[2..];
        } else {
            bytes.push(*first);
            rest = next;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn answer(state: &State, request: &Request) -> (String, Answer) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let place = decoded(path.trim_start_matches('/'));
    let (bucket, key) = place.split_once('/').unwrap_or((&place, ""));
    if let Err(code) = check_signature(request, path, query) {
        return (key.to_owned(), Answer::error(403, code, "the request is not signed as it should be"));
    }
    if bucket != BUCKET {
        return (key.to_owned(), Answer::error(404, "NoSuchBucket", "The specified bucket does not exist"));
    }
    let query: BTreeMap<String, String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(&value.replace('+', " "))))
        .collect();
    let mut objects = state.objects.lock().unwrap();
    let now = *state.now.lock().unwrap();
    let missing = || Answer::error(404, "NoSuchKey", "The specified key does not exist.");
    let answer = match request.method.as_str() {
        "GET" if key.is_empty() => {
            let answer = list(&objects, &query, state.page.load(Ordering::Relaxed));
            let mut renamed = state.renamed.lock().unwrap();
            if let Some((from, to, lists)) = renamed.as_mut() {
                *lists -= 1;
                if *lists == 0 {
                    let object = objects.remove(from).unwrap();
                    objects.insert(to.clone(), object);
                    *renamed = None;
                }
            }
            answer
        }
        "GET" | "HEAD" => objects.get(key).map_or_else(missing, |(content, _)| get(content, request)),
        "PUT" => {
            let source = request.headers.get("x-amz-copy-source").map(|source| {
                let source = decoded(source.trim_start_matches('/'));
                source.strip_prefix(&format!("{BUCKET}/")).unwrap().to_owned()
            });
            let copied = source.map(|source| objects.get(&source).map(|(content, _)| content.clone()));
            let is_conditional = request.headers.get("if-none-match").is_some_and(|condition| condition == "*");
            match copied {
                None if is_conditional && objects.contains_key(key) => {
                    Answer::error(412, "PreconditionFailed", "At least one of the pre-conditions did not hold")
                }
                Some(None) => missing(),
                Some(Some(content)) => {
                    objects.insert(key.to_owned(), (content, now));
                    Answer::new(200, b"<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>".to_vec())
                }
                None => {
                    objects.insert(key.to_owned(), (request.body.clone(), now));
                    Answer { headers: vec![("ETag", "\"e\"".to_owned())], ..Answer::new(200, Vec::new()) }
                }
            }
        }
        "DELETE" => {
            objects.remove(key);
            Answer::new(204, Vec::new())
        }
        other => Answer::error(405, "MethodNotAllowed", other),
    };
    (key.to_owned(), answer)
}

fn get(content: &[u8], request: &Request) -> Answer {
    let whole = content.len();
    let mut answer = match request.headers.get("range").map(|text| text.strip_prefix("bytes=").unwrap()) {
        None => Answer::new(200, content.to_vec()),
        Some(range) => {
            let (from, to) = range.split_once('-').unwrap();
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            let to = (to + 1).min(whole);
            if from >= to {
                return Answer::error(416, "InvalidRange", "The requested range is not satisfiable");
            }
            let mut answer = Answer::new(206, content[from..to].to_vec());
            answer.headers.push(("Content-Range", format!("bytes {from}-{}/{whole}", to - 1)));
            answer
        }
    };
    answer.headers.push(("ETag", "\"e\"".to_owned()));
    answer.headers.push(("Last-Modified", "Mon, 02 Mar 2026 00:00:00 GMT".to_owned()));
    answer
}

fn list(objects: &BTreeMap<String, (Vec<u8>, i64)>, query: &BTreeMap<String, String>, page: usize) -> Answer {
    assert_eq!(query.get("list-type").map(String::as_str), Some("2"), "{query:?}");
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let after = query.get("continuation-token").cloned().unwrap_or_default();
    let mut found = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
    let mut text = String::new();
    let mut last = String::new();
    for (key, (content, time)) in found.by_ref().take(page) {
        let time = egress_atlas::model::Timestamp::from_nanos(time * 1_000_000_000);
        let key_text = key.replace('&', "&amp;").replace('<', "&lt;");
        write!(
            text,
            "<Contents><Key>{key_text}</Key><LastModified>{time}</LastModified><ETag>\"e\"</ETag><Size>{}</Size></Contents>",
            content.len()
        )
        .unwrap();
        last.clone_from(key);
    }
    if found.next().is_some() {
        write!(text, "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>").unwrap();
    } else {
        text += "<IsTruncated>false</IsTruncated>";
    }
    Answer::new(200, format!("<?xml version=\"1.0\"?><ListBucketResult>{text}</ListBucketResult>").into_bytes())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// RFC 2104, on SHA-256.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    assert!(key.len() <= 64);
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).unwrap_or(&0) ^ with).collect() };
    let inner = Sha256::digest([pad(0x36), text.as_bytes().to_vec()].concat());
    Sha256::digest([pad(0x5c), inner.to_vec()].concat()).to_vec()
}

/// Signature Version 4, as its documentation describes it.
fn check_signature(request: &Request, path: &str, query: &str) -> Result<(), &'static str> {
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    let authorization = header("authorization").ok_or("AccessDenied")?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("AccessDenied")?;
    let parts: BTreeMap<&str, &str> = rest.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let (id, scope) = parts["Credential"].split_once('/').ok_or("AccessDenied")?;
    if id != KEY {
        return Err("InvalidAccessKeyId");
    }
    let body = hexadecimal(&Sha256::digest(&request.body));
    let hash = header("x-amz-content-sha256").ok_or("AccessDenied")?;
    if hash != body {
        return Err("XAmzContentSHA256Mismatch");
    }
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let signed: Vec<&str> = parts["SignedHeaders"].split(';').collect();
    if !["host", "x-amz-content-sha256", "x-amz-date"].iter().all(|name| signed.contains(name)) {
        return Err("AccessDenied");
    }
    let headers: Vec<String> =
        signed.iter().map(|name| format!("{name}:{}\n", header(name).unwrap_or_default())).collect();
    let headers = headers.concat();
    let canonical =
        format!("{}\n{path}\n{}\n{headers}\n{}\n{hash}", request.method, pairs.join("&"), parts["SignedHeaders"]);
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        header("x-amz-date").ok_or("AccessDenied")?,
        hexadecimal(&Sha256::digest(canonical.as_bytes()))
    );
    let key = scope.split('/').fold(format!("AWS4{SECRET}").into_bytes(), |key, part| hmac(&key, part));
    if hexadecimal(&hmac(&key, &text)) == parts["Signature"] { Ok(()) } else { Err("SignatureDoesNotMatch") }
}
