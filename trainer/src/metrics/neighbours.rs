//! Distances between many points at once: nearest neighbours.
//!
//! Points are rows of numbers, `(N, size)`. Squared distances are told from products,
//! `|a|^2 + |b|^2 - 2 a b`, a tile at a time, so that memory stays small however many points there are. The
//! bits do not depend on the number of threads.

use crate::ops::cpu::Real;
use crate::ops::cpu::gemm::{Matrix, parallel_product};
use rayon::prelude::*;

/// Points of either side in a tile.
const TILE: usize = 1024;

/// The nearest neighbour of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Its number.
    pub index: usize,
    /// Its Euclidean distance.
    pub distance: f64,
}

/// For each of `queries`, the nearest of `points`; none where there are no points.
///
/// The distance is computed anew from the two points' differences: a copy is at 0. Among several that are
/// equally near but for rounding, any may be named.
pub fn nearest(queries: &[f32], points: &[f32], size: usize) -> Vec<Neighbour> {
    find_nearest(queries, points, size, false)
}

/// For each of `points`, the nearest of the others; none where there is one point at most.
pub fn nearest_other(points: &[f32], size: usize) -> Vec<Neighbour> {
    if points.len() > size {
        find_nearest(points, points, size, true)
    } else {
        Vec::new()
    }
}

fn find_nearest(queries: &[f32], points: &[f32], size: usize, same: bool) -> Vec<Neighbour> {
    if points.is_empty() {
        return Vec::new();
    }
    let mut best = vec![(f32::INFINITY, 0); rows(queries, size)];
    let visit = |best: &mut (f32, usize), tile: Row<'_, f32>| {
        for (index, &distance) in tile.others(same) {
            if distance < best.0 {
                *best = (distance, index);
            }
        }
    };
    scan(queries, points, size, &mut best, visit);
    let exact = |(query, (_, index)): (&[f32], (f32, usize))| Neighbour {
        index,
        distance: distance(query, &points[index * size..][..size]),
    };
    let queries = queries.chunks_exact(size.max(1));
    queries.zip(best).map(exact).collect()
}

/// The Euclidean distance of two points.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let square = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

/// The squared distance of each point from the `k`th nearest of the others, `k` at least 1; infinite where
/// there are fewer.
pub fn squared_radii(points: &[f32], size: usize, k: usize) -> Vec<f64> {
    let mut nearest = vec![Vec::new(); rows(points, size)];
    let visit = |nearest: &mut Vec<f64>, tile: Row<'_, f64>| {
        for (_, &distance) in tile.others(true) {
            let place = nearest.partition_point(|&other| other <= distance);
            if place < k {
                nearest.insert(place, distance);
                nearest.truncate(k);
            }
        }
    };
    scan(points, points, size, &mut nearest, visit);
    let radius = |nearest: Vec<f64>| nearest.get(k - 1).copied().unwrap_or(f64::INFINITY);
    nearest.into_iter().map(radius).collect()
}

/// The squared distances of a query from the points of a tile.
pub(super) struct Row<'a, E> {
    /// The number of the query.
    pub query: usize,
    /// The number of the tile's first point.
    pub first: usize,
    pub squared: &'a [E],
}

impl<'a, E> Row<'a, E> {
    /// The points by number, without the query itself where the queries are the points.
    fn others(self, same: bool) -> impl Iterator<Item = (usize, &'a E)> {
        let numbered = (self.first..).zip(self.squared);
        numbered.filter(move |&(index, _)| !same || index != self.query)
    }
}

/// Shows each query's state the squared distances of all points, tile after tile.
pub(super) fn scan<E: Real, S: Send>(
    queries: &[f32],
    points: &[f32],
    size: usize,
    states: &mut [S],
    visit: impl Fn(&mut S, Row<'_, E>) + Sync,
) {
    let size = size.max(1);
    let mut squared = Vec::new();
    for (first, points) in tiles::<E>(points, size) {
        let states = states.chunks_mut(TILE);
        for ((first_query, queries), states) in tiles::<E>(queries, size).zip(states) {
            let (rows, columns) = (queries.norms.len(), points.norms.len());
            squared.resize(rows * columns, E::of(0.0));
            let right = Matrix::new(&points.values, columns, size).transposed();
            let left = Matrix::new(&queries.values, rows, size);
            parallel_product(&mut squared[..rows * columns], left, right, false);
            let of_queries = squared[..rows * columns].par_chunks_mut(columns);
            let work = of_queries.zip(states).zip(&queries.norms).enumerate();
            work.for_each(|(i, ((squared, state), &norm))| {
                for (product, &other) in squared.iter_mut().zip(&points.norms) {
                    *product = (norm + other - E::of(2.0) * *product).max(E::of(0.0));
                }
                let query = first_query + i;
                let row = Row {
                    query,
                    first,
                    squared,
                };
                visit(state, row);
            });
        }
    }
}

/// A run of points, and the square of each one's length.
struct Points<E> {
    values: Vec<E>,
    norms: Vec<E>,
}

fn tiles<E: Real>(points: &[f32], size: usize) -> impl Iterator<Item = (usize, Points<E>)> {
    let tile = move |points: &[f32]| {
        let values: Vec<E> = points.iter().map(|&x| E::of(f64::from(x))).collect();
        let square = |point: &[E]| point.iter().fold(E::of(0.0), |sum, &x| sum + x * x);
        let norms = values.chunks_exact(size).map(square).collect();
        Points { values, norms }
    };
    let runs = points.chunks(TILE * size).enumerate();
    runs.map(move |(i, run)| (i * TILE, tile(run)))
}

fn rows(points: &[f32], size: usize) -> usize {
    points.len() / size.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    #[test]
    fn the_nearest_by_hand() {
        let points = [0.0, 0.0, 3.0, 4.0, 10.0, 0.0];
        let found = nearest(&[3.0, 3.0, 10.0, 0.0], &points, 2);
        assert_eq!(
            found,
            [
                Neighbour {
                    index: 1,
                    distance: 1.0
                },
                Neighbour {
                    index: 2,
                    distance: 0.0
                }
            ]
        );
        let others: Vec<f64> = nearest_other(&points, 2)
            .iter()
            .map(|n| n.distance)
            .collect();
        assert_eq!(others, [5.0, 5.0, 65f64.sqrt()]);
        assert_eq!(squared_radii(&points, 2, 1), [25.0, 25.0, 65.0]);
        assert_eq!(squared_radii(&points, 2, 2), [100.0, 65.0, 100.0]);
        assert_eq!(squared_radii(&points, 2, 3), [f64::INFINITY; 3]);
    }

    #[test]
    fn without_neighbours_there_is_none() {
        assert_eq!(nearest(&[1.0, 2.0], &[], 2), []);
        assert_eq!(nearest_other(&[1.0, 2.0], 2), []);
        assert_eq!(nearest(&[], &[1.0, 2.0], 2), []);
    }

    /// Of pixels, more than a tile on either side: every product of centred bytes is exact, so that the
    /// neighbours are those that plain loops find.
    #[test]
    fn tiles_find_what_plain_loops_find() {
        let mut rng = Rng::new(1, Stream::Latents);
        let size = 9;
        let mut pixels = |count: usize| -> Vec<f32> {
            let mut pixel = || (256.0 * rng.uniform()) as u8;
            (0..count * size)
                .map(|_| f32::from(pixel()) - 128.0)
                .collect()
        };
        let (queries, points) = (pixels(TILE + 100), pixels(2 * TILE + 7));
        let found = nearest(&queries, &points, size);
        for (query, found) in queries.chunks(size).zip(&found).step_by(37) {
            let all = points.chunks(size).map(|point| distance(query, point));
            let least = all.fold(f64::INFINITY, f64::min);
            assert_eq!(found.distance, least);
        }
        let radii = squared_radii(&points, size, 5);
        let others = nearest_other(&points, size);
        for i in (0..points.len() / size).step_by(211) {
            let at = |i: usize| &points[i * size..][..size];
            let mut all: Vec<f64> = (0..points.len() / size)
                .filter(|&j| j != i)
                .map(|j| distance(at(i), at(j)))
                .collect();
            all.sort_by(f64::total_cmp);
            assert_eq!(others[i].distance, all[0]);
            assert!((radii[i].sqrt() - all[4]).abs() < 1e-9);
        }
    }
}
