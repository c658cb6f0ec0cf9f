"""Which pages there are, in which order, and what each says of itself; and the explorer's picture."""

# one tile of bits, four times
TILE = '<path d="M0 0h3v3h3v3H3V3H0z" fill="#2B87D1"/><path d="M0 0h6v6H0z" fill="#2B87D1" opacity=".35"/>'
PLACES = "".join(f'<g transform="translate({x} {y})">{TILE}</g>' for x in (1, 9) for y in (1, 9))
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{PLACES}</svg>'
PAGES = {
    "pages/explore/tradeoff.py": (
        "Trade-off",
        ":material/scatter_plot:",
        "Score against size for every finished run of a task, with the Pareto front. Choose a run to see what it is made of.",
    ),
    "pages/run/train.py": (
        "Train",
        ":material/model_training:",
        "Train a full-precision, binary or tiled network in the background and watch it. The job outlives this page.",
    ),
    "pages/explore/kernels.py": (
        "Kernels",
        ":material/speed:",
        "How fast the packed kernels are beside the usual ones, as measured, with the machine and the date.",
    ),
    "pages/explore/memory.py": (
        "Memory",
        ":material/memory:",
        "Where the bytes of a run are, layer by layer, in fp32, binary and tiled; and the flash and RAM of its firmware.",
    ),
    "pages/explore/mcu.py": (
        "Microcontrollers",
        ":material/memory_alt:",
        "Flash, RAM and instructions of a network on each emulated board, and the MNIST front beside what others published.",
    ),
    "pages/deploy/firmware.py": (
        "Firmware",
        ":material/developer_board:",
        "One button: check, generate, build, fit, flash and verify a run on a board, with the log and each step's state.",
    ),
    "pages/learn/tile.py": (
        "The tile",
        ":material/grid_on:",
        "What a tiled weight is: cut it into blocks, add them up, keep the signs, lay them back. Change it and let it learn.",
    ),
    "pages/learn/straight_through.py": (
        "Straight-through",
        ":material/trending_flat:",
        "How a gradient gets past a sign, and why a latent weight is inertia.",
    ),
    "pages/learn/sizes.py": (
        "Sizes",
        ":material/straighten:",
        "Bits, bytes and multiply-adds of any network at any tiling factor, at once and before any training.",
    ),
}
