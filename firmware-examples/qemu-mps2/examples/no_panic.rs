//! Links only if no panic can be reached from parsing any bytes, sampling any model and turning rows into a display's
//! bytes: the panic handler calls a function that does not exist. Only a release build removes all that is
//! unreachable, so only that proves it.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use cortex_m_rt::entry;
use pocketgan::{Generator, Kept, Model, Pixels, Translator, Turn, rgb565_row};

unsafe extern "C" {
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    a_panic_is_reachable()
}

#[entry]
fn main() -> ! {
    let blob: &[u8] = black_box(&[]);
    let buffer: &mut [u32] = black_box(&mut []);
    let latents: &[i8] = black_box(&[]);
    let image: &mut [u8] = black_box(&mut []);
    let values: &mut [f32] = black_box(&mut []);
    let _ = black_box(rgb565_row(blob, black_box(3), image));
    if let Ok(model) = Model::parse(blob)
        && let Ok(mut translator) = Translator::new(&model, buffer)
    {
        translator.begin();
        while let Turn::Picture(_) = translator.poll() {
            let _ = translator.give_row(black_box(blob));
        }
        let _ = black_box(translator.translate(blob, image));
        let _ = black_box(translator.values_into(blob, values));
        let mut source = Pixels::new(blob, black_box(3));
        let mut sink = |y: usize, _: &[u8]| if y < black_box(3) { Ok(()) } else { Err(y) };
        let _ = black_box(translator.translate_rows(&mut source, &mut sink).is_ok());
        let mut kept = Kept::new(source, image, black_box(3));
        let _ = black_box(translator.score(&mut kept).is_ok());
    }
    if let Ok(model) = Model::parse(blob)
        && let Ok(mut generator) = Generator::new(&model, buffer)
    {
        let _ = black_box(generator.set_class(black_box(1)));
        let _ = black_box(generator.sample(1, image));
        let _ = black_box(generator.sample_into(latents, image));
        let _ = black_box(generator.values_into(latents, values));
        let _ = black_box(generator.sample_rows(1, &mut |y: usize, pixels: &[u8]| {
            black_box((y, pixels));
        }));
        let mut sink = |y: usize, pixels: &[u8]| match black_box(pixels) {
            [] => Err(y),
            _ => Ok(()),
        };
        let _ = black_box(generator.try_sample_rows(1, &mut sink));
        let _ = black_box(generator.begin_from(latents));
        let _ = black_box(generator.begin_rows(1, black_box(1)..black_box(2)));
        while let Some(row) = generator.next_row() {
            black_box(row);
        }
    }
    loop {
        black_box(());
    }
}
