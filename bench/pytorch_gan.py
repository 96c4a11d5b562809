"""Full GAN steps in PyTorch on the CPU, the yardstick of `cargo xtask bench-train`.

A step is a discriminator update on a real and a generated batch, then a generator update on fresh
latents, with the non-saturating loss (Goodfellow et al. 2014, section 3) and Adam; `wgan-gp` has the
Wasserstein distance and the gradient penalty instead, `pocket` and `pocket64` relativistic pairing with
R1 and R2 at every eighth step (Huang et al. 2024). Prints one JSON
object a net: net, batch, threads, images_per_s (real images a second of full steps), peak_bytes (the
most memory that the process has held so far).
"""

import argparse
import json
import resource
import time

import torch
from torch import nn
from torch.nn.functional import softplus


def dense_gan():
    """Returns (latent size, generator, discriminator, image shape) of the dense net."""
    generator = nn.Sequential(
        nn.Linear(100, 128), nn.ReLU(),
        nn.Linear(128, 256), nn.ReLU(),
        nn.Linear(256, 784), nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(),
        nn.Linear(256, 128), nn.ReLU(),
        nn.Linear(128, 1),
    )
    return 100, generator, discriminator, (784,)


def convolutional_gan(width):
    """The DCGAN of 28x28 images whose generator has `width` channels before the last layer."""
    generator = nn.Sequential(
        nn.Linear(64, 7 * 7 * 2 * width, bias=False),
        nn.Unflatten(1, (2 * width, 7, 7)), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
        nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(7 * 7 * 2 * width, 1),
    )
    return 64, generator, discriminator, (1, 28, 28)


def pocket_gan(image, channels):
    """The networks of the recipe `pocket`: 16 wide, the discriminator 32; `channels` are the generator's."""
    seed = image[1] >> (len(channels) - 1)
    first = channels[0]
    layers = [
        nn.Linear(32, first * seed * seed, bias=False),
        nn.Unflatten(1, (first, seed, seed)), nn.BatchNorm2d(first), nn.ReLU(),
    ]
    for before, after in zip(channels, channels[1:]):
        layers += [
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
            nn.BatchNorm2d(after), nn.ReLU(),
        ]
    layers += [nn.Conv2d(channels[-1], image[0], 3, 1, 1), nn.Tanh()]
    seen, before = [nn.Conv2d(image[0], 16, 3, 1, 1), nn.LeakyReLU(0.2)], 16
    for level in range(len(channels) - 1):
        after = 32 << min(level, 2)
        seen += [
            nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(after, after, 3, 1, 1), nn.LeakyReLU(0.2),
        ]
        before = after
    seen += [nn.Flatten(), nn.Linear(before * seed * seed, 1)]
    return 32, nn.Sequential(*layers), nn.Sequential(*seen), image


NETS = {
    "pocket": lambda: pocket_gan((1, 28, 28), [32, 32, 16]),
    "pocket64": lambda: pocket_gan((3, 64, 64), [48, 48, 24, 16]),
    "nano": lambda: convolutional_gan(16),
    "small": lambda: convolutional_gan(32),
    "full": lambda: convolutional_gan(64),
    "wgan-gp": lambda: convolutional_gan(32),
    "mlp": dense_gan,
}


def gradient_penalty(critic, real, fake):
    """The penalty of Gulrajani et al. 2017 (equation 3), weight 10."""
    share = torch.rand(len(real), 1, 1, 1)
    points = (real + (fake - real) * share).requires_grad_()
    gradient, = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return 10 * ((gradient.flatten(1).norm(2, dim=1) - 1) ** 2).mean()


def zero_centred_penalty(critic, images):
    """R1 or R2 (Mescheder et al. 2018, equation 9), weight 0.1, made up for seven steps without."""
    points = images.detach().requires_grad_()
    gradient, = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return 8 * 0.1 / 2 * gradient.square().flatten(1).sum(1).mean()


class Step:
    """One GAN and its optimizers; calling it makes both updates."""

    def __init__(self, net, batch):
        latent, self.generator, self.discriminator, shape = NETS[net]()
        self.batch, self.latent = batch, latent
        self.wasserstein = net == "wgan-gp"
        self.relativistic = net.startswith("pocket")
        self.steps = 0
        self.real = torch.rand(batch, *shape) * 2 - 1
        adam = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
        self.g_adam = torch.optim.Adam(self.generator.parameters(), **adam)
        self.d_adam = torch.optim.Adam(self.discriminator.parameters(), **adam)

    def __call__(self):
        with torch.no_grad():
            fake = self.generator(torch.randn(self.batch, self.latent))
        real, judged = self.discriminator(self.real), self.discriminator(fake)
        if self.wasserstein:
            d_loss = judged.mean() - real.mean() + gradient_penalty(self.discriminator, self.real, fake)
        elif self.relativistic:
            d_loss = softplus(judged - real).mean()
            if self.steps % 8 == 0:
                d_loss = d_loss + zero_centred_penalty(self.discriminator, self.real)
                d_loss = d_loss + zero_centred_penalty(self.discriminator, fake)
        else:
            d_loss = softplus(-real).mean() + softplus(judged).mean()
        self.steps += 1
        self.d_adam.zero_grad(set_to_none=True)
        # Here and below: no gradient but those that the update needs.
        d_loss.backward(inputs=list(self.discriminator.parameters()))
        self.d_adam.step()

        fake = self.generator(torch.randn(self.batch, self.latent))
        judged = self.discriminator(fake)
        if self.relativistic:
            with torch.no_grad():
                real = self.discriminator(self.real)
            g_loss = softplus(real - judged).mean()
        else:
            g_loss = -judged.mean() if self.wasserstein else softplus(-judged).mean()
        self.g_adam.zero_grad(set_to_none=True)
        g_loss.backward(inputs=list(self.generator.parameters()))
        self.g_adam.step()


def images_per_s(net, batch, seconds):
    """Runs steps for about `seconds` after a warm-up of a quarter of that; returns images a second."""
    step = Step(net, batch)

    def steps_for(limit):
        steps, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < limit:
            step()
            steps += 1
        return steps * batch / elapsed

    steps_for(seconds / 4)
    return steps_for(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=NETS, action="append", help="default: all")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each net")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    for net in options.net or NETS:
        speed = images_per_s(net, options.batch, options.seconds)
        print(json.dumps({"net": net, "batch": options.batch, "threads": options.threads,
                          "images_per_s": round(speed, 1),
                          "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)


if __name__ == "__main__":
    main()
