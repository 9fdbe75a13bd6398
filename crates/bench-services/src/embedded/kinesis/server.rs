//! ferrokinesis over HTTP.

use std::io;

use axum::extract::DefaultBodyLimit;
use axum::serve::ListenerExt;
use ferrokinesis::create_app;
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;

use super::KinesisLimits;

/// The largest request: 10 MiB of records, encoded in letters, and what is around them.
const BODY_MAX_BYTES: usize = 16 << 20;

/// Serves until the listener fails.
pub(super) async fn serve_on(listener: TcpListener, limits: KinesisLimits) -> io::Result<()> {
    let options = StoreOptions {
        shard_limit: limits.shard_limit,
        enforce_limits: limits.enforce_writes,
        ..StoreOptions::default()
    };
    let (app, _store) = create_app(options);
    let app = app.layer(DefaultBodyLimit::max(BODY_MAX_BYTES));
    let listener = listener.tap_io(|stream| {
        // Answers are small, and somebody measures how long they take.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}
