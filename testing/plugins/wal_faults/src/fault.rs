//! What goes wrong, and at which step.

use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PgSqlErrorCode, pg_sys};

static STEP: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static KIND: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static REGISTER: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// An ID that no resource manager has.
const UNUSED_ID: u8 = 240;

/// Tells PostgreSQL of the settings, which say what fails where there is nobody to call a function.
pub(crate) fn define_settings() {
    let define = |name, description, setting| {
        let flags = GucFlags::default();
        GucRegistry::define_string_guc(name, description, c"", setting, GucContext::Sighup, flags);
    };
    define(c"wal_faults.step", c"The step of redo, mask, describe and so on that fails.", &STEP);
    define(c"wal_faults.kind", c"How it fails.", &KIND);
    define(c"wal_faults.register", c"What else is registered: same id, same name.", &REGISTER);
}

/// What `wal_faults.register` says.
pub(crate) fn also_registered() -> String {
    text(&REGISTER)
}

fn text(setting: &'static GucSetting<Option<CString>>) -> String {
    setting.get().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A fault that happens when its step is reached.
#[derive(Debug)]
pub(crate) struct Fault {
    step: String,
    kind: String,
}

impl Fault {
    pub(crate) fn new(step: &str, kind: &str) -> Self {
        Self { step: step.to_owned(), kind: kind.to_owned() }
    }

    /// The one that the settings tell.
    pub(crate) fn of_settings() -> Self {
        Self { step: text(&STEP), kind: text(&KIND) }
    }

    /// This step is reached.
    pub(crate) fn at(&self, step: &str) {
        if self.step == step {
            happen(&self.kind);
        }
    }

    /// This step is reached where an error can be returned.
    pub(crate) fn check(&self, step: &str) -> Result<(), String> {
        if self.is(step, "result") {
            return Err("an error was asked for".to_owned());
        }
        self.at(step);
        Ok(())
    }

    /// Whether it is this one, for those that `happen` does not know.
    pub(crate) fn is(&self, step: &str, kind: &str) -> bool {
        self.step == step && self.kind == kind
    }
}

/// Lets something go wrong; nothing for a kind that is not known here.
pub(crate) fn happen(kind: &str) {
    match kind {
        "panic" => panic!("a panic was asked for"),
        // An ERROR that PostgreSQL itself raises, with no need of a transaction.
        // SAFETY: raises it and does nothing else.
        "error" => unsafe { pg_sys::RmgrNotFound(UNUSED_ID) },
        "raise" => pgxlog::raise(PgSqlErrorCode::ERRCODE_DATA_EXCEPTION, "an ERROR was asked for", None),
        "cancel" => {
            // SAFETY: as PostgreSQL's handler of the signal does.
            unsafe {
                pg_sys::QueryCancelPending = 1;
                pg_sys::InterruptPending = 1;
            }
            pgrx::check_for_interrupts!();
        }
        _ => {}
    }
}
