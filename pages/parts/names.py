"""What people call the tasks and their kinds, and which folder of files a task wants."""

import os

from tbn import models, tasks
from tbn.errors import TBNError

KINDS = {
    "images": "image classification",
    "segmentation": "image segmentation",
    "points": "point cloud classification",
    "parts": "part segmentation of point clouds",
    "scenes": "scene segmentation of point clouds",
    "forecasting": "time series forecasting",
}
TITLES = {
    "fashion_mnist": "Fashion-MNIST",
    "digits": "Digits",
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "imagenet": "ImageNet",
    "image_folder": "Folder of images",
    "earthcover": "Earth cover",
    "mask_folder": "Folder of images and masks",
    "sweethome": "Sweet Home 3D",
    "modelnet40": "ModelNet40",
    "kicad_parts": "KiCad parts",
    "shapenet_part": "ShapeNet Part",
    "composed_rooms": "Composed rooms",
    "s3dis": "S3DIS",
    "appliances": "Appliances energy",
    "beijing": "Beijing PM2.5",
    "household": "Household power",
    "csv_forecast": "Your series (CSV)",
    "npz_images": "Your images (NPZ)",
    "npz_points": "Your point clouds (NPZ)",
    "npz_masks": "Your images with masks (NPZ)",
    "csv_table": "Your table (CSV)",
}
YOURS = (
    "csv_forecast",
    "npz_images",
    "npz_points",
    "npz_masks",
    "csv_table",
)  # tasks that read one file, which can be uploaded
FOLDERS = {  # tasks of which no data comes with the package, and the files that each reads
    "mnist": "train-images-idx3-ubyte and its three sisters, gzipped or not, or with MNIST/raw/ that holds them",
    "cifar10": "the binary version, cifar-10-batches-bin/*.bin",
    "imagenet": "train/<class>/*.JPEG and val/<class>/*.JPEG",
    "image_folder": "train/<class>/*.jpg and val/<class>/*.jpg",
    "mask_folder": "images/*.jpg and masks/*.png of the same names",
    "modelnet40": "modelnet40_ply_hdf5_2048 or modelnet40_normal_resampled",
    "shapenet_part": "shapenetcore_partanno_segmentation_benchmark_v0_normal",
    "s3dis": "Stanford3dDataset_v1.2_Aligned_Version, or its Area_1 to Area_6",
    "csv_forecast": "a CSV file with a column of dates, which the task argument file=NAME.csv names",
    "npz_images": "an .npz file of images and classes, which the task argument file=NAME.npz names",
    "npz_points": "an .npz file of point clouds and classes, which the task argument file=NAME.npz names",
    "npz_masks": "an .npz file of images and masks, which the task argument file=NAME.npz names",
    "csv_table": "a CSV file of numbers with a class in each row, which the task argument file=NAME.csv names",
}


def title(task: str) -> str:
    """A task with its kind: ``Fashion-MNIST - image classification``."""
    if task == "csv_table":  # it goes through the models of images
        return f"{TITLES[task]} - classification of rows"
    try:
        return f"{TITLES.get(task, task)} - {KINDS[tasks.kind_of(task)]}"
    except TBNError:  # a run of a task that this version does not have
        return task


def models_for(task: str) -> tuple[str, ...]:
    """The models that a task can take: of a table, whose rows are no pictures, the perceptron alone."""
    return ("mlp",) if task == "csv_table" else models.names(tasks.kind_of(task))


def wanted(task: str) -> str:
    """A sentence on the files that a task wants, or nothing where its data comes with the package."""
    files = FOLDERS.get(task)
    return f" No data of it comes with the package; it wants a folder with {files}." if files else ""


def example_folder(task: str) -> str | None:
    """What a command names as the data folder of such a task: the environment's TBN_DATA, else a word in its place."""
    return os.environ.get("TBN_DATA", "FOLDER") if task in FOLDERS else None
