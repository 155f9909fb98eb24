"""Write mydata.npz: grey images of 28 × 28 pixels, in noise, with a horizontal stripe, a vertical one, or none."""

import numpy as np
from PIL import Image

classes = np.array(["horizontal", "vertical", "none"])
rng = np.random.default_rng(0)
x = rng.integers(0, 181, (900, 28, 28), dtype=np.uint8)
y = rng.integers(3, size=900)  # the class of each image: 0, 1 or 2
for image, label in zip(x, y, strict=True):
    place = rng.integers(24)
    if label == 0:
        image[place : place + 4] += 75
    elif label == 1:
        image[:, place : place + 4] += 75

np.savez("mydata.npz", x=x, y=y, classes=classes)
Image.fromarray(x[y.argmin()]).save("horizontal.png")
