"""Datasets as users bring them (a zip of image folders, npz, csv) and as training reads them."""

from engine.data.ingest import Rejected, Report, ingest
from engine.data.source import Source, open_source

__all__ = ["Rejected", "Report", "Source", "ingest", "open_source"]
