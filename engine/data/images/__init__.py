"""Archives of images: how they are laid out, their decoding, and what is said of them."""
