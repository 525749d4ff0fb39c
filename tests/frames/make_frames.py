#!/usr/bin/env python3
"""Makes the degraded pictures of `README.md` from the symbols that our renderer drew, and their manifest.

The pictures are frozen: a change of the verifier, the renderer or a library is judged by the same ones. This is run only
to make another set, which then needs floors of its own. Everything random comes from the picture's name, so the same
Pillow makes the same files. Needs Pillow alone.
"""

import hashlib
import io
import json
import math
import random
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors" / "qr"

# A vector of tests/vectors/qr, the error correction that its medium asks for, and the light of that medium: dark and
# light modules of a phone's screen, or of a print.
KINDS = {"profile-d": ("L", (18, 240)), "minimal": ("L", (18, 240)), "profile-s": ("M", (48, 214))}
# Pixels of the picture per module, and the sigma of the blur in pixels.
CELLS = [(2.5, 0.0), (2.5, 0.8), (3.0, 0.8), (3.0, 1.2), (4.0, 1.2)]
FRAMES_A_CELL = 4
# How many must be read: of each cell and altogether by zxing-cpp in any of its builds, and altogether by the program's
# own `verify --png` (rxing). When the set was made, zxing-cpp 3.1.1 read all 60 and rxing 0.9.3 58.
FLOORS = {"cell": 3, "total": 58, "own_reader": 56}

MAX_ROTATION_DEGREES = 15
CORNER_JITTER = 0.03  # of the symbol's width
NOISE_SIGMA = 6
JPEG_QUALITY = (60, 80)
GLARE_RADIUS = (0.05, 0.09)  # of the symbol's width; white within two thirds of it
QUIET_MODULES = 4
SURROUNDINGS = 30  # the brightness around the light margin
MARGIN_PIXELS = 12
SUPERSAMPLING = 4


def main() -> None:
    frames, cells = [], []
    for kind, (ecc, light) in KINDS.items():
        text = json.loads((VECTORS / f"{kind}.json").read_text())["text"]
        symbol = Image.open(HERE / "symbols" / f"{kind}.png").convert("L")
        for pixels, blur in CELLS:
            cell = f"{kind}-{pixels}px-blur{blur}"
            cells.append({"cell": cell, "kind": kind, "ecc": ecc, "pixels_per_module": pixels, "blur": blur})
            for number in range(1, FRAMES_A_CELL + 1):
                name = f"{cell}-{number}.jpg"
                jpeg, circumstances = degrade(symbol, light, pixels, blur, random.Random(name), glare=number % 2 == 0)
                (HERE / name).write_bytes(jpeg)
                sha256 = hashlib.sha256(text.encode()).hexdigest()
                frames.append({"file": name, "cell": cell, "text_sha256": sha256, **circumstances})
    manifest = {"floors": FLOORS, "cells": cells, "frames": frames}
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


def degrade(symbol: Image.Image, light: tuple[int, int], pixels: float, blur: float, chance: random.Random, *, glare: bool):
    """A photograph of the symbol, as JPEG, and what happened to it."""
    modules = modules_with_quiet_zone(symbol)
    width = modules * pixels
    side = round(width * 1.23) + 2 * MARGIN_PIXELS  # cos 15° + sin 15°
    rotation = chance.uniform(-MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES)
    corners = jittered_corners(width, side / 2, math.radians(rotation), chance)

    dark, bright = light
    symbol = symbol.point(lambda level: dark + (bright - dark) * level // 255)
    picture = photographed(symbol, corners, side)
    picture = ImageChops.multiply(picture, uneven_light(side, chance))
    if glare:
        picture = ImageChops.add(picture, glare_spot(side, width, chance))
    picture = picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture
    picture = ImageChops.add(picture, noise(side, chance), offset=-128)
    quality = chance.randint(*JPEG_QUALITY)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue(), {"rotation": round(rotation, 1), "glare": glare, "jpeg_quality": quality}


def modules_with_quiet_zone(symbol: Image.Image) -> int:
    """The width in modules: four of them lie before the first that is dark."""
    left, _, right, _ = ImageChops.invert(symbol).getbbox()
    module = left // QUIET_MODULES
    return (right - left) // module + 2 * QUIET_MODULES


def jittered_corners(width: float, centre: float, angle: float, chance: random.Random) -> list[tuple[float, float]]:
    """Where the symbol's corners come to lie, from the upper left one clockwise: turned, and seen a little askew."""
    corners = []
    for x, y in [(-1, -1), (1, -1), (1, 1), (-1, 1)]:
        x, y = (width / 2 * axis + width * chance.uniform(-CORNER_JITTER, CORNER_JITTER) / 2 for axis in (x, y))
        turned = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
        corners.append((centre + turned[0], centre + turned[1]))
    return corners


def photographed(symbol: Image.Image, corners: list[tuple[float, float]], side: int) -> Image.Image:
    """The symbol between these corners on dark surroundings; each pixel is the mean of what it covers."""
    large = side * SUPERSAMPLING
    targets = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in corners]
    coefficients = homography(targets, [(0, 0), (symbol.width, 0), (symbol.width, symbol.height), (0, symbol.height)])
    turned = symbol.transform(
        (large, large), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR, fillcolor=SURROUNDINGS
    )
    return turned.resize((side, side), Image.Resampling.BOX)


def homography(sources: list[tuple[float, float]], targets: list[tuple[float, float]]) -> list[float]:
    """The eight numbers of the perspective that takes four points to four others, by Gauss-Jordan elimination."""
    rows = []
    for (x, y), (u, v) in zip(sources, targets, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    for at in range(8):
        pivot = max(range(at, 8), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        rows[at] = [number / rows[at][at] for number in rows[at]]
        for row in range(8):
            if row != at:
                factor = rows[row][at]
                rows[row] = [one - factor * other for one, other in zip(rows[row], rows[at], strict=True)]
    return [row[8] for row in rows]


def uneven_light(side: int, chance: random.Random) -> Image.Image:
    """Light from one side: full there, down to half at the other."""
    direction, darkest = chance.uniform(0, 2 * math.pi), chance.uniform(0.5, 0.8)
    across, down = math.cos(direction), math.sin(direction)

    def level(x: float, y: float) -> float:
        towards = ((x - 0.5) * across + (y - 0.5) * down) / math.sqrt(2) + 0.5
        return 255 * (darkest + (1 - darkest) * towards)

    return smooth(level, side)


def glare_spot(side: int, width: float, chance: random.Random) -> Image.Image:
    """A lamp's reflection somewhere on the symbol."""
    radius = width * chance.uniform(*GLARE_RADIUS) / side
    x0, y0 = (0.5 + width / side * chance.uniform(-0.35, 0.35) for _ in range(2))
    return smooth(lambda x, y: 255 * min(1, max(0, 3 - 3 * math.hypot(x - x0, y - y0) / radius)), side)


def smooth(level, side: int) -> Image.Image:
    """A picture of a brightness that changes slowly, of coordinates from 0 to 1."""
    coarse = 64
    levels = (level((x + 0.5) / coarse, (y + 0.5) / coarse) for y in range(coarse) for x in range(coarse))
    picture = Image.frombytes("L", (coarse, coarse), bytes(round(number) for number in levels))
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def noise(side: int, chance: random.Random) -> Image.Image:
    """The sensor's, around 128."""
    levels = (round(chance.gauss(128, NOISE_SIGMA)) for _ in range(side * side))
    return Image.frombytes("L", (side, side), bytes(min(255, max(0, level)) for level in levels))


if __name__ == "__main__":
    main()
