//! A build refuses the models that need a feature that it lacks, and takes all others.

use pocketgan::{Error, Model};

const FLOAT: bool = cfg!(feature = "f32");
const INT4: bool = cfg!(feature = "int4");
const CONVOLUTION: bool = cfg!(feature = "convolution");
const GRAPHS: bool = cfg!(feature = "graphs");
const IMAGES: bool = cfg!(feature = "images");

/// Whether this build has a feature, and the error of one that has not.
type Need = (bool, Error);

#[test]
fn models_that_need_a_missing_feature_are_refused() {
    let linear = include_bytes!("data/v4-linear.pgan");
    let int8 = include_bytes!("data/v1-int8.pgan");
    let addition = include_bytes!("data/v4-int8.pgan");
    let int4 = include_bytes!("data/v3-int4.pgan");
    let float = include_bytes!("data/v1-f32.pgan");
    let concatenation = include_bytes!("data/v5-concat.pgan");
    let graph = include_bytes!("data/v5-int8.pgan");
    let translator = include_bytes!("data/v6-int8.pgan");
    let convolution = (CONVOLUTION, Error::NoConvolution);
    let cases: [(&[u8], &[Need]); 8] = [
        (linear, &[]),
        (int8, &[convolution]),
        (addition, &[convolution]),
        (int4, &[(INT4, Error::NoInt4), convolution]),
        (float, &[(FLOAT, Error::NoFloat), convolution]),
        (concatenation, &[convolution, (GRAPHS, Error::NoGraphs)]),
        (graph, &[convolution, (GRAPHS, Error::NoGraphs)]),
        (translator, &[(IMAGES, Error::NoImages)]),
    ];
    for (i, (blob, needs)) in cases.into_iter().enumerate() {
        let missing = needs.iter().find(|(is_there, _)| !is_there);
        let expected = missing.map(|&(_, error)| error);
        assert_eq!(Model::parse(blob).err(), expected, "case {i}");
    }
}
