//! The end of the process: the first signal asks every part to stop, a second one does not wait for them.
//!
//! In which order the parts stop is the caller's: reconciles first, then the lease.

use std::io;

use futures::{Stream, StreamExt, stream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. To be called once, inside the runtime.
pub fn on_signal() -> io::Result<CancellationToken> {
    let signals = stream::select(
        exit_codes(signal(SignalKind::terminate())?, 143),
        exit_codes(signal(SignalKind::interrupt())?, 130),
    );
    let token = CancellationToken::new();
    tokio::spawn(watch(signals, token.clone(), leave));
    Ok(token)
}

/// The signal as a stream of the exit code that belongs to it.
fn exit_codes(signal: Signal, code: i32) -> impl Stream<Item = i32> + Unpin {
    Box::pin(stream::unfold(signal, move |mut signal| async move {
        signal.recv().await.map(|()| (code, signal))
    }))
}

#[expect(
    clippy::exit,
    reason = "the second signal means that the orderly end takes too long"
)]
fn leave(code: i32) {
    std::process::exit(code)
}

async fn watch(
    mut signals: impl Stream<Item = i32> + Unpin,
    token: CancellationToken,
    leave: impl FnOnce(i32),
) {
    if signals.next().await.is_none() {
        return;
    }
    tracing::info!("stopping; a second signal stops at once");
    token.cancel();
    if let Some(code) = signals.next().await {
        tracing::warn!("second signal: stopping at once");
        leave(code);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Whether the token is cancelled, and the code the process leaves with, after these signals.
    async fn after(signals: &[i32]) -> (bool, Option<i32>) {
        let (token, left) = (CancellationToken::new(), Mutex::new(None));
        watch(stream::iter(signals.to_vec()), token.clone(), |code| {
            *left.lock().expect("unpoisoned") = Some(code);
        })
        .await;
        (token.is_cancelled(), left.into_inner().expect("unpoisoned"))
    }

    #[tokio::test]
    async fn the_first_signal_asks_and_the_second_leaves() {
        let answers = [
            after(&[]).await,
            after(&[143]).await,
            after(&[143, 130]).await,
        ];
        assert_eq!(answers, [(false, None), (true, None), (true, Some(130))]);
    }
}
