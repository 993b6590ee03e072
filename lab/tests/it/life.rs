//! Starting and stopping: what a lab leaves behind, and how two of them live side by side.

use std::net::TcpListener;

use lab::{LabError, LabState, Leave};
use rustix::process::Signal;

use crate::support::{PROGRAM, TestLab, is_alive, request, settings, signal, wait_until};

fn pids(lab: &LabState) -> Vec<u32> {
    let interposer = lab.interposer.iter().map(|process| process.pid);
    let own = std::iter::once(lab.supervisor.pid).chain(interposer);
    own.chain(lab.pods.iter().filter_map(|pod| pod.pid)).collect()
}

#[test]
fn a_lab_takes_orders_and_leaves_no_process_port_or_file() {
    let lab = TestLab::up(&[]);
    let seen = lab.orders("life-1", 20, 1);
    assert_eq!(seen.by_status.keys().collect::<Vec<_>>(), [&200], "{seen:?}");
    assert_eq!(request(&lab.lab.endpoints.edge, "GET", "/catalog", "").0, 200);
    assert_eq!(request(&lab.lab.endpoints.edge, "GET", "/nothing", "").0, 404);
    let status = lab::status(&lab.state()).unwrap();
    assert!(status.running && status.steady.unwrap().ready);
    assert_eq!(status.lab.pods.len(), 13);
    let all = pids(&status.lab);
    assert!(all.len() == 14 && all.iter().all(|pid| is_alive(*pid)));

    let stopped = lab::down(&lab.state(), Leave::Nothing).unwrap();
    assert!(stopped.graceful && stopped.killed.is_empty(), "{stopped:?}");
    assert!(all.iter().all(|pid| !is_alive(*pid)));
    for address in status.lab.services.iter().flat_map(|service| &service.addresses) {
        TcpListener::bind(address).unwrap();
    }
    assert!(!lab.state().exists());
    lab::down(&lab.state(), Leave::Nothing).unwrap();
    assert!(matches!(lab::status(&lab.state()), Err(LabError::NotUp(_))));
}

#[test]
fn two_labs_live_side_by_side_but_not_in_one_directory() {
    let (first, second) = (TestLab::up(&[]), TestLab::up(&[]));
    let again = lab::up(&settings(&first.state(), &[]));
    assert!(matches!(again, Err(LabError::AlreadyUp { .. })), "{again:?}");
    let ports = |lab: &TestLab| -> Vec<u16> {
        let services = lab.lab.services.iter();
        services.flat_map(|service| &service.addresses).map(std::net::SocketAddr::port).collect()
    };
    assert!(ports(&first).iter().all(|port| !ports(&second).contains(port)));
    assert_eq!(first.orders("side-1", 20, 1).accepted.len(), 20);
    lab::down(&first.state(), Leave::Logs).unwrap();
    assert_eq!(second.orders("side-2", 20, 1).accepted.len(), 20);
    let logs = lab::logs(&first.state(), Some("edge"), 5).unwrap();
    assert!(logs.len() == 1 && !logs[0].lines.is_empty(), "the logs were left: {logs:?}");
}

#[test]
fn all_processes_die_with_a_killed_supervisor_and_the_next_lab_starts() {
    let lab = TestLab::up(&[]);
    let all = pids(&lab.lab);
    signal(lab.lab.supervisor.pid, Signal::KILL);
    wait_until("death of the children", || {
        // The supervisor is a child of this test and stays a zombie until it is reaped.
        all.iter().all(|pid| !is_alive(*pid))
    });
    assert!(!lab::status(&lab.state()).unwrap().running);
    lab::up(&settings(&lab.state(), &[])).unwrap();
    assert!(lab::status(&lab.state()).unwrap().running);
}

#[test]
fn an_interposer_that_does_not_start_is_an_error_that_says_so_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("lab");
    let interposer = Some(vec![String::from("/nonexistent/proxy")]);
    let error = lab::up(&lab::Settings { interposer, ..settings(&state, &[]) }).unwrap_err();
    assert!(error.to_string().contains("interposer does not listen"), "{error}");
    assert!(matches!(lab::status(&state), Err(LabError::NotUp(_))));
}

/// Whether no thread of a process runs any more: a stop takes hold of one after the other.
fn stands_still(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(Result::ok).all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

#[test]
fn every_edge_leads_through_the_interposer_which_comes_back_when_killed() {
    let lab = TestLab::with(|state| {
        let interposer = vec![String::from(PROGRAM), String::from("pass-through")];
        lab::Settings { interposer: Some(interposer), ..settings(state, &[]) }
    });
    for edge in &lab.lab.edges {
        assert_eq!(edge.addresses.len(), edge.upstreams.len());
        assert!(edge.addresses.iter().all(|at| !edge.upstreams.contains(at)), "{edge:?}");
    }
    assert_eq!(lab.orders("through-1", 20, 1).accepted.len(), 20);
    let first = lab.lab.interposer.clone().unwrap();
    signal(first.pid, Signal::STOP);
    wait_until("all threads of the interposer to stand still", || stands_still(first.pid));
    let blocked = request(&lab.lab.endpoints.edge, "GET", "/catalog", "").0;
    assert_eq!(blocked, 504, "nothing goes around the interposer");
    signal(first.pid, Signal::KILL);
    wait_until("new interposer", || {
        let lab = lab::status(&lab.state()).unwrap().lab;
        lab.interposer.is_some_and(|now| now.pid != first.pid && now.restarts == 1)
    });
    wait_until("order", || request(&lab.lab.endpoints.edge, "POST", "/checkout", "").0 == 200);
    let all = pids(&lab::status(&lab.state()).unwrap().lab);
    signal(lab.lab.supervisor.pid, Signal::KILL);
    wait_until("death of the children", || all.iter().all(|pid| !is_alive(*pid)));
}
