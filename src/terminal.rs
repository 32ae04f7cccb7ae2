//! The user's terminal: raw while a guest has the console, and as it was on every way out.
//!
//! There is one terminal, so what it was like is kept in one place, from which the end of the run, a
//! panic and a signal put it back. A terminal that is not ours (a pipe, a file, a closed input) is
//! left alone.

use rustix::stdio;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The terminal's modes before we changed them; none while they are unchanged.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

fn before() -> MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal is raw while this lives.
pub(crate) struct Raw(());

impl Raw {
    /// Makes standard input raw: every key goes to the reader at once, unseen and uninterpreted.
    /// Nothing when standard input is not a terminal.
    pub(crate) fn enter() -> Option<Self> {
        make_raw().then_some(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal raw, unless it is already; whether there is one.
fn make_raw() -> bool {
    let mut before = before();
    if before.is_some() {
        return true;
    }
    let Ok(modes) = tcgetattr(stdio::stdin()) else { return false };
    let mut raw = modes.clone();
    raw.input_modes &= !(InputModes::IGNBRK
        | InputModes::BRKINT
        | InputModes::PARMRK
        | InputModes::ISTRIP
        | InputModes::INLCR
        | InputModes::IGNCR
        | InputModes::ICRNL
        | InputModes::IXON);
    // Output processing stays on: the guest's "\r\n" passes through it, and our own lines need it.
    raw.local_modes &= !(LocalModes::ECHO
        | LocalModes::ECHONL
        | LocalModes::ICANON
        | LocalModes::IEXTEN
        | LocalModes::ISIG);
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    if tcsetattr(stdio::stdin(), OptionalActions::Now, &raw).is_err() {
        return false;
    }
    *before = Some(modes);
    true
}

/// Puts the terminal back as it was; harmless when it was never changed.
pub(crate) fn restore() {
    if let Some(modes) = before().take() {
        // A terminal that has gone away cannot be restored and need not be.
        let _ = tcsetattr(stdio::stdin(), OptionalActions::Now, &modes);
    }
}

/// Puts the terminal back while `pause` runs, and makes it raw again if it was.
pub(crate) fn restored_during(pause: impl FnOnce()) {
    let was_raw = before().is_some();
    restore();
    pause();
    if was_raw {
        make_raw();
    }
}
