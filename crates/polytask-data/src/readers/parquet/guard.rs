//! Panics of the Parquet crate: caught, and kept from the terminal.
//!
//! Some damaged files make the crate's decoders panic. A data file is input, so such a panic is an error like any
//! other. Rust shows each panic to the one hook of the process before anything can catch it; [`quietly`] therefore
//! puts a hook in front of the one it finds, which passes on every panic but those of a thread that is inside the
//! crate. A program that sets its own hook later loses that silence and nothing else.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread runs code of the crate.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs a part of the crate; where it panics, gives the panic's message.
pub(super) fn quietly<T>(part: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let next = take_hook();
        set_hook(Box::new(move |panic| {
            // A thread that is ending has no flag left, and is not inside the crate.
            if !INSIDE.try_with(Cell::get).unwrap_or(false) {
                next(panic);
            }
        }));
    });
    let _scope = Scope::enter(true);
    catch_unwind(AssertUnwindSafe(part)).map_err(|payload| message(&*payload))
}

/// Runs our own code that the crate calls back; a panic in it is a defect of ours and is shown.
pub(super) fn loudly<T>(part: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter(false);
    part()
}

/// Sets the flag until it is dropped.
struct Scope {
    before: bool,
}

impl Scope {
    fn enter(inside: bool) -> Self {
        Self { before: INSIDE.replace(inside) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}

/// What a panic says.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "POLYTASK_TEST_GUARD_CHILD";

    #[test]
    fn a_caught_panic_gives_its_message() {
        let n = 2;
        assert_eq!(quietly(|| assert!(n > 2, "{n} is few")), Err("2 is few".to_owned()));
        assert_eq!(quietly(|| assert!(n > 2, "few")), Err("few".to_owned()));
        assert_eq!(quietly(|| n), Ok(2));
    }

    #[test]
    fn only_panics_inside_the_crate_are_kept_from_the_terminal() {
        if std::env::var_os(CHILD).is_some() {
            let _ = quietly(|| panic!("of the crate"));
            let _ = quietly(|| loudly(|| panic!("of a callback")));
            let _ = quietly(|| std::thread::spawn(|| panic!("of another thread")).join());
            let _ = catch_unwind(|| panic!("of the caller"));
            return;
        }
        let name = "readers::parquet::guard::tests::only_panics_inside_the_crate_are_kept_from_the_terminal";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let output = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        let shown = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && !shown.contains("of the crate"), "{shown}");
        for own in ["of a callback", "of another thread", "of the caller"] {
            assert!(shown.contains(own), "{own} is missing from {shown}");
        }
    }
}
