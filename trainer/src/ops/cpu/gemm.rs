//! A safe door to the `gemm` crate, one thread a product.

use super::Real;

/// A matrix in a slice: sizes and the distance between rows and between columns.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, E> {
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
    pub fn columns(self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[first * self.column_stride..],
            columns: count,
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
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(right.rows, k, "inner sizes differ");
    assert_eq!(destination.len(), m * n, "destination has the wrong size");
    assert!(left.is_whole() && right.is_whole(), "operand out of bounds");
    // SAFETY: every element of the three matrices lies within its slice (asserted above), and
    // `destination` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            destination.as_mut_ptr(),
            1,
            n as isize,
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
    }
}
