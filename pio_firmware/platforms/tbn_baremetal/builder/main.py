"""How an image is built and uploaded. Cortex-M: zig (clang, lld and compiler-rt in one wheel); AVR: avr-gcc of the operating system.

Plain Python makes .bin, .hex and .uf2 of the ELF, and the sizes.
"""

import importlib.util
import os
import shutil
import sys
from os.path import join

from SCons.Script import COMMAND_LINE_TARGETS, AlwaysBuild, Builder, Default, DefaultEnvironment

env = DefaultEnvironment()
board = env.BoardConfig()
core_dir = env.subst("$PROJECT_CORE_DIR")
here = env.PioPlatform().get_dir()
image_tool = join(here, "tools", "image.py")


def fail(message: str) -> None:
    sys.stderr.write(f"Error: {message}\n")
    env.Exit(1)


def quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def zig() -> str:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        fail("the Python package ziglang is missing: pip install ziglang")
    return join(os.path.dirname(spec.origin), "zig.exe" if os.name == "nt" else "zig")


def kept(name: str, text: str, mode: int) -> str:
    """Path of a file in the cache with this text; safe with several builds at once."""
    path = join(core_dir, ".cache", f"zig-{board.get('build.cpu')}-{board.get('build.abi')}", name)
    try:
        with open(path, newline="") as file:
            if file.read() == text:
                return path
    except OSError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", newline="") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, path)
    return path


def zig_tool(name: str, arguments: str) -> str:
    """A script that runs one zig tool: PlatformIO wants the bare path of a program in $CC."""
    if os.name == "nt":
        return quoted(kept(name + ".cmd", f'@"{zig()}" {arguments} %*\r\n', 0o755))
    return quoted(kept(name, f'#!/bin/sh\nexec "{zig()}" {arguments} "$@"\n', 0o755))


def linker_script(name: str) -> str:
    """The board's script with the one that it includes: zig's linker looks for no file beside another."""
    texts = {}
    for file_name in (name, "cortexm_sections.ld"):
        with open(join(here, "ldscripts", file_name)) as file:
            texts[file_name] = file.read()
    return kept(name, texts[name].replace("INCLUDE cortexm_sections.ld\n", texts["cortexm_sections.ld"]), 0o644)


def use_zig() -> None:
    """clang for Cortex-M; lld links with the board's linker script and nothing else."""
    target = f"-target thumb-freestanding-{board.get('build.abi')} -mcpu={board.get('build.cpu')}"
    compiler = zig_tool("zig-gcc", f"cc {target}")
    cache = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or join(core_dir, ".cache", "zig")
    env["ENV"].setdefault("ZIG_GLOBAL_CACHE_DIR", cache)
    env["ENV"].setdefault("ZIG_LOCAL_CACHE_DIR", join(core_dir, ".cache", "zig-local"))
    env.Replace(
        CC=compiler,
        CXX=zig_tool("zig-g++", f"c++ {target}"),
        AR=zig_tool("zig-ar", "ar"),
        RANLIB=zig_tool("zig-ranlib", "ranlib"),
    )
    freestanding = ["-ffreestanding", "-fno-sanitize=undefined"]
    env.Append(
        ASFLAGS=freestanding,
        ASPPFLAGS=freestanding,
        CCFLAGS=[*freestanding, "-O2"],
        LINKFLAGS=["-Wl,-e,Reset_Handler", "-Wl,-T," + linker_script(board.get("build.ldscript"))],
    )


def use_avr_gcc() -> None:
    """gcc-avr and avr-libc, which brings start-up code and the linker's script."""
    compiler = shutil.which("avr-gcc")
    if compiler is None:
        fail("avr-gcc is missing: apt-get install gcc-avr avr-libc")
    folder, name = os.path.split(compiler)
    tools = {"CC": "gcc", "CXX": "g++", "AR": "gcc-ar", "RANLIB": "gcc-ranlib"}
    env.Replace(**{key: quoted(join(folder, name.replace("gcc", tool))) for key, tool in tools.items()})
    chip = ["-mmcu=" + board.get("build.mcu")]
    env.Append(ASFLAGS=chip, ASPPFLAGS=chip, CCFLAGS=[*chip, "-Os"], LINKFLAGS=chip, LIBS=["m"])


def image_builder(kind: str) -> Builder:
    family = board.get("build.uf2_family", "") if kind == "uf2" else ""
    action = f'"$PYTHONEXE" "{image_tool}" {kind} $SOURCES $TARGET {family}'
    return Builder(action=env.VerboseAction(action, "Building $TARGET"), suffix="." + kind)


{"zig": use_zig, "avr-gcc": use_avr_gcc}[board.get("build.toolchain")]()
kinds = board.get("build.images")
env.Replace(
    AS=env["CC"],
    LINK=env["CC"],
    ARFLAGS=["rc"],
    PROGNAME="firmware",
    PROGSUFFIX=".elf",
    SIZETOOL=image_tool,
    SIZECHECKCMD=["$PYTHONEXE", image_tool, "size", "$SOURCES"],
    SIZEPRINTCMD=f'"$PYTHONEXE" "{image_tool}" size $SOURCES',
    SIZEPROGREGEXP=r"^flash\s+(\d+)",
    SIZEDATAREGEXP=r"^ram\s+(\d+)",
)
env.Append(
    CCFLAGS=["-g", "-ffp-contract=off", "-ffunction-sections", "-fdata-sections"],
    CFLAGS=["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"],
    CPPDEFINES=[("F_CPU", board.get("build.f_cpu")), f"TBN_MCU_{board.get('build.mcu').upper()}"],
    LINKFLAGS=["-Wl,--gc-sections"],
    BUILDERS={f"ElfTo{kind.capitalize()}": image_builder(kind) for kind in kinds},
)

program = join("$BUILD_DIR", "${PROGNAME}.elf")
if "nobuild" in COMMAND_LINE_TARGETS:  # upload what the last build left
    images = [program]
else:
    program = env.BuildProgram()
    if board.get("build.mcu") == "rp2040":
        env.AddPostAction(
            program, env.VerboseAction(f'"$PYTHONEXE" "{image_tool}" boot2 $TARGET', "Adding the checksum of boot2")
        )
    stem = join("$BUILD_DIR", "${PROGNAME}")
    images = [program, *(getattr(env, f"ElfTo{kind.capitalize()}")(stem, program) for kind in kinds)]
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
