//! Answers in one piece and byte by byte: the same comes out.

use super::*;

/// What came of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Whole(RequestOutcome, Keep, usize),
    Cut(RequestOutcome),
    Wrong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Open,
    Closed,
}

fn read(text: &str, piece: usize, head_only: bool, needle: Option<&str>) -> Read {
    let mut answer = Answer::new(head_only, needle.map(str::as_bytes));
    let bytes = text.as_bytes();
    let (mut used, mut given) = (0, 0);
    while given < bytes.len() {
        given = (given + piece).min(bytes.len());
        match answer.read(&bytes[used..given]) {
            Err(NoHttp) => return Read::Wrong,
            Ok(step) => {
                used += step.used;
                if step.done {
                    let keep = if answer.keeps_alive() { Keep::Open } else { Keep::Closed };
                    return Read::Whole(answer.outcome(), keep, bytes.len() - used);
                }
            }
        }
    }
    Read::Cut(answer.at_end())
}

#[track_caller]
fn check(text: &str, expected: Read) {
    for piece in 1..=text.len() {
        let mut found = read(text, piece, false, None);
        // What lies behind an answer may not have been given yet.
        if let (Read::Whole(_, _, rest), Read::Whole(_, _, all)) = (&mut found, expected) {
            *rest = all;
        }
        assert_eq!(found, expected, "in pieces of {piece}");
    }
    assert_eq!(read(text, text.len(), false, None), expected);
}

const OK: RequestOutcome = RequestOutcome::Status(200);

#[test]
fn lengths_and_chunks_and_closes() {
    let head = "HTTP/1.1 200 OK\r\n";
    let open = |rest| Read::Whole(OK, Keep::Open, rest);
    check(&format!("{head}content-length: 2\r\n\r\nok"), open(0));
    check(&format!("{head}Content-Length: 2, 2\r\n\r\nok+more"), open(5));
    check(&format!("{head}content-length: 0\r\n\r\n"), open(0));
    check(&format!("{head}content-length: 10\r\n\r\n1234"), Read::Cut(RequestOutcome::Body));
    let chunked = format!("{head}Transfer-Encoding: gzip, Chunked\r\n\r\n");
    check(&format!("{chunked}2;x=y\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\n"), open(0));
    check(&format!("{chunked}0\r\nx: y\r\n\r\n!"), open(1));
    check(&format!("{chunked}2\r\nok\r\n"), Read::Cut(RequestOutcome::Reset));
    check(&format!("{head}\r\nuntil the end"), Read::Cut(OK));
    check(&format!("{head}transfer-encoding: gzip\r\n\r\nx"), Read::Cut(OK));
    check(
        "HTTP/1.1 204 No Content\r\n\r\n",
        Read::Whole(RequestOutcome::Status(204), Keep::Open, 0),
    );
    check("HTTP/1.1 200 O", Read::Cut(RequestOutcome::Reset));
}

#[test]
fn who_closes_and_who_does_not() {
    let body = "content-length: 0\r\n\r\n";
    for (head, keep) in [
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n", Keep::Closed),
        ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n", Keep::Closed),
        ("HTTP/1.0 200 OK\r\n", Keep::Closed),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n", Keep::Open),
    ] {
        check(&format!("{head}{body}"), Read::Whole(OK, keep, 0));
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n!";
    check(text, Read::Whole(OK, Keep::Open, 0));
}

#[test]
fn what_is_no_http_is_wrong() {
    let head = "HTTP/1.1 200 OK\r\n";
    check("ERR no such command\r\n\r\n", Read::Wrong);
    for field in ["-1", "+1", "1 2", "0x1", "", "1, 2", "99999999999999999999"] {
        check(&format!("{head}content-length: {field}\r\n\r\n"), Read::Wrong);
    }
    check(&format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\n"), Read::Wrong);
    check(&format!("{head}transfer-encoding: chunked\r\n\r\nxy\r\n"), Read::Wrong);
    check(&format!("{head}transfer-encoding: chunked\r\n\r\n1\r\nabc"), Read::Wrong);
}

#[test]
fn bodies_are_searched_in_whatever_pieces_they_come() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                   3\r\n-ne\r\n4\r\nedle\r\n0\r\n\r\n";
    for piece in 1..=chunked.len() {
        let whole = |outcome| Read::Whole(outcome, Keep::Open, 0);
        assert_eq!(read(chunked, piece, false, Some("needle")), whole(OK));
        assert_eq!(read(chunked, piece, false, Some("noodle")), whole(RequestOutcome::Body));
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n";
    assert_eq!(read(head, head.len(), true, Some("x")), Read::Whole(OK, Keep::Open, 0));
}
