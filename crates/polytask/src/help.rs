//! Help texts that fit every terminal: what stands in the source in lines is laid anew in lines of the terminal's width.

use clap::Command;

/// The command with the text after its own help, and after that of all commands below it, free to flow.
pub(crate) fn flowing(command: Command) -> Command {
    let text = command.get_after_help().map(ToString::to_string);
    let command = match text {
        Some(text) => command.after_help(flowed(&text)),
        None => command,
    };
    command.mut_subcommands(flowing)
}

/// Paragraphs as one line each, which the printer breaks where the terminal ends; indented lines stay as they are.
fn flowed(text: &str) -> String {
    let mut flowed = String::new();
    let mut is_open = false;
    for line in text.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(' ');
        let joint = if flowed.is_empty() {
            ""
        } else if is_open && is_prose {
            " "
        } else {
            "\n"
        };
        flowed.extend([joint, line]);
        is_open = is_prose && !line.ends_with(':');
    }
    flowed
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::verbs::Cli;

    /// A command and all below it, as they print in `width` columns.
    fn printed(command: &Command, width: usize) -> Vec<(String, String)> {
        let mut own = command.clone().term_width(width);
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        let text = (command.get_name().to_owned(), own.render_long_help().to_string());
        std::iter::once(text).chain(below.flat_map(|below| printed(below, width))).collect()
    }

    #[test]
    fn no_line_of_any_help_is_longer_than_the_terminal_or_100_columns() {
        let mut command = flowing(Cli::command());
        command.build();
        for width in [80, 100] {
            let texts = printed(&command, width);
            assert!(texts.len() > 20);
            for (name, text) in texts {
                for line in text.lines() {
                    assert!(line.chars().count() <= width, "{name} at {width}: {line}");
                }
            }
        }
    }

    #[test]
    fn no_sentence_of_any_help_is_broken_before_the_line_is_full() {
        let mut command = flowing(Cli::command());
        command.build();
        let unbroken = printed(&command, 100_000);
        for (name, text) in unbroken {
            let prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.windows(2) {
                assert!(!(prose(pair[0]) && prose(pair[1])), "{name}: {pair:?}");
            }
        }
    }

    #[test]
    fn paragraphs_flow_and_examples_stay() {
        let text = "Examples:\n  polytask a\n  polytask b\n\nOne line\nand its rest.\n\nWords:\nthese";
        let expected = "Examples:\n  polytask a\n  polytask b\n\nOne line and its rest.\n\nWords:\nthese";
        assert_eq!(flowed(text), expected);
    }
}
