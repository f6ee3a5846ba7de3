"""Makes digits.zip: the 1,797 handwritten digits of 8x8 pixels as an ImageFolder, from scikit-learn's copy.

Data: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, CC BY 4.0.
Run: pip install scikit-learn && python examples/make_digits.py
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
with zipfile.ZipFile(Path(__file__).with_name("digits.zip"), "w", zipfile.ZIP_STORED) as archive:
    for i, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        png = io.BytesIO()
        Image.fromarray(np.round(pixels * (255 / 16)).astype(np.uint8)).save(png, "PNG", optimize=True)
        entry = zipfile.ZipInfo(f"digits/{label}/{i:04d}.png", (1998, 7, 1, 0, 0, 0))
        archive.writestr(entry, png.getvalue())
