//! Working memory that a thread keeps from one product to the next.

use std::cell::RefCell;

/// Number types with a store of working memory on each thread.
pub trait Scratch: Sized + 'static {
    /// Runs `work` with `len` numbers of unspecified value.
    fn scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
}

macro_rules! scratch {
    ($($number:ty),*) => {$(
        impl Scratch for $number {
            fn scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
                thread_local! {
                    static IDLE: RefCell<Vec<Vec<$number>>> = const { RefCell::new(Vec::new()) };
                }
                let mut buffer = IDLE.with_borrow_mut(Vec::pop).unwrap_or_default();
                if buffer.len() < len {
                    buffer.resize(len, 0.0);
                }
                // So that the tests see whoever reads what was not written.
                #[cfg(test)]
                buffer.fill(<$number>::NAN);
                let result = work(&mut buffer[..len]);
                IDLE.with_borrow_mut(|idle| idle.push(buffer));
                result
            }
        }
    )*};
}

scratch!(f32, f64);
