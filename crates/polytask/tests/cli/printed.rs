//! Whatever a file holds, nothing of it speaks to the terminal or turns the direction of the page.

use crate::support::{Place, has, trained, write_data};

/// An escape that clears the screen, one that sets the title, an override of direction, a C1 control, a mark
/// without width, a separator of lines.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}\u{9b}31m\u{200b}\u{2028}";

#[track_caller]
fn clean(text: &str) {
    let bad = |c: &char| {
        c.is_control() && *c != '\n' && *c != '\t'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
    };
    assert_eq!(text.chars().find(bad), None, "{text:?}");
}

/// Class rows whose labels are spoilt, under a column of this name.
fn place(label: &str, column: &str) -> Place {
    let place = Place::new();
    for split in ["train", "valid", "test"] {
        let row = |i: usize| {
            let label = if i.is_multiple_of(2) { label } else { "plain" };
            serde_json::json!({ "text": format!("{split} {EVIL} {i}"), column: label }).to_string()
        };
        let rows: Vec<String> = (0..20).map(row).collect();
        place.write(&format!("t/{split}.jsonl"), rows.join("\n"));
    }
    place.write("s.toml", suite("", "t"));
    place
}

fn suite(line: &str, data: &str) -> String {
    let json = |text: &str| serde_json::to_string(text).unwrap().replace('\u{7f}', "");
    format!(
        "name = \"x\"\n{line}\n[model]\nencoder = \"tiny\"\n[train]\nsteps = 2\n[[task]]\nname = \"t\"\nkind = \"class\"\ndata = {}\n",
        json(data)
    )
}

#[test]
fn labels_in_tables_pages_and_predictions_are_harmless() {
    let place = place(&format!("bad{EVIL}"), "label");
    let shown = place.polytask(&["data", "s.toml"]).done();
    has(&shown, &["bad\\u{1b}[2J"]);
    clean(&shown);
    let ran = place.polytask(&["train", "s.toml", "--out", "run"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    [&ran.out, &ran.err].into_iter().for_each(|text| clean(text));
    let page = place.read("run/report.html");
    has(&page, &["bad\\u{1b}[2J", "\\u{202e}"]);
    clean(&page);
    for args in [
        &["predict", "-m", "run/model", "--task", "t", "--text", "a"][..],
        &["predict", "-m", "run/model", "--list"],
    ] {
        let out = place.polytask(args).done();
        clean(&out);
        let value: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert!(value.to_string().contains("plain") || value.to_string().contains("bad"), "{value}");
    }
}

#[test]
fn labels_and_keys_and_names_in_errors_are_harmless() {
    let unknown = place("fine", "label");
    let row = serde_json::json!({ "text": "x", "label": format!("new{EVIL}") });
    unknown.write("t/valid.jsonl", format!("{row}\n{row}\n"));
    let column = place("fine", &format!("lab{EVIL}"));
    for split in ["train", "valid", "test"] {
        std::fs::remove_file(column.path(&format!("t/{split}.jsonl"))).unwrap();
        column.write(&format!("t/{split}.csv"), format!("text,lab{EVIL}\na,b\nc,d\n"));
    }
    let data = place("fine", "label");
    data.write("s.toml", suite("", &format!("no{EVIL}")));
    let key = place("fine", "label");
    key.write(
        "s.toml",
        suite(&format!("{} = 1", serde_json::to_string(&format!("key{EVIL}")).unwrap()), "t"),
    );
    let kind = place("fine", "label");
    let evil = serde_json::to_string(&format!("c{EVIL}")).unwrap();
    let text = kind.read("s.toml");
    kind.write("s.toml", text.replace("\"class\"", &evil).replace("\"t\"\nkind", &format!("{evil}\nkind")));
    for (place, word) in [(&unknown, "new"), (&column, "lab"), (&data, "no"), (&key, "key"), (&kind, "c")] {
        let ran = place.polytask(&["check", "s.toml", "--data"]);
        assert_eq!(ran.code, 2, "{ran:#?}");
        has(&ran.err, &[&format!("{word}\\u{{1b}}[2J")]);
        clean(&ran.err);
        clean(&ran.out);
        clean(&place.polytask(&["check", "s.toml", "--data", "--json"]).out);
    }
}

#[test]
fn passages_and_ids_that_are_found_are_harmless() {
    let place = Place::new();
    write_data(&place);
    let passage = serde_json::json!({ "_id": format!("id{EVIL}"), "text": format!("the cat {EVIL}") });
    place.write("corpus.jsonl", format!("{passage}\n"));
    let model = trained().path("run/model").display().to_string();
    let found = |more: &[&str]| {
        let task = ["search", "-m", &model, "--task", "find", "--corpus", "corpus.jsonl", "--query", EVIL];
        place.polytask(&[&task[..], more].concat()).done()
    };
    has(&found(&[]), &["id\\u{1b}[2J", "the cat \\u{1b}[2J"]);
    clean(&found(&[]));
    clean(&found(&["--json"]));
    let value: serde_json::Value = serde_json::from_str(&found(&["--json"])).unwrap();
    assert_eq!(value["hits"][0]["id"], format!("id{EVIL}"), "JSON keeps the value");
}
