//! What a request looks like before it is sent.

use harness_core::plan::Feed;

use super::*;
use crate::plans;

async fn target(url: &str, protocol: Protocol) -> Target {
    Target::new(url, protocol, &[]).await.unwrap()
}

fn sender(run: &RunId) -> Sender<'_> {
    Sender { run, trial: TrialIndex(3), arm: "fault, loud", id_prefix: "r-3", seed: 9 }
}

fn arrival(number: u64) -> Arrival {
    Arrival { number, due_ns: 0, request: 0, id: Some(number / 2) }
}

#[tokio::test]
async fn all_parts_are_filled_in() {
    let mut plan = plans::constant(10);
    plan.correlation = true;
    plan.feeds.insert("n".to_owned(), Feed::Sequence {});
    let request = &mut plan.mix[0];
    request.method = "POST".to_owned();
    request.path = "/orders/{{n}}?full".to_owned();
    request.key = Key::Sequence;
    request.headers.insert("X-Item".to_owned(), "item {{n}}".to_owned());
    request.headers.insert("Accept".to_owned(), "text/plain".to_owned());
    request.body = Some("{\"n\": {{n}}}".to_owned());
    let run = RunId::new("run-1");
    let target = target("http://127.0.0.1:81/shop", Protocol::Http1).await;
    let requests = Requests::new(&plan, &target, sender(&run)).unwrap();
    let built = requests.build(&arrival(8)).unwrap();
    assert_eq!(built.uri(), "/shop/orders/8?full");
    let header = |name: &str| built.headers()[name].to_str().unwrap();
    assert_eq!(header("host"), "127.0.0.1:81");
    assert_eq!(header("x-item"), "item 8");
    assert_eq!(header("accept"), "text/plain");
    assert_eq!(header("idempotency-key"), "r-3-4");
    assert_eq!(header("baggage"), "gameday.arm=fault%2C%20loud,gameday.run=run-1,gameday.trial=3");
    let parent = header("traceparent");
    assert_eq!((parent.len(), &parent[..3], &parent[52..]), (55, "00-", "-01"));
    assert_ne!(parent, requests.build(&arrival(9)).unwrap().headers()["traceparent"]);
}

#[tokio::test]
async fn http2_asks_for_the_whole_address() {
    let run = RunId::new("run-1");
    let target = target("http://127.0.0.1:81/shop/", Protocol::Http2).await;
    let requests = Requests::new(&plans::constant(1), &target, sender(&run)).unwrap();
    let built = requests.build(&arrival(0)).unwrap();
    assert_eq!(built.uri(), "http://127.0.0.1:81/shop/");
    assert!(built.headers().is_empty(), "{:?}", built.headers());
}

#[tokio::test]
async fn what_cannot_be_sent_is_named_before_the_load() {
    let target = target("http://127.0.0.1:81", Protocol::Http1).await;
    let run = RunId::new("run-1");
    let check = |change: fn(&mut RequestPlan), expected: &str| {
        let mut plan = plans::constant(1);
        change(&mut plan.mix[0]);
        let error = Requests::new(&plan, &target, sender(&run)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(|request| request.path = "/{{who}}".to_owned(), "the path of `GET /`: no feed");
    check(|request| request.path = "/a b".to_owned(), "the path of `GET /`: invalid");
    check(|request| request.method = "A B".to_owned(), "the method of `GET /`");
    check(
        |request| drop(request.headers.insert("a b".to_owned(), String::new())),
        "the a b of `GET /`",
    );
    check(
        |request| drop(request.headers.insert("a".to_owned(), "\n".to_owned())),
        "the header `a`",
    );
}
