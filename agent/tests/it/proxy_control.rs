//! The proxy's control socket: names, conflicts, leases, and what survives what.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use hyper::Method;
use injectors::proxy::wire::{FORMAT, FaultState, Faults, Health, ProxyEffect};

use crate::world::{Callee, EDGE, Proxy, ask_fresh};

async fn states(proxy: &Proxy) -> Vec<(String, FaultState)> {
    let answer = proxy.control(Method::GET, "/v1/faults", None).await.unwrap();
    let faults = answer.json::<Faults>().unwrap().faults;
    faults.into_iter().map(|fault| (fault.name, fault.state)).collect()
}

#[tokio::test]
async fn the_socket_tells_who_serves_it_and_is_for_its_owner() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let answer = proxy.control(Method::GET, "/v1/health", None).await.unwrap();
    let health: Health = answer.json().unwrap();
    let identity = injectors::process::identity(health.pid).unwrap();
    assert_eq!(health.format, FORMAT);
    assert_eq!((health.start_ticks, health.boot_id), (identity.start_ticks, identity.boot_id));
    let mode = std::fs::metadata(&proxy.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (method, path) in [(Method::GET, "/"), (Method::POST, "/v1/faults/x")] {
        assert_eq!(proxy.control(method, path, None).await.unwrap().status, 404);
    }
}

#[tokio::test]
async fn faults_are_idempotent_by_name_and_alone_on_their_edge() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    for _ in 0..3 {
        assert_eq!(proxy.put("one", ProxyEffect::Reset, 60_000).await.status, 200);
    }
    assert_eq!(proxy.put("two", ProxyEffect::Reset, 60_000).await.status, 409);
    assert_eq!(proxy.put("one", ProxyEffect::Refuse, 60_000).await.status, 409);
    assert_eq!(proxy.put("bad", ProxyEffect::Status(200), 60_000).await.status, 400);
    assert_eq!(states(&proxy).await, [("one".to_owned(), FaultState::InForce)]);
    assert_eq!(proxy.delete("one").await["was"], "inForce");
    assert_eq!(proxy.delete("one").await["was"], "absent");
    assert_eq!(proxy.delete("never").await["was"], "absent");
    // Requests that come after their own removal stay out.
    for name in ["one", "never"] {
        assert_eq!(proxy.put(name, ProxyEffect::Reset, 60_000).await.status, 409);
    }
    assert_eq!(ask_fresh(proxy.address()).unwrap(), 200);
    let elsewhere = serde_json::json!({"edge": "a->b", "effect": "reset", "leaseMs": 1});
    let answer = proxy.control(Method::PUT, "/v1/faults/x", Some(elsewhere)).await.unwrap();
    assert_eq!(answer.status, 404);
    let typo = serde_json::json!({"edge": EDGE, "effect": "reset", "lease": 1});
    let answer = proxy.control(Method::PUT, "/v1/faults/x", Some(typo)).await.unwrap();
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_ends_the_fault() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    assert_eq!(proxy.put("short", ProxyEffect::Refuse, 150).await.status, 200);
    let renew = serde_json::json!({"leaseMs": 400});
    let path = "/v1/faults/short/renew";
    let renewed = proxy.control(Method::POST, path, Some(renew.clone())).await.unwrap();
    assert_eq!(renewed.status, 200);
    assert_eq!(ask_fresh(proxy.address()).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // Nobody does anything: the fault must end by itself.
    let mut looks = 0;
    while ask_fresh(proxy.address()).is_err() {
        looks += 1;
        assert!(looks < 1000, "the fault outlived its lease");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(states(&proxy).await, [("short".to_owned(), FaultState::Expired)]);
    let late = proxy.control(Method::POST, path, Some(renew)).await.unwrap();
    assert_eq!(late.status, 409);
    assert_eq!(proxy.put("short", ProxyEffect::Refuse, 150).await.status, 409);
    assert_eq!(proxy.delete("short").await["was"], "expired");
    assert!(proxy.log().contains("short on checkout->payments expired"), "{}", proxy.log());
}

#[tokio::test]
async fn a_proxy_that_is_started_again_is_inert() {
    let callee = Callee::start();
    let mut proxy = Proxy::start(&[callee.address]);
    assert_eq!(proxy.put("down", ProxyEffect::Refuse, 60_000).await.status, 200);
    proxy.restart();
    assert_eq!(ask_fresh(proxy.address()).unwrap(), 200);
    assert!(states(&proxy).await.is_empty());
}

#[tokio::test]
async fn a_second_proxy_on_the_same_socket_is_refused() {
    let callee = Callee::start();
    let proxy = Proxy::start(&[callee.address]);
    let folder = proxy.folder.path();
    let config = folder.join("empty.json");
    std::fs::write(&config, r#"{"format": "gameday.proxy/1", "routes": []}"#).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_agent-proxy"))
        .arg("--config")
        .arg(&config)
        .arg("--socket")
        .arg(&proxy.socket)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("a proxy serves"), "{text}");
    assert_eq!(ask_fresh(proxy.address()).unwrap(), 200);
}
