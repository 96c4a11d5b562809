//! A safe door to the `gemm` crate, one thread a product.

use super::account::{Work, book};
use super::{Real, part};
use rayon::prelude::*;

/// A matrix in a slice: sizes and the distance between rows and between columns.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, E> {
    data: &'a [E],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// A matrix stored row by row.
    pub fn new(data: &'a [E], rows: usize, columns: usize) -> Self {
        Self {
            data,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The same numbers, rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `count` columns from `first` on.
    fn columns(self, first: usize, count: usize) -> Self {
        self.transposed().rows(first, count).transposed()
    }

    /// `count` rows from `first` on.
    fn rows(self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[first * self.row_stride..],
            rows: count,
            ..self
        }
    }

    /// Whether every element lies within the slice.
    fn is_whole(&self) -> bool {
        self.rows == 0
            || self.columns == 0
            || (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride
                < self.data.len()
    }
}

/// `destination = left * right`, or `+=` where `add`; `destination` is stored row by row.
pub(super) fn product<E: Real>(
    destination: &mut [E],
    left: Matrix<'_, E>,
    right: Matrix<'_, E>,
    add: bool,
) {
    assert_eq!(destination.len(), left.rows * right.columns, "wrong size");
    // SAFETY: `destination` is as large as the product (asserted above) and borrowed mutably.
    unsafe { product_at(destination.as_mut_ptr(), right.columns, left, right, add) }
}

/// `destination = left * right`, or `+=` where `add`, cut into parts along the larger operand, so that
/// each part of that one is read by a single thread.
pub(crate) fn parallel_product<E: Real>(
    destination: &mut [E],
    left: Matrix<'_, E>,
    right: Matrix<'_, E>,
    add: bool,
) {
    let (rows, columns) = (left.rows, right.columns);
    assert_eq!(destination.len(), rows * columns, "wrong size");
    if rows > columns {
        product_by_rows(destination, left, right, part(rows), add);
    } else {
        // Whole vectors: blocks of columns begin at multiples of 16.
        let count = part(columns).next_multiple_of(16);
        let start = Start(destination.as_mut_ptr());
        (0..columns.div_ceil(count)).into_par_iter().for_each(|i| {
            let first = i * count;
            let right = right.columns(first, count.min(columns - first));
            // SAFETY: the blocks' columns lie within the rows of `destination`, which has room for all
            // of them (asserted above), is borrowed mutably, and no two blocks share a column.
            unsafe { product_at(start.at(first), columns, left, right, add) }
        });
    }
}

/// `destination = left * right`, or `+=` where `add`, a product for each `count` rows.
pub(super) fn product_by_rows<E: Real>(
    destination: &mut [E],
    left: Matrix<'_, E>,
    right: Matrix<'_, E>,
    count: usize,
    add: bool,
) {
    let columns = right.columns;
    let blocks = destination.par_chunks_mut((count * columns).max(1));
    blocks.enumerate().for_each(|(i, block)| {
        let rows = block.len() / columns;
        product(block, left.rows(i * count, rows), right, add);
    });
}

/// Where the blocks of a matrix are written from several threads.
struct Start<E>(*mut E);

// SAFETY: each thread writes numbers of its own (see `parallel_product`).
unsafe impl<E: Send> Sync for Start<E> {}

impl<E> Start<E> {
    fn at(&self, offset: usize) -> *mut E {
        self.0.wrapping_add(offset)
    }
}

/// # Safety
/// `left.rows` rows of `right.columns` numbers, `stride` apart, can be written from `destination` on, and
/// nothing else reads or writes them meanwhile.
unsafe fn product_at<E: Real>(
    destination: *mut E,
    stride: usize,
    left: Matrix<'_, E>,
    right: Matrix<'_, E>,
    add: bool,
) {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(right.rows, k, "inner sizes differ");
    assert!(left.is_whole() && right.is_whole(), "operand out of bounds");
    // SAFETY: every element of the operands lies within its slice (asserted above); the destination is
    // the caller's promise.
    book(Work::Product, || unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination,
            1,
            stride as isize,
            add,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            E::one(),
            E::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    });
}
