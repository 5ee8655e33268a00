//! One run on a thread of its own: paused time, and randomness that follows from a seed, down to that of hash maps.

use std::{
    cell::Cell,
    ffi::{c_long, c_uint, c_void},
    thread,
};

thread_local! {
    /// The state of the generator, on threads of simulations only.
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs the future that `run` makes on a fresh thread and runtime. The same seed gives the same run.
pub(super) fn seeded<T, F>(seed: u64, run: impl FnOnce() -> F + Send + 'static) -> T
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    #[cfg(feature = "mutants")]
    let mutant = tidegate::mutants::chosen();
    let body = move || {
        #[cfg(feature = "mutants")]
        tidegate::mutants::choose(mutant);
        STATE.set(Some(seed));
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async { run().await })
    };
    let thread = thread::Builder::new()
        .name(format!("sim-{seed}"))
        .spawn(body)
        .expect("a thread");
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn next(state: u64) -> u64 {
    state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
}

#[expect(
    unsafe_code,
    reason = "the keys of std's and kube's hash maps come from the system; only here can they be made to repeat"
)]
mod system {
    use super::{STATE, c_long, c_uint, c_void, next};

    const SYS_GETRANDOM: c_long = if cfg!(target_arch = "aarch64") {
        278
    } else {
        318
    };

    unsafe extern "C" {
        fn syscall(number: c_long, ...) -> c_long;
    }

    /// Stands before the C library's function of this name in this binary; outside simulations it asks the kernel.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
        let Some(mut state) = STATE.try_with(super::Cell::get).ok().flatten() else {
            // SAFETY: the arguments are those of the call this stands for, passed on unchanged.
            let got = unsafe { syscall(SYS_GETRANDOM, buffer, length, flags) };
            return isize::try_from(got).unwrap_or(-1);
        };
        for offset in 0..length {
            state = next(state);
            // SAFETY: the caller owns `length` bytes at `buffer`, and `offset` is less.
            unsafe {
                buffer
                    .cast::<u8>()
                    .add(offset)
                    .write(state.to_be_bytes()[0])
            };
        }
        STATE.set(Some(state));
        isize::try_from(length).unwrap_or(isize::MAX)
    }
}
