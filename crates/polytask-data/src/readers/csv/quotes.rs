//! Quotes that close a cell before its end: the reader of cells takes what follows as part of the cell, and with it the
//! rows after it, in silence.

use std::collections::VecDeque;

/// Where a byte stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// At the start of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// In a quoted cell.
    Quoted,
    /// After a quote in a quoted cell: the cell's end, or the first of a doubled quote.
    Closed,
    /// After blanks behind that quote.
    ClosedWhite,
}

/// Follows the quotes of a stream.
#[derive(Debug)]
pub(super) struct Quotes {
    delimiter: u8,
    state: State,
    line: usize,
    /// Lines on which something follows a closing quote.
    stray: VecDeque<usize>,
}

impl Quotes {
    /// At the start of a file whose cells are separated by `delimiter`.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::Start, line: 1, stray: VecDeque::new() }
    }

    /// The next byte.
    pub(super) fn see(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Quoted, b'"') => State::Closed,
            (State::Start | State::Closed, b'"') | (State::Quoted, _) => State::Quoted,
            (_, b'\n' | b'\r') => State::Start,
            (_, byte) if byte == self.delimiter => State::Start,
            (State::Closed | State::ClosedWhite, b' ' | b'\t') => State::ClosedWhite,
            (State::Closed | State::ClosedWhite, _) => {
                self.stray.push_back(self.line);
                State::Plain
            }
            (State::Start | State::Plain, _) => State::Plain,
        };
        self.line += usize::from(byte == b'\n');
    }

    /// The first line from `first` to `last` on which something follows a closing quote; these and earlier ones are done.
    pub(super) fn take(&mut self, first: usize, last: usize) -> Option<usize> {
        let mut found = None;
        while let Some(&line) = self.stray.front().filter(|line| **line <= last) {
            self.stray.pop_front();
            found = found.or((line >= first).then_some(line));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stray(text: &str) -> Vec<usize> {
        let mut quotes = Quotes::new(b',');
        text.bytes().for_each(|byte| quotes.see(byte));
        quotes.stray.into()
    }

    #[test]
    fn text_after_a_closing_quote_is_noticed_with_its_line() {
        assert_eq!(stray("a,b\n\"one,x\ntwo \"row,y\n"), [3]);
        assert_eq!(stray("\"a\"b,\"c\"d\n"), [1, 1]);
        assert_eq!(stray("\"a\" \"b,x\n\"c\",y\n"), [1]);
        for fine in
            ["\"a \"\"b\"\" c\",d\n", "\"a\" ,b\n", "5\" nail,x\n", "\"a\nb\",c\n", "\"\",\"\"\n", "a,\"b\""]
        {
            assert!(stray(fine).is_empty(), "{fine}");
        }
    }

    #[test]
    fn lines_of_a_row_are_taken_once() {
        let mut quotes = Quotes::new(b',');
        "\"a\"b\nc\n\"d\"e\n".bytes().for_each(|byte| quotes.see(byte));
        assert_eq!(
            (quotes.take(1, 1), quotes.take(2, 2), quotes.take(3, 3), quotes.take(3, 9)),
            (Some(1), None, Some(3), None)
        );
    }
}
