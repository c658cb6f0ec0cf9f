"""How an image is built and uploaded: zig (clang, lld and compiler-rt in one wheel) compiles; plain Python makes .bin and sizes."""

import importlib.util
import os
import sys
from os.path import join

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
core_dir = env.subst("$PROJECT_CORE_DIR")
here = env.PioPlatform().get_dir()
image_tool = join(here, "tools", "image.py")


def zig() -> str:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        sys.stderr.write("Error: the Python package ziglang is missing: pip install ziglang\n")
        env.Exit(1)
    return join(os.path.dirname(spec.origin), "zig.exe" if os.name == "nt" else "zig")


def tool(name: str, arguments: str) -> str:
    """A script that runs one zig tool: PlatformIO wants the bare path of a program in $CC."""
    folder = join(core_dir, ".cache", f"zig-{board.get('build.cpu')}-{board.get('build.abi')}")
    if os.name == "nt":
        path, text = join(folder, name + ".cmd"), f'@"{zig()}" {arguments} %*\r\n'
    else:
        path, text = join(folder, name), f'#!/bin/sh\nexec "{zig()}" {arguments} "$@"\n'
    try:
        with open(path, newline="") as file:
            if file.read() == text:
                return f'"{path}"' if " " in path else path
    except OSError:
        os.makedirs(folder, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", newline="") as file:
        file.write(text)
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)
    return f'"{path}"' if " " in path else path


target = f"-target thumb-freestanding-{board.get('build.abi')} -mcpu={board.get('build.cpu')}"
compiler = tool("zig-gcc", f"cc {target}")
env["ENV"].setdefault("ZIG_GLOBAL_CACHE_DIR", os.environ.get("ZIG_GLOBAL_CACHE_DIR") or join(core_dir, ".cache", "zig"))
env["ENV"].setdefault("ZIG_LOCAL_CACHE_DIR", join(env.subst("$BUILD_DIR"), "zig"))
env.Replace(
    CC=compiler,
    CXX=tool("zig-g++", f"c++ {target}"),
    AR=tool("zig-ar", "ar"),
    RANLIB=tool("zig-ranlib", "ranlib"),
    AS=compiler,
    LINK=compiler,
    ARFLAGS=["rc"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZETOOL=image_tool,
    SIZECHECKCMD=["$PYTHONEXE", image_tool, "size", "$SOURCES"],
    SIZEPRINTCMD=f'"$PYTHONEXE" "{image_tool}" size $SOURCES',
    SIZEPROGREGEXP=r"^flash\s+(\d+)",
    SIZEDATAREGEXP=r"^ram\s+(\d+)",
)
freestanding = ["-ffreestanding", "-fno-sanitize=undefined"]
env.Append(
    ASFLAGS=freestanding,
    ASPPFLAGS=freestanding,
    CCFLAGS=[*freestanding, "-O2", "-g", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections"],
    CFLAGS=["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"],
    CPPDEFINES=[("F_CPU", board.get("build.f_cpu")), f"TBN_MCU_{board.get('build.mcu').upper()}"],
    LINKFLAGS=[
        "-Wl,-e,Reset_Handler",
        "-Wl,--gc-sections",
        "-Wl,-T," + join(here, "ldscripts", board.get("build.ldscript")),
    ],
    BUILDERS={
        "ElfToBin": Builder(
            action=env.VerboseAction(f'"$PYTHONEXE" "{image_tool}" bin $SOURCES $TARGET', "Building $TARGET"),
            suffix=".bin",
        )
    },
)

if "nobuild" in COMMAND_LINE_TARGETS:  # upload what the last build left
    program = join("$BUILD_DIR", "${PROGNAME}.elf")
    images = [program]
else:
    program = env.BuildProgram()
    images = [program, env.ElfToBin(join("$BUILD_DIR", "${PROGNAME}"), program)]
AlwaysBuild(env.Alias("nobuild", images))
buildprog = env.Alias("buildprog", images)
size = env.AddPlatformTarget(
    "size", program, env.VerboseAction("$SIZEPRINTCMD", "Calculating size $SOURCE"), "Program Size"
)

# Upload into the emulated board. Its state file lies beside the build folder, so that `clean` does not lose it.
state = join(env.subst("$PROJECT_WORKSPACE_DIR"), "emulator.json")
env.Replace(
    UPLOADCMD=f'"$PYTHONEXE" -m tbn.boards.emulator flash --board {board.id} --port "$UPLOAD_PORT" --state "{state}" $SOURCE'
)
env.AddPlatformTarget("upload", program, [env.VerboseAction("$UPLOADCMD", "Uploading $SOURCE")], "Upload")
Default([buildprog, size])
