//! Who is refused may be sending still, and would not see the answer: a server that closes with bytes
//! unread resets the connection. So what a refused client still sends is read and thrown away for a while.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    extract::Request,
    http::{
        HeaderValue,
        header::{CONNECTION, EXPECT},
    },
    middleware::Next,
    response::Response,
};
use futures_util::{Stream, StreamExt};
use tokio::{sync::oneshot, time::timeout};

/// How long a client may take to see that it is refused. One that looks ends it by closing the connection.
const LONGEST: Duration = Duration::from_secs(5);

/// Tells a client that is refused so, also if it looks only while it sends.
pub(super) async fn lingering(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Who waits for the word to begin sends nothing without it, and to read its body would be that word.
    let sends = !parts.headers.contains_key(EXPECT);
    let (back, rest) = oneshot::channel();
    let lent = Lent { body: Some(body.into_data_stream()), sends, back: Some(back) };
    let mut response = next.run(Request::from_parts(parts, Body::from_stream(lent))).await;
    if !response.status().is_success() {
        // Nothing else can be asked on that connection, and a client that is not told so tries.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        tokio::spawn(timeout(LONGEST, async {
            if let Ok(mut body) = rest.await {
                while let Some(Ok(_)) = body.next().await {}
            }
        }));
    }
    response
}

/// A body that comes back from who drops it, if its client may be sending.
struct Lent {
    body: Option<BodyDataStream>,
    sends: bool,
    back: Option<oneshot::Sender<BodyDataStream>>,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.sends = true;
        self.body.as_mut().map_or(Poll::Ready(None), |body| body.poll_next_unpin(cx))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (true, Some(body), Some(back)) = (self.sends, self.body.take(), self.back.take()) {
            // Nobody waits for it if all was well.
            let _ = back.send(body);
        }
    }
}
