//! A client against a server on this machine.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::testing::{Heard, LocalServer, Reply, chat_reply, letter_vectors};
use crate::*;

fn endpoint(server: &LocalServer) -> Endpoint {
    let patience = LlmPatience {
        connect: Duration::from_secs(5),
        answer: Duration::from_millis(1500),
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_secs(1),
    };
    Endpoint { patience, ..Endpoint::new(&server.address, None).unwrap() }
}

fn client(server: &LocalServer, tape: Option<(&Path, CassetteMode)>) -> LlmClient {
    let cassette = tape.map(|(path, mode)| Cassette::open(path, mode).unwrap());
    LlmClient::new(endpoint(server), cassette, LlmBudget::default())
}

fn said(client: &mut LlmClient, words: &str) -> polytask_core::Result<(String, bool)> {
    let messages = [ChatMessage { role: "user", content: words.into() }];
    client.chat(&ChatCall {
        model: "m",
        messages: &messages,
        most_answer: 50,
        temperature: 1.0,
        turn: 0,
        about: format!("`{words}`"),
    })
}

fn vectors(client: &mut LlmClient, texts: &[&str]) -> polytask_core::Result<Vec<Vec<f32>>> {
    client.embeddings(&EmbeddingsCall { model: "m", texts, width: None })
}

/// A server that gives these answers in turn, and then the last one again.
fn script(replies: Vec<Reply>) -> LocalServer {
    LocalServer::start(move |i, _| replies[i.min(replies.len() - 1)].clone())
}

#[test]
fn a_chat_is_sent_in_the_usual_form_and_its_answer_read() {
    let server = script(vec![chat_reply("hello", 12)]);
    let mut client = client(&server, None);
    assert_eq!(said(&mut client, "hi").unwrap(), ("hello".into(), false));
    assert_eq!(client.spent(), LlmSpent { requests: 1, tokens: 12 });
    let heard = &server.heard()[0];
    assert_eq!((heard.path.as_str(), &heard.authorization), ("/v1/chat/completions", &None));
    assert_eq!(heard.body["messages"], json!([{ "role": "user", "content": "hi" }]));
    assert_eq!(heard.body["max_tokens"], 50);
}

#[test]
fn vectors_come_in_the_order_of_texts_whatever_order_they_are_sent_in() {
    let data = json!([{ "index": 1, "embedding": [2, 2] }, { "index": 0, "embedding": [1.5, -1] }]);
    let server = script(vec![Reply::json(&json!({ "data": data }))]);
    assert_eq!(vectors(&mut client(&server, None), &["a", "b"]).unwrap(), [[1.5, -1.0], [2.0, 2.0]]);
    let server = LocalServer::start(|_, heard| letter_vectors(heard));
    assert_eq!(vectors(&mut client(&server, None), &["abba"]).unwrap()[0][..3], [2.0, 2.0, 0.0]);
}

#[test]
fn what_may_pass_is_tried_again_and_what_may_not_is_told_at_once() {
    let mut busy = Reply::text(429, "{\"error\": {\"message\": \"slow down\"}}");
    busy.headers.push(("retry-after", "0.2".into()));
    let server = script(vec![busy, Reply::text(500, "oh"), Reply::text(503, ""), chat_reply("at last", 5)]);
    let (mut tried, start) = (client(&server, None), Instant::now());
    assert_eq!(said(&mut tried, "hi").unwrap().0, "at last");
    assert!(start.elapsed() >= Duration::from_millis(200), "it waits as long as it is asked to");
    // Attempts count, and what the endpoint refused cost nothing.
    assert_eq!(tried.spent(), LlmSpent { requests: 4, tokens: 5 });

    let server = script(vec![Reply::text(500, "broken inside")]);
    let told = said(&mut client(&server, None), "hi").unwrap_err().to_string();
    assert!(told.contains("status 500: broken inside, 4 times") && told.contains("`hi`"), "{told}");
    assert_eq!(server.heard().len(), 4);

    for (reply, expected) in [
        (Reply::text(401, "{\"error\": {\"message\": \"no key\"}}"), "status 401: no key; it asks for a key"),
        (Reply::text(404, "{\"error\": \"no such model\"}"), "no such model; is the address right"),
        (Reply::text(400, "<html>\nbad\u{7}</html>"), "status 400: <html> bad</html>"),
        (
            Reply::text(429, "{\"error\": {\"message\": \"pay\", \"code\": \"insufficient_quota\"}}"),
            "pay (insufficient_quota)",
        ),
        (
            Reply { headers: vec![("location", "http://elsewhere/v1".into())], ..Reply::text(307, "") },
            "redirected to http://elsewhere/v1",
        ),
        (
            Reply { headers: vec![("retry-after", "3600".into())], ..Reply::text(429, "") },
            "it asks to wait 3600 s, more than 1 s",
        ),
    ] {
        let server = script(vec![reply]);
        let told = said(&mut client(&server, None), "hi").unwrap_err().to_string();
        assert!(told.contains(expected) && told.contains("/v1/chat/completions"), "{told}");
        assert_eq!(server.heard().len(), 1, "{told}");
    }
}

#[test]
fn an_endpoint_that_hangs_or_is_not_there_is_left_after_the_stated_time() {
    let slow = Reply { delay: Duration::from_millis(2500), ..chat_reply("late", 1) };
    let server = script(vec![slow, chat_reply("in time", 1)]);
    let mut waiting = client(&server, None);
    assert_eq!(said(&mut waiting, "hi").unwrap().0, "in time");
    // The first one may have been paid for: 2 bytes, 16 of form, 50 of the answer.
    assert_eq!(waiting.spent(), LlmSpent { requests: 2, tokens: 68 + 1 });

    let gone = { std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let mut endpoint = endpoint(&server);
    endpoint.base = format!("http://{gone}/v1");
    let mut client = LlmClient::new(endpoint, None, LlmBudget::default());
    let told = said(&mut client, "hi").unwrap_err().to_string();
    assert!(told.contains("4 times") && told.contains("run the same command again"), "{told}");
    assert_eq!(client.spent(), LlmSpent { requests: 4, tokens: 0 });
}

#[test]
fn answers_that_are_none_are_told_with_endpoint_and_request() {
    let two = |a: serde_json::Value, b: serde_json::Value| {
        Reply::json(&json!({ "data": [{ "index": 0, "embedding": a }, { "index": 1, "embedding": b }] }))
    };
    for (reply, expected) in [
        (Reply::text(200, "<html>login</html>"), "it is not JSON"),
        (Reply::text(200, "{\"data\": [{\"embedding\": [NaN]}]}"), "a number that is none (NaN"),
        (Reply::json(&json!({ "object": "list" })), "it has no list `data`"),
        (Reply::json(&json!({ "data": [] })), "it has 0 vectors, expected 2"),
        (two(json!([1, 2]), json!([1])), "vector 1 has 1 values, expected 2"),
        (two(json!([1, null]), json!([1, 2])), "value 1 of vector 0 is null"),
        (two(json!([1, 1e300]), json!([1, 2])), "value 1 of vector 0 is 1e+300"),
        (two(json!([]), json!([])), "vector 0 is empty"),
        (two(json!("AAAA"), json!([1])), "vector 0 is no list of numbers"),
        (
            Reply::json(
                &json!({ "data": [{ "index": 0, "embedding": [1] }, { "index": 0, "embedding": [1] }] }),
            ),
            "its indices are not 0 to 1, each once",
        ),
    ] {
        let server = script(vec![reply]);
        let told = vectors(&mut client(&server, None), &["first text", "b"]).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
        let request = "/v1/embeddings answered the vectors of 2 texts, the first of them `first text`";
        assert!(told.contains(request) && told.contains(&server.address), "{told}");
    }
    for body in
        [json!({}), json!({ "choices": [] }), json!({ "choices": [{ "message": { "content": " " } }] })]
    {
        let server = script(vec![Reply::json(&body)]);
        assert!(said(&mut client(&server, None), "hi").unwrap_err().to_string().contains("nonsense"));
    }
    let call = EmbeddingsCall { model: "m", texts: &["a"], width: Some(3) };
    let server = LocalServer::start(|_, heard| letter_vectors(heard));
    let told = client(&server, None).embeddings(&call).unwrap_err().to_string();
    assert!(told.contains("has 26 values, expected 3"), "{told}");
}

#[test]
fn nothing_is_paid_twice_whenever_the_run_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let tape = Some((path.as_path(), CassetteMode::Replay));
    let server = LocalServer::start(|i, heard: &Heard| match i {
        2 => Reply::text(400, "no more"),
        _ => chat_reply(&format!("about {}", heard.body["messages"][0]["content"]), 9),
    });
    let ask =
        |client: &mut LlmClient| ["a", "b", "c"].map(|words| said(client, words).map(|(text, _)| text).ok());
    let first = ask(&mut client(&server, tape));
    assert!(first[0].is_some() && first[1].is_some() && first[2].is_none());
    // Killed while a line was written: the line goes, and what it was about is asked again.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    let mut resumed = client(&server, tape);
    let second = ask(&mut resumed);
    assert_eq!((&second[..2], server.heard().len()), (&first[..2], 4));
    assert_eq!(second[2].as_deref(), Some("about \"c\""));
    drop(resumed);
    // Strict: no network at all, not even a server or a key.
    let nowhere = Endpoint::new("http://127.0.0.1:9/v1", Some("POLYTASK_TEST_NO_SUCH_KEY")).unwrap();
    let cassette = Cassette::open(&path, CassetteMode::Strict).unwrap();
    let mut strict =
        LlmClient::new(nowhere, Some(cassette), LlmBudget { requests: Some(0), tokens: Some(0) });
    assert_eq!(ask(&mut strict), second);
    let told = said(&mut strict, "d").unwrap_err().to_string();
    assert!(told.contains("has no answer to `d`") && told.contains("its mode is strict"), "{told}");
    assert_eq!(server.heard().len(), 4);
}

#[test]
fn a_text_whose_vector_was_paid_for_is_not_paid_again_whatever_it_is_asked_for_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let server = LocalServer::start(|_, heard| letter_vectors(heard));
    let tape = Some((path.as_path(), CassetteMode::Replay));
    let first = vectors(&mut client(&server, tape), &["a", "bb", "ccc"]).unwrap();
    let second = vectors(&mut client(&server, tape), &["ccc", "d", "a", "d"]).unwrap();
    assert_eq!((&second[0], &second[2]), (&first[2], &first[0]));
    assert_eq!((second[1][3], &second[3]), (1.0, &second[1]));
    let asked: Vec<_> = server.heard().iter().map(|heard| heard.body["input"].clone()).collect();
    assert_eq!(asked, [json!(["a", "bb", "ccc"]), json!(["d", "d"])]);
    let again = vectors(&mut client(&server, Some((&path, CassetteMode::Strict))), &["d", "bb"]).unwrap();
    assert_eq!(again, [second[1].clone(), first[1].clone()]);
    let call = EmbeddingsCall { model: "m", texts: &["a"], width: Some(3) };
    let told = client(&server, tape).embeddings(&call).unwrap_err().to_string();
    assert!(told.contains("has 26 values, expected 3"), "{told}");
    // Another model has other vectors.
    let other = EmbeddingsCall { model: "other", texts: &["a"], width: None };
    client(&server, tape).embeddings(&other).unwrap();
    assert_eq!(server.heard().len(), 3);
}

#[test]
fn record_asks_again_and_the_later_answer_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let server = LocalServer::start(|i, _| chat_reply(&format!("answer {i}"), 1));
    for (mode, expected) in [
        (CassetteMode::Record, "answer 0"),
        (CassetteMode::Record, "answer 1"),
        (CassetteMode::Replay, "answer 1"),
    ] {
        assert_eq!(said(&mut client(&server, Some((&path, mode))), "hi").unwrap().0, expected);
    }
}

#[test]
fn a_budget_holds_over_runs_and_refuses_before_it_is_exceeded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let server = script(vec![chat_reply("x", 40)]);
    let budget = LlmBudget { requests: Some(10), tokens: Some(150) };
    let with_budget = || {
        let cassette = Cassette::open(&path, CassetteMode::Replay).unwrap();
        LlmClient::new(endpoint(&server), Some(cassette), budget)
    };
    // Each may take 1 + 16 + 50 tokens and takes 40.
    let mut first = with_budget();
    said(&mut first, "a").unwrap();
    said(&mut first, "b").unwrap();
    drop(first);
    let mut second = with_budget();
    assert_eq!(said(&mut second, "a").unwrap().0, "x");
    said(&mut second, "c").unwrap();
    let told = said(&mut second, "d").unwrap_err().to_string();
    assert!(told.contains("budget of 150 tokens") && told.contains("120 were spent"), "{told}");
    assert_eq!(server.heard().len(), 3);

    // Attempts that fail are requests too.
    let server = script(vec![Reply::text(500, "")]);
    let budget = LlmBudget { requests: Some(2), tokens: None };
    let mut client = LlmClient::new(endpoint(&server), None, budget);
    assert!(said(&mut client, "a").unwrap_err().to_string().contains("budget of 2 requests"));
    assert_eq!(server.heard().len(), 2);
}

#[test]
fn a_key_goes_into_its_header_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let seen = std::sync::Arc::new(AtomicU64::new(0));
    let count = std::sync::Arc::clone(&seen);
    let server = LocalServer::start(move |i, heard| {
        count.fetch_add(1, Ordering::Relaxed);
        match i {
            0 => chat_reply("fine", 1),
            // An endpoint that tells the key back.
            _ => Reply::text(
                403,
                &format!("no rights for {}", heard.authorization.clone().unwrap_or_default()),
            ),
        }
    });
    // `PATH` stands for a secret: a variable that is there, and that no test has to set.
    let name = "PATH";
    let secret = std::env::var(name).unwrap();
    let keyed = Endpoint { key_env: Some(name.into()), ..endpoint(&server) };
    let cassette = Cassette::open(&path, CassetteMode::Replay).unwrap();
    let mut client = LlmClient::new(keyed, Some(cassette), LlmBudget::default());
    said(&mut client, "hi").unwrap();
    let told = said(&mut client, "again").unwrap_err().to_string();
    assert!(told.contains("no rights for Bearer …") && !told.contains(secret.trim()), "{told}");
    assert!(!std::fs::read_to_string(&path).unwrap().contains(secret.trim()));
    assert_eq!(server.heard()[0].authorization, Some(format!("Bearer {}", secret.trim())));
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}
