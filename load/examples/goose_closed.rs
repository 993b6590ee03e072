//! goose as anybody would use it, for the benchmark: users who ask for one page again and again.
//!
//! `goose_closed URL USERS SECONDS`. Whoever runs it counts the requests at the target.

use goose::config::GooseConfiguration;
use goose::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<GooseError>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [url, users, seconds] = words.as_slice() else {
        return Err(Box::new(GooseError::InvalidOption {
            option: "arguments".to_owned(),
            value: words.join(" "),
            detail: "usage: goose_closed URL USERS SECONDS".to_owned(),
        }));
    };
    let arguments = [
        "--host",
        url,
        "--users",
        users,
        "--increase-rate",
        users,
        "--run-time",
        seconds,
        "--no-print-metrics",
        "--no-telnet",
        "--no-websocket",
        "-q",
    ];
    let configuration = GooseConfiguration::parse_args_default(&arguments).map_err(Box::new)?;
    let scenario = scenario!("page").register_transaction(transaction!(page));
    let attack = GooseAttack::initialize_with_config(configuration).map_err(Box::new)?;
    Box::pin(attack.register_scenario(scenario).execute()).await.map_err(Box::new)?;
    Ok(())
}

async fn page(user: &mut GooseUser) -> TransactionResult {
    if let Ok(response) = user.get("").await?.response {
        // The others read it, too.
        drop(response.bytes().await);
    }
    Ok(())
}
