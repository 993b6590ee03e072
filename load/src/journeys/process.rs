//! The walking process as its parent sees it: started, listened to, ordered, killed, buried.

use std::io::{self, BufReader, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use harness_core::load::LoadError;
use rustix::net::{SendFlags, send};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc;

use super::wire::{Job, Told, failed, read_line, write_line};
use crate::worker::Report;

/// Reports that may wait for the receiver; then the process waits, too.
const REPORTS_MAX: usize = 1024;
/// So much of what the process complains about is kept.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// A process under way. Dropping it kills the process.
pub(super) struct Walking {
    /// What it tells. Ends when the process has ended and was buried.
    pub(super) reports: mpsc::Receiver<Report>,
    pub(super) line: Line,
}

/// The way to the process.
pub(super) struct Line {
    socket: UnixStream,
    process: OwnedFd,
}

impl Walking {
    /// Starts the process and gives it its job.
    pub(super) fn start(command: &[String], job: &Job) -> Result<Self, LoadError> {
        let refused = |error: io::Error| failed(error.to_string());
        let (mut ours, theirs) = UnixStream::pair().map_err(refused)?;
        let reading = ours.try_clone().map_err(refused)?;
        let (told, reports) = mpsc::channel(REPORTS_MAX);
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let command = command.to_vec();
        // The process dies with the thread that started it, so that thread outlives the process.
        let thread = std::thread::Builder::new().name("journeys".to_owned());
        let thread = thread.spawn(move || match spawn(&command, theirs) {
            Ok((child, process)) => {
                drop(started.send(Ok(process)));
                attend(child, reading, &told);
            }
            Err(error) => drop(started.send(Err(error))),
        });
        // It ends with the process.
        drop::<JoinHandle<()>>(thread.map_err(refused)?);
        let process = start.recv().map_err(|_| failed("its thread ended".to_owned()))?;
        let process = process.map_err(refused)?;
        let line = Line { socket: ours.try_clone().map_err(refused)?, process };
        write_line(&mut ours, job).map_err(refused)?;
        Ok(Self { reports, line })
    }
}

impl Line {
    /// Gives an order. One that does not get through is that of a process that hangs or is gone.
    pub(super) fn order(&self, letter: u8) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        send(&self.socket, &[letter], flags).ok();
    }

    /// Ends the process, whatever it does.
    pub(super) fn kill(&self) {
        // A process that is gone needs no signal.
        pidfd_send_signal(self.process.as_fd(), Signal::KILL).ok();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &[String], theirs: UnixStream) -> io::Result<(Child, OwnedFd)> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // An interrupt from the terminal is the run's to answer.
        .process_group(0)
        .spawn()?;
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
    match process {
        Ok(process) => Ok((child, process)),
        Err(error) => {
            let mut child = child;
            child.kill()?;
            child.wait()?;
            Err(error.into())
        }
    }
}

/// Hands on what the process tells, and waits for its end.
fn attend(mut child: Child, reading: UnixStream, told: &mpsc::Sender<Report>) {
    let complaint = child.stderr.take().map(read_complaint);
    let mut reading = BufReader::new(reading);
    let mut ended = false;
    let mut broken = None;
    loop {
        let report = match read_line::<Told>(&mut reading) {
            Ok(Some(told)) => told.into_report(),
            Ok(None) => break,
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        };
        ended |= matches!(report, Report::Ended(_) | Report::Failed(_));
        if told.blocking_send(report).is_err() {
            break;
        }
    }
    if broken.is_some() || told.is_closed() {
        // It may be about to tell more, which nobody reads.
        child.kill().ok();
    }
    let status = child.wait();
    let complaint = complaint.and_then(|thread| thread.join().ok()).unwrap_or_default();
    if ended {
        return;
    }
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let parts = [Some(status), broken, (!complaint.is_empty()).then_some(complaint)];
    let why = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    drop(told.blocking_send(Report::Failed(failed(why))));
}

/// Reads what the process complains about, to the end, so that it never waits for a reader.
fn read_complaint(stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut stderr = stderr;
        let mut kept = Vec::new();
        // What cannot be read is no complaint.
        drop((&mut stderr).take(COMPLAINT_BYTES_MAX).read_to_end(&mut kept));
        drop(io::copy(&mut stderr, &mut io::sink()));
        String::from_utf8_lossy(&kept).trim().to_owned()
    })
}
