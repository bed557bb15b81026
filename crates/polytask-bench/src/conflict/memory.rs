//! Peak memory of a process that trains 2, 8 and 32 tasks, a method at a time.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Args, METHODS};
use polytask_terminal::output::{self, Outcome};

/// Numbers of tasks.
const TASKS: [usize; 3] = [2, 8, 32];

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let is_chosen = |name: &&str| args.methods.iter().any(|chosen| chosen == name);
    let chosen = METHODS.iter().map(|method| method.name).filter(is_chosen);
    let peaks = chosen.map(|name| Ok((name, peaks(args, name)?))).collect::<Result<Vec<_>>>()?;
    if args.common.json {
        let row = |(name, mib): &(&str, [f64; 3])| json!({ "method": name, "peak_rss_mb": mib, "ratio_to_first": mib.map(|m| m / mib[0]) });
        let rows: Vec<Value> = peaks.iter().map(row).collect();
        let kept = args.rows_mb;
        output::json(&json!({ "bench": "conflict", "tasks": TASKS, "rows_mb": kept, "memory": rows }))?;
        return Ok(Outcome::Done);
    }
    output::line(text(args, &peaks))?;
    Ok(Outcome::Done)
}

fn text(args: &Args, peaks: &[(&str, [f64; 3])]) -> String {
    let mut lines = vec![
        format!("peak memory in MiB, trunk `{}`, {} rows per step", args.trunk, args.batch()),
        String::new(),
        format!("{:<14}{:>9}{:>9}{:>9}{:>12}", "tasks", TASKS[0], TASKS[1], TASKS[2], "last/first"),
    ];
    for (name, [few, some, many]) in peaks {
        lines.push(format!("{name:<14}{few:>9.0}{some:>9.0}{many:>9.0}{:>12.2}", many / few));
    }
    lines.join("\n")
}

/// The peaks of a method's processes, full gradients.
fn peaks(args: &Args, method: &'static str) -> Result<[f64; 3]> {
    let mut peaks = [0.0; 3];
    for (peak, n_tasks) in peaks.iter_mut().zip(TASKS) {
        output::note(format!("{method}, {n_tasks} tasks"));
        *peak = peak_of(
            &Args { methods: vec![method.to_owned()], gradients: "full".to_owned(), ..args.clone() },
            n_tasks,
        )?;
    }
    Ok(peaks)
}

fn peak_of(args: &Args, n_tasks: usize) -> Result<f64> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let done = Command::new(program)
        .args(["bench", "conflict", "--json"])
        .args(args.again(n_tasks))
        .output()
        .context("cannot start this program again")?;
    let message = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "with {n_tasks} tasks: {}", message.trim());
    let report: Value = serde_json::from_slice(&done.stdout).context("a process printed no JSON")?;
    report["peak_rss_mb"].as_f64().context("a process told no peak memory")
}
