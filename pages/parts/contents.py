"""Which pages there are, in which section and order, and what each says of itself; and the explorer's picture."""

# one tile of bits, four times
TILE = '<path d="M0 0h3v3h3v3H3V3H0z" fill="#2B87D1"/><path d="M0 0h6v6H0z" fill="#2B87D1" opacity=".35"/>'
PLACES = "".join(f'<g transform="translate({x} {y})">{TILE}</g>' for x in (1, 9) for y in (1, 9))
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{PLACES}</svg>'
SECTIONS = {  # script: title, icon, what it is for
    "Learn": {
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
    },
    "Explore": {
        "pages/explore/tradeoff.py": (
            "Trade-off",
            ":material/scatter_plot:",
            "Score against size for every finished run of a task, with the Pareto front. Choose a run to see what it is made of.",
        ),
        "pages/explore/compare.py": (
            "Compare",
            ":material/compare_arrows:",
            "Two to four runs side by side: what differs, how they learned, what they weigh, and what they say of the same inputs.",
        ),
        "pages/explore/layers.py": (
            "Layers",
            ":material/layers:",
            "The bits of a run's tiles as they are stored, layer by layer, with their alphas, their balance and how they flipped.",
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
    },
    "Run": {
        "pages/run/train.py": (
            "Train",
            ":material/model_training:",
            "Train a full-precision, binary or tiled network in the background and watch it. The job outlives this page.",
        ),
        "pages/run/sweep.py": (
            "Sweep",
            ":material/grain:",
            "Many trainings over a space of choices, in the background, and the front that they leave. The same sweep goes on.",
        ),
        "pages/run/data.py": (
            "Your data",
            ":material/upload_file:",
            "Bring images, point clouds, a table or a series to train on, or a packed model to look at, test and put on a board.",
        ),
        "pages/run/jobs.py": (
            "Jobs",
            ":material/checklist:",
            "Everything that runs or ran in the background: how far it is, its log and its disk use; cancel, start again, delete.",
        ),
    },
    "Deploy": {
        "pages/deploy/firmware.py": (
            "Firmware",
            ":material/developer_board:",
            "One button: check, generate, build, fit, port, flash and verify a run on a board, with the log and each step's state.",
        ),
        "pages/deploy/device.py": (
            "Device",
            ":material/terminal:",
            "Talk to a flashed board, real or emulated: send it a drawing or a test sample, see its answer and every byte on the line.",
        ),
    },
}
FIRST = "pages/explore/tradeoff.py"  # what the bare address shows
PAGES = {script: told for pages in SECTIONS.values() for script, told in pages.items()}
