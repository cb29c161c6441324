//! `/metrics`, `/healthz`, `/readyz`: as much HTTP/1.1 as a scraper and a kubelet need.
//!
//! In: a request of at most 4 KiB within two seconds. Out: one response, then the connection is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::metrics::Metrics;

const REQUEST_BYTES_MAX: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(2);
const REQUESTS_MAX: usize = 16;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = metrics.clone();
                tokio::spawn(async move {
                    // Who does not finish in time gets no answer.
                    drop(timeout(PATIENCE, answer(stream, &metrics)).await);
                    drop(place);
                });
            }
            // Out of file descriptors, most likely: later.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            break;
        }
        request.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (status, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => ("200 OK", metrics.text()),
        (b"GET" | b"HEAD", b"/healthz") => ("200 OK", "ok\n".to_owned()),
        (b"GET" | b"HEAD", b"/readyz") if metrics.is_ready() => ("200 OK", "ready\n".to_owned()),
        (b"GET" | b"HEAD", b"/readyz") => ("503 Service Unavailable", "not taking data\n".to_owned()),
        (b"GET" | b"HEAD", _) => ("404 Not Found", "there are /metrics, /healthz and /readyz\n".to_owned()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    if method != b"HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    stream.shutdown().await
}
