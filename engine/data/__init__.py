"""Datasets as users bring them (a zip of image folders, npz, csv) and as training reads them."""

from engine.data.images.layouts import LAYOUTS
from engine.data.ingest import FORMATS, ingest
from engine.data.report import Options, Rejected, Report
from engine.data.source import Source, open_source

__all__ = ["FORMATS", "LAYOUTS", "Options", "Rejected", "Report", "Source", "ingest", "open_source"]
