//! How the second core starts: SSE-200, system control register block.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use cortex_m::{asm, register::msplim};
use firmware_shared::halves::LowerHalf;
use semihosting::{eprintln, process};

/// Several times what making rows takes.
const STACK_BYTES: usize = 16 * 1024;

mod register {
    /// The system control block, as the secure side sees it.
    const SYSCTL: usize = 0x5002_1000;
    /// Where the second core's vectors are when it starts.
    pub const INITSVTOR1: *mut u32 = (SYSCTL + 0x114) as *mut u32;
    /// A bit for each core that waits.
    pub const CPUWAIT: *mut u32 = (SYSCTL + 0x118) as *mut u32;
    /// Each core's own: which coprocessors it may use.
    pub const CPACR: *mut u32 = 0xe000_ed88 as *mut u32;
}

/// The second core's bit of CPUWAIT.
const SECOND: u32 = 1 << 1;
/// The FPU in CPACR: full access.
const FPU: u32 = 0b1111 << 20;

/// What the second core is to do.
static TASK: AtomicPtr<LowerHalf> = AtomicPtr::new(ptr::null_mut());
static STACK: Stack = Stack(UnsafeCell::new([0; STACK_BYTES]));
static VECTORS: Vectors = Vectors {
    stack: STACK.0.get().wrapping_add(1),
    reset,
    exceptions: [fault; 14],
};

#[repr(align(8))]
struct Stack(UnsafeCell<[u8; STACK_BYTES]>);

/// The exceptions that every core has.
#[repr(C, align(128))]
struct Vectors {
    /// The stack's end, where it starts.
    stack: *const [u8; STACK_BYTES],
    reset: extern "C" fn() -> !,
    exceptions: [extern "C" fn() -> !; 14],
}

// SAFETY: only the second core uses its stack.
unsafe impl Sync for Stack {}
// SAFETY: nothing writes to the table.
unsafe impl Sync for Vectors {}

/// Has the second core run a task; `None` if there is no second core that waits.
pub fn start(task: &'static mut LowerHalf) -> Option<()> {
    // SAFETY: the register is there on every board of this target, and reading it changes nothing.
    let waiting = unsafe { ptr::read_volatile(register::CPUWAIT) };
    if waiting & SECOND == 0 {
        return None;
    }
    // The pointer is stored with release, after the task, and the second core loads it with acquire, before the task: a
    // core that sees the pointer sees the task. The barrier finishes the stores before that core starts.
    TASK.store(task, Ordering::Release);
    asm::dsb();
    // SAFETY: nothing else uses these registers, and what the first one gets is a table of vectors.
    unsafe {
        ptr::write_volatile(register::INITSVTOR1, &raw const VECTORS as u32);
        ptr::write_volatile(register::CPUWAIT, waiting & !SECOND);
    }
    Some(())
}

/// Where the second core starts.
extern "C" fn reset() -> ! {
    // SAFETY: these are this core's own registers, and the limit is the other end of its stack.
    unsafe {
        msplim::write(STACK.0.get() as u32);
        ptr::write_volatile(register::CPACR, FPU);
    }
    asm::dsb();
    asm::isb();
    run()
}

/// Runs the task: no part of `reset`, which starts without the FPU.
#[inline(never)]
fn run() -> ! {
    let task = TASK.swap(ptr::null_mut(), Ordering::Acquire);
    // SAFETY: `start` got the only reference to the task, and the swap gives it away only once.
    match unsafe { task.as_mut() } {
        Some(task) => task.run(),
        None => fault(),
    }
}

/// Ends the program where a core cannot go on.
pub extern "C" fn fault() -> ! {
    eprintln!("a core cannot go on: is QEMU given the words of README.md for two cores?");
    process::exit(1)
}
