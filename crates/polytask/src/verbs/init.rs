//! `polytask init`: a suite file to start from.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::{atomic, plural, suite};
use polytask_data::readers;

use polytask_terminal::output::{self, Outcome};

/// Write a commented suite file to start from
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  polytask init > suite.toml\n  polytask init --data data/ --out suite.toml\n\nFiles are read by the ends of their names: .csv, .tsv, .jsonl, .parquet, .conll (a word and its tag on each line) and\nfolders of BEIR or of images by class; all of them also as .gz and .zst.\n\nExit codes: 0 done, 2 could not run."
)]
pub(crate) struct Args {
    /// Folder whose data files become tasks; an example is written when it has none
    #[arg(long, default_value = ".")]
    data: PathBuf,
    /// The same as --data
    #[arg(value_name = "FOLDER", conflicts_with = "data", hide = true)]
    folder: Option<PathBuf>,
    /// File to write; standard output otherwise
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Replace the file when it exists
    #[arg(long)]
    force: bool,
}

/// The path to `data` from a file in `home`: relative where one lies in the other.
fn way(home: &Path, data: &Path) -> PathBuf {
    let whole = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into())
    };
    let (home, data) = (whole(home), whole(data));
    data.strip_prefix(&home).map(Path::to_path_buf).unwrap_or(data)
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let data = args.folder.as_ref().unwrap_or(&args.data);
    if data.is_file() {
        let folder = data.parent().filter(|folder| !folder.as_os_str().is_empty());
        return output::refuse(
            format!("{} is a file, expected the folder it lies in", data.display()),
            format!("--data {}", folder.unwrap_or(Path::new(".")).display()),
        );
    }
    if !data.is_dir() {
        return output::refuse(
            format!("there is no folder {}", data.display()),
            "`--data` with a folder of data files",
        );
    }
    let home = args.out.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let proposal = polytask_data::propose(data, &way(home, data));
    let name = data.canonicalize().ok();
    let name =
        name.as_deref().and_then(Path::file_name).map_or("suite".into(), |name| name.to_string_lossy());
    let text = suite::template(&name, &proposal.drafts, &proposal.left_out);
    let (sure, unsure) = proposal.counts();
    let Some(out) = &args.out else {
        output::line(text.trim_end())?;
        return Ok(Outcome::Done);
    };
    if out.exists() && !args.force {
        return output::refuse(format!("{} exists", out.display()), "`--force`, or another `--out`");
    }
    atomic::create_dir(out.parent().unwrap_or(Path::new("")))?;
    atomic::write(out, text.as_bytes())?;
    if sure == 0 && (unsure > 0 || !proposal.left_out.is_empty() || !proposal.drafts.is_empty()) {
        output::note(format!(
            "wrote {} without a task: nothing found is sure, the file says what and why",
            out.display()
        ));
        return Ok(Outcome::Done);
    }
    let (n, shown) = (sure, out.display());
    if n == 0 {
        let formats: Vec<String> = readers::FORMATS
            .iter()
            .flat_map(|format| format.extensions)
            .map(|ending| format!(".{ending}"))
            .collect();
        output::note(format!(
            "no data files in {}: {shown} is an example to fill in (files end in {}, or one of these and .gz or .zst)",
            data.display(),
            formats.join(", ")
        ));
        return Ok(Outcome::Done);
    }
    let sure = plural(n, "task");
    let unsure =
        if unsure > 0 { format!(" and {} as comments", plural(unsure, "unsure one")) } else { String::new() };
    output::note(format!("wrote {shown} with {sure}{unsure}; next: polytask check {shown} --data"));
    Ok(Outcome::Done)
}
