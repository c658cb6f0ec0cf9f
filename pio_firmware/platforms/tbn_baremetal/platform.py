"""A development platform that needs nothing from the PlatformIO registry.

PlatformIO asks the registry for one package whatever a platform says: ``tool-scons``. Here it is written from the SCons that pip installed,
as PlatformIO would have unpacked it: a folder with package.json, .piopm (who owns it) and scons.py.
"""

import json
import os
import shutil
import tempfile

from platformio.dependencies import get_core_dependencies
from platformio.exception import UserSideException
from platformio.platform.base import PlatformBase

LAUNCHER = """\
import sys

sys.path.insert(0, {folder!r})
from SCons.Script import main

main()
"""


def seed_scons(packages_dir: str) -> None:
    """Write packages_dir/tool-scons unless it is there already; safe with several builds at once."""
    try:
        import SCons
    except ImportError as error:
        raise UserSideException("the Python package scons is missing: pip install scons") from error
    version = get_core_dependencies()["tool-scons"].lstrip("~^=")
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None}
    files = {
        "package.json": json.dumps(
            {"name": "tool-scons", "version": version, "description": f"SCons {SCons.__version__} from pip"}
        ),
        ".piopm": json.dumps({"type": "tool", "name": "tool-scons", "version": version, "spec": spec}),
        "scons.py": LAUNCHER.format(folder=os.path.dirname(os.path.dirname(SCons.__file__))),
    }
    target = os.path.join(packages_dir, "tool-scons")
    if all(_text(os.path.join(target, name)) == text for name, text in files.items()):
        return
    os.makedirs(packages_dir, exist_ok=True)
    fresh = tempfile.mkdtemp(prefix="_tmp_tool-scons-", dir=packages_dir)
    os.chmod(fresh, 0o755)
    for name, text in files.items():
        with open(os.path.join(fresh, name), "w") as file:
            file.write(text)
    shutil.rmtree(target, ignore_errors=True)
    try:
        os.rename(fresh, target)
    except OSError:  # another build was faster
        shutil.rmtree(fresh, ignore_errors=True)


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


class Tbn_baremetalPlatform(PlatformBase):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        seed_scons(self.config.get("platformio", "packages_dir"))

    def is_embedded(self):
        return True
