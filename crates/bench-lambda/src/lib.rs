//! The Lambda functions' handling of a Kinesis event: unpacks its records, writes a row per message
//! to the landing table, stores when the rows were acknowledged, and reports which records failed.
//! `docs/lambda.md` describes the deployment.

mod event;
mod handler;
mod logging;
mod rows;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use tokio::sync::Mutex;

pub use settings::LandingSystem;

use event::ReceivedEvent;
use handler::Handler;
use settings::Settings;

/// Set if Lambda started this program.
const RUNTIME_VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// Runs as a Lambda function that lands events in `system`, until Lambda ends the process.
pub fn run(system: LandingSystem) -> ExitCode {
    bench_core::system::survive_file_size_limit();
    logging::start();
    if std::env::var_os(RUNTIME_VARIABLE).is_none() {
        tracing::error!(
            "this program runs only in AWS Lambda, or under `run-suite services up`; see \
             docs/lambda.md"
        );
        return ExitCode::from(2);
    }
    match serve(system) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(system: LandingSystem) -> Result<(), lambda_runtime::Error> {
    let settings = Settings::from_environment(system)?;
    // Below 1,769 MB of memory, a function has less than two CPUs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The handler is kept between invocations.
        let handler = Arc::new(Mutex::new(Handler::connect(&settings).await?));
        lambda_runtime::run(service_fn(move |event: LambdaEvent<ReceivedEvent>| {
            let handler = Arc::clone(&handler);
            async move {
                // Lambda sends one event at a time, so this never waits.
                let mut handler = handler.lock().await;
                handler.handle(&event.payload, event.context.deadline()).await
            }
        }))
        .await
    })
}
