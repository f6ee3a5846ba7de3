"""Texts: documents on disk, tokenizers, and their tokens as samples."""
