//! The runtime that sockets live on. A web worker is a runtime of its own: were its sockets there, one busy worker would
//! stall the queries of all others, and its end would end them.

use super::OpenError;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::{Builder, Handle, Runtime};

/// Owns the runtime; ends it without waiting, which is lawful inside another runtime.
pub(super) struct IoRuntime {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl IoRuntime {
    /// Starts the threads: what they are called, and how many.
    pub(super) fn start(name: &str, threads: usize) -> Result<Self, OpenError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .enable_all()
            .build()
            .map_err(|e| OpenError::new(format!("cannot start threads ({e})"), "raise the limit of threads"))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Mutex::new(Some(runtime)) })
    }

    /// The door to it.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs a task until the store is closed.
    pub(super) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// Ends the runtime and all that is on it.
    pub(super) fn close(&self) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl Drop for IoRuntime {
    fn drop(&mut self) {
        self.close();
    }
}
