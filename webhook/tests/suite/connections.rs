//! What clients may do to a connection, and how the server ends.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use overlay_webhook::run::End;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Behaviour, GOOD, Hook, archive, creation, digest, read, request};

const HEADER: &str =
    "POST /validate?timeout=10s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

/// What the server sends to these bytes until it closes, and how long that takes.
async fn raw(hook: &Hook, bytes: &[u8]) -> (String, Duration) {
    let mut stream = hook.tls(&["http/1.1"]).await;
    let started = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    // A connection that ends with a reset has said what it had to say.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        answer.extend_from_slice(&buffer[..read]);
    }
    (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_refused_before_it_comes() {
    let hook = Hook::start().await;
    let announced = format!("{HEADER}Content-Length: {}\r\n\r\n", 8 << 20);
    let (answer, took) = raw(&hook, announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(took < Duration::from_secs(3));
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    let hook = Hook::start().await;
    let mut stream = hook.tls(&["http/1.1"]).await;
    stream
        .write_all(format!("{HEADER}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let mut sent = 0_usize;
    // Far more than the limit would be taken if nobody looked.
    while sent < 64 << 20 && stream.write_all(&chunk).await.is_ok() && stream.flush().await.is_ok()
    {
        sent += 0x10000;
    }
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    assert!(hook.metrics().await.contains("reason=\"body-size\"} 1"));
}

#[tokio::test]
async fn the_largest_legal_review_is_read() {
    let hook = Hook::start().await;
    let mut review = creation(json!({ "path": "deploy" }));
    review["request"]["object"]["metadata"]["annotations"] = json!({ "x": "y".repeat(6 << 20) });
    assert_eq!(hook.review(&review).await["allowed"], true);
}

#[tokio::test]
async fn compressed_bodies_and_other_types_are_refused() {
    let hook = Hook::start().await;
    let mut gzip = request(creation(json!({})).to_string());
    gzip.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(hook.send(gzip).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let mut yaml = request(creation(json!({})).to_string());
    yaml.headers_mut().insert("content-type", "application/yaml".parse().unwrap());
    assert_eq!(hook.send(yaml).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let hook = Hook::start().await;
    let get =
        |path: &str| Request::get(path).header("host", "x").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(hook.send(get("/validate")).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(hook.send(get("/")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(hook.send(get("/healthz")).await.0, StatusCode::OK);
    // Reviews come over TLS only.
    assert_eq!(hook.get_plain("/validate").await.0, StatusCode::NOT_FOUND);
    assert_eq!(hook.get_plain("/readyz").await, (StatusCode::OK, "ok\n".to_owned()));
}

#[tokio::test]
async fn a_header_that_does_not_come_to_an_end_is_not_waited_for() {
    let hook = Hook::start().await;
    let mut stream = hook.tls(&["http/1.1"]).await;
    let started = Instant::now();
    // One byte now and then keeps nobody waiting longer.
    for byte in HEADER.bytes() {
        if stream.write_all(&[byte]).await.is_err() || started.elapsed() > Duration::from_secs(20) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_body_that_does_not_come_to_an_end_is_answered_with_408() {
    let hook = Hook::start().await;
    let started = format!("{HEADER}Content-Length: 100\r\n\r\n{{");
    let (answer, took) = raw(&hook, started.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn a_kept_connection_outlives_the_time_for_headers() {
    let hook = Hook::start().await;
    let mut sender = hook.http1().await;
    let get =
        || Request::get("/healthz").header("host", "x").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(read(sender.send_request(get()).await.unwrap()).await.0, StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(read(sender.send_request(get()).await.unwrap()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn handshakes_that_never_end_do_not_keep_others_out() {
    let hook = Hook::with(&["--connections=16"]).await;
    let mut open = Vec::new();
    for _ in 0..400 {
        open.push(TcpStream::connect(hook.address).await.unwrap());
    }
    hook.publish(GOOD);
    assert_eq!(hook.review(&creation(json!({ "path": "deploy" }))).await["allowed"], true);
    // And they are not kept for ever.
    let started = Instant::now();
    for mut stream in open {
        let _ = stream.read(&mut [0]).await;
    }
    assert!(started.elapsed() < Duration::from_secs(9));
}

#[tokio::test]
async fn idle_connections_make_room_for_new_ones() {
    let hook = Hook::with(&["--connections=8"]).await;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(hook.tls(&["http/1.1"]).await);
    }
    assert_eq!(hook.review(&creation(json!({ "suspend": true }))).await["allowed"], true);
    let mut closed = 0;
    for stream in &mut idle {
        let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut [0])).await;
        closed += usize::from(read.is_ok());
    }
    assert!(closed >= 32, "{closed}");
    assert!(!hook.metrics().await.contains("connections_shed_total 0\n"));
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight() {
    for http2 in [false, true] {
        let mut hook = Hook::with(&["--drain-delay=1"]).await;
        let content = archive(GOOD);
        let late = Behaviour::Late(Duration::from_secs(2), content.clone());
        hook.cluster.publish(&hook.artifacts.set("/late", late), &digest(&content));
        let mut review = request(creation(json!({ "path": "deploy" })).to_string());
        let inflight = if http2 {
            review.headers_mut().remove("host");
            *review.uri_mut() = "https://localhost/validate?timeout=10s".parse().unwrap();
            let mut sender = hook.http2().await;
            tokio::spawn(async move { sender.send_request(review).await.unwrap() })
        } else {
            let mut sender = hook.http1().await;
            tokio::spawn(async move { sender.send_request(review).await.unwrap() })
        };
        while hook.artifacts.served() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        hook.stop();
        while hook.get_plain("/readyz").await.0 == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Who has not heard yet is still served, and told not to come back on this connection.
        let response = hook
            .http1()
            .await
            .send_request(request(creation(json!({ "suspend": true })).to_string()))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["connection"], "close");
        let answer = inflight.await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&answer).contains("allowed: built"));
        let address = hook.address;
        assert_eq!(hook.end().await, End::Drained);
        assert!(TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let mut hook = Hook::with(&["--drain-timeout=0.5"]).await;
    let content = archive(GOOD);
    let late = Behaviour::Late(Duration::from_secs(60), content.clone());
    hook.cluster.publish(&hook.artifacts.set("/late", late), &digest(&content));
    let mut sender = hook.http1().await;
    let review = request(creation(json!({ "path": "deploy" })).to_string());
    let inflight = tokio::spawn(async move { sender.send_request(review).await.map(|_| ()) });
    while hook.artifacts.served() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    hook.stop();
    assert_eq!(hook.end().await, End::CutOff);
    inflight.abort();
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let hook = Hook::start().await;
    let mut stream = hook.tls(&["h2"]).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // :method POST, :scheme https, :path /validate as a literal, and the stream reset right after.
    let block = [b"\x83\x87\x44\x09/validate".as_slice(), b"\x41\x09localhost"].concat();
    let mut frames = Vec::new();
    for index in 0..2000_u32 {
        let id = (2 * index + 1).to_be_bytes();
        frames.extend([0, 0, block.len() as u8, 1, 4]);
        frames.extend(id);
        frames.extend(&block);
        frames.extend([0, 0, 4, 3, 0]);
        frames.extend(id);
        frames.extend([0, 0, 0, 8]);
    }
    let _ = stream.write_all(&frames).await;
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..read]);
        }
    });
    assert!(ended.await.is_ok(), "the connection is still open");
    assert_eq!(hook.review(&creation(json!({ "suspend": true }))).await["allowed"], true);
}
