//! The metric log: one JSON line per event, for any tool that reads JSONL.
//!
//! A resumed phase drops the lines after its checkpoint and goes on, so a log never tells a step twice.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polytask_core::atomic;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::observe::{Event, Observer};

/// Writes events to a log and hands them on.
pub struct Log<'a> {
    path: PathBuf,
    out: BufWriter<File>,
    phase: String,
    next: &'a mut dyn Observer,
}

impl<'a> Log<'a> {
    /// A log at `path`; an existing one is continued.
    pub fn open(path: &Path, next: &'a mut dyn Observer) -> Result<Self> {
        Ok(Self { path: path.to_path_buf(), out: append(path)?, phase: String::new(), next })
    }

    /// Drops what an interrupted run wrote of this phase after its checkpoint.
    fn rewind(&mut self, done: u64) -> Result<()> {
        self.out.flush().map_err(polytask_core::Error::io("write", &self.path))?;
        let text = polytask_core::files::read_text(&self.path, u64::MAX)
            .map_err(polytask_core::Error::io("read", &self.path))?;
        let keep = |line: &&str| {
            let value: Value = serde_json::from_str(line).unwrap_or(Value::Null);
            !value.is_null()
                && (value["phase"] != self.phase.as_str() || value["step"].as_u64() <= Some(done))
        };
        let kept: Vec<&str> = text.lines().filter(keep).collect();
        let ending = if kept.is_empty() { "" } else { "\n" };
        atomic::write(&self.path, (kept.join("\n") + ending).as_bytes())?;
        self.out = append(&self.path)?;
        Ok(())
    }

    /// Hands each line to the system at once: a checkpoint never knows a step that the log does not.
    fn line(&mut self, value: &Value) -> std::io::Result<()> {
        writeln!(self.out, "{value}")?;
        self.out.flush()
    }

    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        let phase = self.phase.clone();
        match event {
            Event::Step { done, losses, lr, tokens, observed } if !losses.is_empty() => {
                let losses: Map<String, Value> =
                    losses.iter().map(|(name, loss)| ((*name).into(), json!(loss))).collect();
                let mut line =
                    json!({ "phase": phase, "step": done, "lr": lr, "tokens": tokens, "losses": losses });
                for (name, task, value) in *observed {
                    match *task {
                        "" => line["observed"][*name] = json!(value),
                        task => line["observed"][*name][task] = json!(value),
                    }
                }
                self.line(&line)
            }
            Event::Valid { step, scores } => {
                let scores: Map<String, Value> = scores
                    .iter()
                    .map(|(name, metric, value)| ((*name).into(), json!({ *metric: value })))
                    .collect();
                self.line(&json!({ "phase": phase, "step": step, "valid": scores }))
            }
            _ => Ok(()),
        }
    }
}

impl Observer for Log<'_> {
    fn event(&mut self, event: Event) {
        let outcome = match &event {
            Event::Phase { name, done, .. } => {
                self.phase = (*name).to_string();
                self.rewind(*done)
            }
            other => self.write(other).map_err(|e| polytask_core::Error::io("write", &self.path)(e).into()),
        };
        if let Err(error) = outcome {
            // The log is a by-product: training goes on, the user is told.
            self.next.event(Event::Note(&error.to_string()));
        }
        self.next.event(event);
    }
}

fn append(path: &Path) -> Result<BufWriter<File>> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    Ok(BufWriter::new(file.map_err(polytask_core::Error::io("write", path))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;

    #[test]
    fn a_resumed_phase_tells_no_step_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let step = |done| Event::Step {
            done,
            losses: &[("a", 1.0)],
            lr: 0.1,
            tokens: 3,
            observed: &[("weight", "a", 0.5), ("conflict", "", 1.0)],
        };
        for (first, last) in [(1, 5), (4, 6)] {
            let mut silent = Silent;
            let mut log = Log::open(&path, &mut silent).unwrap();
            log.event(Event::Phase { name: "joint", total: 6, done: first - 1 });
            (first..=last).for_each(|i| log.event(step(i)));
            log.event(Event::Done);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["observed"], json!({ "weight": { "a": 0.5 }, "conflict": 1.0 }));
    }
}
