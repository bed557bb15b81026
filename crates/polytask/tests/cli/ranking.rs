//! Rankings: node sets, edges, and what is wrong with them.

use crate::support::{Place, has};

const SUITE: &str = r#"
[model]
encoder = "tiny"
[train]
steps = 3
lr = 1e-3
baselines = ["probe", "bm25", "prior"]
[[nodes]]
name = "job"
file = "jobs.tsv"
text = "{title}: {about}"
[[nodes]]
name = "skill"
file = "skills.csv"
[[task]]
name = "find"
kind = "ranking"
left = "query"
right = "job"
files = { train = "find_train.tsv", valid = "find_valid.tsv" }
columns = { right = "codes" }
[[task]]
name = "needs"
kind = "ranking"
left = "job"
right = "skill"
files = { train = "needs.tsv", valid = "needs.tsv" }
columns = { left = "code", right = "skill" }
"#;

/// Three jobs and three skills, titles that name jobs, and which job needs which skill.
fn place() -> Place {
    let place = Place::new();
    place.write(
        "jobs.tsv",
        "code\ttitle\tabout\n1\tcook\tmakes soup\n2\tpilot\tflies a plane\n3\tmason\tbuilds walls\n",
    );
    place.write("skills.csv", "id,text\ns1,soup\ns2,planes\ns3,bricks\n");
    let titles =
        "query\tcodes\nsoup maker\t1\nflyer of a plane\t2\nwall builder\t3\nwho builds and flies\t2|3\n";
    place.write("find_train.tsv", titles);
    place.write("find_valid.tsv", "query\tcodes\ncook of soup\t1\nbuilder\t3\n");
    place.write("needs.tsv", "code\tskill\n1\ts1\n2\ts2\n3\ts3\n3\ts2\n");
    place.write("suite.toml", SUITE);
    place
}

#[test]
fn texts_and_nodes_rank_nodes_and_the_suite_of_the_run_says_the_same() {
    let place = place();
    let report = place.polytask(&["train", "suite.toml", "--out", "run", "-q", "--json"]).object();
    for task in report["tasks"].as_array().unwrap() {
        assert_eq!(task["kind"], "ranking");
        let learners: Vec<&str> = task["others"]
            .as_array()
            .unwrap()
            .iter()
            .map(|other| other["learner"].as_str().unwrap())
            .collect();
        assert_eq!(learners, ["probe", "bm25", "prior"]);
    }
    let written = place.read("run/suite.toml");
    has(&written, &["[[nodes]]", "text = \"{title}: {about}\"", "left = \"job\"", "right = \"skill\""]);
    place.polytask(&["check", "run/suite.toml", "--data"]).done();
    let show = |path: &str| place.polytask(&["show", path]).done();
    assert_eq!(show("run/suite.toml").matches("[[nodes]]").count(), 2);
    place.polytask(&["eval", "run/suite.toml", "--model", "run", "--json"]).object();
    let found = [
        "search",
        "--model",
        "run",
        "--corpus",
        "jobs.tsv",
        "--columns",
        "text=title,id=code",
        "--query",
        "cook",
        "-k",
        "1",
    ];
    has(&place.polytask(&found).done(), &["cook"]);
}

#[test]
fn mistakes_of_node_sets_and_edges_have_their_line_and_a_remedy() {
    let place = place();
    let told = |old: &str, new: &str| {
        assert!(SUITE.contains(old), "{old}");
        place.write("wrong.toml", SUITE.replacen(old, new, 1));
        place.polytask(&["check", "wrong.toml", "--data"]).refused()
    };
    has(
        &told("right = \"job\"", "right = \"jbo\""),
        &["`right` in task `find` is `jbo`", "no [[nodes]]", "job"],
    );
    has(&told("right = \"job\"\n", ""), &["task `find` has no `right`", "right = \"job\""]);
    has(&told("file = \"jobs.tsv\"", "file = \"jobz.tsv\""), &["jobz.tsv", "does not exist"]);
    has(&told("file = \"jobs.tsv\"\n", ""), &["node set `job` has no `file`"]);
    has(&told("{title}: {about}", "title"), &["`text` in node set `job`", "columns in braces"]);
    has(&told("{title}: {about}", "{titel}"), &["no column `titel`", "title"]);
    has(&told("name = \"skill\"", "name = \"job\""), &["job", "wrong.toml"]);
    has(
        &told("left = \"job\"\nright = \"skill\"", "left = \"code\"\nright = \"job\""),
        &["no task names the node set `skill`"],
    );
    has(
        &told("kind = \"ranking\"", "kind = \"class\""),
        &["`left` in task `find` is for the kind `ranking`"],
    );
    has(&told("text = \"{title}: {about}\"", "id = \"number\""), &["no column `number`"]);
}

#[test]
fn edges_to_unknown_nodes_and_doubled_nodes_are_told_by_their_line() {
    let place = place();
    let check = || place.polytask(&["check", "suite.toml", "--data"]).refused();
    place.write("find_valid.tsv", "query\tcodes\ncook\t1\nbaker\t9\n");
    has(&check(), &["find_valid.tsv:3", "no node `9` in node set `job`"]);
    place.write("find_valid.tsv", "query\tcodes\ncook\t1\n");
    place.write("needs.tsv", "code\tskill\n1\ts1\n7\ts2\n");
    has(&check(), &["needs.tsv:3", "`7` is no id of node set `job`"]);
    place.write("needs.tsv", "code\tskill\n1\ts1\n");
    place.write("skills.csv", "id,text\ns1,soup\ns1,planes\ns3,\n");
    has(
        &check(),
        &["skills.csv:3", "two nodes have the id `s1`, the first in line 2", "skills.csv:4", "has no text"],
    );
    place.write("jobs.tsv", "code\ttitle\tabout\n1\tcook\tmakes soup\n2\t\t\n");
    has(&check(), &["jobs.tsv:3", "node `2` has no text"]);
    place.write("jobs.tsv", "code\ttitle\tabout\n1\tcook\tmakes soup\n2\tpilot\tflies\n3\tmason\tbuilds\n");
    place.write("skills.csv", "id,text\n");
    has(&check(), &["node set `skill` has no rows"]);
}
