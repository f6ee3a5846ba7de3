"""Recordings: wave files, and their spectrograms as samples."""
