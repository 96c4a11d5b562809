//! Random numbers for training, from the generator that the runtime draws latents with.

use pocketgan::latent;

/// A seeded stream of random numbers; its whole state can be saved.
#[derive(Clone, Debug)]
pub struct Rng(latent::Rng);

/// What a stream is for. Streams of one seed do not run into each other.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Initialization,
    Latents,
    /// The order of the images in the given epoch.
    Order(u32),
    /// The changes made to the images in the given epoch.
    Augmentation(u32),
    /// Which images of the given class are kept for testing.
    Split(u8),
    /// The order of the pictures that generators read in the given epoch, where it is another than the images'.
    InputOrder(u32),
    /// The new layers of a phase of growth, by its number, of the generator (0) or the other network (1).
    Growth(u32, u32),
    /// The pixels of one picture that is drawn pixel by pixel.
    Pixels,
    /// What is drawn for one picture: the epoch, below 2^31, and its number.
    Picture(u32, u32),
}

impl Rng {
    /// The stream of `seed` for one purpose.
    pub fn new(seed: u64, stream: Stream) -> Self {
        let purpose: u64 = match stream {
            Stream::Initialization => 1,
            Stream::Latents => 2,
            Stream::Pixels => 3,
            Stream::Order(epoch) => 1 << 32 | u64::from(epoch),
            Stream::Augmentation(epoch) => 2 << 32 | u64::from(epoch),
            Stream::Split(class) => 3 << 32 | u64::from(class),
            Stream::InputOrder(epoch) => 4 << 32 | u64::from(epoch),
            Stream::Growth(phase, network) => 5 << 32 | u64::from(network) << 31 | u64::from(phase),
            Stream::Picture(epoch, number) => 1 << 63 | u64::from(epoch) << 32 | u64::from(number),
        };
        // An odd multiplier spreads the purposes over the 64-bit seeds.
        Self(latent::Rng::new(
            seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        ))
    }

    /// The stream at a saved state; `None` for the one state that no stream has.
    pub fn from_state(state: [u32; 4]) -> Option<Self> {
        latent::Rng::from_state(state).map(Self)
    }

    /// The state to save.
    pub fn state(&self) -> [u32; 4] {
        self.0.state()
    }

    /// Uniform in (0, 1), 32 bits fine.
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.0.next_u32()) + 0.5) / 4_294_967_296.0
    }

    /// Standard normal (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// `count` latents of `size` numbers, each a draw of the runtime's sampler.
    pub fn latents(&mut self, count: usize, size: usize) -> Vec<f32> {
        (0..count * size)
            .map(|_| f32::from(latent::draw(&mut self.0)) * latent::SCALE)
            .collect()
    }

    /// The numbers below `n` in random order (Fisher & Yates).
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, self.0.below(i + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut order = Rng::new(1, Stream::Order(0)).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        assert_ne!(order, Rng::new(1, Stream::Order(1)).permutation(1000));
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn normal_numbers_have_the_normal_moments() {
        let mut rng = Rng::new(3, Stream::Initialization);
        let n = 200_000;
        let [mut m1, mut m2, mut m4] = [0.0; 3];
        for _ in 0..n {
            let x = rng.normal();
            m1 += x;
            m2 += x * x;
            m4 += x.powi(4);
        }
        let n = f64::from(n);
        // Five standard errors each.
        assert!((m1 / n).abs() < 5.0 / n.sqrt());
        assert!((m2 / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!((m4 / n - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
    }

    #[test]
    fn a_saved_state_goes_on_where_it_was() {
        let mut rng = Rng::new(9, Stream::Latents);
        rng.uniform();
        let mut again = Rng::from_state(rng.state()).unwrap();
        assert_eq!(rng.latents(3, 5), again.latents(3, 5));
    }
}
