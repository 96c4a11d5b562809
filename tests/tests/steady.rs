//! Memory of a long run: what a step takes it gives back.

use pocketgan_trainer::gan::{Batch, Gan, Recipe, Size};
use pocketgan_trainer::ops::Cpu;
use pocketgan_trainer::rng::{Rng, Stream};
use pocketgan_trainer::spec::Shape;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// Counts the bytes that are in use.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_steady_step_keeps_no_memory() {
    let image = Shape::new(1, 28, 28);
    let parts = Recipe::WganGp.parts(Size::Nano, image);
    let steps_of_critic = parts.game.batches() as usize;
    let settings = parts.settings(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let grown = pool.install(|| {
        let mut gan = Gan::new(Cpu::default(), &settings).unwrap();
        let n = 64;
        let mut rng = Rng::new(3, Stream::Order(0));
        let count = steps_of_critic * n * image.len();
        let real: Vec<f32> = (0..count).map(|_| rng.uniform() as f32).collect();
        let mut steps = |count: usize| {
            for _ in 0..count {
                gan.step(Batch::new(n, &real, &[])).unwrap();
            }
        };
        steps(5);
        let before = LIVE.load(Relaxed);
        steps(20);
        LIVE.load(Relaxed) - before
    });
    assert_eq!(grown, 0, "bytes kept by 20 steps");
}
