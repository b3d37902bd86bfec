//! A plugin behind the C face: loaded, called, and kept from harming the worker.

use std::ffi::CString;

use pgrx::pg_sys;
use pgwal::{Lsn, Record};
use pgxlog::{Callbacks, Position, catch_and_recover, last_read};
use walker_core::{LogPosition, Plugin, PluginError, Resume};

use crate::callback::Running;

/// `WALkerPluginInit`.
type Init = unsafe extern "C-unwind" fn(callbacks: *mut Callbacks);

/// A plugin that is loaded when it is started.
pub(crate) struct CPlugin {
    name: String,
    loaded: Option<Loaded>,
}

struct Loaded {
    /// Boxed, since a plugin may keep the pointer it got.
    callbacks: Box<Callbacks>,
    /// Current while a callback runs; reset after each.
    context: pg_sys::MemoryContext,
}

impl CPlugin {
    /// The plugin in the library of this name.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), loaded: None }
    }

    fn loaded(&self) -> Result<&Loaded, PluginError> {
        self.loaded.as_ref().ok_or_else(|| "the plugin is not loaded".into())
    }
}

impl Loaded {
    /// Loads the library `name` and lets it set its callbacks.
    ///
    /// # Errors
    /// Why it cannot be used: there is no such library, it has no `_PG_walker_plugin_init`, or that function fails.
    fn load(name: &str) -> Result<Self, PluginError> {
        let library = CString::new(name)?;
        let mut callbacks = Box::new(Callbacks::new());
        let target: *mut Callbacks = &mut *callbacks;
        let load = || {
            // SAFETY: the names are C strings. If the function exists it is a WALkerPluginInit by its name.
            unsafe {
                let function = pg_sys::load_external_function(
                    library.as_ptr(),
                    c"_PG_walker_plugin_init".as_ptr(),
                    false,
                    std::ptr::null_mut(),
                );
                if function.is_null() {
                    return false;
                }
                let init = std::mem::transmute::<*mut std::ffi::c_void, Init>(function.cast());
                pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                pg_sys::ffi::pg_guard_ffi_boundary(|| init(target));
            }
            true
        };
        // SAFETY: the worker's outermost level; nothing of a transaction is used here.
        let found = unsafe { catch_and_recover(load) }?;
        if !found {
            return Err("the library has no function _PG_walker_plugin_init".into());
        }
        // SAFETY: makes a memory context below one that lives as long as the process.
        let context = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopMemoryContext,
                c"walker plugin".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Ok(Self { callbacks, context })
    }

    /// Runs callbacks of the plugin `name` in its own memory context and empties that afterwards.
    fn in_context<T>(&self, name: &String, call: impl FnOnce() -> T) -> Result<T, PluginError> {
        let _running = Running::enter(name);
        // SAFETY: the context lives as long as the process; what is in it is not used after the reset. The worker's outermost
        // level, where nothing of a transaction is used.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.context);
            let result = catch_and_recover(call);
            pg_sys::MemoryContextSwitchTo(before);
            // Otherwise it would do nothing, but be called behind a guard of its own for each record.
            if !(*self.context).isReset || !(*self.context).firstchild.is_null() {
                pg_sys::MemoryContextReset(self.context);
            }
            Ok(result?)
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: made in `load`, and nothing in it is used any more. The library stays loaded: PostgreSQL unloads none.
        unsafe { pg_sys::MemoryContextDelete(self.context) };
    }
}

impl Plugin for CPlugin {
    fn name(&self) -> &str {
        &self.name
    }

    fn startup(&mut self) -> Result<(), PluginError> {
        let _running = Running::enter(&self.name);
        // What is loaded is not loaded again if only its startup_cb failed.
        let loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => Loaded::load(&self.name)?,
        };
        let callback = self.loaded.insert(loaded).callbacks.startup_cb;
        let Some(callback) = callback else { return Ok(()) };
        let startup = || {
            // SAFETY: a callback of the type that the header promises; what it allocates may stay.
            unsafe {
                pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
                pg_sys::ffi::pg_guard_ffi_boundary(|| callback());
            }
        };
        // SAFETY: as in `load`.
        Ok(unsafe { catch_and_recover(startup) }?)
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        let loaded = self.loaded()?;
        let callbacks = [loaded.callbacks.record_cb, loaded.callbacks.of(record.rmgr)];
        if callbacks == [None, None] {
            return Ok(());
        }
        let reader = last_read();
        loaded.in_context(&self.name, || {
            for callback in callbacks.into_iter().flatten() {
                // SAFETY: the reader holds this very record, and is not read from while the callback runs. A callback
                // before this one may have left another context current, as the end of a transaction does.
                unsafe {
                    pg_sys::MemoryContextSwitchTo(loaded.context);
                    pg_sys::ffi::pg_guard_ffi_boundary(|| callback(reader));
                }
            }
        })
    }

    fn answer(&mut self, question: &[u8], position: Lsn) -> Result<Vec<u8>, PluginError> {
        let loaded = self.loaded()?;
        let callback = loaded.callbacks.answer_cb.ok_or("this plugin answers no questions")?;
        loaded.in_context(&self.name, || {
            // SAFETY: the question's bytes outlive the call; the answer is copied before its memory is reset.
            unsafe {
                let answer = pg_sys::makeStringInfo();
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    let length = question.len();
                    callback(question.as_ptr().cast(), length, position.get(), answer);
                });
                let length = usize::try_from((*answer).len).unwrap_or(0);
                std::slice::from_raw_parts((*answer).data.cast::<u8>(), length).to_vec()
            }
        })
    }

    fn resume(&mut self) -> Result<Resume, PluginError> {
        let loaded = self.loaded()?;
        let Some(callback) = loaded.callbacks.resume_cb else { return Ok(Resume::Now) };
        let mut position = Position::default();
        // SAFETY: a callback of the type that the header promises.
        let wanted = loaded
            .in_context(&self.name, || unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(&mut position)) })?;
        match wanted {
            Callbacks::RESUME_NOW => Ok(Resume::Now),
            Callbacks::RESUME_CHECKPOINT => Ok(Resume::Checkpoint),
            Callbacks::RESUME_AT => Ok(Resume::At(position.into())),
            other => Err(format!("its resume_cb returned {other}").into()),
        }
    }

    fn gap(&mut self, next: Lsn) -> Result<(), PluginError> {
        let loaded = self.loaded()?;
        let Some(callback) = loaded.callbacks.gap_cb else { return Ok(()) };
        // SAFETY: a callback of the type that the header promises.
        loaded.in_context(&self.name, || unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(next.get())) })
    }

    fn work(&mut self) -> Result<bool, PluginError> {
        let loaded = self.loaded()?;
        let Some(callback) = loaded.callbacks.work_cb else { return Ok(false) };
        // SAFETY: a callback of the type that the header promises.
        loaded.in_context(&self.name, || unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback()) })
    }

    fn flush(&mut self, position: &LogPosition) -> Result<(), PluginError> {
        let loaded = self.loaded()?;
        let Some(callback) = loaded.callbacks.flush_cb else { return Ok(()) };
        let position = Position::from(*position);
        // SAFETY: a callback of the type that the header promises; the position outlives the call.
        loaded.in_context(&self.name, || unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback(&position)) })
    }

    fn shutdown(&mut self) -> Result<(), PluginError> {
        let loaded = self.loaded()?;
        let Some(callback) = loaded.callbacks.shutdown_cb else { return Ok(()) };
        // SAFETY: a callback of the type that the header promises.
        loaded.in_context(&self.name, || unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| callback()) })
    }
}
