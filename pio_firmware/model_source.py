"""Adds the generated model (model.h, model.c) and the board's name to every build.

TBN_MODEL_DIR names the folder that `tbn build` generated; without it the example model beside this file is built.
"""

import os

Import("env")  # noqa: F821  (PlatformIO's build scripts get their names this way)
env = globals()["env"]

model_dir = os.environ.get("TBN_MODEL_DIR") or os.path.join(env.subst("$PROJECT_DIR"), "example_model")
if not os.path.isfile(os.path.join(model_dir, "model.c")):
    raise SystemExit(f"Error: no model.c in {model_dir}; generate it with `tbn export RUN`")

runtime = os.path.join(env.subst("$PROJECT_DIR"), "lib", "tbn_runtime", "include")
# environments are called as tbn's boards are, those of emulated ones with sim_ before it; PlatformIO's own board id may be another
board = env["PIOENV"].removeprefix("sim_")
env.Append(CPPPATH=[model_dir, runtime], CPPDEFINES=[("TBN_BOARD_NAME", env.StringifyMacro(board))])
env.BuildSources(os.path.join("$BUILD_DIR", "model"), model_dir, "+<model.c>")
