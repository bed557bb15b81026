//! Signals that would end the program where an error says more.

/// Lets a write beyond the limit of file sizes (`ulimit -f`) fail as one on a full disk does: the error names the
/// file, and half-written files are removed. The signal's default would end the program between two bytes.
#[cfg(unix)]
#[allow(
    unsafe_code,
    reason = "the standard library sets no signal's action; ignoring one runs no code of ours"
)]
pub(crate) fn fail_on_file_limit() {
    // SAFETY: the signal exists, and no handler is installed. Should it fail, the default stays.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Other systems know no such signal.
#[cfg(not(unix))]
pub(crate) fn fail_on_file_limit() {}
